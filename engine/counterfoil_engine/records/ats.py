"""Numbers by pool and SKU: what is to be computed anew, what it is computed from, and the versions that follow (A5).

A publication reads everything in one snapshot: a number, and the basis of each store up to which it counts. Versions of
a pool are given under its lock, so they become visible in their order; nobody follows ids that writers take.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from counterfoil_engine.domain.availability import Cap, Stock
from counterfoil_engine.domain.reservations import Held, Seen, SoldLine
from counterfoil_engine.ports import PoolInputs, PoolState, Published, PublishedCap
from counterfoil_engine.records.database import Database, Row, Transaction, as_time
from counterfoil_engine.records.identity import engine_epoch as engine_epoch
from counterfoil_engine.records.wakes import POOL

# Publications whose basis may still be asked for. Later the present one is as right, for a number that isn't marked.
KEPT = timedelta(minutes=5)
_PRUNED_EACH = 20
_PAIRS_AT_ONCE = 10_000
_NAMED_STORES = 50


# A pool's lock


@dataclass
class PoolLocks:
    """Which pools are being published: on PostgreSQL a session's advisory lock, which dies with it; on SQLite, where
    one process serves all, a set."""

    database: Database
    _held: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def hold(self, pool: str) -> Any:
        """Whether the pool's lock was free; it is given back at the end, after the commit."""
        taken = self._take(pool)
        try:
            yield taken
        finally:
            if taken:
                self._give_back(pool)

    def _take(self, pool: str) -> bool:
        with self._lock:
            if pool in self._held:
                return False
            self._held.add(pool)
        if self.database.is_sqlite:
            return True
        try:
            row = self.database.alone("select pg_try_advisory_lock(%s) as taken", lock_number(pool))
        except BaseException:
            self._held.discard(pool)
            raise
        if row is None or not row["taken"]:
            self._held.discard(pool)
            return False
        return True

    def _give_back(self, pool: str) -> None:
        self._held.discard(pool)
        if not self.database.is_sqlite:
            self.database.alone("select pg_advisory_unlock(%s)", lock_number(pool))


def lock_number(pool: str) -> int:
    digest = hashlib.sha256(f"counterfoil pool {pool}".encode()).digest()
    return int.from_bytes(digest[:8], signed=True)


# Pools


def state_of(tx: Transaction, pool: str) -> PoolState:
    row = tx.one("select version, publication, rules_version, counted_on from pools where pool = %s", pool)
    if row is None:
        return PoolState()
    return PoolState(row["version"], row["publication"], row["rules_version"], row["counted_on"])


def set_members(tx: Transaction, members: Iterable[tuple[str, str, str]]) -> bool:
    """Who marks which pool dirty from now on: (kind, name, pool); whether that is anything new.

    All who marked by the old ones have committed when this begins, and others wait until it ends: a change that is
    marked for no pool is seen by whoever computes after this."""
    wanted = set(members)
    if not tx.is_sqlite:
        # One at a time: two who have read it both would wait for each other to write it.
        tx.one("select pg_advisory_xact_lock(%s)", lock_number("members"))
    if wanted == {
        (row["kind"], row["name"], row["pool"]) for row in tx.all("select kind, name, pool from pool_members")
    }:
        return False
    if not tx.is_sqlite:
        tx.run("lock table pool_members in access exclusive mode")
    tx.run("delete from pool_members")
    if wanted:
        tx.run_many("insert into pool_members (kind, name, pool) values (%s, %s, %s)", sorted(wanted))
    return True


def versions(tx: Transaction) -> dict[str, int]:
    """The last version of each pool."""
    return {row["pool"]: row["version"] for row in tx.all("select pool, version from pools")}


def begin_pool(tx: Transaction, pool: str, rules_version: str, day: str, floor: int = 0) -> None:
    """The pool is now published by these rules, as of this day, with versions above the floor."""
    tx.run(
        "insert into pools (pool, rules_version, counted_on, version) values (%s, %s, %s, %s)"
        " on conflict (pool) do update set rules_version = excluded.rules_version, counted_on = excluded.counted_on,"
        " version = case when excluded.version > pools.version then excluded.version else pools.version end",
        pool,
        rules_version,
        day,
        floor,
    )


def mark_all(tx: Transaction, pool: str, reason: str, more: Iterable[str] = ()) -> int:
    """Let every SKU of the pool be computed anew. more: keys that no position has (kits)."""
    now = tx.now()
    marked = tx.run(
        "insert into stock_dirty (pool, sku_key, reason, marked_at) select pool, sku_key, %s, %s from"
        " (select m.pool, p.sku_key from pool_members m join positions p on p.warehouse = m.name"
        " where m.kind = 'warehouse' and m.pool = %s union select pool, sku_key from ats where pool = %s) as known",
        reason,
        now,
        pool,
        pool,
    )
    rows = [(pool, key, reason, now) for key in sorted(set(more))]
    if rows:
        tx.run_many("insert into stock_dirty (pool, sku_key, reason, marked_at) values (%s, %s, %s, %s)", rows)
    return marked + len(rows)


def mark_time(tx: Transaction, pool: str, as_of: datetime) -> int:
    """Mark the SKUs whose number time alone may have changed."""
    count = tx.run(
        "insert into stock_dirty (pool, sku_key, reason, marked_at)"
        " select pool, sku_key, 'time', %s from ats where pool = %s and again_at <= %s",
        tx.now(),
        pool,
        as_of,
    )
    if count:
        tx.run("update ats set again_at = null where pool = %s and again_at <= %s", pool, as_of)
    return count


def dirty_pools(tx: Transaction, as_of: datetime) -> list[str]:
    """Pools with something to compute."""
    # Not `exists`: PostgreSQL would rather read all marks once than the first of each pool.
    rows = tx.all(
        "select pool from pools where (select d.id from stock_dirty d where d.pool = pools.pool limit 1) is not null"
        " or (select a.version from ats a where a.pool = pools.pool and a.again_at <= %s limit 1) is not null"
        " order by pool",
        as_of,
    )
    return [row["pool"] for row in rows]


def unread_names(tx: Transaction, rules_version: str | None) -> list[tuple[str, str, str]]:
    """(store, said, key) that no rules were asked about; with a version: not these rules."""
    rows = tx.all(
        "select store, said, sku_key from stock_names where rules_version is null"
        + ("" if rules_version is None else " or rules_version <> %s"),
        *([] if rules_version is None else [rules_version]),
    )
    return [(row["store"], row["said"], row["sku_key"]) for row in rows]


def rename(tx: Transaction, named: Sequence[tuple[str, str, str, str]], rules_version: str) -> None:
    """(store, said, old key, key): a store's own SKU stands for another than was known. Marks both."""
    for store, said, old, key in named:
        where = (store, said)
        tx.run(
            "update stock_names set sku_key = %s, rules_version = %s where store = %s and said = %s",
            key,
            rules_version,
            *where,
        )
        if key != old:
            tx.run("update stock_lines set sku_key = %s where store = %s and said = %s", key, *where)
            tx.run("update stock_sold set sku_key = %s where store = %s and said = %s", key, *where)
            for each in (old, key):
                tx.run(
                    "insert into stock_dirty (pool, sku_key, reason, marked_at)"
                    " select pool, %s, 'move', %s from pool_members where kind = 'store' and name = %s",
                    each,
                    tx.now(),
                    store,
                )


# One publication


def snapshot(tx: Transaction) -> None:
    """From here on the transaction sees one moment; has to be its first statement."""
    if not tx.is_sqlite:
        tx.run("set transaction isolation level repeatable read")


def dirty(tx: Transaction, pool: str, limit: int) -> list[tuple[int, str, str]]:
    """(id, key, reason) of the oldest marks."""
    rows = tx.all("select id, sku_key, reason from stock_dirty where pool = %s order by id limit %s", pool, limit)
    return [(row["id"], row["sku_key"], row["reason"]) for row in rows]


def inputs(tx: Transaction, pool: str, keys: Sequence[str], line_keys: Sequence[str]) -> PoolInputs:
    """What the numbers of these SKUs are computed from. line_keys: whose order lines may reserve them (kits too)."""
    found = PoolInputs()
    which, params = tx.among("p.sku_key", keys)
    for row in tx.all(
        "select p.warehouse, p.sku_key, p.sku, p.on_hand, p.allocated, p.damaged, p.quarantined, p.inbound, p.as_of,"
        " case when p.lines_as_of >= p.as_of then 1 else 0 end as is_known, m.pool"
        " from positions p left join pool_members m on m.kind = 'warehouse' and m.name = p.warehouse and m.pool = %s"
        f" where {which} order by p.sku_key, p.warehouse",
        pool,
        *params,
    ):
        _position(found, row)
    _lines(tx, pool, line_keys, found)
    which, params = tx.among("sku_key", keys)
    for row in tx.all(f"select * from ats where pool = %s and {which}", pool, *params):
        found.published[row["sku_key"]] = _published(row)
    return found


def _position(found: PoolInputs, row: Row) -> None:
    """A position; one of another pool's warehouse only tells which of its lines count there."""
    key, as_of, warehouse = row["sku_key"], as_time(row["as_of"]), row["warehouse"]
    assert as_of is not None
    found.seen.setdefault(key, {})[warehouse] = Seen(as_of, as_of if row["is_known"] else None)
    if row["pool"] is None:
        return
    found.skus.setdefault(key, row["sku"])
    inbound = json.loads(row["inbound"]) if row["inbound"] != "[]" else ()
    buckets = (row["on_hand"], row["allocated"], row["damaged"], row["quarantined"])
    found.stock.setdefault(key, []).append(Stock(warehouse, *buckets, inbound, as_of))


def _lines(tx: Transaction, pool: str, keys: Sequence[str], found: PoolInputs) -> None:
    which, params = tx.among("l.sku_key", keys)
    rows = tx.all(
        "select l.* from stock_lines l"
        " join pool_members m on m.kind = 'store' and m.name = l.store and m.pool = %s"
        f" where l.is_open and {which} order by l.store, l.order_id, l.line",
        pool,
        *params,
    )
    for row in rows:
        # `net` is what counts: the line's own meta and its moves may both speak of it.
        line = SoldLine(
            row["store"],
            row["order_id"],
            row["line"],
            row["sku_key"],
            max(0, row["net"]),
            0,
            as_time(row["unpaid_since"]),
            as_time(row["completed_at"]),
        )
        found.lines.setdefault(row["sku_key"], []).append(line)
    if not rows:
        return
    table, params = tx.given(
        sorted({(row["store"], row["order_id"]) for row in rows}), of_store="text", of_order="text"
    )
    for row in tx.all(
        f"select h.* from {table} join stock_held h on h.store = of_store and h.order_id = of_order", *params
    ):
        as_of = as_time(row["as_of"])
        assert as_of is not None
        place = (row["store"], row["order_id"], row["line"], row["sku_key"])
        held = Held(row["warehouse"], row["allocated"], row["shipped"], as_of)
        found.held.setdefault(place, []).append(held)


def sold(tx: Transaction, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """(store, key) → all that the store ever lowered of the SKU, what it raised taken off."""
    if not pairs:
        return {}
    found: dict[tuple[str, str], int] = {}
    for first in range(0, len(pairs), _PAIRS_AT_ONCE):
        table, params = tx.given(sorted(pairs)[first : first + _PAIRS_AT_ONCE], of_store="text", key="text")
        rows = tx.all(
            f"with pairs as (select of_store, key from {table})"
            " select store, sku_key, sum(net) as net from ("
            "  select l.store, l.sku_key, l.net from pairs"
            "   join stock_lines l on l.store = of_store and l.sku_key = pairs.key"
            "  union all select s.store, s.sku_key, s.units from pairs"
            "   join stock_sold s on s.store = of_store and s.sku_key = pairs.key) as each_of"
            " group by store, sku_key",
            *params,
        )
        found |= {(row["store"], row["sku_key"]): int(row["net"]) for row in rows}
    return found


def caps(tx: Transaction, pool: str, keys: Sequence[str]) -> dict[tuple[str, str], Cap]:
    """(store, key) → its cap as it was counted."""
    which, params = tx.among("sku_key", keys)
    rows = tx.all(f"select * from ats_caps where pool = %s and {which}", pool, *params)
    return {
        (row["store"], row["sku_key"]): Cap(row["units"], Decimal(row["share"]), row["sold_before"]) for row in rows
    }


def bases(tx: Transaction, stores: Iterable[str]) -> dict[str, tuple[int, int]]:
    """The basis of each store: every move of its events at or below it is counted."""
    wanted = set(stores)
    # To read them all takes half the time of naming many.
    which, params = tx.among("store", wanted) if len(wanted) <= _NAMED_STORES else ("true", [])
    rows = tx.all(f"select store, epoch, n from stock_stores where {which}", *params)
    return {row["store"]: (row["epoch"], row["n"]) for row in rows if row["store"] in wanted}


_ATS_COLUMNS = {
    "pool": "text",
    "sku_key": "text",
    "sku": "text",
    "version": "bigint",
    "number": "bigint",
    "excluded": "boolean",
    "backorders": "boolean",
    "silence_hours": "integer",
    "silence_share": "text",
    "stock_as_of": "timestamptz",
    "changed_as_of": "timestamptz",
    "again_at": "timestamptz",
    "publication": "bigint",
    "published_at": "timestamptz",
}


def publish(
    tx: Transaction,
    pool: str,
    state: PoolState,
    rows: Sequence[Published],
    new_caps: Sequence[PublishedCap],
    basis: Mapping[str, tuple[int, int]],
    done: Sequence[int],
) -> int:
    """Give each row the pool's next version, in their order; the last one. done: marks that these numbers answer."""
    now, version, publication = tx.now(), state.version, state.publication + 1
    if rows:
        values = [
            (
                pool,
                row.key,
                row.sku,
                version + place,
                row.number,
                row.excluded,
                row.backorders,
                row.silence_hours,
                str(row.silence_share),
                row.stock_as_of,
                row.changed_as_of,
                row.again_at,
                publication,
                now,
            )
            for place, row in enumerate(rows, start=1)
        ]
        _write(tx, "ats", "pool, sku_key", _ATS_COLUMNS, values)
        version += len(rows)
        tx.run(
            "insert into publications (pool, id, at, basis) values (%s, %s, %s, %s)",
            pool,
            publication,
            now,
            msgspec.json.encode(basis).decode(),
        )
        if publication % _PRUNED_EACH == 0:
            tx.run("delete from publications where pool = %s and at < %s", pool, now - KEPT)
        tx.run("update pools set version = %s, publication = %s where pool = %s", version, publication, pool)
        tx.tell(POOL + pool)
    _write_caps(tx, pool, new_caps, now)
    _forget_marks(tx, done)
    return version


def note_again(tx: Transaction, pool: str, moments: Mapping[str, datetime | None]) -> None:
    """When time alone may change the numbers that stayed as they are."""
    rows = [(moment, pool, key) for key, moment in sorted(moments.items())]
    if rows:
        tx.run_many("update ats set again_at = %s where pool = %s and sku_key = %s", rows)


def _write(
    tx: Transaction, name: str, unique: str, columns: Mapping[str, str], values: Sequence[tuple[Any, ...]]
) -> None:
    names = ", ".join(columns)
    changes = ", ".join(f"{column} = excluded.{column}" for column in columns if column not in unique.split(", "))
    tail = f" on conflict ({unique}) do update set {changes}"
    if tx.is_sqlite:
        marks = ", ".join(["%s"] * len(columns))
        tx.run_many(f"insert into {name} ({names}) values ({marks})" + tail, values)
        return
    table, params = tx.given(values, **columns)
    tx.run(f"insert into {name} ({names}) select * from {table}" + tail, *params)


def _write_caps(tx: Transaction, pool: str, rows: Sequence[PublishedCap], now: datetime) -> None:
    if not rows:
        return
    tx.run_many(
        "insert into ats_caps (pool, sku_key, store, units, share, sold_before, left_units, counted_at)"
        " values (%s, %s, %s, %s, %s, %s, %s, %s) on conflict (pool, sku_key, store) do update set"
        " counted_at = case when ats_caps.units = excluded.units and ats_caps.sold_before = excluded.sold_before"
        " then ats_caps.counted_at else excluded.counted_at end, units = excluded.units, share = excluded.share,"
        " sold_before = excluded.sold_before, left_units = excluded.left_units",
        [
            (pool, row.key, row.store, row.cap.units, str(row.cap.share), row.cap.sold_before, row.left, now)
            for row in rows
        ],
    )


def forget_caps(tx: Transaction, pool: str, places: Sequence[tuple[str, str]]) -> None:
    """Stores whose share no rule limits any more."""
    if places:
        sql = "delete from ats_caps where pool = %s and store = %s and sku_key = %s"
        tx.run_many(sql, [(pool, store, key) for store, key in places])


def _forget_marks(tx: Transaction, ids: Sequence[int]) -> None:
    if ids:
        which, params = tx.among("id", ids, "bigint")
        tx.run(f"delete from stock_dirty where {which}", *params)


def _published(row: Row) -> Published:
    return Published(
        row["sku_key"],
        row["sku"],
        row["number"],
        bool(row["excluded"]),
        bool(row["backorders"]),
        row["silence_hours"],
        Decimal(row["silence_share"]),
        as_time(row["stock_as_of"]),
        as_time(row["again_at"]),
        row["version"],
        as_time(row["changed_as_of"]),
    )


def close_lines(tx: Transaction, lines: Sequence[SoldLine]) -> None:
    """Lines of which nothing can be reserved any more, unless they changed meanwhile."""
    if lines:
        tx.run_many(
            "update stock_lines set is_open = %s where store = %s and order_id = %s and line = %s and net = %s",
            [(False, one.store, one.order_id, one.line, one.lowered) for one in lines],
        )


def writes_of(tx: Transaction, key: str) -> list[Row]:
    """The last numbers of a SKU that were written into each store, the newest first."""
    return tx.all("select * from store_writes where sku_key = %s order by store, id desc", key)
