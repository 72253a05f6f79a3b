"""What each event posts, on figures that a person can check by eye: life, money, tenders, refunds, cancellation."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from builders import (
    ENTITY,
    GONE,
    NOW,
    START,
    a_fee,
    a_line,
    a_refund,
    a_refunded_line,
    a_row,
    a_shipping,
    an_order,
    balances,
    facts_of,
    refund_of,
    summary_of,
    sums_by_kind,
    the_rules,
)
from counterfoil_engine.domain.documents import Document, Dues
from counterfoil_engine.domain.dues import dues
from counterfoil_engine.domain.rules import Entity


def due(*snapshots: Any, proven: Any = True, **rules: Any) -> Dues:
    return dues(facts_of(*snapshots, proven=proven), the_rules(**rules), NOW)


def of_kind(result: Dues, kind: str) -> list[Document]:
    return [document for document in result.documents if document.kind == kind]


def category(result: Dues) -> str:
    assert result.reading == "parked" and len(result.cases) == 1, (result.reading, result.cases)
    assert result.cases[0].cause.endswith((".", ")", "%)")) and result.cases[0].remedy.endswith(".")
    return result.cases[0].category


# A life from the basket to the invoice.


def test_a_paid_order_is_sold_paid_invoiced_and_settled() -> None:
    result = due(an_order(a_line("MUG", 2, "10.00"), a_shipping("4.90")))
    assert result.reading == "posted"
    assert sums_by_kind(result.documents) == {
        "sales_order": 2963,
        "payment": 2963,
        "invoice": 2963,
        "application": 2963,
    }
    assert balances(result.documents) == {
        "clearing:bacs:EUR": 2963,
        "revenue:goods": -2000,
        "revenue:shipping": -490,
        "tax:domestic:DE:19": -473,
    }
    assert {proof.name for proof in result.proofs} == {
        "header",
        "lines_net",
        "tax_split",
        "captured",
        "refunded",
        "documents",
        "standing",
        "journal",
    }


def test_documents_wait_for_what_they_rest_on() -> None:
    documents = {document.kind: document for document in due(an_order()).documents}
    assert documents["customer"].after == ()
    assert documents["sales_order"].after == (documents["customer"].slot,)
    assert documents["invoice"].after == (documents["sales_order"].slot,)
    assert documents["payment"].after == ()
    assert documents["application"].after == (documents["invoice"].slot,)
    assert documents["customer"].subject == "customer DE01/eu1-guest-DE"


def test_a_slot_names_store_order_kind_and_natural_id() -> None:
    slots = [document.slot for document in due(an_order()).documents]
    assert sorted(slots) == [
        "DE01/-/customer/eu1-guest-DE",
        "eu1/1001/application/invoice/acceptance",
        "eu1/1001/invoice/acceptance",
        "eu1/1001/payment/ch_1",
        "eu1/1001/sales_order/order",
    ]


def test_the_order_number_is_shown_and_the_id_is_the_key() -> None:
    for number, shown in (("DE-2026-7", "DE-2026-7"), (70001, "70001"), ("", "1001"), (None, "1001")):
        sales_order = of_kind(due(an_order(number=number)), "sales_order")[0]
        assert (sales_order.number, sales_order.slot) == (shown, "eu1/1001/sales_order/order")


@pytest.mark.parametrize("status", ["pending", "failed", "cancelled", "refunded", "trash", "draft", "checkout-draft"])
def test_what_was_never_accepted_and_holds_no_money_is_filtered_with_a_reason(status: str) -> None:
    result = due(an_order(status=status, paid=None))
    assert (result.reading, result.documents, result.cases) == ("filtered", (), ())
    assert result.reason.startswith("Nothing is due: it")


def test_an_unpaid_order_on_hold_waits_unless_the_rules_trust_its_method() -> None:
    order = an_order(status="on-hold", paid=None)
    assert (due(order).reading, due(order).documents) == ("waiting", ())
    trusting = [a_row(match={"method": "bacs", "store": "eu1"}, gateway="bacs", accept_unpaid=True)]
    result = due(order, payment_methods=trusting)
    assert result.reading == "posted"
    assert balances(result.documents) == {"receivable": 1190, "revenue:goods": -1000, "tax:domestic:DE:19": -190}


def test_an_accepted_order_stays_accepted_when_its_status_goes_back() -> None:
    assert due(an_order(), an_order(status="on-hold")).reading == "posted"
    assert due(an_order(), an_order(status="pending", paid=None)).reading == "posted"


def test_money_for_an_order_that_is_not_accepted_stands_unapplied() -> None:
    result = due(an_order(status="on-hold"))
    assert (result.reading, result.unproven) == ("waiting", True)
    assert balances(result.documents) == {"clearing:bacs:EUR": 1190, "unapplied:bacs": -1190}


def test_when_it_is_accepted_the_unapplied_payment_is_due_otherwise() -> None:
    before = of_kind(due(an_order(status="on-hold")), "payment")[0]
    after = of_kind(due(an_order(status="on-hold"), an_order()), "payment")[0]
    assert (before.slot, before.body["to"], after.body["to"]) == (after.slot, "unapplied", "deposits")
    assert before.content_hash != after.content_hash


def test_an_order_cancelled_with_money_is_accepted_by_its_facts_and_stays_so() -> None:
    cancelled = due(an_order(status="cancelled"))
    assert cancelled.reading == "cancelled"
    assert due(an_order(status="cancelled"), an_order(status="pending")).reading == "posted"
    assert due(an_order(status="cancelled", paid=None), an_order(status="on-hold")).reading == "waiting"


def test_zero_is_no_payment() -> None:
    result = due(an_order(a_line("SAMPLE", 1, "0.00")))
    assert sums_by_kind(result.documents) == {"sales_order": 0, "invoice": 0}


def test_test_mode_never_posts() -> None:
    result = due(an_order(meta_data=[{"id": 1, "key": "_wcpay_mode", "value": "test"}]))
    assert (result.reading, result.documents) == ("filtered", ())


def test_an_unpaid_cash_on_delivery_order_is_receivable_until_the_carrier_pays() -> None:
    unpaid = an_order(payment_method="cod", paid=None)
    result = due(unpaid)
    assert balances(result.documents)["receivable"] == 1190
    paid = due(unpaid, an_order(payment_method="cod", status="completed", transaction_id=""))
    assert of_kind(paid, "payment")[0].slot == "eu1/1001/payment/cod"
    assert balances(paid.documents) == {
        "clearing:cod:EUR": 1190,
        "revenue:goods": -1000,
        "tax:domestic:DE:19": -190,
    }


# Captured against claimed.


def test_a_paid_order_that_is_edited_owes_back_what_was_paid_too_much() -> None:
    paid = an_order(a_line("A", 2, "139.165"), a_line("B", 3, "33.28", "reduced"), a_shipping("4.90"))
    edited = an_order(a_line("A", 1, "139.16"), a_line("B", 3, "33.28", "reduced"), a_shipping("4.90"))
    assert (paid["total"], edited["total"]) == ("443.87", "278.26")
    result = due(paid, edited)
    assert sums_by_kind(result.documents)["payment"] == 44387
    assert balances(result.documents)["refunds_owed"] == -(44387 - 27826)
    assert of_kind(result, "application")[0].body["of"] == "eu1/1001/payment/ch_1"


def test_a_paid_order_that_grows_is_owed_the_rest() -> None:
    result = due(an_order(a_line("A", 1, "10.00")), an_order(a_line("A", 2, "10.00")))
    assert sums_by_kind(result.documents)["payment"] == 1190
    assert balances(result.documents)["receivable"] == 1190


def test_an_edit_to_and_fro_is_due_as_before() -> None:
    a, b = an_order(a_line("A", 1)), an_order(a_line("A", 2))
    hashes = [{d.slot: d.content_hash for d in due(*history).documents} for history in ([a], [a, b], [a, b, a])]
    assert hashes[0] == hashes[2] != hashes[1]


def test_a_claim_rests_on_the_first_snapshot_and_waits_for_the_watermark() -> None:
    result = due(an_order(), proven=False)
    assert result.waits == ("watermark eu1",)
    assert sums_by_kind(result.documents) == {"sales_order": 1190, "invoice": 1190}
    assert balances(result.documents)["receivable"] == 1190
    passed = due(an_order(), an_order(status="completed"), proven=[True, False])
    assert (passed.waits, sums_by_kind(passed.documents)["payment"]) == ((), 1190)


def test_what_was_paid_back_and_gift_cards_wait_with_the_payment_without_a_case() -> None:
    order = an_order(a_line("A", 1, "20.00"), a_fee("Gift card A1", "-5.00", "none"))
    refund = a_refund("5.00", moved_money=True)
    result = due(({**order, "refunds": [summary_of(refund)]}, [refund]), proven=False)
    assert (result.reading, result.waits) == ("posted", ("watermark eu1",))
    assert sums_by_kind(result.documents) == {"sales_order": 2380, "tender": 500, "invoice": 2380, "credit_note": 500}


def test_an_order_paid_in_another_currency_is_a_conflict() -> None:
    result = due(an_order(currency="USD"), an_order())
    assert category(result) == "conflict"
    assert of_kind(result, "payment")[0].currency == "USD"


def test_money_that_was_taken_while_the_total_was_in_doubt_parks_even_after_a_correction() -> None:
    wrong = {**an_order(), "total": "11.91"}
    assert category(due(wrong, an_order())) == "unbalanced"
    assert sums_by_kind(due(wrong, an_order()).documents) == {"payment": 1191}


# Gift cards.


def test_a_gift_card_written_as_a_fee_is_a_tender_and_leaves_invoice_and_tax_whole() -> None:
    order = an_order(a_line("A", 1, "20.00"), a_fee("Gift card A1", "-5.00"))
    assert order["total"] == "17.85"
    result = due(order)
    assert sums_by_kind(result.documents) == {
        "sales_order": 2380,
        "payment": 1785,
        "tender": 595,
        "invoice": 2380,
        "application": 2380,
    }
    assert balances(result.documents) == {
        "clearing:bacs:EUR": 1785,
        "gift_cards": 595,
        "revenue:goods": -2000,
        "tax:domestic:DE:19": -380,
    }


def test_a_full_refund_gives_the_gift_card_back_too() -> None:
    order = an_order(a_line("A", 1, "20.00"), a_fee("Gift card A1", "-5.00"))
    refund = a_refund("17.85")
    result = due(order, ({**order, "status": "refunded", "refunds": [summary_of(refund)]}, [refund]))
    assert sums_by_kind(result.documents) == {
        "sales_order": 2380,
        "payment": 1785,
        "tender": 0,
        "invoice": 2380,
        "credit_note": 2380,
        "refund_payment": 1785,
        "application": 4760,
    }
    assert balances(result.documents) == {"revenue:goods": -2000, "returns:goods": 2000}


def test_a_cancelled_order_gives_the_gift_card_back_and_a_revived_one_uses_it_again() -> None:
    paid = an_order(a_line("A", 1, "20.00"), a_fee("Gift card A1", "-5.00"))
    off = {**paid, "status": "cancelled"}
    cancelled, revived = due(paid, off), due(paid, off, paid)
    assert cancelled.cases == () and balances(cancelled.documents) == {
        "clearing:bacs:EUR": 1785,
        "refunds_owed": -1785,
        "revenue:goods": -2000,
        "returns:goods": 2000,
    }
    assert balances(revived.documents)["gift_cards"] == 595 and "refunds_owed" not in balances(revived.documents)


def test_what_a_gift_card_paid_is_never_paid_back_in_money() -> None:
    unpaid = an_order(a_line("A", 1, "20.00"), a_fee("Gift card A1", "-5.00"), payment_method="cod", paid=None)
    refund = a_refund("17.85")
    closed = {**unpaid, "status": "refunded", "refunds": [summary_of(refund)]}
    for history in ([unpaid, (closed, [refund])], [unpaid, ({**closed, "status": "cancelled"}, [refund])]):
        result = due(*history)
        assert result.cases == ()
        assert "refund_payment" not in sums_by_kind(result.documents)
        assert balances(result.documents) == {"revenue:goods": -2000, "returns:goods": 2000}


def test_a_negative_fee_without_a_rule_parks_with_the_row_to_fill_in() -> None:
    result = due(an_order(a_line("A", 1, "20.00"), a_fee("Voucher", "-5.00")))
    assert category(result) == "missing_mapping"
    assert result.cases[0].rows == (
        {"table": "fees", "store": "eu1", "title": "Voucher", "reads_as": None, "provider": None},
    )


def test_a_negative_fee_that_a_rule_calls_a_discount_lowers_revenue() -> None:
    result = due(an_order(a_line("A", 1, "20.00"), a_fee("Loyalty discount", "-3.00")))
    assert balances(result.documents)["revenue:fees"] == 300
    assert balances(result.documents)["tax:domestic:DE:19"] == -(380 - 57)


# Refunds.


def refunded(order: dict[str, Any], *refunds: dict[str, Any], **changes: Any) -> tuple[dict[str, Any], list[Any]]:
    listed = [summary_of(refund) for refund in reversed(refunds)]
    return {**order, "refunds": listed, **changes}, list(refunds)


def test_a_refund_by_line_credits_that_line_with_its_tax() -> None:
    order = an_order(a_line("A", 4, "5.07"), a_line("B", 2, "8.40", "reduced"))
    result = due(refunded(order, refund_of(order, {1: 1})))
    assert sums_by_kind(result.documents)["credit_note"] == 603
    assert balances(result.documents)["returns:goods"] == 507
    credit = of_kind(result, "credit_note")[0]
    assert [(line["line"], line["quantity"]) for line in credit.body["lines"]] == [("item:1", "1")]


def test_an_amount_only_refund_of_a_part_is_a_price_reduction_over_the_rates() -> None:
    # Open gross 119.00 at 19 % and 107.00 at 7 %: of 22.60, 11.90 (tax 1.90) and 10.70 (tax 0.70).
    order = an_order(a_line("A", 1, "100.00"), a_line("B", 1, "100.00", "reduced"))
    result = due(refunded(order, a_refund("22.60")))
    found = balances(result.documents)
    assert (found["allowances"], found["tax:domestic:DE:19"], found["tax:domestic:DE:7"]) == (2000, -1710, -630)
    assert found["clearing:bacs:EUR"] == 22600 - 2260


def test_an_amount_only_refund_of_one_cent_bears_no_tax() -> None:
    order = an_order(a_line("A", 1, "100.00"), a_line("B", 1, "100.00", "reduced"))
    result = due(refunded(order, a_refund("0.01")))
    assert result.reading == "posted"
    assert balances(result.documents)["allowances"] == 1


def test_a_price_reduction_under_compound_tax_takes_both_taxes() -> None:
    from builders import QUEBEC, Shop

    order = an_order(a_line("A", 1, "100.00"), shop=Shop(QUEBEC), country="CA")
    assert order["total"] == "115.47"  # 100.00 + 5.00 + 10.47 on 105.00
    found = balances(due(refunded(order, a_refund("11.55"))).documents)
    # 11.55 of gross: net 11.55 ÷ 1.1547375 = 10.0023, GST 0.5001, QST 1.0476
    assert (found["allowances"], found["tax:domestic:CA-QC:5"], found["tax:domestic:CA-QC:9.975"]) == (
        1000,
        -450,
        -942,
    )


def test_a_closing_refund_after_a_price_reduction_credits_all_that_is_left() -> None:
    order = an_order(a_line("A", 1, "100.00"), a_line("B", 1, "100.00", "reduced"), a_shipping("4.90"))
    reduction, rest = a_refund("22.60", id=1), a_refund("209.23", id=2)
    assert order["total"] == "231.83"
    result = due(refunded(order, reduction, rest, status="refunded"))
    assert sums_by_kind(result.documents)["credit_note"] == 23183
    found = balances(result.documents)
    assert not any(role.startswith(("tax:", "clearing:", "receivable", "refunds_owed")) for role in found)
    assert found["allowances"] + found["returns:goods"] == 20000 - found.get("revenue:shipping", 0)


def test_a_refund_is_paid_only_as_far_as_it_was_captured_and_is_not_kept() -> None:
    """11.90 was paid for what is 23.80 now; a refund of 15.00 leaves 8.80 to keep, so 3.10 goes back."""
    paid, grown = an_order(a_line("A", 1)), an_order(a_line("A", 2))
    result = due(paid, refunded(grown, a_refund("15.00")))
    assert sums_by_kind(result.documents)["refund_payment"] == 310
    unpaid = due(refunded(an_order(payment_method="cod", paid=None), a_refund("1.00")))
    assert "refund_payment" not in sums_by_kind(unpaid.documents)
    assert balances(unpaid.documents)["receivable"] == 1090


def test_money_that_the_store_moved_itself_stands_in_full_and_is_a_case_where_too_much_is_kept() -> None:
    paid, grown = an_order(a_line("A", 1)), an_order(a_line("A", 2))
    result = due(paid, refunded(grown, a_refund("5.00", moved_money=True)))
    assert category(result) == "refund"


def test_a_deleted_refund_withdraws_its_credit_note_and_its_claim() -> None:
    order = an_order()
    result = due(order, refunded(order, a_refund("5.00")), order)
    assert sums_by_kind(result.documents) == sums_by_kind(due(order).documents)


def test_a_deleted_refund_whose_money_moved_is_a_case_and_stays_paid() -> None:
    order = an_order()
    result = due(order, refunded(order, a_refund("5.00", moved_money=True)), order)
    assert category(result) == "refund"
    assert sums_by_kind(result.documents)["refund_payment"] == 500


def test_a_deleted_refund_that_an_edit_stands_in_for_stays_paid_without_a_case() -> None:
    order, smaller = an_order(a_line("A", 2)), an_order(a_line("A", 1))
    result = due(order, refunded(order, a_refund("11.90", moved_money=True)), smaller)
    assert result.reading == "posted"
    assert sums_by_kind(result.documents)["refund_payment"] == 1190
    assert "credit_note" not in sums_by_kind(result.documents)
    assert balances(result.documents)["clearing:bacs:EUR"] == 1190


def test_a_refund_known_by_its_summary_alone_parks_as_data_and_what_stood_stands() -> None:
    order = an_order()
    listed = {**order, "refunds": [summary_of(a_refund("5.00"))]}
    result = due(order, listed)
    assert category(result) == "data"
    assert result.cases[0].money_minor == 500
    assert sums_by_kind(result.documents) == sums_by_kind(due(order).documents)


def test_a_refund_of_an_order_never_accepted_parks_nothing() -> None:
    order = an_order(status="refunded", paid=None, refunds=[a_refund("11.90")])
    assert due(order).reading == "filtered"


def test_a_refund_whose_lines_do_not_add_up_to_it_is_a_case() -> None:
    order = an_order(a_line("A", 2))
    refund = {**refund_of(order, {1: 1}), "amount": "11.00"}
    assert category(due(refunded(order, refund))) == "refund"


def test_a_refund_with_lines_of_nothing_is_by_amount_only() -> None:
    order = an_order(a_line("A", 2))
    refund = a_refund("5.00", a_refunded_line(1, "0.00", {1: "0.00"}))
    assert balances(due(refunded(order, refund)).documents)["allowances"] > 0


def test_refunds_never_credit_more_at_a_rate_than_was_invoiced() -> None:
    order = an_order(a_line("A", 1, "100.00"), a_line("B", 1, "100.00", "reduced"))
    refund = a_refund("50.00", a_refunded_line(1, "25.00", {1: "25.00"}))
    assert category(due(refunded(order, refund))) == "refund"


def test_a_status_set_to_refunded_by_hand_credits_all_and_set_back_leaves_the_refund_standing() -> None:
    order = an_order(a_line("A", 2))
    refund = a_refund("23.80")
    by_hand = refunded(order, refund, status="refunded")
    for history in ([order, by_hand], [order, by_hand, refunded(order, refund, status="processing")]):
        result = due(*history)
        assert result.reading == "posted"
        assert sums_by_kind(result.documents)["credit_note"] == 2380
        assert sums_by_kind(result.documents)["refund_payment"] == 2380


# Cancelled, revived, trashed, gone.


def test_a_cancelled_order_stands_with_a_cancellation_and_a_credit_note_against_it() -> None:
    result = due(an_order(), an_order(status="cancelled"))
    assert result.reading == "cancelled"
    assert sums_by_kind(result.documents) == {
        "sales_order": 1190,
        "payment": 1190,
        "invoice": 1190,
        "cancellation": 1190,
        "credit_note": 1190,
        "application": 2380,
    }
    assert balances(result.documents) == {
        "clearing:bacs:EUR": 1190,
        "refunds_owed": -1190,
        "revenue:goods": -1000,
        "returns:goods": 1000,
    }


def test_a_revived_order_is_due_as_if_it_had_never_been_cancelled() -> None:
    revived = due(an_order(), an_order(status="cancelled"), an_order())
    assert {d.content_hash for d in revived.documents} == {d.content_hash for d in due(an_order()).documents}


def test_a_refund_after_the_cancellation_pays_back_what_is_owed() -> None:
    cancelled = an_order(status="cancelled")
    result = due(an_order(), cancelled, refunded(cancelled, a_refund("11.90")))
    assert sums_by_kind(result.documents)["refund_payment"] == 1190
    assert sums_by_kind(result.documents)["credit_note"] == sums_by_kind(result.documents)["invoice"]
    assert balances(result.documents) == {"revenue:goods": -1000, "returns:goods": 1000}


def test_a_cancellation_bears_the_date_of_the_cancelling_also_once_it_is_thrown_away() -> None:
    cancelled = an_order(
        status="cancelled", payment_method="cod", paid=None, modified=datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
    )
    accepted = {**cancelled, "status": "processing", "date_created_gmt": "2026-11-01T09:00:00"}
    cancelled = {**cancelled, "date_created_gmt": "2026-11-01T09:00:00"}
    trashed = {**cancelled, "status": "trash", "date_modified_gmt": "2026-11-22T12:00:00"}
    for history in ([accepted, cancelled], [accepted, cancelled, trashed]):
        assert of_kind(due(*history), "cancellation")[0].day == date(2026, 11, 20)


@pytest.mark.parametrize("end", ["trash", "gone"])
def test_what_is_thrown_away_with_money_held_is_a_conflict_and_its_documents_stand(end: str) -> None:
    order = an_order()
    result = due(order, GONE if end == "gone" else {**order, "status": "trash"})
    assert category(result) == "conflict"
    assert "11.90 EUR" in result.cases[0].cause
    assert sums_by_kind(result.documents) == sums_by_kind(due(order).documents)


@pytest.mark.parametrize("end", ["trash", "gone"])
def test_what_is_thrown_away_without_money_is_cancelled(end: str) -> None:
    unpaid = an_order(payment_method="cod", paid=None)
    result = due(unpaid, GONE if end == "gone" else {**unpaid, "status": "trash"})
    assert result.reading == "cancelled"
    assert sums_by_kind(result.documents)["credit_note"] == sums_by_kind(result.documents)["invoice"]


@pytest.mark.parametrize("end", ["trash", "gone"])
def test_what_is_thrown_away_after_all_was_paid_back_holds_no_money(end: str) -> None:
    order = an_order()
    body = refunded(order, a_refund("11.90"), status="refunded")
    result = due(order, body, GONE if end == "gone" else refunded(order, a_refund("11.90"), status="trash"))
    assert (result.reading, result.cases) == ("cancelled", ())
    found = sums_by_kind(result.documents)
    assert (found["invoice"], found["credit_note"], found["refund_payment"]) == (1190, 1190, 1190)


def test_what_is_thrown_away_with_a_gift_card_in_it_is_a_conflict() -> None:
    order = an_order(a_line("A", 1), a_fee("Gift card A1", "-10.00"))
    assert order["total"] == "0.00"
    assert category(due(order, {**order, "status": "trash"})) == "conflict"


def test_an_order_back_from_the_trash_goes_on() -> None:
    order = an_order()
    assert due(order, {**order, "status": "trash"}, order).reading == "posted"


def test_an_order_deleted_after_it_could_not_be_read_is_still_a_case() -> None:
    order = an_order()
    unreadable = {**order, "total": "eleven"}
    for history in ([order, unreadable, GONE], [unreadable, GONE]):
        assert category(due(*history)) == "data"
    assert sums_by_kind(due(order, unreadable, GONE).documents)["payment"] == 1190


def test_another_order_under_the_same_id_is_a_conflict_and_reverses_nothing() -> None:
    order = an_order()
    result = due(order, {**an_order(a_line("A", 7)), "order_key": "wc_order_other"})
    assert category(result) == "conflict"
    assert sums_by_kind(result.documents) == sums_by_kind(due(order).documents)
    assert due(order, {**order, "order_key": "wc_order_other"}, order).reading == "posted"


# Dates, start lines, counterparties.


def test_an_accounting_date_is_the_events_date_in_the_entitys_zone() -> None:
    late = datetime(2026, 11, 20, 23, 30, tzinfo=UTC)  # 00:30 on the 21st in Berlin
    result = due(an_order(created=late, paid=late))
    assert {document.day for document in result.documents} == {date(2026, 11, 21)}


def test_what_was_made_before_the_start_line_is_taken_over_and_later_refunds_refer_to_it() -> None:
    order = an_order()
    refund = a_refund("5.00", created=START + timedelta(days=1))
    result = due(order, refunded(order, refund), start_line=datetime(2026, 11, 23, 23, 0, tzinfo=UTC))
    taken_over = {document.kind for document in result.documents if document.taken_over}
    assert taken_over == {"sales_order", "payment", "invoice", "application"}
    fresh = {document.kind for document in result.documents if not document.taken_over}
    assert fresh == {"customer", "credit_note", "refund_payment", "application"}
    assert of_kind(result, "credit_note")[0].after == ("eu1/1001/invoice/acceptance",)


def test_a_customer_is_not_taken_over_with_their_old_order_but_is_due_with_the_next_document() -> None:
    line = START + timedelta(days=1)
    old, new = due(an_order(), start_line=line), due(an_order(created=line, paid=line), start_line=line)
    assert of_kind(old, "customer") == [] and {document.taken_over for document in old.documents} == {True}
    assert [customer.taken_over for customer in of_kind(new, "customer")] == [False]


def test_a_start_line_is_a_moment_and_loses_no_order_west_of_greenwich() -> None:
    """Midnight UTC is still the evening before in New York: an order placed after it is new."""
    american = Entity("DE01", "EUR", "America/New_York", "US", ENTITY.registrations)
    midnight = datetime(2026, 11, 23, 0, 0, tzinfo=UTC)
    after = midnight + timedelta(hours=2)
    result = due(an_order(created=after, paid=after), entity=american, start_line=midnight)
    assert not any(document.taken_over for document in result.documents)


def test_guests_share_a_counterparty_per_country_or_per_store_by_rule() -> None:
    def counterparty(**rules: Any) -> str:
        return str(of_kind(due(an_order(country="US", paid=None, status="processing"), **rules), "customer")[0].slot)

    untaxed = an_order(a_line("A", 1, tax_class="zero"), country="US")
    assert of_kind(due(untaxed), "customer")[0].slot == "DE01/-/customer/eu1-guest-US"
    per_store = [a_row(match={"store": "*"}, policy="per_store")]
    assert of_kind(due(untaxed, guests=per_store), "customer")[0].slot == "DE01/-/customer/eu1-guest"
    known = of_kind(due(an_order(customer_id=7)), "customer")[0]
    assert (known.slot, known.body["personal"]["name"]) == ("DE01/-/customer/eu1-7", "Erika Mustermann")


# A day on which nothing was known.


def test_an_order_of_which_nothing_is_known_is_due_nothing() -> None:
    result = due()
    assert (result.reading, result.documents) == ("filtered", ())
