"""What the benchmarks share: databases of their own, events as agents send them, and figures told with the load.

The server is COUNTERFOIL_BENCH_POSTGRESQL (default: the local one, user postgres).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import statistics
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from counterfoil_engine import demo
from counterfoil_engine.bootstrap import Engine, build
from counterfoil_engine.ports import Erp, Found, Health, Incoming, Outcome, Posted, Posting
from counterfoil_engine.records.database import Database
from counterfoil_engine.work.look import LookSettings
from counterfoil_engine.work.receive import judge

SERVER = os.environ.get("COUNTERFOIL_BENCH_POSTGRESQL", "postgresql://postgres@127.0.0.1:5432/postgres")
RECORDED = Path(__file__).parents[1] / "tests" / "recorded" / "woocommerce"
ROUNDS = 3
CUSTOMERS = 50  # who order again and again


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@contextlib.contextmanager
def postgresql() -> Iterator[str]:
    """The address of an empty database, dropped at the end."""
    name = f"counterfoil_bench_{uuid.uuid4().hex[:12]}"
    _on_server(f'create database "{name}"')
    try:
        yield urlunsplit(urlsplit(SERVER)._replace(path=f"/{name}"))
    finally:
        _on_server(f'drop database "{name}" with (force)')


@contextlib.contextmanager
def migrated(url: str) -> Iterator[Database]:
    database = Database(url, SystemClock())
    database.migrate()
    try:
        yield database
    finally:
        database.close()


def _on_server(statement: str) -> None:
    with psycopg.connect(SERVER, autocommit=True) as connection:
        connection.execute(statement)


# Events.


class Orders:
    """A recorded order, again and again under other numbers. wanted_bytes: how long an event's data is made."""

    def __init__(self, store: str, order: dict[str, Any] | None = None, wanted_bytes: int | None = None) -> None:
        order = dict(order or json.loads((RECORDED / "order_simple_paid.json").read_bytes()))
        self.store, self._id = store, str(order["id"])
        order["id"], order["number"] = 1234567890123, "1234567890123"
        if wanted_bytes:
            lacks = wanted_bytes - len(_packed({"order": order, "refunds": []}))
            order["customer_note"] = "" if lacks <= 0 else ("Please ring twice. " * (lacks // 19 + 1))[:lacks]
        self._data = _packed({"order": order, "refunds": []})
        self._began = datetime.now(UTC)

    def data(self, order_id: int) -> bytes:
        by_customer = self._data.replace(b'"customer_id":2,', b'"customer_id":%d,' % (2 + order_id % CUSTOMERS))
        return by_customer.replace(b"1234567890123", b"%d" % order_id)

    def event(self, n: int, order_id: int, data: bytes | None = None, at: datetime | None = None) -> bytes:
        """A CloudEvent as an agent sends it."""
        moment = at or self._began + timedelta(milliseconds=n)
        head = {
            "specversion": "1.0",
            "id": uuid.uuid4().hex,
            "source": f"/stores/{self.store}",
            "type": "counterfoil.order.v1",
            "subject": f"order/{order_id}",
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "datacontenttype": "application/json",
            "dataschema": "urn:counterfoil:events:order:1",
            "traceparent": "00-" + uuid.uuid4().hex + "-" + "2" * 16 + "-01",
            "epoch": 1,
            "n": n,
            "occurredon": moment.date().isoformat(),
        }
        return _packed(head)[:-1] + b',"data":' + (data or self.data(order_id)) + b"}"


def _packed(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# Figures.


def load() -> str:
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"


def in_turn(*sides: Callable[[], float], rounds: int = ROUNDS) -> list[float]:
    """Each side's median; the sides run in turn, so that what else the machine does meets all of them."""
    figures: list[list[float]] = [[] for _ in sides]
    for number in range(rounds):
        for side, found in zip(sides, figures, strict=True):
            found.append(side())
        told = " / ".join(f"{found[-1]:,.1f}" for found in figures)
        print(f"  round {number + 1} of {rounds}: {told}  ({load()})", file=sys.stderr, flush=True)
    return [statistics.median(found) for found in figures]


def tell(what: str, figure: str, goal: str = "") -> None:
    """One line: what, how much, what it ought to be, under which load."""
    print(f"{what}: {figure}{f'  (goal: {goal})' if goal else ''}  [{load()}]", flush=True)


def percentiles(values: Sequence[float], *wanted: float) -> list[float]:
    ordered = sorted(values)
    return [ordered[min(len(ordered) - 1, int(len(ordered) * each / 100))] for each in wanted]


def cpu_s(*pids: int) -> float:
    """The processor time that processes have used so far: steadier than the clock while a machine does other things."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def backends(url: str) -> list[int]:
    """The server's processes that serve connections to this database."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
        ).fetchall()
    return [row[0] for row in rows]


def rss_mb(pid: int | str = "self") -> float:
    """Resident memory of a process."""
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


# An engine without HTTP, over an ERP that costs nothing.


class InstantErp:
    """Takes everything at once; spent_s: the time that was spent within its calls, which is not the engine's."""

    lanes, batch_size, commit_lag_s = 1, 20, 0.0

    def __init__(self) -> None:
        self.spent_s, self.documents = 0.0, 0

    def post(self, postings: Sequence[Posting]) -> Sequence[Outcome]:
        began = time.perf_counter()
        outcomes = [Posted(posting.key, f"E{number}") for number, posting in enumerate(postings, self.documents + 1)]
        self.documents += len(outcomes)
        self.spent_s += time.perf_counter() - began
        return outcomes

    def find(self, keys: Sequence[str]) -> Mapping[str, Sequence[Found]]:
        return {}

    def list_since(self, since: datetime) -> Iterator[Found]:
        yield from ()

    def rate(self, currency: str, book: str, on: date) -> Decimal | None:
        return None

    def open_day(self, entity: str, on: date) -> date:
        return on

    def health(self) -> Health:
        return Health(True, "up")


def rules_text(store: str = "eu1") -> str:
    """The demo's rules, for another store."""
    text = json.dumps(demo.rules())
    return text.replace(f'"{demo.STORE}"', f'"{store}"')


def an_engine(database: Database, erp: Erp, **settings: Any) -> Engine:
    """An engine with rules in force, over a migrated database."""
    engine = build(database, SystemClock(), {demo.ENTITY: erp}, settings=LookSettings(**settings))
    engine.load_rules(rules_text())
    return engine


def fill(engine: Engine, orders: Orders, first_n: int, first_id: int, count: int, at_once: int = 500) -> None:
    """Put so many new orders into the engine, as if they had come in over HTTP."""
    if first_n == 1:
        engine.events.greet(orders.store, uuid.uuid4().hex, "1", {"order": [1]})
    for first in range(0, count, at_once):
        places = range(first, min(first + at_once, count))
        judged = [judge(orders.store, orders.event(first_n + place, first_id + place)) for place in places]
        engine.events.append(orders.store, [each for each in judged if isinstance(each, Incoming)])
