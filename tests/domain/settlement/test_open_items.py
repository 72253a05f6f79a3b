"""A claim is missing at a gateway only where that was heard on its day and after, without a gap."""

from __future__ import annotations

from datetime import date

from counterfoil_engine.domain.settlement.lines import Report, SettlementLine
from counterfoil_engine.domain.settlement.open_items import (
    Heard,
    OpenItem,
    never_came,
    never_came_case,
    statements_heard,
)


def a_claim(day: int, source: str = "paypal", currency: str = "EUR", is_claim: bool = True) -> OpenItem:
    at = date(2026, 11, day)
    return OpenItem("order eu1/1001", "eu1/1001/payment/x", "payment", source, currency, 1190, at, is_claim)


def a_statement(day: int, opening_minor: int, closing_minor: int, currency: str = "EUR") -> Report:
    on = date(2026, 11, day)
    moved = closing_minor - opening_minor
    line = SettlementLine("paypal", "p", "charge", "T", None, moved, 0, moved, currency, on, 2, "T")
    figures = (opening_minor, closing_minor)
    return Report("paypal", f"{day}{currency}", currency, on, 0, (line,), "PayPal", "d", *figures)


def test_statements_that_open_with_what_the_last_one_closed_with_are_one_run() -> None:
    runs = statements_heard([a_statement(7, 300, 900), a_statement(3, 0, 100), a_statement(5, 100, 300)])
    assert runs == [Heard("paypal", "EUR", date(2026, 11, 3), date(2026, 11, 7))]


def test_a_statement_that_is_missing_ends_the_run() -> None:
    runs = statements_heard([a_statement(3, 0, 100), a_statement(6, 250, 300), a_statement(4, 0, 5, "USD")])
    assert [(run.currency, run.first.day, run.last.day) for run in runs] == [
        ("EUR", 3, 3),
        ("USD", 4, 4),
        ("EUR", 6, 6),
    ]


def test_a_payouts_report_says_nothing_of_days() -> None:
    payout = Report("stripe", "po_1", "EUR", date(2026, 11, 9), 500, (), "Stripe", "d")
    assert statements_heard([payout]) == []


def test_a_claim_is_missing_once_the_gateway_was_heard_two_days_on() -> None:
    heard = [Heard("paypal", "EUR", date(2026, 11, 3), date(2026, 11, 7))]
    days = [item.day.day for item in never_came(map(a_claim, range(1, 10)), heard)]
    assert days == [4, 5]  # the third may have begun before it was heard
    others = [a_claim(4, "stripe"), a_claim(4, currency="USD"), a_claim(4, is_claim=False)]
    assert list(never_came(others, heard)) == []
    assert list(never_came(others, [Heard("stripe", None, date(2026, 11, 1), date(2026, 11, 7))])) == [others[0]]


def test_the_case_says_what_was_claimed_and_when() -> None:
    case = never_came_case(a_claim(4))
    assert case.cause == (
        "The store says that 11.90 EUR was paid on 2026-11-04, and paypal, which was heard since, has no such payment."
    )
