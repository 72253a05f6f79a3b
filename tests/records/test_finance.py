"""What finance reads of the journal: each figure by hand, and that it adds up whatever was booked."""

from __future__ import annotations

from datetime import date

from counterfoil_engine.records.finance import claimed, gift_card_roll_forward, movements
from hypothesis import given
from hypothesis import strategies as st


def a_row(day, kind, amount_minor, is_breakage=0, currency="EUR"):
    named = {"posting_date": day, "kind": kind, "currency": currency}
    return {**named, "amount_minor": amount_minor, "is_breakage": is_breakage}


def test_gift_cards_roll_forward_by_what_was_sold_used_given_back_expired_and_credited():
    (cards,) = gift_card_roll_forward(
        [
            a_row("2026-10-30", "invoice", 10000),
            a_row("2026-11-02", "invoice", 5000),
            a_row("2026-11-03", "tender", -4000),
            a_row("2026-11-04", "tender", 1000),
            a_row("2026-11-05", "credit_note", -2000),
            a_row("2026-11-30", "transfer", -500, is_breakage=1),
        ],
        date(2026, 11, 1),
    )
    assert (cards.opening_minor, cards.issued_minor, cards.used_minor) == (10000, 5000, 3000)
    assert (cards.breakage_minor, cards.adjusted_minor, cards.closing_minor) == (500, -2000, 9500)


@given(
    st.lists(
        st.builds(
            a_row,
            st.sampled_from(["2026-10-31", "2026-11-01", "2026-11-15"]),
            st.sampled_from(["invoice", "tender", "credit_note", "transfer"]),
            st.integers(-10_000, 10_000),
            st.sampled_from([0, 1]),
        )
    )
)
def test_what_is_owed_on_gift_cards_at_the_end_is_all_that_was_ever_booked(rows):
    closing = sum(cards.closing_minor for cards in gift_card_roll_forward(rows, date(2026, 11, 1)))
    assert closing == sum(row["amount_minor"] for row in rows)


def test_a_payouts_own_documents_are_shown_where_their_body_says():
    rows = [
        {**a_row("2026-11-20", "payout", -1000), "document": '{"body": {"to": "reserve"}}'},
        {**a_row("2026-11-20", "payment", -500), "document": '{"body": {"to": "unapplied", "settles": "refund"}}'},
        a_row("2026-11-20", "fee", -30),
    ]
    assert [each.figure for each in movements(rows, "stripe")] == ["reserves", "refunds", "fees"]


def test_only_what_rests_on_the_stores_word_is_a_claim():
    rows = [
        {"source": "bacs", "document": '{"body": {"inferred": true}}'},
        {"source": "stripe", "document": '{"body": {"inferred": false}}'},
    ]
    assert [row["role"] for row in claimed(rows)] == ["claims:bacs"]
