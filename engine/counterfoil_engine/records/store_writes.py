"""What stores answered when numbers were written into them: last answers, the age of numbers, and manual edits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from counterfoil_engine.domain.freshness import BUCKETS, bucket_of
from counterfoil_engine.ports import Drifted, Written
from counterfoil_engine.records import moves
from counterfoil_engine.records.database import Row, Transaction, as_time

KEPT = 3  # answers of each store and SKU
FRESHNESS_DAYS = 7
_CONFIRMED = ("applied", "corrected")
_AT_ONCE = 2_000  # rows of one statement

_COLUMNS = {
    "store": "text",
    "sku_key": "text",
    "version": "bigint",
    "number": "bigint",
    "verdict": "text",
    "stock": "bigint",
    "reason": "text",
    "at": "timestamptz",
    "as_of": "timestamptz",
}


def note(tx: Transaction, store: str, writes: Sequence[Written]) -> None:
    """Keep a store's answers, and how old the numbers were that it confirmed."""
    for first in range(0, len(writes), _AT_ONCE):
        part = writes[first : first + _AT_ONCE]
        _note_ages(tx, store, part)
        names = ", ".join(_COLUMNS)
        table, params = tx.given([(store, *write[:6], write.at or tx.now(), write.as_of) for write in part], **_COLUMNS)
        tx.run(f"insert into store_writes ({names}) select {names} from {table}", *params)
        which, params = tx.among("sku_key", (write.key for write in part))
        tx.run(
            "delete from store_writes where id in (select id from (select id, row_number() over"
            " (partition by sku_key order by id desc) as place from store_writes"
            f" where store = %s and {which}) as ranked where place > %s)",
            store,
            *params,
            KEPT,
        )


def _note_ages(tx: Transaction, store: str, writes: Sequence[Written]) -> None:
    """Each change at the owner counts once for a store, when the first number after it is confirmed there."""
    now = tx.now()
    confirmed = {
        (write.key, write.as_of): now - write.as_of
        for write in writes
        if write.verdict in _CONFIRMED and write.as_of is not None and write.as_of <= now
    }
    if not confirmed:
        return
    known = _confirmed_until(tx, store, {key for key, _ in confirmed})
    counts: dict[int, int] = {}
    for (key, as_of), age in confirmed.items():
        if key not in known or as_of > known[key]:
            bucket = bucket_of(age.total_seconds())
            counts[bucket] = counts.get(bucket, 0) + 1
    for bucket, count in sorted(counts.items()):
        tx.run(
            "insert into freshness (store, day, bucket, writes) values (%s, %s, %s, %s)"
            " on conflict (store, day, bucket) do update set writes = freshness.writes + excluded.writes",
            store,
            now.date().isoformat(),
            bucket,
            count,
        )


def _confirmed_until(tx: Transaction, store: str, keys: set[str]) -> dict[str, datetime]:
    """key → the newest change that the store has confirmed already."""
    which, params = tx.among("sku_key", keys)
    rows = tx.all(
        f"select sku_key, max(as_of) as as_of from store_writes where store = %s and {which}"
        " and verdict in (%s, %s) and as_of is not null group by sku_key",
        store,
        *params,
        *_CONFIRMED,
    )
    return {row["sku_key"]: as_of for row in rows if (as_of := as_time(row["as_of"])) is not None}


def ages(tx: Transaction, store: str) -> list[int]:
    """How many numbers of the last days the store confirmed, by bucket of their age."""
    first = (tx.now() - timedelta(days=FRESHNESS_DAYS - 1)).date().isoformat()
    found = [0] * BUCKETS
    for row in tx.all(
        "select bucket, sum(writes) as writes from freshness where store = %s and day >= %s group by bucket",
        store,
        first,
    ):
        found[row["bucket"]] = int(row["writes"])
    return found


def changed_as_of(tx: Transaction, pool: str, places: Mapping[str, int]) -> dict[str, datetime]:
    """key → when what its number rests on changed, for numbers whose present version is the one given."""
    if not places:
        return {}
    table, params = tx.given(sorted(places.items()), wanted="text", given_version="bigint")
    rows = tx.all(
        f"select a.sku_key, coalesce(a.changed_as_of, a.stock_as_of) as as_of from {table} join ats a"
        " on a.sku_key = wanted and a.version = given_version where a.pool = %s",
        *params,
        pool,
    )
    return {row["sku_key"]: as_of for row in rows if (as_of := as_time(row["as_of"])) is not None}


def known_to(tx: Transaction, pool: str, keys: Sequence[str]) -> set[str]:
    """Those of these SKUs that the pool publishes."""
    which, params = tx.among("sku_key", keys)
    rows = tx.all(f"select sku_key from ats where pool = %s and {which}", pool, *params)
    return {row["sku_key"] for row in rows}


def note_drift(tx: Transaction, store: str, drifted: Sequence[Drifted], is_marked: bool = True) -> None:
    """Keep what a store had instead of what was written: a manual edit, as a fact. is_marked: the SKUs get a new
    version (A10)."""
    tx.run_many(
        "insert into stock_drift (store, sku_key, at, sku, expected, found, status) values (%s, %s, %s, %s, %s, %s, %s)"
        " on conflict do nothing",
        [(store, one.key, tx.now(), one.sku, one.expected, one.found, one.status) for one in drifted],
    )
    if is_marked:
        write_again(tx, store, [one.key for one in drifted])


def write_again(tx: Transaction, store: str, keys: Sequence[str]) -> None:
    """Let the SKUs have a new version, so that their numbers are written again."""
    moves.mark(tx, "store", store, dict.fromkeys(keys, "set"), tx.now())


def last_write(tx: Transaction, store: str) -> Row | None:
    """The store's newest answer."""
    return tx.one("select * from store_writes where store = %s order by id desc limit 1", store)


def offered_in_excess(tx: Transaction, store: str, pool: str, most: int) -> tuple[int, int]:
    """(SKUs, units) of which the store has confirmed a number above the pool's present one; among the SKUs that changed
    last, so many at most. What its cap or its own sales take off is not known here: it offers so many at most."""
    row = tx.one(
        "select count(*) as skus, coalesce(sum(written - number), 0) as units from (select a.number, (select w.number"
        "  from store_writes w where w.store = %s and w.sku_key = a.sku_key and w.verdict in (%s, %s)"
        "  order by w.id desc limit 1) as written"
        "  from ats a where a.pool = %s order by a.version desc limit %s) as latest where written > number",
        store,
        *_CONFIRMED,
        pool,
        most,
    )
    return (int(row["skus"]), int(row["units"])) if row else (0, 0)


def drifted_since(tx: Transaction, store: str, since: datetime) -> int:
    row = tx.one("select count(*) as edits from stock_drift where store = %s and at >= %s", store, since)
    return int(row["edits"]) if row else 0


def plain(row: Row) -> dict[str, Any]:
    """An answer as reports show it."""
    at = as_time(row["at"])
    return {
        **{name: row[name] for name in ("version", "number", "verdict", "stock", "reason")},
        "sku_key": row["sku_key"],
        "at": at.isoformat() if at else None,
    }
