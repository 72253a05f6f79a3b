"""What holds for every life of an order whose goods leave in parts: from any warehouse, told in any order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from builders import NOW, a_fact, a_row, balances, facts_of, the_rules
from counterfoil_engine.domain.documents import Dues
from counterfoil_engine.domain.dues import dues
from counterfoil_engine.domain.facts import PartyFact
from domain.contract import assert_the_erp_takes
from domain.recorded import facts_by_order
from domain.strategies import Life, lives
from domain.test_properties import assert_credits_stay_below_the_invoice, assert_journals_balance
from hypothesis import event, given
from hypothesis import strategies as st

SEQUENCE = [a_row(match={"entity": "*", "method": "*"}, wms="hub", invoice_on="shipment", store_update=True)]
RULES = the_rules(sequence=SEQUENCE)
RECORDED = facts_by_order()
AT = NOW.replace(year=2027)


def due(life: Life, others: list[PartyFact]) -> Dues:
    return dues(facts_of(*life.snapshots, others=others), RULES, AT)


@st.composite
def shipped_lives(draw: st.DrawFn) -> tuple[Life, list[PartyFact], list[PartyFact]]:
    """A tame life, what its warehouses shipped of it, and the same in another order of arrival."""
    life = draw(lives(tame=True))
    last = next(snapshot for snapshot in reversed(life.snapshots))
    order = last[0] if isinstance(last, tuple) else last
    left = {line["id"]: line["quantity"] for line in order["line_items"]}
    facts: list[PartyFact] = []
    for number in range(draw(st.integers(0, 4))):
        lines = []
        for line, quantity in left.items():
            now = draw(st.integers(0, quantity))
            left[line] -= now
            if now:
                lines.append({"line": f"item:{line}", "quantity": str(now)})
        if lines:
            hours = draw(st.sampled_from([1, 3, 25, 70, 200]))
            warehouse = draw(st.sampled_from(["BER", "HAM", "MUC"]))
            facts.append(
                a_fact(
                    "wms",
                    "shipment",
                    f"s{number}",
                    hours,
                    warehouse=warehouse,
                    carrier=None,
                    tracking=None,
                    lines=lines,
                )
            )
    return life, facts, draw(st.permutations(facts))


def _levels(result: Dues) -> dict[str, int]:
    """What is owed and earned, by role; returns with revenue, since a refund may fall before or after an invoice."""
    found: dict[str, int] = {}
    for role, amount in balances(result.documents).items():
        kind = role.partition(":")[0]
        name = role if kind in ("tax", "clearing") else {"returns": "revenue", "allowances": "revenue"}.get(kind, kind)
        found[name] = found.get(name, 0) + amount
    return {role: amount for role, amount in found.items() if amount}


@given(shipped_lives())
def test_an_order_that_ships_in_parts_is_balanced_and_proven(story: tuple[Life, list[PartyFact], Any]) -> None:
    life, facts, _ = story
    result = due(life, facts)
    event(f"{result.reading} {[case.category for case in result.cases]}")
    assert_journals_balance(result.documents)
    assert_the_erp_takes(result)
    if any(document.slot.endswith("store_update/completed") for document in result.documents):
        assert_credits_stay_below_the_invoice(result)
    # A refund that is withheld in part, or an edit after shipment, may need a person; nothing else does.
    assert {case.category for case in result.cases} <= {"data", "refund"}, (life.story, result.cases)
    if not result.cases:
        assert all(proof.ok for proof in result.proofs), (life.story, result.proofs)


@given(shipped_lives())
def test_any_order_of_arrival_gives_the_same_balances(story: tuple[Life, list[PartyFact], list[PartyFact]]) -> None:
    life, facts, other = story
    one, two = due(life, facts), due(life, other)
    delivered = any(document.slot.endswith("store_update/completed") for document in one.documents)
    if one.cases or two.cases or (life.refunds and not delivered):
        return  # between two parts a refund falls before one or after it; once all has left the sums are the same
    assert _levels(one) == _levels(two), (life.story, facts, other)


@given(shipped_lives())
def test_what_was_invoiced_first_is_never_changed_by_what_ships_later(
    story: tuple[Life, list[PartyFact], list[PartyFact]],
) -> None:
    life, _, facts = story
    if life.refunds or not facts or life.status == "cancelled":
        return
    before, after = due(life, facts[:-1]), due(life, facts)
    if before.cases or after.cases:
        return
    invoices = {d.slot: d.content_hash for d in after.documents if d.kind == "invoice"}
    for document in before.documents:
        if document.kind == "invoice":
            assert invoices[document.slot] == document.content_hash


@given(st.sampled_from(sorted(RECORDED)), st.data())
def test_every_recorded_order_can_leave_in_any_parts(order_id: str, data: st.DataObject) -> None:
    """Balanced and proven, and the same sums whatever arrives first."""
    facts = RECORDED[order_id]
    last = next(snapshot for snapshot in reversed(facts.snapshots) if snapshot.kind == "order")
    left = {line["id"]: int(line["quantity"]) for line in last.body["order"]["line_items"]}
    ships = [ship for number in range(4) if (ship := _shipment(data.draw, number, left, is_last=number == 3))]
    plain = dues(facts, the_rules(), AT)
    one, two = (
        dues(replace(facts, party_facts=tuple(each)), RULES, AT) for each in (ships, data.draw(st.permutations(ships)))
    )
    assert_journals_balance(one.documents)
    if plain.cases or one.cases or two.cases:
        event("parked")
        return
    assert all(proof.ok for proof in one.proofs)
    assert _levels(one) == _levels(two) == _levels(plain)


def _shipment(draw: st.DrawFn, number: int, left: dict[int, int], is_last: bool) -> PartyFact | None:
    moved = {line: quantity if is_last else draw(st.integers(0, quantity)) for line, quantity in left.items()}
    for line, quantity in moved.items():
        left[line] -= quantity
    lines = [{"line": f"item:{line}", "quantity": str(quantity)} for line, quantity in moved.items() if quantity]
    if not lines:
        return None
    return a_fact(
        "wms", "shipment", f"s{number}", 5000 + number, warehouse="BER", carrier=None, tracking=None, lines=lines
    )
