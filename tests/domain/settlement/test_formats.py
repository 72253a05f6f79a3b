"""Each format of payout reports comes to the same canonical lines, in minor units, with the signs of the trade."""

from __future__ import annotations

from datetime import date

import pytest
from counterfoil_engine.domain.settlement.lines import Report, prove_payout
from domain.settlement.reports import NAMES, read, stripe, stripe_row


def figures(report: Report) -> list[tuple[str, int, int, int]]:
    return [(line.kind, line.gross_minor, line.fee_minor, line.net_minor) for line in report.lines]


@pytest.mark.parametrize("name", NAMES)
def test_every_payout_of_every_sample_is_proved_by_its_lines(name: str) -> None:
    for report in read(name):
        assert prove_payout(report).ok
        assert report.total_from in ("report", "fact")
        assert len({line.id for line in report.lines}) == len(report.lines)
        for line in report.lines:
            assert line.net_minor == line.gross_minor - line.fee_minor
            assert (line.source, line.payout, line.currency) == (name, report.payout, report.currency)


def test_stripe_names_charge_refund_dispute_fee_and_reserve() -> None:
    report, later = read("stripe")
    assert (report.payout, report.currency, report.paid_on, report.net_minor) == (
        "po_88",
        "EUR",
        date(2026, 11, 22),
        11419,
    )
    assert figures(report) == [
        ("charge", 11900, 204, 11696),
        ("charge", 8000, 257, 7743),
        ("refund", -1900, 0, -1900),
        ("dispute", -3500, 1500, -5000),
        ("fee", 0, 120, -120),
        ("reserve", -1000, 0, -1000),
        ("payout", -11419, 0, -11419),
    ]
    assert (later.payout, later.net_minor, later.total_from) == ("po_89", 2428, "fact")


def test_a_line_keeps_its_ids_its_reference_and_what_the_customer_paid() -> None:
    report, _ = read("stripe")
    abroad, refund = report.lines[1:3]
    assert (abroad.transaction, abroad.related, abroad.reference) == ("ch_1B", ("ch_1B", "pi_1B"), "1002")
    assert (abroad.other_minor, abroad.other_currency) == (10000, "USD")
    assert (refund.transaction, refund.related, refund.other_minor) == ("re_1C", ("ch_1A", "pi_1A"), None)


def test_a_time_counts_as_the_date_in_the_entity_s_zone() -> None:
    report, _ = read("stripe")
    assert report.lines[1].at == date(2026, 11, 19)  # half past eleven at night in UTC


def test_adyen_s_costs_are_added_up_and_a_gross_abroad_is_kept_beside() -> None:
    (report,) = read("adyen")
    assert (report.payout, report.paid_on, report.net_minor) == ("MusterDE-4", date(2026, 11, 19), 12862)
    assert figures(report) == [
        ("charge", 11900, 88, 11812),
        ("charge", 8000, 90, 7910),
        ("refund", -1900, 0, -1900),
        ("dispute", -3500, 750, -4250),
        ("fee", 0, 210, -210),
        ("reserve", -500, 0, -500),
        ("payout", -12862, 0, -12862),
    ]
    assert (report.lines[1].other_minor, report.lines[1].other_currency) == (10000, "USD")
    assert report.lines[2].ids == ("8815000000000103", "8815000000000001")
    assert report.lines[4].ids == ()  # "Transaction Fees November 2026" names many fees


def test_paypal_s_statement_opens_and_closes_with_a_balance_and_pays_out_by_a_line() -> None:
    euros, dollars = read("paypal")
    assert (euros.payout, euros.opening_minor, euros.closing_minor, euros.net_minor) == (
        *("20261119-MERCHANT1-EUR", 500, 2669, 0),
    )
    assert figures(euros) == [
        ("charge", 11900, 331, 11569),
        ("refund", -1900, 0, -1900),
        ("conversion", 7500, 0, 7500),
        ("payout", -15000, 0, -15000),
    ]
    assert figures(dollars) == [("charge", 10000, 349, 9651), ("conversion", -9651, 0, -9651)]


def test_both_sides_of_a_conversion_know_each_other() -> None:
    euros, dollars = read("paypal")
    assert (euros.lines[2].other_minor, euros.lines[2].other_currency) == (-9651, "USD")
    assert (dollars.lines[1].other_minor, dollars.lines[1].other_currency) == (7500, "EUR")


def test_woopayments_leaves_what_is_not_paid_out_for_a_later_report() -> None:
    (report,) = read("woopayments")
    assert (report.payout, report.paid_on, report.net_minor) == ("wp_po_1", date(2026, 11, 21), 11135)
    assert figures(report) == [
        ("charge", 4990, 125, 4865),
        ("charge", 8000, 240, 7760),
        ("refund", -990, 0, -990),
        ("fee", 0, 500, -500),
    ]
    assert [line.reference for line in report.lines] == ["1001", "1002", "1001", None]


def test_any_other_report_is_read_by_its_description() -> None:
    (report,) = read("described")
    assert (report.payout, report.paid_on, report.net_minor) == ("A-7", date(2026, 11, 20), 108770)
    assert figures(report) == [
        ("charge", 111900, 1230, 110670),
        ("refund", -1900, 0, -1900),
        ("payout", -108770, 0, -108770),
    ]


@pytest.mark.parametrize(
    ("currency", "gross", "minor"), [("jpy", "1785", 1785), ("kwd", "14.700", 14700), ("eur", "0.01", 1)]
)
def test_an_amount_is_counted_in_its_currency_s_minor_unit(currency: str, gross: str, minor: int) -> None:
    (report,) = read("stripe", stripe(stripe_row(gross, "0", gross, currency=currency)))
    assert report.net_minor == minor


def test_a_payout_that_came_back_is_money_in() -> None:
    rows = [stripe_row("100.00", "0", "100.00"), stripe_row("40.00", "0", "40.00", "payout_reversal", "2")]
    (report,) = read("stripe", stripe(*rows, stripe_row("-140.00", "0", "-140.00", "payout", "3")))
    assert report.net_minor == 14000


def test_an_instant_payout_s_own_fee_is_no_part_of_what_arrives() -> None:
    rows = [stripe_row("100.00", "2.00", "98.00"), stripe_row("-97.00", "1.00", "-98.00", "payout", "2")]
    (report,) = read("stripe", stripe(*rows))
    assert (report.net_minor, prove_payout(report).ok) == (9700, True)
