"""WooPayments' list of payouts says what each came to, in a currency that only some of its rows name."""

from __future__ import annotations

from datetime import date

import pytest
from counterfoil_engine.domain.errors import Parked
from counterfoil_engine.domain.settlement.lines import Total
from counterfoil_engine.domain.settlement.payout_list import read_list
from domain.settlement.reports import TODAY, sample

HEADER = "Payout Id,Date,Type,Amount,Status,Bank account\n"


def test_what_was_paid_counts_and_what_is_on_its_way_or_failed_is_told_apart() -> None:
    listed = read_list(sample("woopayments-payouts"), TODAY) or ()
    assert [(each.payout, each.currency, each.state) for each in listed] == [
        ("wp_po_1", None, "paid"),
        ("wp_po_2", "EUR", "paid"),
        ("wp_po_3", "EUR", "paid"),
        ("wp_po_4", "EUR", "later"),
        ("wp_po_5", "EUR", "failed"),
    ]
    assert listed[0].total("EUR") == Total(11135, "EUR", date(2026, 11, 21))
    assert listed[2].total("EUR").amount_minor == -1250


def test_an_export_of_transactions_is_no_list() -> None:
    assert read_list(sample("woopayments"), TODAY) is None


@pytest.mark.parametrize("kind", ["Payout,-12.50", "Withdrawal,12.50", "Withdrawal,-12.50"])
def test_what_the_gateway_drew_is_below_nothing_however_it_is_written(kind: str) -> None:
    (listed,) = read_list(f"{HEADER}po_1,2026-11-20,{kind},Paid,B\n".encode(), TODAY) or ()
    assert listed.total("EUR").amount_minor == -1250


@pytest.mark.parametrize(
    ("row", "cause"),
    [
        ("po_1,2026-11-20,Payout,10.00,Bezahlt,B", "Row 2 of the report is of the status 'Bezahlt'"),
        ("po_1,2026-11-20,Loan,10.00,Paid,B", "Row 2 of the report is of the type 'Loan'"),
        ("po_1,2026-11-20,Payout,,Paid,B", "Row 2 of the report has no amount"),
        (",2026-11-20,Payout,10.00,Paid,B", "Row 2 of the report names no payout"),
        ("po_1,20.11.2026,Payout,10.00,Paid,B", "where a date like"),
        ("po_1,2026-12-20,Payout,10.00,Paid,B", "Row 2 of the report is dated 2026-12-20"),
        ("po_1,2026-11-20,Payout,10.00,Paid", "it is torn"),
        ("po_1,2026-11-20,Payout,10.00,Paid,B\npo_1,2026-11-21,Payout,10.00,Paid,B", "a second time"),
    ],
)
def test_a_row_that_cannot_be_read_parks_with_its_number(row: str, cause: str) -> None:
    with pytest.raises(Parked, match="report") as caught:
        read_list(f"{HEADER}{row}\n".encode(), TODAY)
    assert cause in caught.value.cause
    assert caught.value.remedy


def test_a_column_that_nobody_has_thought_of_parks() -> None:
    data = (HEADER.strip() + ",Instant fee\npo_1,2026-11-20,Payout,10.00,Paid,B,0.50\n").encode()
    with pytest.raises(Parked, match="Instant fee"):
        read_list(data, TODAY)
