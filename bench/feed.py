"""The feed: agents that wait at once, what they cost while nothing happens, and how soon all know of one changed SKU.

    python bench/feed.py [--agents N] [--skus N] [--changes N]

The feed and a worker with its publisher are processes of their own, as in production, over PostgreSQL; each agent is a
connection of this process with its own store and secret. First all wait and one SKU changes; then one waits alone and
SKUs change one after the other. Time is from the position's commit to the last byte of the answer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import requests
from counterfoil_engine.api.requests import signature
from counterfoil_engine.domain.stock import read_position
from counterfoil_engine.records import positions, rules_store
from counterfoil_engine.records.database import Database
from loguru import logger
from measure import backends, cpu_s, migrated, percentiles, postgresql, rss_mb, tell

GOAL_MS, GOAL_AGENTS = 50.0, 2_000
PORT, WAIT_S, QUIET_S = 8899, 55, 10.0
COUNTERFOIL = Path(sys.executable).with_name("counterfoil")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=GOAL_AGENTS)
    parser.add_argument("--skus", type=int, default=5_000)
    parser.add_argument("--changes", type=int, default=100)
    asked = parser.parse_args()
    logger.remove()
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with ExitStack() as stack:
        url = stack.enter_context(postgresql())
        database = stack.enter_context(migrated(url))
        world = World(database, asked.agents, asked.skus)
        worker = stack.enter_context(world.process(url, "serve", "--role", "worker"))
        feed = stack.enter_context(world.process(url, "feed"))
        world.wait_until_published()
        return asyncio.run(_measure(world, feed, worker, url, asked.changes))


async def _measure(world: World, feed: int, worker: int, url: str, changes: int) -> int:
    before_mb, version = rss_mb(feed), world.version()
    agents = [Agent(world, store) for store in world.stores]
    for agent in agents:
        await agent.ask(version)
    await asyncio.sleep(2)
    began_s, opened = cpu_s(feed), time.perf_counter()
    await asyncio.sleep(QUIET_S)
    share = (cpu_s(feed) - began_s) / (time.perf_counter() - opened)
    tell(f"{len(agents):,} agents wait: memory of the feed's process", f"{rss_mb(feed):.0f} MB, {before_mb:.0f} before")
    tell("its threads, its connections to the database", f"{_threads(feed)}, {_connections(url, feed)}", "a few")
    tell("its processor time while nothing happens", f"{share * 100:.1f}% of a core")
    answers = [asyncio.create_task(agent.answer()) for agent in agents]
    committed = await asyncio.to_thread(world.change)
    took = sorted((at - committed) * 1000 for at, _ in await asyncio.gather(*answers))
    assert all(len(said["rows"]) == 1 for _, said in (answer.result() for answer in answers))
    first, half, last = took[0], *percentiles(took, 50, 100)
    tell("one SKU changed: until the agents have it", f"first {first:.0f} ms, p50 {half:.0f} ms, all {last:.0f} ms")
    alone, one = [], agents[0]
    for agent in agents[1:]:
        agent.close()
    processes = [feed, worker, *backends(url)]
    used_s = cpu_s(*processes)
    for _ in range(changes):
        await one.ask(world.version())
        await asyncio.sleep(0.05)
        answer = asyncio.create_task(one.answer())
        committed = await asyncio.to_thread(world.change)
        at, _ = await answer
        alone.append((at - committed) * 1000)
    spent_ms = (cpu_s(*processes) - used_s) * 1000 / changes
    tell("processor time for each change, of feed, worker and database", f"{spent_ms:.1f} ms")
    half, most = percentiles(alone, 50, 95)
    tell(
        "one waits: from the position's commit to its answer",
        f"p50 {half:.1f} ms, p95 {most:.1f} ms",
        f"{GOAL_MS:g} ms",
    )
    return 0 if half <= GOAL_MS else 1


class World:
    """An engine with one pool for all stores, and SKUs in it."""

    def __init__(self, database: Database, agents: int, skus: int) -> None:
        self.database, self.skus, self._changes = database, skus, 0
        self.stores = [f"s-{number:05}" for number in range(agents)]
        store = {"entity": "DE01", "pool": "eu", "start_line": "2026-01-01T00:00:00Z"}
        rules = {
            "rules": "bench",
            "entities": [{"id": "DE01", "book_currency": "EUR", "zone": "UTC", "country": "DE"}],
            "stores": [{"id": each, **store} for each in self.stores],
            "warehouses": [{"id": "BER", "owner": "erp", "entity": "DE01"}],
            "pools": [{"id": "eu", "warehouses": ["BER"]}],
        }
        with database.transaction() as tx:
            rules_store.load(tx, "bench", json.dumps(rules), "bench")
            tx.run_many(
                "insert into stock_stores (store, epoch, n) values (%s, %s, %s)", [(each, 1, 1) for each in self.stores]
            )
        self._apply([(number, 10) for number in range(skus)])

    def _apply(self, rows: list[tuple[int, int]]) -> None:
        now = datetime.now(UTC)
        said = [
            {
                "warehouse": "BER",
                "sku": f"SKU-{number:06}",
                "on_hand": str(on_hand),
                "as_of": now.isoformat(),
                "lines": [],
            }
            for number, on_hand in rows
        ]
        read = [one for row in said if (one := read_position(row, now)[0]) is not None]
        with self.database.transaction() as tx:
            positions.apply(tx, read)

    def change(self) -> float:
        """Let one SKU change; when that was committed."""
        self._changes += 1
        self._apply([(self._changes % self.skus, 1_000 + self._changes)])
        return time.perf_counter()

    def secret(self, store: str) -> str:
        return f"the secret of {store} in this benchmark"

    def signed(self, store: str, body: bytes) -> dict[str, str]:
        at = str(int(time.time()))
        return {
            "Content-Type": "application/json",
            "Counterfoil-Store": store,
            "Counterfoil-Timestamp": at,
            "Counterfoil-Signature": signature(self.secret(store), "POST", "/v1/feed", at, body),
        }

    @contextmanager
    def process(self, url: str, *command: str) -> Iterator[int]:
        """A process of the engine; its number."""
        environment = {
            **os.environ,
            "COUNTERFOIL_DATABASE": url,
            "COUNTERFOIL_FEED_LISTEN": f"127.0.0.1:{PORT}",
            **{f"COUNTERFOIL_STORE_SECRET_{each.upper().replace('-', '_')}": self.secret(each) for each in self.stores},
        }
        with subprocess.Popen([COUNTERFOIL, *command], env=environment, stderr=subprocess.DEVNULL) as started:
            try:
                yield started.pid
            finally:
                started.terminate()

    def wait_until_published(self) -> None:
        for _ in range(600):
            with self.database.transaction() as tx:
                row = tx.one("select count(*) as skus from ats")
            if row and row["skus"] == self.skus and self._answers():
                return
            time.sleep(0.1)
        raise SystemExit("The engine didn't publish within a minute.")

    @staticmethod
    def _answers() -> bool:
        try:
            return requests.get(f"http://127.0.0.1:{PORT}/v1/health", timeout=5).ok
        except requests.ConnectionError:
            return False

    def version(self) -> int:
        """The version that an agent holds which has all."""
        with self.database.transaction() as tx:
            row = tx.one("select version from pools")
        return (1 << 40) + (row["version"] if row else 0)


class Agent:
    """One connection that asks and waits, as little as can be."""

    def __init__(self, world: World, store: str) -> None:
        self._world, self._store = world, store
        self._line: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, version: int) -> None:
        if self._line is None:
            self._line = await asyncio.open_connection("127.0.0.1", PORT)
        body = json.dumps({"version": version, "engine_epoch": 1, "wait_s": WAIT_S, "limit": 100}).encode()
        head = "".join(f"{name}: {value}\r\n" for name, value in self._world.signed(self._store, body).items())
        self._line[1].write(
            f"POST /v1/feed HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n{head}\r\n".encode() + body
        )

    async def answer(self) -> tuple[float, Any]:
        """When the answer was there whole, and what it says."""
        assert self._line is not None
        head = await self._line[0].readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head[:100]
        size = next(
            int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
        )
        body = await self._line[0].readexactly(size)
        return time.perf_counter(), json.loads(body)

    def close(self) -> None:
        if self._line is not None:
            self._line[1].close()


def _threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def _connections(url: str, pid: int) -> int:
    """How many connections to the database a process holds, by the ports of its own sockets."""
    sockets = {os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir() if entry.is_symlink()}
    ports = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if f"socket:[{fields[9]}]" in sockets:
            ports.add(int(fields[1].split(":")[1], 16))
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "select client_port from pg_stat_activity where datname = current_database()"
        ).fetchall()
    return len({row[0] for row in rows} & ports)


if __name__ == "__main__":
    raise SystemExit(main())
