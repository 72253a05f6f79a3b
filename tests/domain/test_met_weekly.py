"""What real shops meet every week: each works, or parks with a clear word (domain.md, section 9)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
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
DEARER = an_order(a_line(), a_line("CUP", 1, "15.00"), modified=LATER)
SHORT = a_fact("wms", "short_pick", "p1", 31, warehouse="BER", lines=[{"line": "item:1", "quantity": "1"}])
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
    "partial authorisation": Met(
        (an_order(*THREE, **UNPAID),),
        (replace(AUTHORISED, body={**AUTHORISED.body, "amount_minor": 1000}), a_shipment("s1", 20, item_1=3)),
        rule={**WMS, "capture_on": "shipment"},
        comes_to={"receivable": 1189},
    ),
    "a deposit plugin: a part is paid, the status is the plugin's own": Met(
        (an_order(paid=None, status="partial-payment"),),
        (a_capture("c1", 0, 600),),
        tables={"statuses": [a_row(match={"status": "partial-payment"}, reads_as="processing")]},
        comes_to={"receivable": 590, "clearing:stripe:EUR": 600},
    ),
    "a status of a plugin that no rule reads": Met(
        (an_order(paid=None, status="partial-payment"),), case=("missing_mapping", "partial-payment")
    ),
    "expired authorisation": Met((an_order(*THREE, **UNPAID),), (AUTHORISED,), rule=WMS, comes_to={}),
    "paid twice": Met(
        (an_order(**UNPAID),),
        (a_capture("c1", 0, 1190, "ch_1"), a_capture("c2", 1, 1190, "ch_2")),
        case=("refund", "11.90 EUR more came in than the order comes to"),
        comes_to={"refunds_owed": -1190},
    ),
    "a capture above the total": Met(
        (an_order(**UNPAID),),
        (a_capture("c1", 0, 1500),),
        case=("refund", "3.10 EUR more came in than the order comes to: the gateway took more than it ever came to"),
        comes_to={"refunds_owed": -310},
    ),
    "a capture of what an edit took off since": Met(
        (an_order(a_line(), a_line("CUP", 1, "15.00"), **UNPAID), an_order(**UNPAID)),
        (a_capture("c1", 0, 2975),),
        comes_to={"refunds_owed": -1785},
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
    "uneven exchange": Met(
        (ORDER, refunded(DEARER, refund_of(DEARER, {1: 1}))),
        comes_to={"revenue:goods": -2500, "returns:goods": 1000, "receivable": 595},
    ),
    "short pick never shipped": Met(
        (MUGS,),
        (a_shipment("s1", 30, item_1=2), SHORT),
        rule=WMS,
        case=("refund", "1 of line item:1 could not be picked"),
        comes_to={"revenue:goods": -666},
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
    "tax rate changed between order and shipment": Met(
        (MUGS,),
        (a_shipment("s1", 60, item_1=3),),
        rule=WMS,
        tables={"tax_rates": [a_row(LATER.date(), match={"code": "DE-*"}, treatment="exempt", jurisdiction="DE")]},
        comes_to={"tax:domestic:DE:19": -190, "tax:exempt:DE:19": 0},
    ),
    "a marketplace's tax": Met(
        (ORDER,),
        tables={"tax_rates": [a_row(START.date(), match={"code": "DE-*"}, treatment="marketplace", jurisdiction="DE")]},
        comes_to={"tax:marketplace:DE:19": -190},
    ),
    "an order that was split: part of it was taken out, and is in another one": Met(
        (DEARER, ORDER), comes_to={"revenue:goods": -1000, "refunds_owed": -1785}
    ),
    "orders that were merged: another one's goods were put in": Met(
        (ORDER, DEARER), comes_to={"revenue:goods": -2500, "receivable": 1785}
    ),
    "an order typed in by staff": Met(
        (an_order(payment_method="", created_via="admin", **UNPAID),), comes_to={"receivable": 1190}
    ),
    "a renewal of a subscription": Met(
        (an_order(meta_data=[{"key": "_subscription_renewal", "value": "77"}]),), comes_to={"revenue:goods": -1000}
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


# Each thing of the list, and where it is shown: a name of the table above, or another module's test.
SETTLEMENT, OPEN = "domain/settlement/test_payout_dues.py", "domain/settlement/test_open_items.py"
CASH, PAYOUTS, AFTER, REPORTS = (
    "domain/test_order_to_cash.py",
    "work/test_payouts.py",
    "domain/test_after_release.py",
    "domain/settlement/test_bad_reports.py",
)
SHOWN = {
    "gift card and card on one order": "gift card and card on one order",
    "two captures": "two captures",
    "partial or expired authorisation": "partial authorisation",
    "authorisation that expired": "expired authorisation",
    "paid twice": "paid twice",
    "underpaid transfer": "underpaid transfer",
    "deposit plugins": "a deposit plugin: a part is paid, the status is the plugin's own",
    "store credit, points": "points and store credit by a fee that a rule names",
    "refund failed": "refund that failed",
    "refund made only at the gateway": "refund made only at the gateway",
    "refund to another method": "refund to another method",
    "refund above the captured": "refund above the captured",
    "restocking fee withheld": "restocking fee withheld",
    "lost in transit and re-sent": "lost in transit and re-sent",
    "even exchange": "even exchange",
    "uneven exchange": "uneven exchange",
    "refused parcel": "refused parcel",
    "short pick never shipped": "short pick never shipped",
    "substituted item": "substituted item",
    "bundle with zero-price children, free gift": "bundle with children without a price, and a free gift",
    "VAT id validated after the sale": "an order that was taxed abroad and the VAT id came later",
    "rate changed between order and shipment": "tax rate changed between order and shipment",
    "duties, bottle deposit, tips, donations, cash rounding": "tips, duties, bottle deposits, donations, cash rounding",
    "marketplace's tax": "a marketplace's tax",
    "reserves": f"{SETTLEMENT}::test_a_reserve_that_is_released_comes_back_from_the_reserve",
    "negative payouts": f"{SETTLEMENT}::test_a_negative_payout_is_drawn_from_the_bank",
    "failed payouts": "domain/settlement/test_formats.py::test_a_payout_that_came_back_is_money_in",
    "chargeback after refund": "chargeback after a refund",
    "orders split": "an order that was split: part of it was taken out, and is in another one",
    "orders merged": "orders that were merged: another one's goods were put in",
    "orders duplicated": f"{OPEN}::test_a_claim_is_missing_once_the_gateway_was_heard_two_days_on",
    "typed in by staff": "an order typed in by staff",
    "test orders": "a payment in test mode",
    "customer changed after invoicing": "customer changed after invoicing",
    "renewals": "a renewal of a subscription",
    "edit after shipment": "edit after shipment to less than left",
    "edit after release": f"{AFTER}::test_what_was_released_stands_and_more_goods_are_a_further_fulfilment",
    "zero-decimals shops": "a shop without decimals",
    'payment_method ""': "an order made over REST, without a method",
}


# What comes in wrong: a case or a wait, and no neighbour is held back.
BAD = {
    "a shipment of more than was ordered, or of an unknown line": (
        f"{CASH}::test_more_shipped_than_ordered_is_a_case_and_the_rest_goes_on"
    ),
    "a capture over the total": "a capture above the total",
    "a capture under the total": "underpaid transfer",
    "a refund over what was paid": "refund above the captured",
    "a payout in the wrong currency": f"{REPORTS}::test_a_payout_in_another_currency_than_agreed_is_a_conflict",
    "a payout whose sum doesn't add up": f"{REPORTS}::test_a_line_that_was_taken_out_is_missed",
    "a report cut off in the middle": (
        f"{REPORTS}::test_wherever_a_report_is_cut_off_it_parks_or_holds_only_whole_payouts"
    ),
    "a report in another encoding": f"{REPORTS}::test_the_same_report_in_another_encoding_is_the_same",
    "a report with a decimal comma": f"{REPORTS}::test_a_decimal_comma_is_understood_where_every_amount_has_one",
    "a report sent twice": f"{PAYOUTS}::test_a_report_sent_twice_is_a_duplicate_and_another_content_a_conflict",
    "dates in closed periods": "work/test_close.py::test_nothing_is_posted_into_a_locked_period_any_more",
    "dates in future periods": f"{PAYOUTS}::test_what_is_paid_out_tomorrow_is_posted_tomorrow",
    "a gateway event before its order": "a gateway's event before its order",
    "no neighbour held back": f"{PAYOUTS}::test_one_bad_file_is_set_aside_with_its_cause_and_holds_no_neighbour",
}


@pytest.mark.parametrize("thing", SHOWN | BAD)
def test_each_thing_of_the_lists_has_a_test_that_names_it(thing: str) -> None:
    module, _, name = (SHOWN | BAD)[thing].partition("::")
    assert f"def {name}(" in (Path(__file__).parents[1] / module).read_text("utf-8") if name else module in MET
