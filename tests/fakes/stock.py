"""Stock for tests: two stores on one pool over real records, an owner that says positions, and orders with moves.

world.say(a_position("MUG", 10))           # the warehouse has ten
world.sell("eu1", "1001", "46", "MUG", 2)  # an order's event with its move
world.publish()
world.number("MUG")                        # 8
"""

from __future__ import annotations

import hashlib
import itertools
import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from counterfoil_engine.domain.stock import Position, read_position
from counterfoil_engine.ports import FeedRow, Incoming
from counterfoil_engine.records import ats, feed, moves, positions, rules_store, waits
from counterfoil_engine.records.database import Database
from counterfoil_engine.records.events import StoredEvents
from counterfoil_engine.records.rules_store import Book
from counterfoil_engine.work.publish import Publisher
from counterfoil_engine.work.rules_file import parse_rules
from fakes.clock import FakeClock

INSTALLATION = "1" * 32
RULES = {
    "rules": "v1",
    "entities": [{"id": "DE01", "book_currency": "EUR", "zone": "UTC", "country": "DE"}],
    "stores": [
        {"id": store, "entity": "DE01", "pool": "eu", "start_line": "2026-01-01T00:00:00Z"} for store in ("eu1", "eu2")
    ],
    "warehouses": [{"id": name, "owner": "erp", "entity": "DE01"} for name in ("BER", "HAM")],
    "pools": [{"id": "eu", "warehouses": ["BER", "HAM"]}],
}
EVERYTHING = {"pool": "*", "warehouse": "*", "class": "*", "sku": "*", "from": "2020-01-01"}


def said(sku: Any, on_hand: Any, warehouse: str = "BER", as_of: datetime | None = None, **more: Any) -> dict[str, Any]:
    """A position as its owner says it; lines: {"eu1/1001/46": (allocated, shipped)}."""
    row: dict[str, Any] = {"warehouse": warehouse, "sku": sku, "on_hand": str(on_hand), **more}
    row["as_of"] = (as_of or datetime.now(UTC)).isoformat()
    lines = more.pop("lines", {})
    if lines is not None:
        row["lines"] = [
            {**dict(zip(("store", "order", "line"), name.split("/"), strict=True)), "allocated": a, "shipped": s}
            for name, (a, s) in lines.items()
        ]
    return row


@dataclass
class StockWorld:
    """An engine's stock side over one database."""

    database: Database
    clock: FakeClock
    rules: dict[str, Any] = field(default_factory=lambda: json.loads(json.dumps(RULES)))
    book: Book = field(default_factory=lambda: Book(parse_rules))
    n: dict[str, int] = field(default_factory=dict)
    names: Any = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.events = StoredEvents(self.database, waits.wake)
        self.locks = ats.PoolLocks(self.database)
        self.publisher = self.another_publisher()
        self.load_rules()
        for store in ("eu1", "eu2"):
            self.events.greet(store, INSTALLATION, "1", {"order": [1]})

    def another_publisher(self, database: Database | None = None) -> Publisher:
        database = database or self.database
        return Publisher(database, self.book, ats, ats.PoolLocks(database), at_once=1_000)

    def load_rules(self, **tables: Any) -> None:
        """The rules with these tables in force, as a new version."""
        content = {**self.rules, **tables, "rules": f"v{next(self.names)}"}
        with self.database.transaction() as tx:
            rules_store.load(tx, content["rules"], json.dumps(content), "test")

    def now(self) -> datetime:
        with self.database.transaction() as tx:
            return tx.now()

    def say(self, *rows: dict[str, Any]) -> positions.Taken:
        read = [read_position(row, self.now() + timedelta(days=1))[0] for row in rows]
        with self.database.transaction() as tx:
            return positions.apply(tx, [one for one in read if isinstance(one, Position)])

    def position(self, sku: str, on_hand: int, warehouse: str = "BER", **more: Any) -> positions.Taken:
        """The warehouse says now what it has."""
        self.clock.pass_time(1)
        return self.say(said(sku, on_hand, warehouse, more.pop("as_of", None) or self.now(), **more))

    def event(self, store: str, order: str, data: dict[str, Any] | None, **more: Any) -> Incoming:
        """An order's event; data None: one that can't be read."""
        n = more.pop("n", None) or self.n.get(store, 0) + 1
        self.n[store] = max(n, self.n.get(store, 0))
        body = json.dumps(data).encode() if data is not None else b"broken"
        return Incoming(
            event_id=more.pop("event_id", None) or f"{next(self.names):032x}",
            occurred_on=date(2026, 11, 24),
            epoch=more.pop("epoch", 1),
            n=n,
            type=more.pop("type", "counterfoil.order.v1"),
            subject=f"order {store}/{order}",
            occurred_at=self.now(),
            body=body,
            body_hash=hashlib.sha256(body).hexdigest(),
            reason=None if data is not None else "it is no JSON",
            **more,
        )

    def order(self, store: str, order: str, *moves_of: dict[str, Any], **more: Any) -> Incoming:
        """An order's event with these moves, made long after the plugin was first heard."""
        lines = [
            {"id": int(line), "sku": sku, "quantity": 9, "meta_data": _meta(reduced)}
            for line, (sku, reduced) in more.pop("lines", {}).items()
        ]
        head = {"id": int(order), "status": more.pop("status", "processing"), "line_items": lines}
        created = more.pop("created", self.now() + timedelta(days=1))
        head["date_created_gmt"] = created.replace(tzinfo=None).isoformat(timespec="seconds")
        head.update(more.pop("head", {}))
        data: dict[str, Any] = {"order": head, "refunds": [], **more.pop("data", {})}
        if not more.pop("by_rest", False):
            data["moves"] = list(moves_of)
        return self.event(store, order, data, **more)

    def move(self, line: str, sku: str, units: int, kind: str = "order", **more: Any) -> dict[str, Any]:
        name = more.pop("move_id", None) or f"{next(self.names):032x}"
        return {
            "move_id": name,
            "order_item_id": line,
            "stock_id": 11,
            "sku": sku,
            "quantity": str(units),
            "kind": kind,
            "at": self.now().isoformat(),
            **more,
        }

    def take_in(self, store: str, *events: Incoming) -> None:
        self.events.append(store, events)

    def sell(self, store: str, order: str, line: str, sku: str, units: int) -> None:
        """The store lowers a sold line's stock; below 0: raises it again."""
        kind = "order" if units > 0 else "restore"
        self.take_in(store, self.order(store, order, self.move(line, sku, -units, kind)))

    def sell_by_rest(self, store: str, order: str, line: str, sku: str, reduced: int, **more: Any) -> None:
        """A store without the plugin: the line's own meta says what is lowered."""
        self.take_in(store, self.order(store, order, lines={line: (sku, reduced)}, by_rest=True, **more))

    def publish(self) -> None:
        self.publisher.publish_all()

    def feed(self, store: str = "", since: int = 0, pool: str = "eu") -> dict[str, FeedRow]:
        """What the feed tells a store; without one, the numbers before caps."""
        return {row.sku: row for row in feed_of(self.database, pool, store, since)}

    def number(self, sku: str, store: str = "") -> int | None:
        row = self.feed(store).get(sku)
        return row.number if row else None

    def version(self, sku: str) -> int:
        return self.feed()[sku].version

    def basis(self, store: str = "eu1") -> moves.Basis:
        with self.database.transaction() as tx:
            return moves.basis_of(tx, store)

    def marks(self) -> list[tuple[str, str]]:
        with self.database.transaction() as tx:
            rows = tx.all("select sku_key, reason from stock_dirty order by id")
            return [(row["sku_key"], row["reason"]) for row in rows]

    def cases(self) -> list[str]:
        with self.database.transaction() as tx:
            return [row["cause"] for row in tx.all("select cause from cases where resolved_at is null order by id")]


def feed_of(database: Database, pool: str, store: str, since: int = 0) -> list[FeedRow]:
    """The rows of one page for a store, in the order of versions."""
    with database.transaction() as tx:
        ats.snapshot(tx)
        return feed.told(tx, pool, feed.page(tx, pool, since, 1_000).rows, [store])[store]


def _meta(reduced: int | None) -> list[dict[str, Any]]:
    return [{"key": "_reduced_stock", "value": str(reduced)}] if reduced is not None else []
