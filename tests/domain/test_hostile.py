"""Whatever JSON comes in place of an order: a result or a case, never an error; and nothing the ERP can't read."""

from __future__ import annotations

from copy import deepcopy
from decimal import Decimal
from typing import Any

import pytest
from builders import GONE, NOW, an_order, facts_of, the_rules
from counterfoil_engine.domain.documents import Dues
from counterfoil_engine.domain.dues import dues
from counterfoil_engine.domain.facts import OrderFacts, Snapshot
from domain.contract import assert_the_erp_takes
from domain.recorded import facts_by_order
from hypothesis import given
from hypothesis import strategies as st

RULES = the_rules()
FACTS = {order_id: facts for order_id, facts in facts_by_order().items() if order_id != "70"}
ORDERS = sorted(FACTS)


def _deep(depth: int = 400) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


HOSTILE: list[Any] = [
    *(None, True, False, 0, -1, 1, 10**18, -(10**18), 10**30, 2**63, 4317, 46),
    *map(Decimal, ("NaN", "Infinity", "1e400", "1e-400", "12.345", "-0")),
    *("", " ", "0", "-0", "-0.00", "NaN", "nan", "Infinity", "1e5", "1e999", "0x10", "1,00", "1.234,56", "+1.00", "1."),
    *(".5", "00012.30", "\u0661\u0662", "\uff11\uff12.00", "9" * 15, "9" * 16, "9" * 400, "12.3456789012", "46"),
    *("\ufffd", "\u202e", "<script>alert(1)</script>", "'; drop table facts; --", "a" * 10_000),
    *("2026-02-30T00:00:00", "2026-11-23", "2026-11-23T09:10:36Z", "9999-12-31T23:59:59", "1969-12-31T23:59:59"),
    *("2026-11-23T24:00:00", "EUR", "XTS", "eur", "JPY", "trash", "processing", "refunded", "cancelled", "on-hold"),
    *([], {}, [[]], [None], [{}], [[{}]], {"": None}, {"id": 1}, [1, 2, 3], _deep(), "wc-processing"),
]


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    if len(path) > 8:
        return found
    if isinstance(value, dict):
        for key, each in value.items():
            if key != "_links":
                found += _paths(each, (*path, key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            found += _paths(each, (*path, index))
    return found


def _put(value: Any, path: tuple[Any, ...], new: Any) -> None:
    for step in path[:-1]:
        value = value[step]
    if new is HOSTILE:
        del value[path[-1]]
    else:
        value[path[-1]] = deepcopy(new)


def _changed(facts: OrderFacts, changes: list[tuple[int, int, Any]]) -> OrderFacts:
    """The facts with so many fields replaced; HOSTILE itself stands for a field taken away."""
    bodies = [deepcopy(snapshot.body) for snapshot in facts.snapshots]
    for which, place, new in changes:
        body = bodies[which % len(bodies)]
        paths = _paths(body)
        if paths:
            _put(body, paths[place % len(paths)], new)
    snapshots = tuple(
        Snapshot(s.kind, s.epoch, s.n, s.read_at, body, s.proven)
        for s, body in zip(facts.snapshots, bodies, strict=True)
    )
    return OrderFacts(facts.store, facts.order_id, snapshots)


def _look(facts: OrderFacts) -> Dues:
    result = dues(facts, RULES, NOW)
    assert (result.reading == "parked") is bool(result.cases)
    for case in result.cases:
        assert case.cause and case.remedy and len(case.cause) < 2_000
    assert_the_erp_takes(result)
    return result


CHANGES = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 400), st.sampled_from([HOSTILE, *HOSTILE])), min_size=1, max_size=3
)


@given(st.sampled_from(ORDERS), CHANGES)
def test_a_recorded_order_with_anything_in_any_place_ends_as_a_result_or_a_case(
    order_id: str, changes: list[tuple[int, int, Any]]
) -> None:
    _look(_changed(FACTS[order_id], changes))


@pytest.mark.parametrize("order_id", ["4593", "4428"])
def test_every_field_of_an_order_takes_every_hostile_value(order_id: str) -> None:
    facts = OrderFacts("eu1", order_id, FACTS[order_id].snapshots[-1:])
    places = len(_paths(facts.snapshots[0].body))
    for place in range(places):
        for index in range(place % 24, len(HOSTILE), 24):
            _look(_changed(facts, [(0, place, HOSTILE[index])]))
        _look(_changed(facts, [(0, place, HOSTILE)]))


_FIELDS = ["order", "refunds", "id", "line_items", "total", "currency"]
_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.decimals(allow_nan=False), st.text(max_size=20)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.sampled_from(["order", "refunds", "id", "line_items", "total", "currency"]), inner, max_size=6
        ),
    ),
    max_leaves=20,
)


@given(st.lists(_JSON.map(lambda value: value if isinstance(value, dict) else {"order": value}), max_size=3))
def test_any_json_at_all_ends_as_a_result_or_a_case(bodies: list[dict[str, Any]]) -> None:
    snapshots = tuple(Snapshot("order", 1, n + 1, NOW, body) for n, body in enumerate(bodies))
    result = _look(OrderFacts("eu1", "1001", snapshots))
    assert result.documents == ()


def test_names_in_any_script_and_markup_pass_as_text() -> None:
    order = an_order(customer_id=7)
    order["billing"] |= {"first_name": "<b>Søren</b>", "last_name": "'; drop table--"}
    customer = _look(facts_of(order)).documents[0]
    assert customer.body["personal"]["name"] == "<b>Søren</b> '; drop table--"


def test_a_transaction_id_that_no_key_can_hold_is_hashed() -> None:
    slots = {
        next(d.slot for d in _look(facts_of(an_order(transaction_id=text))).documents if d.kind == "payment")
        for text in ("ch_1/../x", "ch_1 ", "é" * 150, "ch_1\n", "order", "ch_1")
    }
    assert len(slots) == 6
    assert all(slot.count("/") == 3 for slot in slots)


def test_what_can_not_be_read_holds_nothing_of_a_neighbour() -> None:
    """A history with a snapshot of nonsense in the middle goes on with the next good one."""
    order = an_order()
    result = dues(facts_of(order, {**order, "line_items": "none"}, order, GONE), RULES, NOW)
    assert [case.category for case in result.cases] == ["conflict"]
    assert dues(facts_of(order, {**order, "line_items": "none"}, order), RULES, NOW).reading == "posted"
