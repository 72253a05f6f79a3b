"""Runs of sweeps, and the questions that wait for a store's agent (it only dials out, so it fetches them)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from counterfoil_engine.domain.stock_sweep import Expected
from counterfoil_engine.ports import EPOCH_BITS
from counterfoil_engine.records.database import Row, Transaction, as_time

# Runs


def begin(tx: Transaction, sweep: str, store: str, dry_run: bool, who: str) -> int | None:
    """A new run; None while one of this kind is running in this store."""
    row = tx.one(
        "insert into sweeps (sweep, store, state, dry_run, who, started_at, progress) values"
        " (%s, %s, 'running', %s, %s, %s, '{}') on conflict (store, sweep) where state = 'running' do nothing"
        " returning id",
        sweep,
        store,
        dry_run,
        who,
        tx.now(),
    )
    return int(row["id"]) if row else None


def read(tx: Transaction, sweep_id: int) -> Row | None:
    return tx.one("select * from sweeps where id = %s", sweep_id)


def lock(tx: Transaction, sweep_id: int) -> Row | None:
    """The run, with its row locked: two answers are taken one after the other."""
    ending = "" if tx.is_sqlite else " for update"
    return tx.one(f"select * from sweeps where id = %s{ending}", sweep_id)


def running(tx: Transaction) -> list[Row]:
    return tx.all("select * from sweeps where state = 'running' order by id")


def progressed(tx: Transaction, sweep_id: int, progress: Mapping[str, Any]) -> None:
    tx.run("update sweeps set progress = %s where id = %s", msgspec.json.encode(progress).decode(), sweep_id)


def end(tx: Transaction, sweep_id: int, cause: str | None = None, remedy: str | None = None) -> None:
    """The run is over; cause: it failed. What it still asks is asked no more."""
    tx.run(
        "update sweeps set state = %s, ended_at = %s, cause = %s, remedy = %s where id = %s",
        "done" if cause is None else "failed",
        tx.now(),
        cause,
        remedy,
        sweep_id,
    )
    tx.run("delete from sweep_tasks where sweep_id = %s", sweep_id)


def last_started(tx: Transaction, sweep: str, store: str) -> datetime | None:
    row = tx.one("select max(started_at) as at from sweeps where sweep = %s and store = %s", sweep, store)
    return as_time(row["at"]) if row else None


def prune(tx: Transaction, before: datetime) -> int:
    """Forget runs that ended before a moment, but the last ones."""
    return tx.run(
        "delete from sweeps where ended_at < %s and id not in (select max(id) from sweeps group by store, sweep)",
        before,
    )


# Questions


def ask(
    tx: Transaction, store: str, sweep_id: int | None, kind: str, body: Mapping[str, Any], due_at: datetime
) -> None:
    tx.run(
        "insert into sweep_tasks (store, sweep_id, kind, body, due_at) values (%s, %s, %s, %s, %s)",
        store,
        sweep_id,
        kind,
        msgspec.json.encode(body).decode(),
        due_at,
    )


def hand_out(tx: Transaction, store: str, limit: int, again_before: datetime) -> list[Row]:
    """Questions that are due, the oldest first; those handed out and not answered only once they were so before."""
    skip = "" if tx.is_sqlite else " for update skip locked"
    rows = tx.all(
        "select id, kind, body from sweep_tasks where store = %s and answered_at is null and due_at <= %s"
        f" and (handed_at is null or handed_at < %s) order by due_at, id limit %s{skip}",
        store,
        tx.now(),
        again_before,
        limit,
    )
    if rows:
        which, params = tx.among("id", (row["id"] for row in rows), "bigint")
        tx.run(f"update sweep_tasks set handed_at = %s where {which}", tx.now(), *params)
    return rows


def answered(tx: Transaction, store: str, task_id: int) -> Row | None:
    """The question is answered; None where nobody waits for that (any more)."""
    return tx.one(
        "delete from sweep_tasks where id = %s and store = %s returning id, sweep_id, kind, body", task_id, store
    )


def unanswered(tx: Transaction, sweep_id: int) -> int:
    row = tx.one("select count(*) as many from sweep_tasks where sweep_id = %s", sweep_id)
    return int(row["many"]) if row else 0


def asked_orders(tx: Transaction, store: str) -> set[int]:
    """Orders that the agent is asked to read again, and hasn't said that it will."""
    rows = tx.all("select body from sweep_tasks where store = %s and sweep_id is null and kind = 'fetch'", store)
    return {order for row in rows for order in msgspec.json.decode(row["body"])["orders"]}


def speaks(tx: Transaction, store: str) -> bool | None:
    """Whether the store's agent answers sweeps; None: no agent of it has ever said hello."""
    row = tx.one("select contracts from stores where store = %s", store)
    return None if row is None else bool(msgspec.json.decode(row["contracts"] or "{}").get("sweeps"))


# What a store ought to have


def numbers(tx: Transaction, pool: str, store: str, epoch: int) -> list[Expected]:
    """Every number of the pool as this store is told it: its share applied, versions as the feed tells them."""
    # As one text: to fetch 100,000 rows one by one takes thrice as long as all else. No SKU holds a control character.
    told = "case when c.left_units < a.number then c.left_units else a.number end"
    row = f"a.sku_key || '\x1f' || {told} || '\x1f' || a.version"
    all_of_them = f"group_concat({row}, '\x1e')" if tx.is_sqlite else f"string_agg({row}, '\x1e')"
    found = tx.one(
        f"select {all_of_them} as rows from ats a left join ats_caps c on c.pool = a.pool and c.sku_key = a.sku_key"
        " and c.store = %s where a.pool = %s",
        store,
        pool,
    )
    base = epoch << EPOCH_BITS
    parts = (one.split("\x1f") for one in found["rows"].split("\x1e")) if found and found["rows"] else ()
    return [Expected(key, int(number), base + int(version)) for key, number, version in parts]


def behind(tx: Transaction, pool: str, version: int) -> int:
    """How many SKUs of the pool have a version above this one, the pool's own."""
    row = tx.one("select count(*) as many from ats where pool = %s and version > %s", pool, version)
    return int(row["many"]) if row else 0


def dirty_of(tx: Transaction, pool: str, keys: Sequence[str]) -> set[str]:
    """Those of these SKUs that are about to be computed anew."""
    if not keys:
        return set()
    which, params = tx.among("sku_key", keys)
    return {
        row["sku_key"] for row in tx.all(f"select sku_key from stock_dirty where pool = %s and {which}", pool, *params)
    }


def sold_skus(tx: Transaction, pool: str) -> int:
    """How many SKUs the pool publishes: of which the brake takes its share."""
    row = tx.one("select count(*) as many from ats where pool = %s", pool)
    return int(row["many"]) if row else 0


def last_sold_in(tx: Transaction, store: str, key: str) -> str | None:
    """The latest of a store's orders that took this SKU."""
    row = tx.one(
        "select order_id from stock_lines where store = %s and sku_key = %s order by length(order_id) desc,"
        " order_id desc limit 1",
        store,
        key,
    )
    return str(row["order_id"]) if row else None


def last_edit(tx: Transaction, store: str, key: str, within: timedelta = timedelta(days=1)) -> Row | None:
    """The last time that somebody set this stock, as the store's plugin wrote it down; its event holds who and how."""
    return tx.one(
        "select m.at, m.units, e.body from stock_moves m left join events e on e.store = m.store and e.epoch = m.epoch"
        " and e.n = m.n where m.store = %s and m.sku_key = %s and m.kind = 'set' and m.counted_at >= %s"
        " order by m.counted_at desc limit 1",
        store,
        key,
        tx.now() - within,
    )
