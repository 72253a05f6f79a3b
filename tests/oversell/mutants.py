"""Faults planted in the stock side, each to be caught by a history; `python -m simulation.mutants` plants them too.

Each breaks one rule by which a write of stock can hide no sale. One that isn't caught means that the histories are
weaker than thought.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from counterfoil_engine.domain import availability, reservations
from counterfoil_engine.records import ats, feed, moves, positions
from counterfoil_engine.work import publish
from counterfoil_sandbox import shop_plugin_stock
from simulation.mutants import Hunt, Patch, first_to_fail, nothing

from oversell.__main__ import quiet
from oversell.history import live

SEEDS = 300

# What is counted


def an_event_is_passed_over_that_may_hold_moves(patch: Patch) -> None:
    """e101 is counted before e100, which can't be read and waits."""
    patch.set(moves._Counting, "_holds", lambda self, event: False)


def the_basis_is_what_was_stored_and_not_what_was_counted(patch: Patch) -> None:
    def stored(tx: Any, stores: Any) -> dict[str, tuple[int, int]]:
        rows = tx.all("select store, epoch, stored_through from epochs order by epoch")
        return {row["store"]: (row["epoch"], row["stored_through"]) for row in rows if row["store"] in set(stores)}

    patch.set(ats, "bases", stored)


def a_counted_move_whose_number_stays_gets_no_version(patch: Patch) -> None:
    patch.set(publish, "_ALWAYS", frozenset())


def a_wake_up_is_lost(patch: Patch) -> None:
    """Of what is counted every third SKU isn't marked."""
    mark, marked = moves.mark, [0]

    def sometimes(tx: Any, kind: str, name: str, keys: Mapping[str, str], now: Any) -> None:
        marked[0] += 1
        if marked[0] % 3:
            mark(tx, kind, name, keys, now)

    patch.set(moves, "mark", sometimes)


def moves_told_again_in_a_new_epoch_give_no_version(patch: Patch) -> None:
    patch.set(moves, "told_again", nothing)


def a_line_keeps_the_sku_of_its_snapshot(patch: Patch) -> None:
    """A variation's sale takes from itself, where its parent has the stock."""
    named = moves._named
    patch.set(moves, "_named", lambda move, by_line: by_line.get(move.line or "") or named(move, by_line))


# Positions and reservations


def an_allocation_counts_before_its_position(patch: Patch) -> None:
    counted = reservations._counted

    def at_once(warehouse: str, held: Any, seen: Any) -> Any:
        latest = counted(warehouse, held, seen)[1]
        return latest, latest

    patch.set(reservations, "_counted", at_once)


def an_allocation_is_never_known_after_its_position(patch: Patch) -> None:
    patch.set(positions, "_write_lines", nothing)


def an_older_position_overwrites_a_newer(patch: Patch) -> None:
    apply = positions.apply

    def over(tx: Any, given: Any) -> Any:
        for one in given:
            tx.run(
                "update positions set as_of = %s where warehouse = %s and sku_key = %s and as_of > %s",
                *(one.as_of, one.warehouse, one.key, one.as_of),
            )
        return apply(tx, given)

    patch.set(positions, "apply", over)


# The number


def a_debt_is_told_as_nought(patch: Patch) -> None:
    shown = availability._shown
    patch.set(availability, "_shown", lambda number, *more: max(0, shown(number, *more)))


def a_share_is_not_used_up_by_sales(patch: Patch) -> None:
    patch.set(publish, "left_of", lambda cap, sold: cap.units)


def the_feed_is_a_cursor_over_overlapping_writers(patch: Patch) -> None:
    """A version is taken, and its row becomes visible after a later one: who has passed it by then never sees it."""
    page, seen = feed.page, dict[Any, int]()

    def overlapped(tx: Any, pool: str, version: int, limit: int) -> Any:
        found = page(tx, pool, version, limit)
        hidden = [row for row in found.rows[:-1] if seen.setdefault((id(tx._database), row["version"]), 0) < 1]
        for row in hidden:
            seen[id(tx._database), row["version"]] += 1
        return found._replace(rows=[row for row in found.rows if row not in hidden])

    patch.set(feed, "page", overlapped)


# The write in the shop


def what_a_number_does_not_count_is_not_taken_off(patch: Patch) -> None:
    patch.set(shop_plugin_stock, "uncounted", lambda plugin, stock_id, basis: 0)


def the_sum_is_read_before_the_rows_are_locked(patch: Patch) -> None:
    write, right = shop_plugin_stock._write_chunk, shop_plugin_stock.uncounted

    def early(plugin: Any, items: Any) -> Any:
        bases = {item: (of["basis"]["epoch"], of["basis"]["n"]) for item, of in items.items()}
        sums = {item: right(plugin, item, basis) for item, basis in bases.items()}
        shop_plugin_stock.uncounted = lambda plugin, stock_id, basis: sums[stock_id]
        try:
            return write(plugin, items)
        finally:
            shop_plugin_stock.uncounted = right

    patch.set(shop_plugin_stock, "_write_chunk", early)


def a_raise_that_is_not_counted_is_credited(patch: Patch) -> None:
    def all_of_it(plugin: Any, stock_id: int, basis: tuple[int, int]) -> int:
        query = "select epoch, n, parts from plugin_moves where stock_id = ?"
        rows = plugin.shop._all(query, (stock_id,))
        return sum(parts for epoch, n, parts in rows if n is None or (epoch, n) > basis)

    patch.set(shop_plugin_stock, "uncounted", all_of_it)


def an_older_version_is_applied(patch: Patch) -> None:
    transaction = shop_plugin_stock._transaction

    def whatever_stands(plugin: Any, items: Any) -> Any:
        plugin.shop.connection.executemany(
            "update plugin_stock set version = 0 where stock_id = ?", [(stock_id,) for stock_id in items]
        )
        return transaction(plugin, items)

    patch.set(shop_plugin_stock, "_transaction", whatever_stands)


def a_crossing_is_not_looked_at_again(patch: Patch) -> None:
    """The status is saved from what was read before a sale came, and the mark is cleared."""
    patch.set(shop_plugin_stock, "ROUNDS", 1)


def the_mark_of_a_crossing_is_not_kept(patch: Patch) -> None:
    """A process that dies between commit and status leaves nobody to put it right."""
    keep = shop_plugin_stock._keep
    patch.set(shop_plugin_stock, "_keep", lambda plugin, item, crossed: keep(plugin, item, False))


MUTANTS: Mapping[str, Callable[[Patch], None]] = MappingProxyType(
    {
        plant.__name__.replace("_", " "): plant
        for plant in (
            an_event_is_passed_over_that_may_hold_moves,
            the_basis_is_what_was_stored_and_not_what_was_counted,
            a_counted_move_whose_number_stays_gets_no_version,
            a_wake_up_is_lost,
            moves_told_again_in_a_new_epoch_give_no_version,
            a_line_keeps_the_sku_of_its_snapshot,
            an_allocation_counts_before_its_position,
            an_allocation_is_never_known_after_its_position,
            an_older_position_overwrites_a_newer,
            a_debt_is_told_as_nought,
            a_share_is_not_used_up_by_sales,
            the_feed_is_a_cursor_over_overlapping_writers,
            what_a_number_does_not_count_is_not_taken_off,
            the_sum_is_read_before_the_rows_are_locked,
            a_raise_that_is_not_counted_is_credited,
            an_older_version_is_applied,
            a_crossing_is_not_looked_at_again,
            the_mark_of_a_crossing_is_not_kept,
        )
    }
)


@contextmanager
def planted(plant: Callable[[Patch], None]) -> Iterator[None]:
    """While this lasts, the fault is in the code."""
    patch = Patch()
    plant(patch)
    try:
        yield
    finally:
        patch.undo()


def hunt(name: str, seeds: int = SEEDS, first: int = 1) -> Hunt:
    """Live histories until one fails."""
    quiet()
    with planted(MUTANTS[name]):
        return first_to_fail(name, range(first, first + seeds), live)
