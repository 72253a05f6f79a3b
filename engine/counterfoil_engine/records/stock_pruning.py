"""What of stock is kept no longer, a part at a time: nothing that a number, a basis or a cap still needs.

What a store has sold of a SKU is a sum over its order lines, so a line that goes is added to a total first. That is
exact only where moves alone count the line: what comes later of it then begins a line of its own from nothing. A line
that WooCommerce's own count is read from stays: a late edit of its order would count it anew.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from counterfoil_engine.records import ats, store_writes
from counterfoil_engine.records.database import Row, Transaction
from counterfoil_engine.records.sequences import lock_store

AT_ONCE = 5_000  # rows of one transaction, of each kind


def prune(tx: Transaction, before: datetime) -> bool:
    """Take out a part of what is older than a moment; whether there may be more."""
    parts: list[Callable[[Transaction, datetime], int]] = [_lines, _moves, _held, _writes]
    removed = [part(tx, before) for part in parts]
    _small(tx)
    return max(removed) >= AT_ONCE


def _lines(tx: Transaction, before: datetime) -> int:
    """Closed lines that moves alone count and none has counted since; into the totals."""
    wanted = tx.all(f"select l.store, l.order_id, l.line from stock_lines l where {_DONE} limit %s", before, AT_ONCE)
    for store in sorted({row["store"] for row in wanted}):
        lock_store(tx, store)  # whoever counts moves of these lines writes them as it read them
    if not wanted:
        return 0
    table, params = tx.given(
        [(row["store"], row["order_id"], row["line"]) for row in wanted], a="text", b="text", c="text"
    )
    gone = tx.all(
        f"delete from stock_lines as l where (store, order_id, line) in (select a, b, c from {table}) and {_DONE}"
        " returning store, said, sku_key, net",
        *params,
        before,
    )
    _add_up(tx, gone)
    return len(wanted)


# A line that is open reserves; one with `meta` is counted by WooCommerce too.
_DONE = (
    "not l.is_open and l.meta is null and not exists (select 1 from stock_moves m where m.store = l.store"
    " and m.order_id = l.order_id and m.line = l.line and m.counted_at >= %s)"
)


def _add_up(tx: Transaction, gone: list[Row]) -> None:
    totals: dict[tuple[str, str, str], int] = {}
    for row in gone:
        place = (row["store"], row["said"], row["sku_key"])
        totals[place] = totals.get(place, 0) + row["net"]
    if totals:
        tx.run_many(
            "insert into stock_sold (store, said, sku_key, units) values (%s, %s, %s, %s)"
            " on conflict (store, said) do update set units = stock_sold.units + excluded.units",
            [(*place, units) for place, units in sorted(totals.items())],
        )


def _moves(tx: Transaction, before: datetime) -> int:
    return tx.run(
        "delete from stock_moves where (store, move_id) in (select m.store, m.move_id from stock_moves m"
        " where m.counted_at < %s and not exists (select 1 from stock_lines l where l.store = m.store"
        " and l.order_id = m.order_id and l.line = m.line and l.is_open) limit %s)",
        before,
        AT_ONCE,
    )


def _held(tx: Transaction, before: datetime) -> int:
    """What warehouses had shipped for lines that are kept no more."""
    return tx.run(
        "delete from stock_held where (store, order_id, line, warehouse, sku_key, as_of) in"
        " (select h.store, h.order_id, h.line, h.warehouse, h.sku_key, h.as_of from stock_held h where h.as_of < %s"
        " and h.allocated = 0 and not exists (select 1 from stock_lines l where l.store = h.store"
        " and l.order_id = h.order_id and l.line = h.line) limit %s)",
        before,
        AT_ONCE,
    )


def _writes(tx: Transaction, before: datetime) -> int:
    """Answers for SKUs that no pool publishes any more."""
    return tx.run(
        "delete from store_writes where id in (select w.id from store_writes w where w.at < %s"
        " and not exists (select 1 from ats a where a.sku_key = w.sku_key) limit %s)",
        before,
        AT_ONCE,
    )


def _small(tx: Transaction) -> None:
    now = tx.now()
    tx.run("delete from publications where at < %s", now - ats.KEPT)
    days = now - timedelta(days=store_writes.FRESHNESS_DAYS)
    tx.run("delete from freshness where day <= %s", days.date().isoformat())
    tx.run("delete from stock_drift where at < %s", days)
    # Asked only of events above the basis.
    tx.run(
        "delete from stock_stood_for where exists (select 1 from stock_stores s where s.store = stock_stood_for.store"
        " and (s.epoch > stock_stood_for.epoch or (s.epoch = stock_stood_for.epoch and s.n >= stock_stood_for.n)))"
    )
