"""Faults planted in sweeps and in what they compare, each to be caught by planted drift that isn't found, named, sized
or healed as it ought to be, or by a break where there is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from counterfoil_engine import bootstrap
from counterfoil_engine.domain import erp_sweep, position_sweep, stock_sweep, tie_out
from counterfoil_engine.records import book_sweeps, breaks
from counterfoil_engine.work import sweep_orders
from loguru import logger

from simulation.drift import Came, drift

if TYPE_CHECKING:
    from simulation.mutants import Hunt, Patch


def what_is_sent_counts_as_missing(patch: Patch) -> None:
    compared = erp_sweep.__dict__["_compared"]
    plain = lambda ours: replace(ours, on_their_way=frozenset(), told=frozenset())  # noqa: E731
    patch.set(erp_sweep, "_compared", lambda ours, reading, other: compared(plain(ours), reading, plain(other)))
    patch.set(erp_sweep, "_new", lambda ours, other: set())


def what_is_posted_again_is_booked_twice(patch: Patch) -> None:
    doubt = book_sweeps.doubt

    def anew(tx: Any, keys: Any, stores: Any) -> Any:
        for key in keys:
            tx.run("update intents set number = null where key = %s", key)
        return doubt(tx, keys, stores)

    patch.set(book_sweeps, "doubt", anew)


def what_is_found_again_heals(patch: Patch) -> None:
    patch.set(breaks, "unseen", lambda tx, sweep, store, since: [row["id"] for row in _standing(tx, sweep, store)])


def _standing(tx: Any, sweep: str, store: str) -> Any:
    return tx.all("select id from breaks where sweep = %s and store = %s and state <> 'healed'", sweep, store)


def a_double_without_our_key_is_not_recognised(patch: Patch) -> None:
    foreign = tie_out.__dict__["_foreign"]
    patch.set(tie_out, "_foreign", lambda entry, alike: foreign(entry, ()))


def what_is_missing_has_the_wrong_sign(patch: Patch) -> None:
    missing = tie_out.__dict__["_missing"]
    patch.set(tie_out, "_missing", lambda our: replace(missing(our), amount_minor=our.amount_minor))


def positions_of_one_moment_are_taken_for_equal(patch: Patch) -> None:
    found = position_sweep.__dict__["_found"]
    on_its_way = lambda subject: position_sweep.InFlight(subject, "not read yet")  # noqa: E731

    def judged(entity: str, subject: str, mine: Any, their: Any, moment: Any) -> Any:
        is_old = mine is not None and their is not None and their.as_of <= mine["as_of"]
        return on_its_way(subject) if is_old else found(entity, subject, mine, their, moment)

    patch.set(position_sweep, "_found", judged)


def an_edit_is_taken_for_a_sale(patch: Patch) -> None:
    patch.set(stock_sweep, "_compared", lambda *_: None)


def an_order_is_never_read_again(patch: Patch) -> None:
    patch.set(bootstrap, "read_again", lambda fetch: lambda tx, store, subjects: None)


def orders_that_are_gone_are_passed_over(patch: Patch) -> None:
    judge_day = sweep_orders.judge_day

    def judged(store: str, day: Any, ours: Any, theirs: Any, on_their_way: Any) -> Any:
        there = {one.order_id for one in theirs}
        return judge_day(store, day, [one for one in ours if one.order_id in there], theirs, on_their_way)

    patch.set(sweep_orders, "judge_day", judged)


PLANTS: tuple[Callable[[Patch], None], ...] = (
    what_is_sent_counts_as_missing,
    what_is_posted_again_is_booked_twice,
    what_is_found_again_heals,
    a_double_without_our_key_is_not_recognised,
    what_is_missing_has_the_wrong_sign,
    positions_of_one_moment_are_taken_for_equal,
    an_edit_is_taken_for_a_sale,
    an_order_is_never_read_again,
    orders_that_are_gone_are_passed_over,
)
MUTANTS: Mapping[str, Callable[[Patch], None]] = MappingProxyType(
    {f"sweeps: {plant.__name__.replace('_', ' ')}": plant for plant in PLANTS}
)


def hunt(name: str, seeds: int) -> Hunt:
    """The first seed that catches it; one that fails without the fault, too, catches nothing."""
    from simulation.mutants import Patch, first_to_fail

    logger.remove()

    def live(seed: int) -> Came:
        patch = Patch()
        MUTANTS[name](patch)
        try:
            came = drift(seed)
        finally:
            patch.undo()
        came.failures += came.false_alarms
        if came.failures and drift(seed).failures:
            came.failures.clear()
        return came

    return first_to_fail(name, range(1, seeds + 1), live)
