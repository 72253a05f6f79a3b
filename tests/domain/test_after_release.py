"""What becomes of goods once the WMS has them: edits that come too late, short picks, what left in vain. Every case
here ends once somebody did what its remedy says."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from builders import NOW, START, a_fact, a_line, a_receipt, a_row, a_shipment, an_order, facts_of, refund_of, the_rules
from counterfoil_engine.domain.documents import Dues
from counterfoil_engine.domain.dues import dues

WMS = {"wms": "hub", "invoice_on": "shipment"}
LATER = START + timedelta(hours=40)
KEPT = {"line": "item:1", "item": "MUG", "quantity": "3"}


def mugs(quantity: int, **fields: Any) -> dict[str, Any]:
    return an_order(a_line("MUG", quantity, "10.00"), modified=LATER, **fields)


def kept(quantity: int = 3, of: str = "order", country: str = "DE", hours: float = 41) -> Any:
    """The WMS didn't give back what it had released."""
    return a_fact(
        "wms",
        "recall_refused",
        f"k-{of}",
        hours,
        of=f"eu1/1001/fulfilment/{of}/r1",
        reason="It is released already.",
        amount_minor=0,
        asked={"ship_to_country": country, "lines": [{**KEPT, "quantity": str(quantity)}]},
    )


def said(kind: str, quantity: int, hours: float = 20, **more: Any) -> Any:
    lines = [{"line": "item:1", "quantity": str(quantity)}]
    return a_fact("wms", kind, f"{kind}-{hours}", hours, warehouse="BER", lines=lines, **more)


def answer(kind: str, natural: str, hours: float = 42, **more: Any) -> Any:
    return a_fact("wms", kind, f"{kind}-{natural}", hours, of=f"eu1/1001/cancellation/{natural}/r1", **more)


def left_out(natural: str, quantity: int) -> Any:
    return answer("cancelled", natural, lines=[{"line": "item:1", "quantity": str(quantity)}])


def due(*snapshots: Any, others: Any = (), **more: Any) -> Dues:
    rules = the_rules(sequence=[a_row(match={"entity": "*", "method": "*"}, **WMS, **more)])
    return dues(facts_of(*snapshots, others=others), rules, NOW + timedelta(days=9))


def asked(result: Dues) -> dict[str, str]:
    """What is asked of the WMS, by natural id: the quantity of its one line."""
    return {
        one.slot.split("/")[3]: one.body["lines"][0]["quantity"]
        for one in result.documents
        if one.party == "wms" and one.kind in ("fulfilment", "cancellation")
    }


def causes(result: Dues) -> list[str]:
    assert all(case.remedy.endswith(".") for case in result.cases)
    return [case.cause for case in result.cases]


# Edits that come too late.


def test_what_was_released_stands_and_more_goods_are_a_further_fulfilment() -> None:
    released = said("released", 3)
    result = due(mugs(3), mugs(5), others=[released, kept()])
    assert asked(result) == {"order": "3", "more-1": "2"}
    assert causes(result) == []


def test_what_was_released_stands_while_the_tax_of_an_edit_is_quoted_anew() -> None:
    """All that rests on the quote goes until then; the fulfilment can't."""
    result = due(mugs(3), mugs(1), others=[said("released", 3), kept()], tax="taxes")
    assert result.reading == "waiting"
    assert asked(result) == {"order": "3"}


def test_fewer_goods_are_asked_for_and_the_case_is_there_only_if_the_wms_refuses() -> None:
    before = [said("released", 3), kept()]
    result = due(mugs(3), mugs(1), others=before)
    assert asked(result) == {"order": "3", "wms-released": "2"} and causes(result) == []
    agreed = due(mugs(3), mugs(1), others=[*before, left_out("wms-released", 2)])
    assert asked(agreed) == {"order": "3", "wms-released": "2"} and causes(agreed) == []
    refused = due(mugs(3), mugs(1), others=[*before, answer("cancellation_refused", "wms-released", reason="packed")])
    assert causes(refused) == ["hub refused to leave out what was cancelled, refunded or edited away: packed."]


REFUSED = [said("released", 3), kept(), answer("cancellation_refused", "wms-released", reason="packed")]


@pytest.mark.parametrize(
    ("snapshots", "more"),
    [
        ((mugs(3), mugs(1), mugs(3)), []),
        ((mugs(3), mugs(1)), [a_shipment("s1", 43, item_1=3), a_receipt("r1", 60, None, item_1=2)]),
        ((mugs(3), mugs(1)), [said("short_pick", 2, 44), a_shipment("s1", 43, item_1=1)]),
    ],
    ids=["set back in the store", "left and came back", "stopped in the warehouse"],
)
def test_a_refusal_is_over_once_the_remedy_is_done(snapshots: Any, more: Any) -> None:
    assert causes(due(*snapshots, others=[*REFUSED, *more])) == []


def test_a_surplus_that_left_is_a_case_until_it_comes_back_or_is_sold() -> None:
    out = [*REFUSED, a_shipment("s1", 43, item_1=3)]
    assert causes(due(mugs(3), mugs(1), others=out)) == ["Shipment s1 of hub ships 3 of line item:1, and 1 was left."]
    half = due(mugs(3), mugs(1), others=[*out, a_receipt("r1", 60, None, item_1=1)])
    assert causes(half) == ["Shipment s1 of hub ships 3 of line item:1, and 1 was left."]
    sold = due(mugs(3), mugs(1), mugs(3), others=out)
    assert causes(sold) == [] and asked(sold) == {"order": "3"}


def test_a_line_that_was_edited_away_is_asked_back_though_the_order_has_it_no_more() -> None:
    pen = an_order(a_line("PEN", 1, "2.00", id=2), modified=LATER)
    result = due(mugs(3), pen, others=[said("released", 3), kept()])
    assert asked(result) == {"order": "3", "wms-released": "3", "more-1": "1"}


def test_what_is_asked_of_a_wms_twice_stands_beside_what_it_agreed_to() -> None:
    agreed = left_out("wms-released", 1)
    result = due(mugs(3), mugs(2), mugs(1), others=[said("released", 3), kept(), agreed])
    assert asked(result) == {"order": "3", "wms-released": "1", "wms-released-2": "1"}
    back = due(mugs(3), mugs(2), mugs(3), others=[said("released", 3), kept(), agreed])
    assert asked(back) == {"order": "3", "wms-released": "1", "more-1": "1"}


def test_an_edit_and_a_refund_after_release_are_not_asked_for_twice() -> None:
    refund = refund_of(mugs(2), {1: 1}, created=LATER + timedelta(hours=1))
    after = (mugs(2, refunds=[refund]), [refund])
    assert asked(due(mugs(3), after, others=[said("released", 3), kept()])) == {
        "order": "3",
        "wms-5001": "1",
        "wms-released": "1",
    }


def test_goods_kept_for_another_country_are_a_case_until_they_have_left() -> None:
    moved = mugs(3, shipping={"country": "FR"}, billing={"country": "DE"})
    others = [said("released", 3), kept()]
    assert "goes on with what it released for DE, and the order is for FR now" in causes(due(moved, others=others))[0]
    assert causes(due(moved, others=[*others, a_shipment("s1", 43, item_1=3)])) == []


# Short picks.


def refunded(hours: float, units: int = 1) -> Any:
    refund = refund_of(mugs(3), {1: units}, created=START + timedelta(hours=hours))
    return mugs(3, refunds=[refund]), [refund]


@pytest.mark.parametrize("hours", [2, 15], ids=["before release", "after release, left out"])
def test_a_short_pick_beside_an_earlier_refund_is_missing_all_the_same(hours: float) -> None:
    others = [said("released", 2 if hours < 10 else 3, 10)]
    others += [left_out("wms-5001", 1)] if hours > 10 else []
    others += [a_shipment("s1", 50, item_1=1), said("short_pick", 1, 51)]
    assert causes(due(mugs(3), refunded(hours), others=others)) == [
        "1 of line item:1 could not be picked, and it isn't refunded."
    ]


def test_a_short_pick_that_was_refunded_is_over_and_nothing_more_is_left_out_for_it() -> None:
    result = due(mugs(3), refunded(60), others=[said("released", 3, 10), said("short_pick", 1, 51)])
    assert causes(result) == [] and asked(result) == {"order": "3"}


def test_what_the_wms_would_not_leave_out_for_a_refund_makes_up_for_a_short_pick() -> None:
    refused = answer("cancellation_refused", "wms-5001", 21, reason="packed")
    result = due(mugs(3), refunded(20), others=[said("released", 3, 10), refused, said("short_pick", 1, 51)])
    assert causes(result) == []


# Cancelled orders.


def cancelled() -> Any:
    return mugs(3, status="cancelled")


def test_goods_that_leave_after_a_cancellation_are_a_case_until_they_come_back() -> None:
    refused = answer("cancellation_refused", "wms-cancellation", reason="on the van")
    others = [said("released", 3), refused]
    assert causes(due(mugs(3), cancelled(), others=others)) == [
        "hub refused to leave out what was cancelled, refunded or edited away: on the van."
    ]
    others.append(a_shipment("s1", 50, item_1=3))
    assert causes(due(mugs(3), cancelled(), others=others)) == [
        "3 of line item:1 left after the order was cancelled, and nothing of it is charged."
    ]
    assert causes(due(mugs(3), cancelled(), others=[*others, a_receipt("r1", 90, None, item_1=3)])) == []
    assert causes(due(mugs(3), cancelled(), mugs(3), others=others)) == []


def test_goods_that_had_left_before_the_cancellation_are_the_merchants_own_decision() -> None:
    assert causes(due(mugs(3), cancelled(), others=[a_shipment("s1", 30, item_1=3)])) == []


# Money that moved.


def captured_already(part: str, amount_minor: int) -> Any:
    """The gateway didn't give back what it had captured with a shipment."""
    return a_fact(
        "gateway",
        "recall_refused",
        f"k-{part}",
        44,
        of=f"eu1/1001/capture/{part}/r1",
        reason="Money has moved.",
        amount_minor=amount_minor,
        asked={"gateway": "stripe", "authorisation": "pi_1"},
    )


@pytest.mark.parametrize(
    ("quantity", "asked_for"),
    [(3, {"hub-s1": 1190, "hub-s1-more-1": 1190}), (1, {"hub-s1": 1190})],
    ids=["edited up", "edited back"],
)
def test_what_was_captured_with_a_shipment_stands_and_an_edit_captures_the_difference(
    quantity: int, asked_for: dict[str, int]
) -> None:
    own = {"amount_minor": 9000, "currency": "EUR", "expires_at": None, "method": "card"}
    held = a_fact("gateway", "authorised", "a1", 0.5, transaction="pi_1", **own)
    ships = a_shipment("s1", 43, item_1=min(quantity, 2))
    rules = the_rules(sequence=[a_row(match={"entity": "*", "method": "*"}, **WMS, capture_on="shipment")])
    facts = facts_of(mugs(quantity, paid=None), others=[held, ships, captured_already("hub-s1", 1190)])
    result = dues(facts, rules, NOW + timedelta(days=9))
    captures = [each for each in result.documents if each.kind == "capture"]
    assert {each.slot.split("/")[3]: each.amount_minor for each in captures} == asked_for


def test_what_the_engine_paid_back_stands_though_the_store_deleted_the_refund() -> None:
    paid = a_fact(
        "gateway",
        "recall_refused",
        "k-5001",
        44,
        of="eu1/1001/refund_order/5001/r1",
        reason="Money has moved.",
        amount_minor=1190,
        asked={"gateway": "stripe", "transaction": "ch_1", "refund": "5001"},
    )
    rules = the_rules(sequence=[a_row(match={"entity": "*", "method": "*"}, refunds_by="engine")])
    result = dues(facts_of(*[refunded(2), mugs(3)], others=[paid]), rules, NOW + timedelta(days=9))
    orders = [each for each in result.documents if each.kind == "refund_order"]
    assert [(each.slot, each.amount_minor, each.is_kept) for each in orders] == [
        ("eu1/1001/refund_order/5001", 1190, True)
    ]
