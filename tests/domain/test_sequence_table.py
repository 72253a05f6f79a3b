"""The table of domain.md, section 3, read as a table: what makes each kind of document due, where it goes, and after
what. `without` are the facts and rules just before it is due; `with_it` are those that make it due."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from builders import (
    NOW,
    START,
    a_capture,
    a_fact,
    a_fee,
    a_line,
    a_receipt,
    a_row,
    a_shipment,
    an_order,
    facts_of,
    paid_back,
    refund_of,
    the_rules,
)
from counterfoil_engine.domain.documents import Document
from counterfoil_engine.domain.dues import dues
from domain.test_order_to_cash import a_dispute


@dataclass(frozen=True)
class Story:
    snapshots: tuple[Any, ...] = ()
    others: tuple[Any, ...] = ()
    rule: dict[str, Any] = field(default_factory=dict)

    def documents(self, **tables: Any) -> dict[str, Document]:
        sequence = [a_row(match={"entity": "*", "method": "*"}, **self.rule)]
        rules = the_rules(sequence=sequence, **tables)
        facts = facts_of(*self.snapshots, others=self.others)
        return {document.slot: document for document in dues(facts, rules, NOW + timedelta(days=9)).documents}


@dataclass(frozen=True)
class Row:
    kind: str
    slot: str
    party: str
    after: tuple[str, ...]
    without: Story
    with_it: Story


LINES = (a_line("MUG", 2, "10.00"),)
PENDING, PAID = an_order(*LINES, paid=None, status="pending"), an_order(*LINES)
OPEN = an_order(*LINES, paid=None, status="processing")
REFUND = refund_of(PAID, {1: 1}, created=START + timedelta(hours=40))
REFUNDED = (an_order(*LINES, refunds=[REFUND]), [REFUND])
CANCELLED = an_order(*LINES, status="cancelled", modified=START + timedelta(hours=40))
SHIPPED = a_shipment("s1", 30, item_1=2)
RELEASED = a_fact("wms", "released", "l1", 10, warehouse="BER", lines=[{"line": "item:1", "quantity": "2"}])
AUTHORISED = a_fact(
    "gateway", "authorised", "a1", 0, transaction="au_1", amount_minor=2380, currency="EUR", expires_at=None, method="x"
)
QUOTED = a_fact("tax", "tax_quoted", "q1", 1, of="eu1/1001/tax_quote/order/r1", tax_minor=380, currency="EUR", rates=[])
WMS: dict[str, Any] = {"wms": "hub", "invoice_on": "shipment"}
BY_ENGINE = {"refunds_by": "engine"}
GIFT = an_order(*LINES, a_fee("Gift card A1", "-5.00", "none"))
CAPTURED = a_capture("c1", 0, 2380)
ORDER = "eu1/1001/sales_order/order"
CUSTOMER = "DE01/-/customer/eu1-guest-DE"
FULFILMENT = "eu1/1001/fulfilment/order"
INVOICE = "eu1/1001/invoice/acceptance"

TABLE = [
    Row("customer", CUSTOMER, "erp", (), Story((PENDING,)), Story((PAID,))),
    Row(
        "tax_quote",
        "eu1/1001/tax_quote/order",
        "tax",
        (),
        Story((PENDING,), rule={"tax": "rates"}),
        Story((PAID,), rule={"tax": "rates"}),
    ),
    Row(
        "tax_commit",
        "eu1/1001/tax_commit/invoice-acceptance",
        "tax",
        (INVOICE,),
        Story((PAID,), rule={"tax": "rates"}),
        Story((PAID,), (QUOTED,), {"tax": "rates"}),
    ),
    Row("sales_order", ORDER, "erp", (CUSTOMER,), Story((PENDING,)), Story((PAID,))),
    Row(
        "sales_order",
        ORDER,
        "erp",
        (CUSTOMER,),
        Story((PAID,), rule={"tax": "rates"}),
        Story((PAID,), (QUOTED,), {"tax": "rates"}),
    ),
    Row("payment", "eu1/1001/payment/ch_1", "erp", (), Story((OPEN,)), Story((PAID,))),
    Row("payment", "eu1/1001/payment/ch_1", "erp", (), Story(), Story((), (CAPTURED,))),
    Row("tender", "eu1/1001/tender/fee-2", "erp", (), Story((PAID,)), Story((GIFT,))),
    Row(
        "capture",
        "eu1/1001/capture/hub-s1",
        "gateway",
        (),
        Story((OPEN,), (AUTHORISED,), {**WMS, "capture_on": "shipment"}),
        Story((OPEN,), (AUTHORISED, SHIPPED), {**WMS, "capture_on": "shipment"}),
    ),
    Row("fulfilment", FULFILMENT, "wms", (ORDER,), Story((OPEN,), rule=WMS), Story((PAID,), rule=WMS)),
    Row("fulfilment", FULFILMENT, "wms", (ORDER,), Story((PAID,)), Story((PAID,), rule=WMS)),
    Row("invoice", INVOICE, "erp", (ORDER,), Story((PENDING,)), Story((PAID,))),
    Row(
        "invoice", "eu1/1001/invoice/hub-s1", "erp", (ORDER,), Story((PAID,), rule=WMS), Story((PAID,), (SHIPPED,), WMS)
    ),
    Row(
        "store_update",
        "eu1/1001/store_update/hub-s1",
        "store",
        (),
        Story((PAID,), (SHIPPED,), WMS),
        Story((PAID,), (SHIPPED,), {**WMS, "store_update": True}),
    ),
    Row("cancellation", "eu1/1001/cancellation/order", "erp", (ORDER,), Story((PAID,)), Story((PAID, CANCELLED))),
    Row(
        "cancellation",
        "eu1/1001/cancellation/5001",
        "erp",
        (ORDER,),
        Story((PAID, REFUNDED), (SHIPPED,), WMS),
        Story((PAID, REFUNDED), (), WMS),
    ),
    Row(
        "cancellation",
        "eu1/1001/cancellation/wms-5001",
        "wms",
        (FULFILMENT,),
        Story((PAID, REFUNDED), (), WMS),
        Story((PAID, REFUNDED), (RELEASED,), WMS),
    ),
    Row(
        "return",
        "eu1/1001/return/5001",
        "wms",
        (FULFILMENT,),
        Story((PAID, REFUNDED), (), WMS),
        Story((PAID, REFUNDED), (SHIPPED,), WMS),
    ),
    Row(
        "return",
        "eu1/1001/return/hub-r1",
        "erp",
        (ORDER,),
        Story((PAID, REFUNDED), (SHIPPED,), WMS),
        Story((PAID, REFUNDED), (SHIPPED, a_receipt("r1", 90, 5001, item_1=1)), WMS),
    ),
    Row("credit_note", "eu1/1001/credit_note/5001", "erp", (INVOICE,), Story((PAID,)), Story((PAID, REFUNDED))),
    Row(
        "credit_note",
        "eu1/1001/credit_note/5001-hub-s1",
        "erp",
        ("eu1/1001/invoice/hub-s1",),
        Story((PAID, REFUNDED), (), WMS),
        Story((PAID, REFUNDED), (SHIPPED,), WMS),
    ),
    Row("refund_payment", "eu1/1001/refund_payment/5001", "erp", (), Story((PAID,)), Story((PAID, REFUNDED))),
    Row(
        "refund_payment",
        "eu1/1001/refund_payment/5001",
        "erp",
        (),
        Story((PAID, REFUNDED), (CAPTURED,)),
        Story((PAID, REFUNDED), (CAPTURED, paid_back("b1", 41, 1190, 5001))),
    ),
    Row(
        "application",
        "eu1/1001/application/invoice/acceptance",
        "erp",
        (INVOICE,),
        Story((PENDING,)),
        Story((PAID,)),
    ),
    Row(
        "refund_order",
        "eu1/1001/refund_order/5001",
        "gateway",
        (),
        Story((PAID, REFUNDED)),
        Story((PAID, REFUNDED), rule=BY_ENGINE),
    ),
    Row(
        "fee",
        "eu1/1001/fee/stripe-e1",
        "erp",
        (),
        Story((PAID,)),
        Story((PAID,), (a_fact("gateway", "fee", "e1", 50, transaction="ch_1", amount_minor=47, currency="EUR"),)),
    ),
    Row(
        "dispute",
        "eu1/1001/dispute/du_1-opened",
        "erp",
        (),
        Story((PAID,), (CAPTURED, a_dispute("inquiry", 30))),
        Story((PAID,), (CAPTURED, a_dispute("opened", 30))),
    ),
    Row(
        "transfer",
        "eu1/1001/transfer/revenue-hub-s1",
        "erp",
        (INVOICE,),
        Story((PAID,), (), {"wms": "hub", "revenue_on": "shipment"}),
        Story((PAID,), (SHIPPED,), {"wms": "hub", "revenue_on": "shipment"}),
    ),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.kind} {row.slot}")
def test_a_document_is_due_when_the_table_says_goes_where_it_says_and_waits_for_what_it_says(row: Row) -> None:
    assert row.slot not in row.without.documents()
    document = row.with_it.documents()[row.slot]
    assert (document.kind, document.party, document.after) == (row.kind, row.party, row.after)


def test_the_sequence_has_a_day_from_which_on_it_is_in_force() -> None:
    later = a_row((START + timedelta(days=1)).date(), match={"entity": "*", "method": "*"}, invoice_on="shipment")
    story = Story((PAID,), rule={"invoice_on": "acceptance"})
    assert INVOICE in story.documents()
    rules = the_rules(sequence=[a_row(match={"entity": "*", "method": "*"}, invoice_on="acceptance"), later])
    kinds = [document.slot for document in dues(facts_of(PAID), rules, NOW + timedelta(days=9)).documents]
    assert INVOICE in kinds


def test_each_value_of_a_sequence_comes_from_the_closest_row_that_sets_it() -> None:
    rows = [
        a_row(match={"entity": "*", "method": "*"}, invoice_on="shipment", wms="hub"),
        a_row(match={"entity": "*", "method": "bacs"}, invoice_on="acceptance"),
    ]
    slots = {d.slot for d in dues(facts_of(PAID), the_rules(sequence=rows), NOW + timedelta(days=9)).documents}
    assert {INVOICE, FULFILMENT} <= slots


def test_what_is_dated_in_the_future_counts_once_its_day_has_come() -> None:
    ahead = a_capture("c1", 24 * 30, 2380)
    early = dues(facts_of(others=[ahead]), the_rules(), NOW)
    assert early.documents == () and early.cases[0].category == "data" and "2026-12-23" in early.cases[0].cause
    assert dues(facts_of(others=[ahead]), the_rules(), NOW + timedelta(days=30)).documents
