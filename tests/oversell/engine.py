"""The engine's stock side as it is shipped, over SQLite in memory: intake, moves, positions, publisher, feed."""

from __future__ import annotations

import functools
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from counterfoil_engine.domain.stock import Position, read_position
from counterfoil_engine.ports import FeedRow, TokenForgotten
from counterfoil_engine.records import ats, cases, feed, identity, positions, rules_store, store_writes, waits
from counterfoil_engine.records.database import Database, as_time
from counterfoil_engine.records.events import StoredEvents
from counterfoil_engine.records.rules_store import Book
from counterfoil_engine.work.feed import Feed
from counterfoil_engine.work.feed_cases import FeedCases
from counterfoil_engine.work.positions import PositionReader
from counterfoil_engine.work.publish import Publisher
from counterfoil_engine.work.rules_file import parse_rules
from counterfoil_sandbox.erp_stock import Forgotten, Stock
from fakes.clock import FakeClock

POOL, OWNER, ENTITY = "eu", "erp", "DE01"
INSTALLATION = "1" * 32


class Published(NamedTuple):
    """What a number rests on: its positions' moments by warehouse, and by how much it counts each line as lowered."""

    said_at: Mapping[str, datetime]
    counted: Mapping[tuple[str, str, str], int]


class _Page(NamedTuple):
    rows: Sequence[Any]
    as_of: datetime
    token: str | None


class Owner:
    """The port to the warehouses' owner, over the sandbox ERP's stock."""

    def __init__(self, stock: Stock) -> None:
        self._stock = stock

    def positions(self, token: str | None) -> Iterator[_Page]:
        cursor: str | None = None
        while True:
            try:
                page = self._stock.page(token if cursor is None else None, cursor)
            except Forgotten:
                raise TokenForgotten from None
            yield _Page(page["rows"], datetime.fromisoformat(page["as_of"]), page["token"])
            cursor = page["next"]
            if cursor is None:
                return


class Engine:
    """rules: as a controller writes them; erp: the sandbox ERP's stock."""

    def __init__(self, clock: FakeClock, rules: str, erp: Stock) -> None:
        self.clock = clock
        self.database = Database("sqlite:///:memory:", clock)
        _migrated().backup(self.database.peewee.connection())  # type: ignore[no-untyped-call]
        self.book = Book(_parsed)
        self.events = StoredEvents(self.database, waits.wake)
        self.owner = Owner(erp)
        self.published: dict[tuple[str, int], Published] = {}
        self.older: Callable[[str], None] = print  # told where a number rests on an older position than one before
        self._said: dict[tuple[str, str], datetime] = {}
        with self.database.transaction() as tx:
            rules_store.load(tx, json.loads(rules)["rules"], rules, "a controller")
            identity.establish(tx, "here", "an-id", 0)
        self.start()

    def start(self) -> None:
        """A process begins: what the one before held in memory is gone."""
        self.feed = Feed(self.database, self.book, identity, ats, feed, store_writes, FeedCases(cases, store_writes))
        self.publisher = Publisher(self.database, self.book, ats, ats.PoolLocks(self.database))
        self.reader = PositionReader(self.database, self.book, positions, cases, self.owner, OWNER, ENTITY)  # type: ignore[arg-type]

    def close(self) -> None:
        self.database.close()

    # In

    def greet(self, store: str) -> None:
        """A small agent says hello for the first time."""
        self.events.greet(store, INSTALLATION, "1", {"order": [1]})

    def new_epoch(self, store: str, epoch: int) -> int:
        return self.events.grant_epoch(store, INSTALLATION, epoch, "restored from a backup").epoch

    def read_positions(self) -> int:
        return self.reader.step()

    def say(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Rows of a reading that comes late, or comes twice."""
        read = [read_position(row, self.clock.now())[0] for row in rows]
        with self.database.transaction() as tx:
            positions.apply(tx, [one for one in read if isinstance(one, Position)])

    # Out

    def publish(self) -> bool:
        did = self.publisher.step()
        if did:
            self._note()
        return did

    def _note(self) -> None:
        """Remember what the numbers published just now rest on."""
        with self.database.transaction() as tx:
            rows = tx.all("select sku_key, version from ats where pool = %s", POOL)
            new = [row for row in rows if (row["sku_key"], row["version"]) not in self.published]
            if not new:
                return
            said: dict[str, dict[str, datetime]] = {}
            for row in tx.all("select warehouse, sku_key, as_of from positions"):
                place, as_of = (row["warehouse"], row["sku_key"]), _moment(row["as_of"])
                if as_of < self._said.get(place, as_of):
                    self.older(f"I5 {'/'.join(place)}: a position of {as_of} counts after one of {self._said[place]}")
                said.setdefault(row["sku_key"], {})[row["warehouse"]] = self._said[place] = as_of
            counted: dict[str, dict[tuple[str, str, str], int]] = {}
            for row in tx.all(
                "select store, order_id, line, sku_key, sum(units) as units from stock_moves"
                " where kind <> 'set' and line is not null group by store, order_id, line, sku_key"
            ):
                name = row["store"], row["order_id"], row["line"]
                counted.setdefault(row["sku_key"], {})[name] = -row["units"]
        for row in new:
            key = row["sku_key"]
            self.published[key, row["version"]] = Published(said.get(key, {}), counted.get(key, {}))

    def ask(self, store: str, version: int, limit: int) -> list[FeedRow]:
        """What the feed tells a store that holds a version."""
        with self.database.transaction() as tx:
            ats.snapshot(tx)
            page = feed.page(tx, POOL, version, limit)
            return feed.told(tx, POOL, page.rows, [store])[store]

    def is_behind(self) -> bool:
        with self.database.transaction() as tx:
            return tx.one("select 1 as has from stock_dirty limit 1") is not None


def _moment(raw: Any) -> datetime:
    moment = as_time(raw)
    assert moment is not None
    return moment


@functools.cache
def _parsed(text: str, version: str | None = None) -> Any:
    return parse_rules(text, version)


@functools.cache
def _migrated() -> sqlite3.Connection:
    """A migrated database to copy."""
    database = Database("sqlite:///:memory:", FakeClock())
    database.migrate()
    copy = sqlite3.connect(":memory:", check_same_thread=False)
    database.peewee.connection().backup(copy)  # type: ignore[no-untyped-call]
    database.close()
    return copy
