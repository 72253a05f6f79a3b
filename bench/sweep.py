"""A stock sweep: the engine's time and the bytes on the wire, where nothing drifted and where more and more did.

    python bench/sweep.py [--skus N] [--drifted 0 10 1000 100000] [--database postgresql|sqlite]

Agent, stock book and engine are real; the shop's plugin is in this process. The engine's time is that of its own calls,
from the wish to sweep to the end of the run, in a process that has compared nothing before; bytes are those of all
bodies, packed as an agent packs them. Of few drifted, the best of three rounds.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

from counterfoil_agent import digests
from counterfoil_agent.outbox import Outbox
from counterfoil_agent.ports import Bucket, Digested, OrderTotals
from counterfoil_agent.stock_book import READ, VERSION
from counterfoil_agent.sweeps import Sweeper
from counterfoil_agent.uplink import SMALLEST_PACKED_BYTES
from counterfoil_engine.bootstrap import Engine, build
from counterfoil_engine.records import rules_store
from loguru import logger
from measure import ROUNDS, SystemClock, migrated, postgresql

RULES = {
    "rules": "bench",
    "entities": [{"id": "DE01", "book_currency": "EUR", "zone": "UTC", "country": "DE"}],
    "stores": [{"id": "eu1", "entity": "DE01", "pool": "eu", "start_line": "2026-01-01T00:00:00Z"}],
    "warehouses": [{"id": "BER", "owner": "erp", "entity": "DE01"}],
    "pools": [{"id": "eu", "warehouses": ["BER"]}],
}
BASE = 1 << 40
GOAL_S, GOAL_BYTES = 1.0, 20_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--skus", type=int, default=100_000)
    parser.add_argument("--drifted", type=int, nargs="*", default=[100_000, 1_000, 10, 0])
    parser.add_argument("--database", choices=["postgresql", "sqlite"], default="postgresql")
    asked = parser.parse_args()
    logger.remove()
    took_s, size = 0.0, 0
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = stack.enter_context(postgresql()) if asked.database == "postgresql" else f"sqlite:///{folder}/e.sqlite"
        engine = build(stack.enter_context(migrated(url)), SystemClock(), {})
        fill(engine, asked.skus)
        outbox = filled(folder / "outbox.sqlite", asked.skus)
        stack.callback(outbox.close)
        for drifted in sorted(asked.drifted, reverse=True):
            rounds = [swept(engine, outbox, asked.skus, drifted) for _ in range(ROUNDS if drifted <= 10 else 1)]
            took_s, own_s, size, answers = min(rounds)
            print(
                f"{drifted:>7} of {asked.skus} drifted: {took_s:.2f} s ({own_s:.2f} s of them this process's own),"
                f" {size:>9} bytes, {answers} answers"
            )
    print(f"load: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    print(f"sweep: {took_s:.2f} s, {size} bytes")
    return int(0 in asked.drifted and (took_s > GOAL_S or size > GOAL_BYTES))


def number_of(place: int) -> int:
    return place % 50


def status_of(place: int) -> str:
    return "instock" if number_of(place) else "outofstock"


def fill(engine: Engine, skus: int) -> None:
    """A pool that publishes so many SKUs, a store that is told them, and nothing else."""
    now = datetime.now(UTC)
    with engine.database.transaction() as tx:
        rules_store.load(tx, "bench", json.dumps(RULES), "bench")
        tx.run("insert into pools (pool, version, publication) values ('eu', %s, 1)", skus)
        tx.run("insert into stores (store, contracts) values ('eu1', %s)", json.dumps({"sweeps": [1]}))
        tx.run_many(
            "insert into ats (pool, sku_key, sku, version, number, excluded, backorders, silence_share, publication,"
            " published_at) values ('eu', %s, %s, %s, %s, %s, %s, '1', 1, %s)",
            [(f"sku-{p:06}", f"SKU-{p:06}", p, number_of(p), False, False, now) for p in range(1, skus + 1)],
        )
    with engine.database.transaction() as tx:
        tx.run("analyze")


def filled(path: Path, skus: int) -> Outbox:
    """A stock book that has read all of the feed and written all of it."""
    outbox = Outbox.open(path, Random(1))
    with outbox.writing():
        outbox.remember("contracts", json.dumps({"sweeps": 1}))
        for key, value in ((VERSION, BASE + skus), ("feed:epoch", 1), (READ, 1.0), ("plugin:there", 1)):
            outbox.remember(key, str(value))
        for place in range(1, skus + 1):
            name, version, number = f"SKU-{place:06}", BASE + place, number_of(place)
            item = (place, place, name, name.lower(), str(number), status_of(place), 1, 0, 1)
            outbox.run("insert into stock_items values (?, ?, ?, ?, ?, ?, ?, ?, ?)", item)
            outbox.run(
                "insert into stock_numbers (sku_key, sku, version, number, as_of, backorders, excluded, sold, stock_id,"
                " done, written, written_version) values (?, ?, ?, ?, '2026-11-24T00:00:00Z', 0, 0, 0, ?, ?, ?, ?)",
                (name.lower(), name, version, number, place, version, number, version),
            )
    return outbox


class Shop:
    """The plugin of a shop where so many SKUs were edited."""

    def __init__(self, skus: int, drifted: int) -> None:
        self._leaves: dict[str, list[tuple[int, int]]] = {}
        self._digests: dict[str, tuple[int, int]] = {}
        edited = set(Random(7).sample(range(1, skus + 1), drifted))
        for place in range(1, skus + 1):
            number = number_of(place) + (3 if place in edited else 0)
            leaf, status = digests.bucket_of(place), status_of(place)
            self._leaves.setdefault(leaf, []).append((place, number))
            count, digest = self._digests.get(leaf, (0, 0))
            more = digests.digest_of(place, f"SKU-{place:06}", f"{number}.000", status)
            self._digests[leaf] = (count + 1, digest ^ more)

    def buckets(self, prefix: str = "") -> Sequence[Bucket]:
        merged: dict[str, tuple[int, int]] = {}
        for leaf, (count, digest) in self._digests.items():
            if leaf.startswith(prefix):
                before = merged.get(leaf[: len(prefix) + 2], (0, 0))
                merged[leaf[: len(prefix) + 2]] = (before[0] + count, before[1] ^ digest)
        return [Bucket(name, count, f"{digest:015x}") for name, (count, digest) in merged.items()]

    def bucket(self, prefix: str) -> Sequence[Digested]:
        return [
            Digested(place, f"SKU-{place:06}", Decimal(number), Decimal(number), status_of(place), BASE + place)
            for place, number in self._leaves.get(prefix, ())
        ]

    def totals(self, first: str, last: str) -> OrderTotals:
        return OrderTotals((), ())

    def store_now(self) -> datetime:
        return datetime.now(UTC)


class Line:
    """The mailbox without HTTP: what goes over it is counted as it would be sent, and the engine's time taken."""

    def __init__(self, sweeps: Any) -> None:
        self._sweeps, self.engine_s, self.own_s, self.size_bytes, self.answers = sweeps, 0.0, 0.0, 0, 0

    def exchange(self, answers: list[dict[str, Any]], limit: int) -> list[Any]:
        raw = json.dumps({"limit": limit, "answers": answers}, separators=(",", ":")).encode()
        self.size_bytes += len(gzip.compress(raw, 1)) if len(raw) >= SMALLEST_PACKED_BYTES else len(raw)
        self.answers += len(answers)
        said = self.taking(lambda: self._sweeps.exchange("eu1", raw))
        self.size_bytes += len(json.dumps(said, separators=(",", ":")))
        tasks: list[Any] = said["tasks"]
        return tasks

    def taking(self, call: Callable[[], Any]) -> Any:
        began_s, own_s = time.perf_counter(), time.process_time()
        said = call()
        self.engine_s += time.perf_counter() - began_s
        self.own_s += time.process_time() - own_s
        return said


def swept(engine: Engine, outbox: Outbox, skus: int, drifted: int) -> tuple[float, float, int, int]:
    """One run: the engine's seconds, those of them that its process worked itself, bytes of bodies, answers."""
    sweeps = engine.sweeping().sweeps
    line, clock = Line(sweeps), SystemClock()
    sweeper = Sweeper(line, outbox, clock, None, Shop(skus, drifted), None, lambda: None)  # type: ignore[arg-type]
    number = line.taking(lambda: sweeps.start("stock", "eu1", "bench"))
    run: Any = {"state": "running"}
    while run["state"] == "running":
        if sweeper.step() > 0:
            run = sweeps.show(number)
    found = sum(one["breaks"] for one in run["found"].values())
    if run["state"] != "done" or found != drifted:
        raise AssertionError(f"{found} of {drifted} were found: {run}")
    return line.engine_s, line.own_s, line.size_bytes, line.answers


if __name__ == "__main__":
    sys.exit(main())
