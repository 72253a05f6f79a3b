"""Availability: 100,000 SKUs from a full reading to their numbers, and one changed SKU from its position to the feed.

    python bench/ats.py [--skus N] [--orders N] [--database postgresql|sqlite]

The owner of the stock is in this process and costs nothing; rows are read, checked and written as from any ERP. Some of
the SKUs are reserved by order lines. One SKU: its position is applied, published, and read from the feed, by one
process over one connection each time, which looks for garbage as seldom as a worker does.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from counterfoil_engine.api.server import settle
from counterfoil_engine.domain.stock import read_position
from counterfoil_engine.ports import PositionPage
from counterfoil_engine.records import ats, cases, feed, positions, rules_store
from counterfoil_engine.records.database import Database
from counterfoil_engine.records.rules_store import Book
from counterfoil_engine.work.positions import PositionReader
from counterfoil_engine.work.publish import Publisher
from counterfoil_engine.work.rules_file import parse_rules
from loguru import logger
from measure import migrated, percentiles, postgresql, tell

RULES = {
    "rules": "bench",
    "entities": [{"id": "DE01", "book_currency": "EUR", "zone": "UTC", "country": "DE"}],
    "stores": [{"id": "eu1", "entity": "DE01", "pool": "eu", "start_line": "2026-01-01T00:00:00Z"}],
    "warehouses": [{"id": "BER", "owner": "erp", "entity": "DE01"}],
    "pools": [{"id": "eu", "warehouses": ["BER"]}],
    "availability": [
        {"pool": "*", "warehouse": "*", "class": "*", "sku": "*", "safety_units": "2", "from": "2020-01-01"}
    ],
}
GOAL_S, GOAL_MS = 10.0, 50.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--skus", type=int, default=100_000)
    parser.add_argument("--orders", type=int, default=10_000, help="order lines that reserve a SKU each")
    parser.add_argument("--database", choices=["postgresql", "sqlite"], default="postgresql")
    parser.add_argument("--changes", type=int, default=50)
    asked = parser.parse_args()
    logger.remove()
    with a_database(asked.database) as database:
        settle()
        world = World(database, asked.skus)
        world.reserve(min(asked.orders, asked.skus))
        before_s = time.process_time()
        first_s, parts = world.full()
        own_s = time.process_time() - before_s
        tell(f"{asked.skus:,} SKUs read in full, {asked.database}", f"{parts[0]:.1f} s")
        tell(f"{asked.skus:,} SKUs published", f"{parts[1]:.1f} s")
        tell(
            "together",
            f"{first_s:.1f} s, {own_s:.1f} s of it this process's own work",
            f"at most {GOAL_S:g} s for 100,000",
        )
        again_s, _ = world.full()
        tell("the same reading again, nothing changed", f"{again_s:.1f} s")
        took = [world.change(number) * 1000 for number in range(asked.changes)]
        half, most = percentiles(took, 50, 95)
        tell("one changed SKU on the feed", f"p50 {half:.1f} ms, p95 {most:.1f} ms", f"{GOAL_MS:g} ms")
    return 0 if first_s <= GOAL_S and half <= GOAL_MS else 1


@contextmanager
def a_database(kind: str) -> Iterator[Database]:
    if kind == "postgresql":
        with postgresql() as url, migrated(url) as database:
            yield database
        return
    with tempfile.TemporaryDirectory() as folder, migrated(f"sqlite:///{folder}/bench.sqlite") as database:
        yield database


class World:
    """An engine's stock side, and an owner that says so many SKUs."""

    def __init__(self, database: Database, skus: int) -> None:
        self.database, self._skus = database, skus
        book = Book(parse_rules)
        self.publisher = Publisher(database, book, ats, ats.PoolLocks(database))
        self.reader = PositionReader(database, book, positions, cases, self, "erp", "DE01")
        with database.transaction() as tx:
            rules_store.load(tx, "bench", json.dumps(RULES), "bench")
        self.publisher.publish_all()

    def row(self, number: int, on_hand: int, as_of: str) -> dict[str, Any]:
        return {
            "warehouse": "BER",
            "sku": f"SKU-{number:06}",
            "as_of": as_of,
            "on_hand": str(on_hand),
            "allocated": str(number % 3),
            "damaged": "0",
            "quarantined": "0",
            "inbound": [{"expected_on": "2026-12-01", "quantity": "5"}] if number % 10 == 0 else [],
            "lines": [],
        }

    def positions(self, since: str | None = None) -> Iterator[PositionPage]:
        began = datetime.now(UTC)
        for first in range(0, self._skus, 1_000):
            last = min(first + 1_000, self._skus)
            rows = [self.row(number, 10 + number % 90, began.isoformat()) for number in range(first, last)]
            yield PositionPage(rows, began, None)

    def reserve(self, orders: int) -> None:
        """Order lines as intake leaves them, some of each hundred SKUs."""
        with self.database.transaction() as tx:
            tx.run_many(
                "insert into stock_lines (store, order_id, line, said, sku_key, lowered, restocked, net, is_open)"
                " values (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
                [
                    ("eu1", str(number), "1", f"SKU-{place:06}", f"sku-{place:06}", 2, 0, 2, True)
                    for number in range(orders)
                    for place in [number * max(1, self._skus // orders)]
                ],
            )

    def full(self) -> tuple[float, tuple[float, float]]:
        """Seconds from the first row to the last number: all, reading, publishing."""
        with self.database.transaction() as tx:
            positions.keep_reading(tx, "erp DE01", None, None, "")
        began = time.perf_counter()
        self.reader.step()
        read = time.perf_counter()
        self.publisher.publish_all()
        done = time.perf_counter()
        return done - began, (read - began, done - read)

    def change(self, number: int) -> float:
        """Seconds from a position to its number on the feed."""
        with self.database.transaction() as tx:
            version = ats.state_of(tx, "eu").version
        began = time.perf_counter()
        position, _ = read_position(self.row(number, 500 + number, datetime.now(UTC).isoformat()), datetime.now(UTC))
        assert position is not None
        with self.database.transaction() as tx:
            positions.apply(tx, [position])
        self.publisher.step()
        with self.database.transaction() as tx:
            ats.snapshot(tx)
            [row] = feed.told(tx, "eu", feed.page(tx, "eu", version, 100).rows, ["eu1"])["eu1"]
        took = time.perf_counter() - began
        assert row.sku == position.sku and row.number > 400
        return took


if __name__ == "__main__":
    raise SystemExit(main())
