"""Tax to the cent, currencies and book amounts, and the mappings that are missing."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from builders import (
    ENTITY,
    HUNGARY,
    LONG_AGO,
    NOW,
    NOWHERE,
    QUEBEC,
    START,
    Shop,
    a_fee,
    a_line,
    a_refund,
    a_row,
    a_shipping,
    an_order,
    balances,
    facts_of,
    refund_of,
    summary_of,
    the_rules,
)
from counterfoil_engine.domain.documents import Dues
from counterfoil_engine.domain.dues import dues
from counterfoil_engine.domain.rules import Entity


def due(*snapshots: Any, **rules: Any) -> Dues:
    return dues(facts_of(*snapshots), the_rules(**rules), NOW)


def category(result: Dues) -> str:
    assert result.reading == "parked" and len(result.cases) == 1, (result.reading, result.cases)
    return result.cases[0].category


# Tax to the cent.


def test_ninety_lines_rounded_at_subtotal_come_to_the_headers_tax() -> None:
    shop = Shop(round_at_subtotal=True)
    lines = [a_line(f"A{n}", 1, "0.13", id=n + 1) for n in range(90)]
    order = an_order(*lines, shop=shop)
    # Each line shows 0.02 of tax for 0.0247, which makes 1.80; the header says 2.22: 42 lines bear a cent more.
    assert order["total_tax"] == "2.22"
    result = due(order)
    assert result.reading == "posted"
    assert balances(result.documents)["tax:domestic:DE:19"] == -222
    taxes = [line["taxes"][0]["tax_minor"] for line in result.documents[1].body["lines"]]
    assert set(taxes) == {2, 3} and sum(taxes) == 222


def test_the_rest_of_rounding_goes_to_the_largest_fraction_and_ties_to_the_earlier_line() -> None:
    shop = Shop(round_at_subtotal=True)
    # Exact taxes 0.0437, 0.0437 and 0.0323, shown as 0.04, 0.04 and 0.03; the header says 0.12.
    order = an_order(a_line("A", 1, "0.23"), a_line("B", 1, "0.23"), a_line("C", 1, "0.17"), shop=shop)
    assert order["total_tax"] == "0.12"
    sales_order = next(d for d in due(order).documents if d.kind == "sales_order")
    assert [line["taxes"][0]["tax_minor"] for line in sales_order.body["lines"]] == [5, 4, 3]


def test_compound_tax_is_split_by_rate_on_its_own_base() -> None:
    order = an_order(a_line("A", 1, "230.05"), a_line("B", 1, "223.65"), shop=Shop(QUEBEC), country="CA")
    found = balances(due(order).documents)
    assert found["tax:domestic:CA-QC:5"] == -(1150 + 1118)
    assert found["tax:domestic:CA-QC:9.975"] == -(2409 + 2342)


def test_tax_beyond_rounding_parks_as_unbalanced_with_both_figures() -> None:
    order = an_order(a_line("A", 1, "100.00"))
    order |= {"total_tax": "19.05", "total": "119.05"}
    result = due(order)
    assert category(result) == "unbalanced"
    assert "19.00 EUR" in result.cases[0].cause and "19.05 EUR" in result.cases[0].cause


def test_a_tax_that_is_not_its_base_times_its_rate_parks_as_tax() -> None:
    order = an_order(a_line("A", 1, "100.00"))
    order["line_items"][0] |= {"total_tax": "18.00", "taxes": [{"id": 1, "total": "18.00"}]}
    order["tax_lines"][0]["tax_total"] = "18.00"
    order |= {"total_tax": "18.00", "total": "118.00"}
    assert category(due(order)) == "tax"


def test_a_tax_rate_that_the_tax_lines_do_not_name_parks_as_tax() -> None:
    order = an_order()
    order["tax_lines"][0]["rate_id"] = 99
    assert category(due(order)) == "tax"


def test_prices_with_tax_of_a_high_rate_keep_within_their_own_rounding() -> None:
    """At 27 %, tax and base of a price with tax are both rounded: up to 0.5 × 1.27 of a cent apart."""
    shop = Shop(HUNGARY, prices_include_tax=True)
    prices = [str(Decimal(cents) / 100) for cents in range(1, 400, 3)]
    assert not [price for price in prices if due(an_order(a_line("A", 1, price), shop=shop)).cases]


def test_a_negative_fee_over_two_rates_bears_each_rates_share() -> None:
    order = an_order(a_line("A", 1, "60.00"), a_line("B", 1, "40.00", "reduced"), a_fee("Loyalty discount", "-10.00"))
    found = balances(due(order).documents)
    assert found["revenue:fees"] == 1000
    assert found["tax:domestic:DE:19"] == -(1140 - 114)
    assert found["tax:domestic:DE:7"] == -(280 - 28)


def test_a_negative_fee_under_compound_tax_bears_both_taxes() -> None:
    order = an_order(a_line("A", 1, "100.00"), a_fee("Loyalty discount", "-10.00"), shop=Shop(QUEBEC), country="CA")
    found = balances(due(order).documents)
    assert (found["tax:domestic:CA-QC:5"], found["tax:domestic:CA-QC:9.975"]) == (-(500 - 50), -(1047 - 105))


def test_an_untaxed_line_is_a_case_until_a_rule_says_why() -> None:
    order = an_order(a_line("A", 1), a_line("B", 1, tax_class="none"))
    result = due(order)
    assert category(result) == "tax"
    assert {"table": "items", "store": "eu1", "sku": "B", "exempt": True} in result.cases[0].rows
    assert due(an_order(a_line("A", 1), a_line("BOOK-1", 1, tax_class="none"))).reading == "posted"
    exempt = [a_row(match={"sku": "B"}, **{"class": "goods", "exempt": True})]
    assert due(order, items=exempt).reading == "posted"


def test_an_export_without_tax_is_right_where_its_treatment_says_so() -> None:
    abroad = an_order(a_line("A", 1), a_shipping(), shop=Shop(NOWHERE), country="US")
    assert due(abroad).reading == "posted"
    assert category(due(abroad, without=["untaxed"])) == "tax"


def test_a_rate_of_zero_is_taxed_at_zero() -> None:
    result = due(an_order(a_line("A", 1, tax_class="zero")))
    assert result.reading == "posted"
    assert result.documents[1].body["lines"][0]["taxes"] == [
        {"treatment": "domestic", "jurisdiction": "DE", "rate": "0", "tax_minor": 0}
    ]


def test_a_free_line_needs_no_tax() -> None:
    assert due(an_order(a_line("A", 1), a_line("GIFT", 1, "0.00", "none"))).reading == "posted"


def test_an_item_that_bore_tax_in_the_order_before_is_a_case_also_where_a_rule_would_let_it_pass() -> None:
    before = an_order(a_line("A", 1))
    after = an_order(a_line("A", 1), shop=Shop(NOWHERE), country="US")
    result = due(before, after)
    assert category(result) == "tax"
    assert balances(result.documents) == balances(due(before).documents)


def test_tax_of_a_jurisdiction_where_nobody_is_registered_is_a_case() -> None:
    at_home = Entity("DE01", "EUR", "Europe/Berlin", "DE", ENTITY.registrations[:1])
    result = due(an_order(shop=Shop(HUNGARY), country="HU"), entity=at_home)
    assert category(result) == "tax"
    assert "HU" in result.cases[0].cause


# Currencies.


def test_yen_comes_with_two_decimals_and_has_none() -> None:
    result = due(an_order(a_line("A", 1, "1500"), shop=Shop(decimals=0, shown_decimals=2), currency="JPY"))
    assert balances(result.documents)["clearing:bacs:JPY"] == 1785


def test_a_digit_that_the_currency_cannot_hold_is_a_case_never_a_rounding() -> None:
    result = due(an_order(a_line("A", 1, "15.50"), currency="JPY"))
    assert category(result) == "data"
    assert result.documents == ()


def test_dinars_of_a_shop_with_two_decimals_move_in_steps_of_ten_fils() -> None:
    shop = Shop(decimals=2, round_at_subtotal=True)
    order = an_order(*(a_line(f"A{n}", 1, "0.13") for n in range(10)), shop=shop, currency="KWD")
    result = due(order)
    assert result.reading == "posted"
    sales_order = next(d for d in result.documents if d.kind == "sales_order")
    assert {line["taxes"][0]["tax_minor"] for line in sales_order.body["lines"]} == {20, 30}


def test_a_shop_without_decimals_rounds_to_whole_euros() -> None:
    shop = Shop(decimals=0)
    result = due(an_order(a_line("A", 3, "7"), a_line("B", 1, "9", "reduced"), shop=shop))
    assert result.reading == "posted"
    assert balances(result.documents)["tax:domestic:DE:19"] == -400


def _dollars(**fields: Any) -> dict[str, Any]:
    return an_order(a_line("A", 1, "100.00"), currency="USD", **fields)


RISING = {
    "rates": [
        a_row(date(2026, 11, 20), match={"currency": "USD"}, rate="1.19"),
        a_row(date(2026, 11, 25), match={"currency": "USD"}, rate="1.00"),
    ]
}
LATER = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)


def test_a_deposit_keeps_its_rate_in_the_invoice() -> None:
    found = balances(due(_dollars(), **RISING).documents, book=True)
    assert found == {"clearing:bacs:USD": 10000, "revenue:goods": -8403, "tax:domestic:DE:19": -1597}


def test_settling_at_another_rate_than_booked_is_exchange_in_the_book_currency_alone() -> None:
    """Invoiced at 1.19 (119.00 USD are 100.00 EUR), paid at 1.00 (119.00 EUR): 19.00 EUR gained."""
    unpaid = _dollars(payment_method="cod", paid=None)
    paid = _dollars(payment_method="cod", paid=LATER, transaction_id="", status="completed")
    result = dues(facts_of(unpaid, paid), the_rules(**RISING), NOW + timedelta(days=3))
    assert result.reading == "posted"
    assert balances(result.documents) == {
        "clearing:cod:USD": 11900,
        "revenue:goods": -10000,
        "tax:domestic:DE:19": -1900,
    }
    book = balances(result.documents, book=True)
    assert book["clearing:cod:USD"] == 11900
    assert book["fx_gain"] == -1900
    assert "receivable" not in book and "deposits" not in book


def test_a_refund_at_another_rate_than_was_owed_is_a_loss_in_the_book_currency() -> None:
    order, refund = _dollars(), a_refund("119.00", created=LATER)
    closed = {**order, "status": "refunded", "refunds": [summary_of(refund)]}
    result = dues(facts_of(order, (closed, [refund])), the_rules(**RISING), NOW + timedelta(days=3))
    assert result.reading == "posted"
    book = balances(result.documents, book=True)
    assert book["fx_loss"] == 1900
    assert "fx_loss" not in balances(result.documents)
    assert not any(role.startswith(("tax:", "refunds_owed", "receivable", "deposits")) for role in book)


def test_tax_comes_back_whole_in_the_book_currency_however_it_was_refunded() -> None:
    order = an_order(*(a_line(f"A{n}", 1, f"{n + 1}.37") for n in range(7)), currency="USD")
    parts = [refund_of(order, {n + 1: 1}, id=n + 1) for n in range(7)]
    body = ({**order, "status": "refunded", "refunds": [summary_of(part) for part in parts]}, parts)
    result = due(order, body)
    assert result.reading == "posted"
    assert set(balances(result.documents, book=True)) <= {"revenue:goods", "returns:goods"}


def test_a_missing_exchange_rate_parks_by_its_name() -> None:
    result = due(an_order(currency="GBP"))
    assert category(result) == "missing_mapping"
    assert result.cases[0].rows == ({"table": "rates", "book": "EUR", "currency": "GBP", "rate": None},)


# Mappings that are missing park with the row to fill in, and all of them at once.


@pytest.mark.parametrize(
    ("fields", "row"),
    [
        (
            {"payment_method": "klarna"},
            {"table": "payment_methods", "store": "eu1", "method": "klarna", "gateway": None, "accept_unpaid": None},
        ),
        ({"status": "packing"}, {"table": "statuses", "store": "eu1", "status": "packing", "reads_as": None}),
    ],
)
def test_an_unknown_method_or_status_parks_with_the_row_to_fill_in(fields: dict[str, str], row: dict[str, Any]) -> None:
    result = due(an_order(**fields))
    assert category(result) == "missing_mapping"
    assert result.cases[0].rows == (row,)


def test_a_row_filled_in_lets_the_order_go_on() -> None:
    filled = [a_row(match={"method": "klarna", "store": "eu1"}, gateway="klarna")]
    assert due(an_order(payment_method="klarna"), payment_methods=filled).reading == "posted"
    packing = [a_row(match={"status": "packing", "store": "*"}, reads_as="processing")]
    assert due(an_order(status="packing"), statuses=packing).reading == "posted"


def test_all_missing_rows_of_an_order_are_named_at_once_and_the_money_is_due_all_the_same() -> None:
    order = an_order(a_line("A", 1), a_line("", 1, product_id=0), a_line("B", 1, tax_class="reduced"))
    result = due(order, without=["items", "tax_rates"])
    assert category(result) == "missing_mapping"
    named = {row.get("sku") or row.get("code") for row in result.cases[0].rows}
    assert named == {"A", "B", "#0", "DE-MWST 19%-1", "DE-MWST 7%-1"}
    assert balances(result.documents) == {"clearing:bacs:EUR": 3450, "deposits": -3450}


def test_an_item_without_a_sku_is_known_by_its_product_or_variation() -> None:
    rows = [a_row(match={"sku": "#77"}, item="SHIRT-M", **{"class": "apparel"})]
    order = an_order(a_line("A", 1))
    order["line_items"][0] |= {"sku": "", "product_id": 70, "variation_id": 77}
    line = next(d for d in due(order, items=rows).documents if d.kind == "sales_order").body["lines"][0]
    assert (line["item"], line["class"]) == ("SHIRT-M", "apparel")


def test_an_unknown_store_or_entity_parks_with_its_row() -> None:
    rules = the_rules()
    for broken, table in (
        (type(rules)("1", rules.entities, {}, rules.tables), "stores"),
        (type(rules)("1", {}, rules.stores, rules.tables), "entities"),
    ):
        result = dues(facts_of(an_order()), broken, NOW)
        assert result.reading == "parked" and result.cases[0].rows[0]["table"] == table


def test_a_rule_counts_from_its_day_on() -> None:
    later = [a_row(START.date() + timedelta(days=1), match={"sku": "A"}, **{"class": "later"})]
    earlier = [a_row(LONG_AGO, match={"sku": "A"}, **{"class": "special"})]
    for rows, class_ in ((later, "goods"), (earlier, "special"), (earlier + later, "special")):
        found = next(d for d in due(an_order(a_line("A")), items=rows).documents if d.kind == "sales_order")
        assert found.body["lines"][0]["class"] == class_
