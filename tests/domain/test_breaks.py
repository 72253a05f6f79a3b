"""Breaks: their state as they are found again, what may heal them by whose leave, and what brakes that."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from builders import LONG_AGO, a_row, the_rules
from counterfoil_engine.domain.breaks import (
    Class,
    Found,
    Kept,
    Policy,
    State,
    Sweep,
    braked,
    heals_by_itself,
    policy_of,
    seen_again,
)

TODAY = date(2026, 11, 24)


def a_break(kind: Class = "manual_edit_store", sweep: Sweep = "stock", **more: Any) -> Found:
    given = {"units": 3, **more}
    return Found(sweep, "eu1", given.pop("subject", "stock eu/mug"), kind, "It differs.", "Look.", **given)


def kept(state: State, units: int = 3) -> Kept:
    return Kept(1, state, units, None, None)


@pytest.mark.parametrize(
    ("before", "repair_is_over", "state", "said"),
    [
        (None, False, "open", "found"),
        (kept("open"), False, "open", None),
        (kept("open", units=4), False, "open", "another size"),
        (kept("proposed"), False, "proposed", None),
        (kept("healing"), False, "healing", None),
        (kept("healing"), True, "open", "not healed by its repair"),
        (kept("healed"), False, "open", "came back"),
        (kept("accepted"), False, "accepted", None),
        (kept("accepted", units=4), False, "open", "another size than was accepted"),
    ],
)
def test_what_is_found_again_goes_on_from_where_it_was(
    before: Kept | None, repair_is_over: bool, state: State, said: str | None
) -> None:
    assert seen_again(before, a_break(), repair_is_over) == (state, said)


@pytest.mark.parametrize(
    ("sweep", "state"),
    [("stock", "accepted"), ("orders", "open"), ("erp", "open")],
)
def test_what_units_are_worth_by_now_opens_no_stock_that_was_accepted(sweep: Sweep, state: State) -> None:
    """They are priced by the latest order that took one; of orders and documents the amount is what differs."""
    accepted = Kept(1, "accepted", 3, 2_997, "EUR")
    assert seen_again(accepted, a_break(sweep=sweep, amount_minor=3_297, currency="EUR"), False)[0] == state


@pytest.mark.parametrize(
    ("policy", "sizes", "heals"),
    [
        (Policy("automatic"), {"units": 100_000}, True),
        (Policy("automatic", within_units=5), {"units": 5}, True),
        (Policy("automatic", within_units=5), {"units": -5}, True),
        (Policy("automatic", within_units=5), {"units": -6}, False),
        (Policy("automatic", within_units=5), {"units": None}, False),
        (Policy("automatic", within_minor=100), {"units": 1, "amount_minor": 100}, True),
        (Policy("automatic", within_minor=100), {"units": 1, "amount_minor": -101}, False),
        (Policy("automatic", within_minor=100), {"units": 1}, False),
        (Policy("propose"), {"units": 1}, False),
        (Policy("four_eyes"), {"units": 1}, False),
    ],
)
def test_only_what_is_within_both_bounds_heals_by_itself(policy: Policy, sizes: dict[str, Any], heals: bool) -> None:
    assert heals_by_itself(policy, a_break(**sizes)) is heals


@pytest.mark.parametrize(
    ("sweep", "kind", "heal"),
    [
        ("stock", "manual_edit_store", "automatic"),
        ("stock", "missed", "automatic"),
        ("stock", "unknown", "propose"),
        ("stock", "mapping", "propose"),
        ("orders", "missed", "automatic"),
        ("orders", "amount", "automatic"),
        ("orders", "unknown", "propose"),
        ("erp", "missed", "propose"),
        ("erp", "doubled", "propose"),
        ("erp", "manual_edit_erp", "propose"),
        ("money", "amount", "propose"),
    ],
)
def test_without_a_row_only_what_can_do_no_harm_heals_by_itself(sweep: Sweep, kind: Class, heal: str) -> None:
    assert policy_of(None, TODAY, "eu1", sweep, kind).heal == heal
    assert policy_of(the_rules(), TODAY, "eu1", sweep, kind).heal == heal


def test_the_closest_row_says_how_and_a_wider_one_lends_its_bounds() -> None:
    rules = the_rules(
        healing=[
            a_row(match={"store": "*", "sweep": "stock", "class": "*"}, heal="propose", within_units="5"),
            a_row(match={"store": "eu1", "sweep": "stock", "class": "missed"}, heal="automatic"),
            a_row(date(2027, 1, 1), match={"store": "*", "sweep": "*", "class": "*"}, heal="four_eyes"),
        ]
    )
    assert LONG_AGO < TODAY
    policy = policy_of(rules, TODAY, "eu1", "stock", "missed")
    assert (policy.heal, policy.within_units, policy.within_minor) == ("automatic", 5, None)
    assert policy_of(rules, TODAY, "eu2", "stock", "missed").heal == "propose"
    assert policy_of(rules, TODAY, "eu2", "orders", "missed").heal == "automatic", "no row speaks of orders yet"
    assert str(policy) == f"automatic within 5 units ({rules.version})"


@pytest.mark.parametrize(
    ("to_zero", "others", "sold", "waiting"), [(9, 0, 10, 0), (10, 0, 100, 0), (11, 5, 100, 11), (10, 0, 99, 10)]
)
def test_a_repair_that_takes_a_large_share_to_zero_waits_and_the_others_go_on(
    to_zero: int, others: int, sold: int, waiting: int
) -> None:
    found = [a_break(subject=f"stock eu/z{place}", to_zero=True) for place in range(to_zero)]
    found += [a_break(subject=f"stock eu/o{place}") for place in range(others)]
    assert braked(found, sold) == frozenset(each.subject for each in found[:waiting])
