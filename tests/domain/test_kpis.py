"""Key figures: sums of parts, and a baseline beside them."""

from __future__ import annotations

from datetime import date

from counterfoil_engine.domain.kpis import KPIS, days_to_measure, shown, value
from hypothesis import given
from hypothesis import strategies as st

BY_NAME = {kpi.name: kpi for kpi in KPIS}


def row(kpi: str, day: str, numerator: int, denominator: int) -> dict[str, object]:
    return {"kpi": kpi, "day": day, "numerator": numerator, "denominator": denominator}


def line(name: str, rows: list[dict[str, object]], baseline: tuple[int, int] | None = None) -> dict[str, object]:
    told = shown(rows, {name: baseline} if baseline else {})
    return next(each for each in told if each["kpi"] == name)


def test_a_busy_day_weighs_more_than_a_quiet_one() -> None:
    """900 s for 1 order, 10 s each for 99: 18.9 s on average, and not the mean of 900 and 10."""
    told = line(
        "order_latency", [row("order_latency", "2026-11-01", 900, 1), row("order_latency", "2026-11-02", 990, 99)]
    )
    assert told["value"] == 18.9
    assert [day["value"] for day in told["days"]] == [900, 10]


def test_two_refusals_of_four_hundred_documents_are_half_a_percent() -> None:
    assert value(BY_NAME["failed_rate"], 2, 400) == 0.5


def test_a_period_locked_three_days_after_its_end_took_three_days() -> None:
    assert value(BY_NAME["close_time"], 259_200, 1) == 3


def test_a_day_without_anything_to_measure_has_no_figure() -> None:
    assert value(BY_NAME["order_latency"], 0, 0) is None


def test_more_accuracy_is_better_and_more_manual_work_is_worse() -> None:
    accuracy = line("inventory_accuracy", [row("inventory_accuracy", "2026-11-20", 99, 100)], (90, 100))
    manual = line("manual_work", [row("manual_work", "2026-11-20", 9, 100)], (5, 100))
    assert (accuracy["baseline"], accuracy["is_better"]) == (90, True)
    assert (manual["baseline"], manual["is_better"]) == (5, False)


def test_without_a_baseline_nothing_is_said_to_be_better() -> None:
    assert line("failed_rate", [row("failed_rate", "2026-11-20", 1, 100)])["is_better"] is None


def test_the_first_time_yesterday_is_measured_and_after_a_week_away_the_week() -> None:
    assert days_to_measure(None, date(2026, 11, 24)) == [date(2026, 11, 23)]
    assert days_to_measure(date(2026, 11, 23), date(2026, 11, 24)) == []
    assert days_to_measure(date(2026, 11, 16), date(2026, 11, 24))[0] == date(2026, 11, 17)
    assert len(days_to_measure(date(2026, 1, 1), date(2026, 11, 24))) == 14


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), min_size=1, max_size=20))
def test_days_add_up_to_the_figure_of_all_of_them(days: list[tuple[int, int]]) -> None:
    rows = [row("failed_rate", f"2026-11-{place + 1:02}", *parts) for place, parts in enumerate(days)]
    whole = value(BY_NAME["failed_rate"], sum(part[0] for part in days), sum(part[1] for part in days))
    assert line("failed_rate", rows)["value"] == whole
