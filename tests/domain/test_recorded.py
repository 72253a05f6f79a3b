"""Every recorded order and history against what a person worked out by hand (tests/recorded/expected.yaml)."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from decimal import Decimal
from typing import Any

import pytest
from builders import GONE, NOW, balances, facts_of, sums_by_kind, the_rules
from counterfoil_engine.domain.documents import Dues
from counterfoil_engine.domain.dues import dues
from domain.recorded import expected, facts_by_order, files, histories

EXPECTED = expected()
FACTS = facts_by_order()
ALONE = {name: body for name, body in files() if name != "orders_page.json"}


def _check(result: Dues, wanted: dict[str, Any]) -> None:
    assert result.reading == wanted["reading"], result.cases
    assert [case.category for case in result.cases] == wanted.get("cases", [])
    assert sums_by_kind(result.documents) == wanted["kinds"]
    assert balances(result.documents) == wanted["balances"]
    if "book" in wanted:
        assert balances(result.documents, book=True) == wanted["book"]
    elif result.currency == "EUR":
        assert balances(result.documents, book=True) == wanted["balances"]
    if not result.cases:
        assert all(proof.ok for proof in result.proofs), result.proofs


def test_every_recorded_order_is_worked_out_by_hand() -> None:
    assert set(FACTS) == set(EXPECTED["orders"])


@pytest.mark.parametrize("order_id", FACTS)
def test_a_recorded_order_comes_to_what_was_worked_out_by_hand(order_id: str) -> None:
    _check(dues(FACTS[order_id], the_rules(), NOW), EXPECTED["orders"][order_id])


@pytest.mark.parametrize("name", EXPECTED["alone"])
def test_a_file_read_alone_tells_its_own_story(name: str) -> None:
    _check(dues(facts_of(ALONE[name]), the_rules(), NOW), EXPECTED["alone"][name])


def test_at_most_three_recorded_orders_park() -> None:
    parked = {order_id for order_id, facts in FACTS.items() if dues(facts, the_rules(), NOW).cases}
    assert parked == {"47", "48", "11208"}


# One cent in any amount.


def _amounts(order: dict[str, Any], refunds: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any], str]]:
    found = [("total", order, "total"), ("total_tax", order, "total_tax")]
    for field in ("line_items", "fee_lines", "shipping_lines"):
        found += [(f"{field} {line['id']}", line, "total") for line in order[field]]
    return found + [(f"refund {refund['id']}", refund, "amount") for refund in refunds]


def _tampered(bodies: list[Any], index: int) -> Iterator[str]:
    """Changes one amount after the other in place, by a cent up and down, and puts it back."""
    for name, holder, field in _amounts(*bodies[index]):
        was = holder[field]
        for cents in ("0.01", "-0.01"):
            holder[field] = str(Decimal(was) + Decimal(cents))
            yield f"{name} {cents}"
        holder[field] = was


@pytest.mark.parametrize("name", ALONE)
def test_one_cent_in_any_amount_turns_a_proof_false(name: str) -> None:
    before = dues(facts_of(ALONE[name]), the_rules(), NOW)
    bodies = [deepcopy(ALONE[name])]
    for what in _tampered(bodies, 0):
        result = dues(facts_of(*bodies), the_rules(), NOW)
        assert any(not proof.ok for proof in result.proofs) or any(
            case.category == "data" and before.currency == "JPY" for case in result.cases
        ), what
        if before.reading in ("posted", "parked", "cancelled"):
            assert result.reading == "parked", what


@pytest.mark.parametrize("order_id", [each for each, bodies in histories().items() if len(bodies) > 1])
def test_one_cent_in_the_last_snapshot_or_the_one_that_claims_money_turns_a_proof_false(order_id: str) -> None:
    bodies = deepcopy(histories()[order_id])
    last = max(n for n, body in enumerate(bodies) if body != GONE)
    paid = [n for n, body in enumerate(bodies) if body != GONE and body[0]["date_paid_gmt"]]
    claims_money = Decimal(bodies[last][0]["total"]) > 0
    for index in {last, paid[0] if claims_money else last}:
        for what in _tampered(bodies, index):
            if index != last and what.startswith("refund"):
                continue
            result = dues(facts_of(*bodies), the_rules(), NOW)
            assert any(not proof.ok for proof in result.proofs), (index, what)
            assert result.reading == "parked", (index, what)
