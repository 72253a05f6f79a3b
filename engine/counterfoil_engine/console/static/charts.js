// Draws each element with data-chart as a line over days (uPlot); the same figures stand beside it as a table.
(function () {
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const draw = (place) => {
    const said = JSON.parse(place.dataset.chart);
    const days = said.days.map((one) => Date.parse(one.day.slice(0, 10)) / 1000);
    const series = [{}, { label: said.unit, stroke: colour("--accent"), width: 2, points: { show: days.length < 40 } }];
    const data = [days, said.days.map((one) => one.value)];
    if (said.baseline !== null) {
      series.push({ label: "before", stroke: colour("--soft"), dash: [4, 4], points: { show: false } });
      data.push(days.map(() => said.baseline));
    }
    const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
    new uPlot({ width: place.clientWidth, height: 150, legend: { show: false }, cursor: { show: false }, tzDate: (at) => uPlot.tzDate(new Date(at * 1000), "UTC"), series, axes: [axis, axis], scales: { y: { range: (plot, low, high) => [Math.min(0, low), high > 0 ? high * 1.1 : 1] } } }, data, place);
  };
  document.querySelectorAll("[data-chart]").forEach(draw);
})();
