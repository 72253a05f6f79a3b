"""Ingest over real HTTP against the fastest way to put the same rows into PostgreSQL.

    python bench/ingest.py [--seconds S] [--database sqlite|postgresql] [--workers N]

Ingest: gunicorn (gthread), 4 stores on 4 connections that stay open, batches of 100 events of 3 KB, each signed; they
are checked against their contracts and stored, with the work list, in one commit. The other side inserts the same rows
from one connection, in batches of 100: no HTTP, no checks, one index (`insert … select unnest(%b)`, prepared, lz4).
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

import psycopg
from counterfoil_engine.api.requests import signature
from measure import Orders, backends, cpu_s, in_turn, postgresql, sha256, tell

STORES = ["eu1", "eu2", "us1", "us2"]
BATCH = 100
EVENT_BYTES = 3072
SECRET = "the secret of a store, for benchmarks"
GOAL = 0.35

# The engine's API as it is served: the composition root's parts, without workers that look.
PROGRAM = """
import os, sys
from loguru import logger
from counterfoil_engine.api.server import Server
from counterfoil_engine.bootstrap import SystemClock, build
from counterfoil_engine.config import settings
from counterfoil_engine.records.database import Database

logger.remove()
logger.add(os.devnull, serialize=True)

def make_app():
    database = Database(sys.argv[1], SystemClock())
    return build(database, SystemClock(), {}).app(settings({}, os.environ))

Server(make_app, bind=sys.argv[2], workers=int(sys.argv[3]), threads=int(sys.argv[4]), loglevel="error").run()
"""

RAW_TABLE = """
create table raw (store text not null, event_id text not null, occurred_on date not null, epoch bigint not null,
  n bigint not null, type text not null, subject text, arrival bigint not null, received_at timestamptz not null,
  occurred_at timestamptz, body bytea compression lz4, body_hash text not null, verdict text not null,
  primary key (store, event_id, occurred_on))"""
RAW_INSERT = """
insert into raw select * from unnest(%b::text[], %b::text[], %b::date[], %b::bigint[], %b::bigint[], %b::text[],
  %b::text[], %b::bigint[], %b::timestamptz[], %b::timestamptz[], %b::bytea[], %b::text[], %b::text[])
on conflict do nothing returning event_id"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=40, metavar="N", help="batches of each store in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--database", choices=["postgresql", "sqlite"], default="postgresql")
    parser.add_argument("--workers", type=int, default=2, help="processes of gunicorn (SQLite: 1)")
    parser.add_argument("--threads", type=int, default=4)
    asked = parser.parse_args()
    with database_of(asked.database) as url:
        workers = 1 if asked.database == "sqlite" else asked.workers
        with postgresql() as raw_url, served(url, workers, asked.threads) as (port, server):
            senders = [Sender(store, port) for store in STORES]
            rows = rows_of(asked.batches * 2)
            with psycopg.connect(raw_url) as connection:
                connection.execute(RAW_TABLE)
                connection.commit()
                on_database = (lambda: backends(url)) if asked.database == "postgresql" else list
                http_spent = Spent(client=lambda: [os.getpid()], server=lambda: children(server), database=on_database)
                raw_spent = Spent(client=lambda: [os.getpid()], database=lambda: [connection.info.backend_pid])
                over_http_side(senders, 5, http_spent)
                raw_side(connection, rows[:10], raw_spent)
                over_http, raw = in_turn(
                    lambda: over_http_side(senders, asked.batches, http_spent),
                    lambda: raw_side(connection, rows, raw_spent),
                    rounds=asked.rounds,
                )
    tell(f"ingest over HTTP, {asked.database}", f"{over_http:,.0f} events/s")
    tell("fastest insert of the same rows, PostgreSQL", f"{raw:,.0f} events/s")
    tell("processor time an event over HTTP", str(http_spent))
    tell("processor time an event inserted alone", str(raw_spent))
    tell("ratio", f"{over_http / raw:.0%}", f"at least {GOAL:.0%}")
    return 0 if over_http / raw >= GOAL else 1


@contextmanager
def database_of(kind: str) -> Iterator[str]:
    from measure import migrated

    if kind == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            url = f"sqlite:///{folder}/bench.sqlite"
            with migrated(url):
                pass
            yield url
        return
    with postgresql() as url:
        with migrated(url):
            pass
        yield url


@contextmanager
def served(url: str, workers: int, threads: int) -> Iterator[tuple[int, int]]:
    """The API over HTTP, in processes of its own; its port and its first process."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    secrets = {f"COUNTERFOIL_STORE_SECRET_{store.upper()}": SECRET for store in STORES}
    command = [sys.executable, "-c", PROGRAM, url, f"127.0.0.1:{port}", str(workers), str(threads)]
    server = subprocess.Popen(command, env=os.environ | secrets)
    try:
        for _ in range(200):
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=5):
                    break
            except OSError:
                time.sleep(0.1)
        wait_for_all(server.pid, workers)
        yield port, server.pid
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=30)


def wait_for_all(pid: int, workers: int) -> None:
    """Until every process of the server has started: the first one would else get all lines, and keep them."""
    before_s = -1.0
    for _ in range(100):
        now_s = cpu_s(*children(pid)) if len(children(pid)) == workers else -1.0
        if 0 < now_s == before_s:
            return
        before_s = now_s
        time.sleep(0.5)


class Sender:
    """One store's agent: one connection, kept open; its batches are made before the time counts."""

    def __init__(self, store: str, port: int) -> None:
        self.store, self._n = store, 0
        self._orders = Orders(store, wanted_bytes=EVENT_BYTES)
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._batches: list[bytes] = []
        contracts = {"order": [1], "gone": [1], "heartbeat": [1]}
        hello = {"store": store, "installation": uuid.uuid4().hex, "agent_version": "1", "contracts": contracts}
        self.post("/v1/hello", json.dumps(hello).encode())

    def make(self, batches: int) -> None:
        for _ in range(batches):
            events = [self._orders.event(n, n) for n in range(self._n + 1, self._n + BATCH + 1)]
            self._n += BATCH
            self._batches.append(b"[" + b",".join(events) + b"]")

    def send(self) -> None:
        for body in self._batches:
            said = self.post("/v1/events", body)
            assert said["stored_through"]["n"] >= BATCH and not said["holes"]
        assert said["stored_through"]["n"] == self._n, said["stored_through"]
        self._batches = []

    def post(self, path: str, body: bytes) -> dict:
        at = str(int(datetime.now(UTC).timestamp()))
        headers = {
            "Content-Type": "application/json",
            "Counterfoil-Store": self.store,
            "Counterfoil-Timestamp": at,
            "Counterfoil-Signature": signature(SECRET, "POST", path, at, body),
        }
        self._connection.request("POST", path, body, headers)
        answer = self._connection.getresponse()
        said = json.loads(answer.read())
        assert answer.status == 200, said
        return said


class Spent:
    """Processor time of a side's parts, in microseconds an event. pids: each part's processes, asked for at the start.

    A part's figure is that of its last run."""

    def __init__(self, **pids: Callable[[], list[int]]) -> None:
        self._pids = pids
        self._us: dict[str, float] = {}

    def __call__(self, run: Callable[[], float], events: int) -> float:
        pids = {part: ask() for part, ask in self._pids.items()}
        before_s = {part: cpu_s(*of_part) for part, of_part in pids.items()}
        rate = run()
        self._us = {part: (cpu_s(*pids[part]) - before_s[part]) * 1e6 / events for part in pids}
        return rate

    def __str__(self) -> str:
        parts = ", ".join(f"{part} {us:.0f}" for part, us in self._us.items())
        return f"{sum(self._us.values()):.0f} µs ({parts})"


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def over_http_side(senders: list[Sender], batches: int, spent: Spent) -> float:
    for sender in senders:
        sender.make(batches)
    events = len(senders) * batches * BATCH
    return spent(lambda: send_all(senders, events), events)


def raw_side(connection: psycopg.Connection, batches: list[list[tuple]], spent: Spent) -> float:
    ready = [columns_of(rows) for rows in batches]
    return spent(lambda: insert_all(connection, ready), len(ready) * BATCH)


def send_all(senders: list[Sender], events: int) -> float:
    """Events a second, all stores at once."""
    threads = [threading.Thread(target=sender.send) for sender in senders]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return events / (time.perf_counter() - began)


def rows_of(batches: int) -> list[list[tuple]]:
    orders, now = Orders("eu1", wanted_bytes=EVENT_BYTES), datetime.now(UTC)
    made = []
    for first in range(0, batches * BATCH, BATCH):
        rows = []
        for n in range(first + 1, first + BATCH + 1):
            data = orders.data(n)
            rows.append((n, f"order eu1/{n}", now, data, sha256(data)))
        made.append(rows)
    return made


def columns_of(rows: list[tuple]) -> list[list]:
    """What one insert takes: its rows by column, under new ids."""
    return [
        ["eu1"] * BATCH,
        sorted(uuid.uuid4().hex for _ in rows),
        [date(2026, 11, 23)] * BATCH,
        [1] * BATCH,
        [row[0] for row in rows],
        ["counterfoil.order.v1"] * BATCH,
        [row[1] for row in rows],
        [row[0] for row in rows],
        [row[2] for row in rows],
        [row[2] for row in rows],
        [row[3] for row in rows],
        [row[4] for row in rows],
        ["stored"] * BATCH,
    ]


def insert_all(connection: psycopg.Connection, batches: list[list[list]]) -> float:
    """Events a second by the fastest way there is, from one connection."""
    began = time.perf_counter()
    for columns in batches:
        connection.execute(RAW_INSERT, columns, prepare=True)
        connection.commit()
    return len(batches) * BATCH / (time.perf_counter() - began)


if __name__ == "__main__":
    sys.exit(main())
