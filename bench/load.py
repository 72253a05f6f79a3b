"""A peak day of one store through the whole chain: latency from an event to the documents that it makes, in the ERP.

    python bench/load.py [--orders N] [--factor F] [--docs FOLDER]

10,000 orders in an hour, in bursts, three events each: placed, paid, edited. One agent sends them over HTTP, signed, in
the batches that have come together while it was sending; API, worker, poster and scheduler are processes over
PostgreSQL, and the sandbox ERP answers over HTTP. The hour is run at F times its speed (default 12: in five minutes),
so what is measured is F times that load. Writes a table and a picture to docs/.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from counterfoil_engine.api.requests import signature
from counterfoil_engine.records.database import Database
from loguru import logger
from measure import RECORDED, Orders, load, migrated, percentiles, postgresql
from services import sandbox_erp, served

HOUR_S, ORDERS = 3600.0, 10_000
BURST_SHARE, BURST_S = 0.5, 60.0  # half of all orders come in six minutes of the hour, one in ten
SECRET = "the secret of the store eu1, for benchmarks"
MOST = 500
DOCS = Path(__file__).parents[1] / "docs"
STAGES = ("placed", "paid", "edited")

# What a look saw last is the event that made its documents: from when it was sent to when the ERP's answer was kept.
LATENCIES = """
select extract(epoch from i.result_at - e.occurred_at) as seconds, e.event_id, i.kind,
  extract(epoch from e.occurred_at) as sent
from intents i join looks l on l.id = i.look_id
join events e on e.subject = l.subject and e.arrival = l.arrival
where i.state = 'done' and i.kind <> 'customer'"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=ORDERS, help="a part of the day only (default: all of it)")
    parser.add_argument("--factor", type=float, default=12.0, help="times the real speed")
    parser.add_argument("--docs", type=Path, default=DOCS)
    asked = parser.parse_args()
    logger.remove()
    plan = list(arrivals(asked.orders, asked.factor))
    with tempfile.TemporaryDirectory() as name, postgresql() as url, migrated(url) as database:
        folder = Path(name)
        with sandbox_erp(folder) as erp, served(folder, url, erp.url, {"eu1": SECRET}) as port:
            agent = Agent(port)
            began, loads = time.time(), []
            agent.run(plan, loads)
            until_quiet(database)
            took_s = time.time() - began
        told = report(database, asked.orders, asked.factor, took_s, loads, began, asked.docs)
    print(told)
    return 0


def arrivals(orders: int, factor: float) -> Iterator[tuple[float, int, int]]:
    """(when, order, stage) in order of time: seconds from the start, as they are run."""
    randomly = random.Random(20261127)
    seconds = HOUR_S * orders / ORDERS
    bursts = sorted(randomly.uniform(0, seconds) for _ in range(max(1, round(seconds / 600))))
    events = []
    for order in range(orders):
        if randomly.random() < BURST_SHARE:
            placed = randomly.choice(bursts) + randomly.uniform(0, BURST_S)
        else:
            placed = randomly.uniform(0, seconds)
        paid = placed + randomly.uniform(5, 60)
        events += [(placed, order, 0), (paid, order, 1), (paid + randomly.uniform(30, 300), order, 2)]
    for when, order, stage in sorted(events):
        yield when / factor, order, stage


class Agent:
    """Sends what has come so far, one batch after the other, as an agent does."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self._n = 0
        placed = json.loads((RECORDED / "order_simple_paid.json").read_bytes())
        placed |= {"status": "pending", "date_paid": None, "date_paid_gmt": None, "transaction_id": ""}
        edited = json.loads((RECORDED / "order_simple_paid.json").read_bytes())
        edited |= {"customer_note": "Please ring twice."}
        self._orders = [Orders("eu1", order=placed), Orders("eu1"), Orders("eu1", order=edited)]
        contracts = {"order": [1], "gone": [1], "heartbeat": [1]}
        hello = {"store": "eu1", "installation": uuid.uuid4().hex, "agent_version": "1", "contracts": contracts}
        self._post("/v1/hello", json.dumps(hello).encode())

    def run(self, plan: list[tuple[float, int, int]], loads: list[float]) -> None:
        began, sent = time.monotonic(), 0
        while sent < len(plan):
            now = time.monotonic() - began
            due = sent
            while due < len(plan) and due - sent < MOST and plan[due][0] <= now:
                due += 1
            if due == sent:
                time.sleep(0.05)
                continue
            # An event's time is when it was due, so that waiting for the batch before counts as well.
            events = [self._event(stage, order, began + when) for when, order, stage in plan[sent:due]]
            self._post("/v1/events", b"[" + b",".join(events) + b"]")
            sent = due
            loads.append(float(load().split()[1]))

    def _event(self, stage: int, order: int, at: float) -> bytes:
        self._n += 1
        moment = datetime.fromtimestamp(time.time() - (time.monotonic() - at), UTC)
        return self._orders[stage].event(self._n, 1001 + order, at=moment)

    def _post(self, path: str, body: bytes) -> None:
        at = str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "Counterfoil-Store": "eu1",
            "Counterfoil-Timestamp": at,
            "Counterfoil-Signature": signature(SECRET, "POST", path, at, body),
        }
        self._connection.request("POST", path, body, headers)
        answer = self._connection.getresponse()
        said = answer.read()
        assert answer.status == 200, said


def until_quiet(database: Database, timeout_s: float = 1800.0) -> None:
    """Until nothing is due and nothing is on its way, twice in a row."""
    ends, quiet = time.monotonic() + timeout_s, 0
    while quiet < 2:
        if time.monotonic() > ends:
            raise TimeoutError(f"not quiet after {timeout_s:.0f} s")
        with database.transaction() as tx:
            row = tx.one(
                "select (select count(*) from work) + (select count(*) from intents where state in ('ready', 'sent'))"
                " as left_over"
            )
        quiet = 0 if row and row["left_over"] else quiet + 1
        threading.Event().wait(1.5)


def report(
    database: Database, orders: int, factor: float, took_s: float, loads: list[float], began: float, docs: Path
) -> str:
    with database.transaction() as tx:
        rows = tx.all(LATENCIES)
        counts = tx.one(
            "select (select count(*) from events) as events, (select count(*) from intents where state = 'done') as"
            " documents, (select count(*) from cases where resolved_at is null) as cases"
        )
    assert counts is not None
    seconds = [float(row["seconds"]) for row in rows]
    p50, p95, p99 = percentiles(seconds, 50, 95, 99)
    typical = sorted(loads)[len(loads) // 2] if loads else 0.0
    draw(docs / "load.svg", [(float(row["sent"]) - began, float(row["seconds"])) for row in rows])
    return "\n".join(
        [
            f"A peak day of one store: {orders:,} orders, {counts['events']:,} events, {counts['documents']:,}"
            f" documents, {counts['cases']} cases, at {factor:g} × real speed, all of it in {took_s:.0f} s;"
            f" the machine's load {typical:.1f} (median) on 2 cores.",
            "",
            "| from event to ERP | p50 | p95 | p99 | longest |",
            "|---|---|---|---|---|",
            f"| seconds | {p50:.1f} | {p95:.1f} | {p99:.1f} | {max(seconds):.1f} |",
        ]
    )


def draw(path: Path, points: list[tuple[float, float]], width: int = 760, height: int = 300) -> None:
    """The latency over time as SVG: median and 95th percentile of each of 60 slices."""
    left, top, right, bottom = 50, 20, 15, 40
    end = max(when for when, _ in points) or 1.0
    slices: list[list[float]] = [[] for _ in range(60)]
    for when, seconds in points:
        slices[min(59, max(0, int(when / end * 60)))].append(seconds)
    lines = {
        name: [(index, percentiles(values, each)[0]) for index, values in enumerate(slices) if values]
        for name, each in (("p50", 50), ("p95", 95))
    }
    highest = max(value for line in lines.values() for _, value in line) * 1.1

    def x(index: float) -> float:
        return left + index / 59 * (width - left - right)

    def y(value: float) -> float:
        return height - bottom - value / highest * (height - top - bottom)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif"'
        ' font-size="12" role="img" aria-label="Latency from event to ERP over the peak day">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for step in range(5):
        value = highest * step / 4
        parts.append(
            f'<line x1="{left}" x2="{width - right}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="#ddd"/>'
            f'<text x="{left - 6}" y="{y(value) + 4:.1f}" text-anchor="end" fill="#555">{value:.1f} s</text>'
        )
        when = end * step / 4
        parts.append(
            f'<text x="{x(step * 59 / 4):.1f}" y="{height - 18}" text-anchor="middle" fill="#555">{when:.0f} s</text>'
        )
    for name, colour in (("p95", "#c2410c"), ("p50", "#1d4ed8")):
        path_text = " ".join(f"{x(index):.1f},{y(value):.1f}" for index, value in lines[name])
        parts.append(f'<polyline points="{path_text}" fill="none" stroke="{colour}" stroke-width="2"/>')
        place = width - right - (90 if name == "p95" else 45)
        parts.append(f'<text x="{place}" y="14" fill="{colour}">{name}</text>')
    parts.append(f'<text x="{left}" y="14" fill="#222">seconds from an event to its documents in the ERP</text></svg>')
    path.write_text("\n".join(parts) + "\n")


if __name__ == "__main__":
    sys.exit(main())
