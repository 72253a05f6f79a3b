"""From the click to the payout, on figures that a person can check by eye: what other parties say, beside the store."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from builders import (
    NOW,
    START,
    Shop,
    a_capture,
    a_fact,
    a_line,
    a_receipt,
    a_refund,
    a_refunded_line,
    a_row,
    a_shipment,
    a_shipping,
    an_order,
    balances,
    facts_of,
    paid_back,
    refund_of,
    sums_by_kind,
    the_rules,
)
from counterfoil_engine.domain.documents import Document, Dues
from counterfoil_engine.domain.dues import dues
from domain.contract import assert_the_erp_takes

WMS = {"wms": "hub", "invoice_on": "shipment"}
THREE = (a_line("MUG", 3, "3.33"),)


def due(*snapshots: Any, others: Any = (), rule: dict[str, Any] | None = None, **rules: Any) -> Dues:
    sequence = [a_row(match={"entity": "*", "method": "*"}, **(rule or {}))]
    result = dues(facts_of(*snapshots, others=others), the_rules(sequence=sequence, **rules), NOW + timedelta(days=9))
    for document in result.documents:
        lines = document.journal
        assert sum(line.debit_minor - line.credit_minor for line in lines) == 0, document.slot
        assert sum(line.book_debit_minor - line.book_credit_minor for line in lines) == 0, document.slot
    if not result.cases:
        assert_the_erp_takes(result)
    return result


def of_kind(result: Dues, kind: str, party: str | None = None) -> list[Document]:
    return [each for each in result.documents if each.kind == kind and party in (None, each.party)]


def invoices(result: Dues) -> list[tuple[str, int]]:
    return [(document.slot.rsplit("/", 1)[1], document.amount_minor) for document in of_kind(result, "invoice")]


def category(result: Dues) -> str:
    assert [case.remedy.endswith(".") for case in result.cases] == [True], result.cases
    return result.cases[0].category


# Shipments and their invoices.


def test_an_order_is_invoiced_as_it_ships_and_its_last_part_takes_the_rest() -> None:
    order = an_order(*THREE, a_shipping("4.90"))  # 9.99 + 1.90 tax, 4.90 + 0.93 tax
    ships = [a_shipment("s1", 30, item_1=1), a_shipment("s2", 31, item_1=1), a_shipment("s3", 32, item_1=1)]
    waiting, part, whole = (due(order, others=ships[:n], rule=WMS) for n in (0, 1, 3))
    assert invoices(waiting) == [] and balances(waiting.documents) == {"clearing:bacs:EUR": 1772, "deposits": -1772}
    assert invoices(part) == [("hub-s1", 979)]
    assert invoices(whole) == [("hub-s1", 979), ("hub-s2", 397), ("hub-s3", 396)]
    assert balances(whole.documents) == {
        "clearing:bacs:EUR": 1772,
        "revenue:goods": -999,
        "revenue:shipping": -490,
        "tax:domestic:DE:19": -283,
    }


def test_a_shipment_that_is_told_late_takes_from_what_is_left_and_changes_no_part_before() -> None:
    order, early, late = an_order(*THREE), a_shipment("a", 30, item_1=1), a_shipment("b", 31, item_1=2)
    first = invoices(due(order, others=[late], rule=WMS))
    both = invoices(due(order, others=[late, early], rule=WMS))
    assert dict(first) == {"hub-b": 793} and dict(both) == {"hub-b": 793, "hub-a": 396}
    assert sum(amount for _, amount in invoices(due(order, others=[early, late], rule=WMS))) == 1189


def test_without_a_wms_what_the_store_completed_is_shipped() -> None:
    order = an_order(*THREE)
    done = {**order, "status": "completed", "date_completed_gmt": "2026-11-24T08:00:00"}
    rule = {"invoice_on": "shipment"}
    assert invoices(due(order, rule=rule)) == []
    assert invoices(due(order, done, rule=rule)) == [("completed", 1189)]


def test_digital_goods_ship_when_they_are_paid() -> None:
    items = [a_row(match={"sku": "SONG"}, **{"class": "media", "digital": True})]
    order = an_order(a_line("SONG", 1, "9.90"), a_line("MUG", 1, "10.00"))
    result = due(order, rule=WMS, items=items)
    assert invoices(result) == [("digital", 1178)]
    assert [line["quantity"] for line in of_kind(result, "fulfilment")[0].body["lines"]] == ["1", "1"]


def test_an_order_without_goods_is_invoiced_at_once() -> None:
    assert invoices(due(an_order(a_shipping("4.90")), rule=WMS)) == [("acceptance", 583)]


@pytest.mark.parametrize(
    ("shipment", "said"),
    [
        (a_shipment("s1", 30, item_1=4), "ships 4 of line item:1, and 3 was left"),
        (a_shipment("s1", 30, item_7=1), "ships 1 of line item:7, which isn't in the order"),
    ],
)
def test_more_shipped_than_ordered_is_a_case_and_the_rest_goes_on(shipment: Any, said: str) -> None:
    result = due(an_order(*THREE), others=[shipment, a_shipment("s2", 31, item_1=1)], rule=WMS)
    assert {case.category for case in result.cases} == {"data"} and said in result.cases[0].cause
    assert of_kind(result, "sales_order") and of_kind(result, "payment")


def test_a_short_pick_that_nobody_refunds_is_a_case() -> None:
    short = a_fact("wms", "short_pick", "p1", 29, warehouse="BER", lines=[{"line": "item:1", "quantity": "1"}])
    others = [short, a_shipment("s1", 30, item_1=2)]
    order = an_order(*THREE)
    result = due(order, others=others, rule=WMS)
    assert category(result) == "refund" and "1 of line item:1 could not be picked" in result.cases[0].cause
    refund = refund_of(order, {1: 1})
    assert due(order, (an_order(*THREE, refunds=[refund]), [refund]), others=others, rule=WMS).cases == ()


# Refunds before and after shipment.


def test_what_is_refunded_before_it_ships_is_cancelled_and_never_invoiced() -> None:
    order = an_order(*THREE)
    refund = refund_of(order, {1: 1})
    refunded = (an_order(*THREE, refunds=[refund]), [refund])
    result = due(order, refunded, others=[a_shipment("s1", 30, item_1=2)], rule=WMS)
    assert sums_by_kind(of_kind(result, "cancellation", "erp")) == {"cancellation": 396}
    assert of_kind(result, "credit_note") == [] and invoices(result) == [("hub-s1", 793)]
    assert [line["quantity"] for line in of_kind(result, "fulfilment")[0].body["lines"]] == ["2"]
    assert balances(result.documents) == {
        "clearing:bacs:EUR": 793,
        "revenue:goods": -666,
        "tax:domestic:DE:19": -127,
    }


def test_what_is_refunded_once_all_is_shipped_is_credited_on_the_newest_shipment() -> None:
    order = an_order(*THREE)
    refund = refund_of(order, {1: 2}, created=START + timedelta(hours=40))
    ships = [a_shipment("s1", 30, item_1=2), a_shipment("s2", 31, item_1=1)]
    result = due(order, (an_order(*THREE, refunds=[refund]), [refund]), others=ships, rule=WMS)
    notes = {note.slot.rsplit("/", 1)[1]: note for note in of_kind(result, "credit_note")}
    assert {name: note.amount_minor for name, note in notes.items()} == {"5001-hub-s2": 396, "5001-hub-s1": 397}
    assert notes["5001-hub-s2"].body["invoice"] == "eu1/1001/invoice/hub-s2"
    assert [document.party for document in of_kind(result, "return")] == ["wms"]


def test_a_receipt_says_that_what_came_back_had_left() -> None:
    order = an_order(*THREE)
    refund = refund_of(order, {1: 1}, created=START + timedelta(hours=40))
    refunded = (an_order(*THREE, refunds=[refund]), [refund])
    ships = a_shipment("s1", 30, item_1=2)
    before = due(order, refunded, others=[ships], rule=WMS)
    assert of_kind(before, "credit_note") == [] and len(of_kind(before, "cancellation", "erp")) == 1
    after = due(order, refunded, others=[ships, a_receipt("r1", 50, 5001, item_1=1)], rule=WMS)
    assert sums_by_kind(of_kind(after, "credit_note")) == {"credit_note": 396}
    assert [(each.party, each.body["received"]) for each in of_kind(after, "return")] == [("wms", False), ("erp", True)]


def test_a_price_reduction_before_the_invoice_reduces_it_and_after_it_is_credited() -> None:
    order, ships = an_order(*THREE), [a_shipment("s1", 30, item_1=3)]
    early, late = (
        a_refund("2.38", created=START + timedelta(hours=2)),
        a_refund("2.38", created=START + timedelta(hours=40)),
    )
    before = due(order, (an_order(*THREE, refunds=[early]), [early]), others=ships, rule=WMS)
    after = due(order, (an_order(*THREE, refunds=[late]), [late]), others=ships, rule=WMS)
    assert invoices(before) == [("hub-s1", 951)] and of_kind(before, "credit_note") == []
    assert invoices(after) == [("hub-s1", 1189)] and sums_by_kind(of_kind(after, "credit_note")) == {"credit_note": 238}
    assert balances(after.documents)["allowances"] == 200


def test_a_price_reduction_is_off_what_earlier_refunds_leave_though_their_goods_leave_later() -> None:
    order = an_order(*THREE, a_shipping("4.90"))
    goods = refund_of(order, {1: 3}, created=START + timedelta(hours=2))
    some = a_refund("2.38", id=5002, created=START + timedelta(hours=3))
    refunded = (an_order(*THREE, a_shipping("4.90"), refunds=[goods, some]), [goods, some])
    result = due(order, refunded, others=[a_shipment("s1", 30, item_1=3)], rule=WMS)
    assert result.cases == ()
    assert invoices(result) == [("hub-s1", 1189 + 583 - 238)]
    assert sums_by_kind(of_kind(result, "credit_note")) == {"credit_note": 1189}


def test_what_is_withheld_of_goods_that_never_left_is_invoiced_as_a_rest() -> None:
    order = an_order(*THREE)
    refund = a_refund("7.92", a_refunded_line(1, "6.66", {1: "1.26"}, 3))
    result = due(order, (an_order(*THREE, refunds=[refund]), [refund]), rule=WMS)
    assert invoices(result) == [("rest", 397)] and balances(result.documents)["revenue:goods"] == -333


@pytest.mark.parametrize("back", [(), (a_receipt("r1", 90, None, item_1=1),)], ids=["gone", "one came back"])
def test_goods_that_leave_after_a_refund_and_a_cancellation_change_neither(back: Any) -> None:
    """The refund was of goods that were still there, so it is no credit of what was invoiced."""
    order = an_order(*THREE)
    refund = refund_of(order, {1: 1}, created=START + timedelta(hours=2))
    cancelled = an_order(*THREE, status="cancelled", modified=START + timedelta(hours=10), refunds=[refund])
    result = due(order, (cancelled, [refund]), others=[a_shipment("s1", 30, item_1=3), *back], rule=WMS)
    assert {case.category for case in result.cases} == {"conflict"}
    assert sums_by_kind(of_kind(result, "cancellation", "erp")) == {"cancellation": 1189}
    assert of_kind(result, "credit_note") == []
    assert balances(result.documents)["refunds_owed"] == -793


def test_what_is_paid_back_after_a_cancellation_takes_nothing_back_twice() -> None:
    order = an_order(*THREE)
    cancelled = an_order(*THREE, status="cancelled", modified=START + timedelta(hours=10))
    refund = refund_of(order, {1: 1}, created=START + timedelta(hours=20))
    refunded = an_order(*THREE, status="cancelled", modified=START + timedelta(hours=20), refunds=[refund])
    result = due(order, cancelled, (refunded, [refund]), rule=WMS)
    assert result.cases == ()
    assert sums_by_kind(of_kind(result, "cancellation", "erp")) == {"cancellation": 1189}
    assert balances(result.documents) == {"clearing:bacs:EUR": 793, "refunds_owed": -793}


def test_a_cancelled_order_keeps_nothing_of_what_shipped_or_not() -> None:
    order = an_order(*THREE)
    cancelled = an_order(*THREE, status="cancelled", modified=START + timedelta(hours=40))
    result = due(order, cancelled, others=[a_shipment("s1", 30, item_1=1)], rule=WMS)
    assert result.reading == "cancelled"
    assert sums_by_kind(of_kind(result, "cancellation", "erp")) == {"cancellation": 793}
    assert sums_by_kind(of_kind(result, "credit_note")) == {"credit_note": 396}
    assert balances(result.documents)["refunds_owed"] == -1189


def test_after_release_the_wms_is_asked_and_its_refusal_is_a_case() -> None:
    order = an_order(*THREE)
    refund = refund_of(order, {1: 1}, created=START + timedelta(hours=20))
    released = a_fact("wms", "released", "l1", 10, warehouse="BER", lines=[{"line": "item:1", "quantity": "3"}])
    refunded = (an_order(*THREE, refunds=[refund]), [refund])
    asked = due(order, refunded, others=[released], rule=WMS)
    assert [each.slot for each in of_kind(asked, "cancellation", "wms")] == ["eu1/1001/cancellation/wms-5001"]
    assert [line["quantity"] for line in of_kind(asked, "fulfilment")[0].body["lines"]] == ["3"]
    key = "eu1/1001/cancellation/wms-5001/r1"
    refused = a_fact("wms", "cancellation_refused", "x1", 21, of=key, reason="on the van")
    result = due(order, refunded, others=[released, refused], rule=WMS)
    assert category(result) == "conflict" and "on the van" in result.cases[0].cause


# Money: claims, captures, refunds, fees, disputes.


def test_the_gateways_capture_and_the_stores_claim_are_one_payment() -> None:
    order = an_order(payment_method="bacs")
    claimed, confirmed = due(order), due(order, others=[a_capture("c1", 0, 1190, "ch_1", "bacs")])
    assert [each.content_hash for each in of_kind(claimed, "payment")] == [
        each.content_hash for each in of_kind(confirmed, "payment")
    ]


def test_where_claim_and_capture_differ_the_gateway_wins_and_a_case_says_so() -> None:
    result = due(an_order(), others=[a_capture("c1", 0, 1000)])
    assert sums_by_kind(of_kind(result, "payment")) == {"payment": 1000}
    assert category(result) == "refund" and balances(result.documents)["receivable"] == 190


def test_money_for_an_order_that_nobody_told_of_is_posted_at_once_and_anew_when_it_comes() -> None:
    alone = due(others=[a_capture("c1", 0, 1190)])
    assert (alone.reading, balances(alone.documents)) == (
        "waiting",
        {"clearing:stripe:EUR": 1190, "unapplied:stripe": -1190},
    )
    with_order = due(an_order(), others=[a_capture("c1", 0, 1190)])
    assert "unapplied:stripe" not in balances(with_order.documents)


def test_two_captures_and_one_that_failed() -> None:
    captures = [
        a_capture("c1", 0, 500, "ch_1"),
        a_capture("c2", 1, 690, "ch_2"),
        a_capture("c3", 1, 690, "ch_3"),
        a_fact("gateway", "failed", "f1", 2, of="c3", transaction="ch_3", reason="no funds"),
    ]
    result = due(an_order(transaction_id="ch_2", paid=None, status="processing"), others=captures)
    assert [each.amount_minor for each in of_kind(result, "payment")] == [500, 690, 690, -690]
    assert balances(result.documents) == {
        "clearing:stripe:EUR": 1190,
        "revenue:goods": -1000,
        "tax:domestic:DE:19": -190,
    }


def test_a_test_payment_never_posts() -> None:
    assert due(others=[a_capture("c1", 0, 1190, test=True)]).documents == ()


def test_the_gateways_refund_takes_the_place_of_the_claim() -> None:
    order = an_order()
    refund = refund_of(order, {1: 1}, created=START + timedelta(hours=20))
    refunded = (an_order(refunds=[refund]), [refund])
    owed = due(order, refunded, others=[a_capture("c1", 0, 1190)])
    assert balances(owed.documents)["refunds_owed"] == -1190
    paid = due(order, refunded, others=[a_capture("c1", 0, 1190), paid_back("b1", 21, 1190, 5001)])
    assert sums_by_kind(of_kind(paid, "refund_payment")) == {"refund_payment": 1190}
    assert "refunds_owed" not in balances(paid.documents)
    failed = a_fact("gateway", "failed", "f1", 30, of="b1", transaction="ch_1", reason="account closed")
    again = due(order, refunded, others=[a_capture("c1", 0, 1190), paid_back("b1", 21, 1190, 5001), failed])
    assert balances(again.documents)["refunds_owed"] == -1190


def test_a_refund_made_only_at_the_gateway_is_posted_and_names_what_is_missing() -> None:
    result = due(an_order(), others=[a_capture("c1", 0, 1190), paid_back("b1", 21, 500)])
    assert category(result) == "refund" and sums_by_kind(of_kind(result, "refund_payment")) == {"refund_payment": 500}
    assert balances(result.documents)["receivable"] == 500


def test_a_fee_is_booked_on_its_own_date() -> None:
    fee = a_fact("gateway", "fee", "e1", 50, transaction="ch_1", amount_minor=47, currency="EUR")
    result = due(an_order(), others=[a_capture("c1", 0, 1190), fee])
    assert [(each.day.isoformat(), each.amount_minor) for each in of_kind(result, "fee")] == [("2026-11-25", 47)]
    assert balances(result.documents)["gateway_fees"] == 47


def a_dispute(state: str, hours: float) -> Any:
    body = {"withdrawn_minor": 1190, "currency": "EUR", "answer_by": "2026-12-05T00:00:00Z"}
    return a_fact("gateway", "dispute", f"d-{state}", hours, dispute="du_1", transaction="ch_1", state=state, **body)


def test_a_dispute_is_withdrawn_then_won_or_lost() -> None:
    paid = [a_capture("c1", 0, 1190)]
    inquiry = due(an_order(), others=[*paid, a_dispute("inquiry", 30)])
    assert of_kind(inquiry, "dispute") == [] and "until 2026-12-05" in inquiry.cases[0].cause
    opened = due(an_order(), others=[*paid, a_dispute("opened", 30)])
    assert balances(opened.documents)["disputed"] == 1190 and category(opened) == "conflict"
    won = due(an_order(), others=[*paid, a_dispute("opened", 30), a_dispute("won", 60)])
    assert won.cases == () and "disputed" not in balances(won.documents)
    lost = due(an_order(), others=[*paid, a_dispute("opened", 30), a_dispute("lost", 60)])
    assert balances(lost.documents)["dispute_losses"] == 1190


def test_a_dispute_lost_before_the_invoice_takes_the_deposit() -> None:
    others = [a_capture("c1", 0, 1190), a_dispute("opened", 30), a_dispute("lost", 60)]
    assert balances(due(an_order(), others=others, rule=WMS).documents) == {}


def test_goods_are_held_while_money_is_not_secured_or_is_disputed() -> None:
    unpaid = an_order(paid=None, status="on-hold", payment_method="cod")
    trusted = [a_row(match={"method": "cod"}, gateway="cod", accept_unpaid=True)]
    assert len(of_kind(due(unpaid, rule=WMS, payment_methods=trusted), "fulfilment")) == 1
    authorised = a_fact(
        "gateway",
        "authorised",
        "a1",
        0,
        transaction="au_1",
        amount_minor=1190,
        currency="EUR",
        expires_at="2026-12-30T00:00:00Z",
        method="stripe",
    )
    open_order = an_order(paid=None, status="processing")
    assert of_kind(due(open_order, rule=WMS), "fulfilment") == []
    assert len(of_kind(due(open_order, rule=WMS, others=[authorised]), "fulfilment")) == 1
    disputed = [a_capture("c1", 0, 1190), a_dispute("inquiry", 1)]
    assert of_kind(due(an_order(), rule=WMS, others=disputed), "fulfilment") == []


def test_what_was_authorised_is_captured_as_it_ships() -> None:
    authorised = a_fact(
        "gateway",
        "authorised",
        "a1",
        0,
        transaction="au_1",
        amount_minor=1189,
        currency="EUR",
        expires_at=None,
        method="x",
    )
    others = [authorised, a_shipment("s1", 30, item_1=1), a_shipment("s2", 31, item_1=2)]
    result = due(
        an_order(*THREE, paid=None, status="processing"), others=others, rule={**WMS, "capture_on": "shipment"}
    )
    assert [(each.party, each.amount_minor) for each in of_kind(result, "capture")] == [
        ("gateway", 396),
        ("gateway", 793),
    ]


def test_a_store_that_calls_an_authorisation_paid_claims_no_payment() -> None:
    """Whatever was captured of it has a transaction of its own; both together would be twice the money."""
    held = {"transaction": "au_1", "amount_minor": 1190, "currency": "EUR", "expires_at": None, "method": "x"}
    authorised = a_fact("gateway", "authorised", "a1", 0, **held)
    paid = an_order(transaction_id="au_1")
    assert of_kind(due(paid, others=[authorised]), "payment") == []
    own = {"transaction": "ch_1", "authorisation": "au_1", "amount_minor": 1190, "currency": "EUR", "method": "x"}
    captured = a_fact("gateway", "captured", "c1", 30, **own)
    for others in ([authorised, captured], [captured]):
        result = due(paid, others=others)
        assert result.cases == () and "deposits" not in balances(result.documents)
        assert [(one.slot, one.amount_minor) for one in of_kind(result, "payment")] == [("eu1/1001/payment/ch_1", 1190)]


def test_goods_that_leave_an_order_cancelled_before_earn_nothing() -> None:
    rule = {"wms": "hub", "invoice_on": "acceptance", "revenue_on": "shipment"}
    result = due(an_order(), an_order(status="cancelled"), others=[a_shipment("s1", 30, item_1=1)], rule=rule)
    assert of_kind(result, "transfer") == []
    assert category(result) == "conflict" and "left after the order was cancelled" in result.cases[0].cause
    assert balances(result.documents) == {"clearing:bacs:EUR": 1190, "refunds_owed": -1190}


# Tax, store.


def test_the_tax_services_quote_is_awaited_compared_and_committed() -> None:
    rule = {"tax": "rates", "tax_tolerance_minor": 1}
    asked = due(an_order(), rule=rule)
    assert asked.reading == "waiting" and of_kind(asked, "sales_order") == []
    assert balances(asked.documents) == {"clearing:bacs:EUR": 1190, "deposits": -1190}

    def quote(tax_minor: int) -> Any:
        key = "eu1/1001/tax_quote/order/r1"
        return a_fact("tax", "tax_quoted", f"q{tax_minor}", 1, of=key, tax_minor=tax_minor, currency="EUR", rates=[])

    right = due(an_order(), rule=rule, others=[quote(191)])
    assert right.cases == () and [each.after for each in of_kind(right, "tax_commit")] == [
        ("eu1/1001/invoice/acceptance",)
    ]
    wrong = due(an_order(), rule=rule, others=[quote(150)])
    assert category(wrong) == "tax" and of_kind(wrong, "invoice") == []


def test_the_store_hears_of_each_shipment_and_of_the_end() -> None:
    rule = {**WMS, "store_update": True}
    ships = [a_shipment("s1", 30, item_1=1), a_shipment("s2", 31, item_1=2)]
    part, whole = (due(an_order(*THREE), others=ships[:n], rule=rule) for n in (1, 2))
    told = [(each.slot.rsplit("/", 1)[1], each.body["status"]) for each in of_kind(whole, "store_update")]
    assert told == [("completed", "completed"), ("hub-s1", None), ("hub-s2", None)]
    first = of_kind(part, "store_update")
    assert len(first) == 1 and first[0].body["note"] == "Shipped from BER by DHL, tracking 00s1."


# Finance by rule.


def test_revenue_later_than_the_invoice_is_earned_with_each_shipment() -> None:
    rule = {"wms": "hub", "revenue_on": "shipment"}
    order, ships = an_order(*THREE), [a_shipment("s1", 30, item_1=1), a_shipment("s2", 31, item_1=2)]
    none, one, all_of_it = (due(order, others=ships[:n], rule=rule) for n in (0, 1, 2))
    assert balances(none.documents)["unearned"] == -999 and "revenue:goods" not in balances(none.documents)
    assert (balances(one.documents)["unearned"], balances(one.documents)["revenue:goods"]) == (-666, -333)
    assert "unearned" not in balances(all_of_it.documents) and balances(all_of_it.documents)["revenue:goods"] == -999


@pytest.mark.parametrize(
    "rule",
    [{}, {"wms": "hub", "invoice_on": "shipment"}, {"wms": "hub", "revenue_on": "shipment"}],
    ids=["at acceptance", "in parts", "earned later"],
)
def test_discounts_shown_gross_are_revenue_and_a_discount_to_the_same_sum(rule: dict[str, Any]) -> None:
    order = an_order(*THREE, coupon="1.00")  # 9.99 less 1.00, and 1.71 of tax
    ships = [a_shipment("s1", 30, item_1=1), a_shipment("s2", 31, item_1=2)] if rule else []
    gross, net = due(order, others=ships, rule={**rule, "discounts": "gross"}), due(order, others=ships, rule=rule)
    shown = balances(gross.documents)
    assert (shown.pop("revenue:goods"), shown.pop("discounts")) == (-999, 100)
    assert balances(net.documents) == {**shown, "revenue:goods": -899}
    assert sums_by_kind(of_kind(gross, "invoice")) == sums_by_kind(of_kind(net, "invoice"))


def test_a_refund_before_its_invoice_shows_no_discount_of_what_never_left() -> None:
    order = an_order(*THREE, coupon="1.00")
    refund = refund_of(order, {1: 1})
    refunded = (an_order(*THREE, coupon="1.00", refunds=[refund]), [refund])
    result = due(order, refunded, others=[a_shipment("s1", 30, item_1=2)], rule={**WMS, "discounts": "gross"})
    assert balances(result.documents)["discounts"] == 67


def test_what_is_refunded_before_it_is_earned_takes_no_revenue_back() -> None:
    order = an_order(*THREE)
    refund = refund_of(order, {1: 1})
    refunded = (an_order(*THREE, refunds=[refund]), [refund])
    rule = {"wms": "hub", "revenue_on": "shipment"}
    result = due(order, refunded, others=[a_shipment("s1", 30, item_1=2)], rule=rule)
    assert "returns:goods" not in balances(result.documents)
    assert balances(result.documents)["revenue:goods"] == -666 and "unearned" not in balances(result.documents)


def test_tax_on_a_prepayment_is_due_when_it_is_received_and_undone_by_the_invoice() -> None:
    rule = {**WMS, "tax_on_deposits": True}
    order = an_order(*THREE)
    before = due(order, rule=rule)
    assert balances(before.documents) == {
        "clearing:bacs:EUR": 1189,
        "deposits": -1189,
        "tax_on_deposits": 190,
        "tax:domestic:DE:19": -190,
    }
    part = due(order, others=[a_shipment("s1", 30, item_1=1)], rule=rule)
    assert balances(part.documents)["tax:domestic:DE:19"] == -189  # 63 invoiced, 126 inside what is left on deposit
    whole = due(order, others=[a_shipment("s1", 30, item_1=3)], rule=rule)
    assert (
        "tax_on_deposits" not in balances(whole.documents) and balances(whole.documents)["tax:domestic:DE:19"] == -190
    )


def test_a_shortfall_within_the_rules_bound_counts_as_paid() -> None:
    paid = [a_capture("c1", 0, 1180)]
    order = an_order(paid=None, status="processing")
    assert balances(due(order, others=paid, rule={"shortfall_minor": "9"}).documents)["receivable"] == 10
    within = due(order, others=paid, rule={"shortfall_minor": "10"})
    assert balances(within.documents)["payment_differences"] == 10 and "receivable" not in balances(within.documents)
    later = due(order, others=[*paid, a_capture("c2", 9, 10, "ch_2")], rule={"shortfall_minor": "10"})
    assert "payment_differences" not in balances(later.documents)


def test_what_a_rule_calls_damages_takes_no_revenue_and_no_tax_back() -> None:
    reasons = [a_row(match={"reason": "Damaged*"}, reads_as="goodwill")]
    refund = {**a_refund("2.00"), "reason": "Damaged on the way"}
    result = due(an_order(), (an_order(refunds=[refund]), [refund]), reasons=reasons)
    assert balances(result.documents)["goodwill"] == 200
    assert balances(result.documents)["tax:domestic:DE:19"] == -190 and "allowances" not in balances(result.documents)
    rest = {**a_refund("9.90", id=5002, created=START + timedelta(hours=5)), "reason": ""}
    both = (an_order(refunds=[refund, rest]), [refund, rest])
    assert "receivable" not in balances(due(an_order(), both, reasons=reasons).documents)


def test_a_gift_card_that_is_sold_is_owed_and_is_no_revenue() -> None:
    items = [a_row(match={"sku": "CARD*"}, **{"class": "gift_cards", "exempt": True, "digital": True})]
    order = an_order(a_line("CARD-50", 1, "50.00", "none"), a_line("MUG", 1, "10.00"))
    result = due(order, items=items)
    assert balances(result.documents) == {
        "clearing:bacs:EUR": 6190,
        "gift_cards": -5000,
        "revenue:goods": -1000,
        "tax:domestic:DE:19": -190,
    }


SPLIT = an_order(
    a_line("TEA", 1, "11.18", "reduced"),
    a_line("MUG", 1, "18.50"),
    a_line("LAMP", 1, "80.30"),
    a_shipping("5.90"),
    shop=Shop(round_at_subtotal=True),
)


@pytest.mark.parametrize("shipped_first", [False, True])
def test_a_refund_of_the_tax_that_the_store_shows_takes_its_last_cent_of_another_line(shipped_first: bool) -> None:
    """20.67 was charged, the lines show 20.68: the mug's 3.52 became 3.51, and 3.52 is what the store refunds."""
    refund = refund_of(SPLIT, {2: 1}, created=START + timedelta(hours=50 if shipped_first else 2))
    after = {**SPLIT, "refunds": [{"id": 5001, "reason": "", "total": "-22.02"}]}
    others = [
        a_shipment("s1", 30, item_3=1),
        a_shipment("s2", 40, item_1=1, **({"item_2": 1} if shipped_first else {})),
    ]
    result = due(SPLIT, (after, [refund]), others=others, rule=WMS)
    assert (SPLIT["total_tax"], result.cases) == ("20.67", ())
    balance = balances(result.documents)
    assert -sum(balance[role] for role in balance if role.startswith(("revenue", "returns", "tax"))) == 13655 - 2202
    assert balance["tax:domestic:DE:19"] == -(1989 - 352)


def test_a_gateways_refund_of_nothing_is_no_payment() -> None:
    result = due(an_order(), others=[a_capture("c1", 0, 1190), paid_back("b1", 3, 0)])
    assert (of_kind(result, "refund_payment"), result.cases) == ([], ())
