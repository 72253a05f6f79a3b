"""What real shops meet every week: each works, or parks with a clear word (domain.md, section 9)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from builders import (
    START,
    Shop,
    a_capture,
    a_fact,
    a_fee,
    a_line,
    a_receipt,
    a_refund,
    a_refunded_line,
    a_row,
    a_shipment,
    a_shipping,
    an_order,
    balances,
    paid_back,
    refund_of,
)
from domain.test_order_to_cash import THREE, WMS, a_dispute, due

LATER = START + timedelta(hours=40)
UNPAID: dict[str, Any] = {"paid": None, "status": "processing"}


@dataclass(frozen=True)
class Met:
    """A thing that is met: its facts and rules, and what comes of it. case: its category and words of its cause."""

    snapshots: tuple[Any, ...]
    others: tuple[Any, ...] = ()
    rule: dict[str, Any] = field(default_factory=dict)
    tables: dict[str, Any] = field(default_factory=dict)
    case: tuple[str, str] | None = None
    comes_to: dict[str, int] = field(default_factory=dict)


def refunded(order: Any, *refunds: Any, **more: Any) -> tuple[Any, Any]:
    return (
        {**order, "refunds": [{"id": r["id"], "reason": "", "total": f"-{r['amount']}"} for r in refunds], **more},
        refunds,
    )  # type: ignore[return-value]


ORDER = an_order()
MUGS = an_order(*THREE)
GIFTED = an_order(a_line(), a_fee("Gift card A1", "-5.00", "none"))
AUTHORISED = a_fact(
    "gateway",
    "authorised",
    "a1",
    0,
    transaction="au_1",
    amount_minor=1189,
    currency="EUR",
    expires_at="2026-11-24T00:00:00Z",
    method="x",
)

MET = {
    "gift card and card on one order": Met((GIFTED,), comes_to={"gift_cards": 500, "clearing:bacs:EUR": 690}),
    "two captures": Met(
        (an_order(**UNPAID),),
        (a_capture("c1", 0, 1000, "ch_1"), a_capture("c2", 1, 190, "ch_2")),
        comes_to={"clearing:stripe:EUR": 1190},
    ),
    "expired authorisation": Met((an_order(*THREE, **UNPAID),), (AUTHORISED,), rule=WMS, comes_to={}),
    "paid twice": Met(
        (an_order(**UNPAID),),
        (a_capture("c1", 0, 1190, "ch_1"), a_capture("c2", 1, 1190, "ch_2")),
        case=("refund", "11.90 EUR more came in than the order comes to"),
        comes_to={"refunds_owed": -1190},
    ),
    "underpaid transfer": Met(
        (an_order(**UNPAID),), (a_capture("c1", 30, 1000, "tr_1", "bacs"),), comes_to={"receivable": 190}
    ),
    "points and store credit by a fee that a rule names": Met(
        (an_order(a_line(), a_fee("Loyalty points", "-1.00")),), comes_to={"revenue:fees": 100}
    ),
    "a negative fee that no rule names": Met(
        (an_order(a_line(), a_fee("Store credit", "-1.00")),), case=("missing_mapping", "Store credit")
    ),
    "refund that failed": Met(
        (ORDER, refunded(ORDER, refund_of(ORDER, {1: 1}))),
        (
            a_capture("c1", 0, 1190),
            paid_back("b1", 3, 1190, 5001),
            a_fact("gateway", "failed", "f1", 9, of="b1", transaction="ch_1", reason="account closed"),
        ),
        comes_to={"refunds_owed": -1190},
    ),
    "refund made only at the gateway": Met(
        (ORDER,), (a_capture("c1", 0, 1190), paid_back("b1", 3, 1190)), case=("refund", "was paid back, though")
    ),
    "refund to another method": Met(
        (ORDER, refunded(ORDER, refund_of(ORDER, {1: 1}))),
        (
            a_capture("c1", 0, 1190),
            a_fact(
                "gateway",
                "refunded",
                "b1",
                3,
                "paypal",
                transaction="x",
                refund_transaction="re_1",
                refund="5001",
                amount_minor=1190,
                currency="EUR",
            ),
        ),
        comes_to={"clearing:stripe:EUR": 1190, "clearing:paypal:EUR": -1190},
    ),
    "refund above the captured": Met(
        (ORDER,), (a_capture("c1", 0, 1190), paid_back("b1", 3, 1500)), case=("refund", "15.00 EUR was paid back")
    ),
    "restocking fee withheld": Met(
        (ORDER, refunded(ORDER, a_refund("9.52", a_refunded_line(1, "8.00", {1: "1.52"}, 1)))),
        comes_to={"revenue:goods": -1000, "returns:goods": 800},
    ),
    "lost in transit and re-sent": Met(
        (MUGS,),
        (a_shipment("s1", 30, item_1=3), a_shipment("s2", 60, item_1=1)),
        rule=WMS,
        case=("data", "Shipment s2 of hub ships 1 of line item:1, and 0 was left"),
        comes_to={"revenue:goods": -999},
    ),
    "refused parcel": Met(
        (MUGS,),
        (a_shipment("s1", 30, item_1=3), a_receipt("r1", 90, item_1=3)),
        rule=WMS,
        case=("refund", "3 of line item:1 came back"),
    ),
    "even exchange": Met(
        (MUGS, refunded(MUGS, a_refund("0.00", a_refunded_line(1, "0.00", {1: "0.00"}, 1), created=LATER))),
        (a_shipment("s1", 30, item_1=3), a_receipt("r1", 60, 5001, item_1=1)),
        rule=WMS,
        comes_to={"revenue:goods": -999},
    ),
    "substituted item": Met(
        (MUGS,), (a_shipment("s1", 30, item_9=3),), rule=WMS, case=("data", "which isn't in the order")
    ),
    "bundle with children without a price, and a free gift": Met(
        (an_order(a_line("SET", 1, "20.00"), a_line("CHILD-1", 2, "0.00"), a_line("GIFT", 1, "0.00")),),
        (a_shipment("s1", 30, item_2=2), a_shipment("s2", 31, item_1=1, item_3=1)),
        rule=WMS,
        comes_to={"revenue:goods": -2000},
    ),
    "tips, duties, bottle deposits, donations, cash rounding": Met(
        (an_order(a_line(), a_fee("Tip", "1.00"), a_fee("Bottle deposit", "0.25"), a_fee("Rounding", "0.01")),),
        comes_to={"revenue:fees": -126},
    ),
    "an order that was taxed abroad and the VAT id came later": Met(
        (
            ORDER,
            {
                **ORDER,
                **{
                    k: v
                    for k, v in an_order(a_line(tax_class="none")).items()
                    if k in ("line_items", "tax_lines", "total", "total_tax")
                },
            },
        ),
        case=("tax", "bore tax in this order before"),
    ),
    "chargeback after a refund": Met(
        (ORDER, refunded(ORDER, refund_of(ORDER, {1: 1}))),
        (a_capture("c1", 0, 1190), paid_back("b1", 3, 1190, 5001), a_dispute("opened", 30), a_dispute("lost", 60)),
        comes_to={"dispute_losses": 1190, "clearing:stripe:EUR": -1190},
    ),
    "customer changed after invoicing": Met((ORDER, {**ORDER, "customer_id": 12}), comes_to={"revenue:goods": -1000}),
    "edit after shipment to less than left": Met(
        (MUGS, an_order(a_line("MUG", 1, "3.33"), modified=LATER)),
        (a_shipment("s1", 30, item_1=3),),
        rule=WMS,
        case=("data", "ships 3 of line item:1, and 1 was left"),
    ),
    "a shop without decimals": Met(
        (an_order(a_line("MUG", 1, "1500"), currency="JPY", shop=Shop(decimals=0, shown_decimals=2)),),
        comes_to={"revenue:goods": -1500},
    ),
    "an order made over REST, without a method": Met(
        (an_order(payment_method=""),), comes_to={"clearing:manual:EUR": 1190}
    ),
    "a gateway's event before its order": Met((), (a_capture("c1", 0, 1190),), comes_to={"unapplied:stripe": -1190}),
    "a payment in test mode": Met((), (a_capture("c1", 0, 1190, test=True),), comes_to={}),
    "cash on delivery": Met(
        (an_order(a_line(), status="processing", paid=None, payment_method="cod"),),
        tables={"payment_methods": [a_row(match={"method": "cod"}, gateway="cod", accept_unpaid=True)]},
        comes_to={"receivable": 1190},
    ),
    "a parcel with shipping refunded alone": Met(
        (
            an_order(a_line(), a_shipping("4.90")),
            refunded(
                an_order(a_line(), a_shipping("4.90")),
                a_refund("5.83", a_refunded_line(2, "4.90", {1: "0.93"}, 1, "shipping_lines")),
            ),
        ),
        comes_to={"revenue:goods": -1000},
    ),
}


@pytest.mark.parametrize("name", MET)
def test_it_works_or_parks_with_a_clear_word(name: str) -> None:
    met = MET[name]
    result = due(*met.snapshots, others=met.others, rule=met.rule, **met.tables)
    found = balances(result.documents)
    if met.case is None:
        assert result.cases == (), (name, result.cases)
    else:
        category, words = met.case
        assert any(case.category == category and words in case.cause for case in result.cases), result.cases
        assert result.reading == "parked" and all(case.remedy.endswith(".") for case in result.cases)
    assert {role: found.get(role, 0) for role in met.comes_to} == met.comes_to, found
