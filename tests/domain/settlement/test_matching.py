"""A line finds its posting by id, then by reference and amount; what is left gets the likely ones, best first."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from counterfoil_engine.domain.settlement.lines import SettlementLine
from counterfoil_engine.domain.settlement.matching import Matched, Unmatched, match
from counterfoil_engine.domain.settlement.posted import Posting, Postings
from counterfoil_engine.domain.settlement.similar import one_slip
from hypothesis import given
from hypothesis import strategies as st

DAY = date(2026, 11, 20)


def a_line(amount_minor: int = 4990, **more: Any) -> SettlementLine:
    fee = more.pop("fee_minor", 0)
    fields: dict[str, Any] = {
        **{"source": "stripe", "payout": "po_1", "kind": "charge", "transaction": None, "reference": None},
        **{"gross_minor": amount_minor, "fee_minor": fee, "net_minor": amount_minor - fee, "currency": "EUR"},
        **{"at": DAY, "row": 2, "id": "txn_1"},
    }
    return SettlementLine(**{**fields, **more})


def a_posting(number: str = "1001", amount_minor: int = 4990, **more: Any) -> Posting:
    fields: dict[str, Any] = {
        **{
            "slot": f"eu1/{number}/payment/{number}",
            "kind": "charge",
            "source": "stripe",
            "ids": (f"ch_3Qx{number}abcd",),
        },
        **{
            "amount_minor": amount_minor,
            "currency": "EUR",
            "day": DAY,
            "reference": number,
            "customer": f"eu1-{number}",
        },
    }
    return Posting(**{**fields, **more})


def found(line: SettlementLine, *postings: Posting) -> Matched | Unmatched:
    return match(line, Postings(postings))


def test_the_transaction_s_id_decides_and_the_difference_is_shown() -> None:
    line = a_line(4900, transaction="ch_3Qx1001abcd", reference="1002")
    assert found(line, a_posting(), a_posting("1002", 4900)) == Matched(a_posting(), "transaction", -90)


def test_a_refund_is_found_by_its_charge_where_the_amount_agrees() -> None:
    charge = a_posting(ids=("ch_1",))
    refunds = [
        a_posting("1001", -amount, slot=f"eu1/1001/refund_payment/{amount}", kind="refund", ids=("ch_1",))
        for amount in (500, 700)
    ]
    line = a_line(-700, kind="refund", transaction="re_9", related=("ch_1",))
    assert found(line, charge, *refunds) == Matched(refunds[1], "transaction", 0)
    assert isinstance(found(replace(line, gross_minor=-600), charge, *refunds), Unmatched)


def test_the_reference_needs_the_amount_as_well() -> None:
    line = a_line(reference="Order WC-1001")
    assert found(line, a_posting(), a_posting("1002")) == Matched(a_posting(), "reference and amount", 0)
    assert isinstance(found(replace(line, gross_minor=4989), a_posting()), Unmatched)


def test_a_refund_of_another_amount_is_not_taken_for_the_only_one_of_its_charge() -> None:
    other = a_posting("1001", -500, kind="refund", ids=("ch_1",))
    assert isinstance(found(a_line(-700, kind="refund", transaction="re_9", related=("ch_1",)), other), Unmatched)


def test_a_number_is_the_same_however_its_signs_are_written() -> None:
    posting = a_posting("WC-1001")
    assert found(a_line(reference="wc 1001"), posting) == Matched(posting, "reference and amount", 0)


def test_another_currency_s_look_alike_is_hardly_a_candidate() -> None:
    result = found(a_line(currency="USD", reference="1001"), a_posting())
    assert isinstance(result, Unmatched)
    assert result.candidates[0].score == Decimal("0.20")


def test_where_two_would_do_none_is_taken() -> None:
    twice = [a_posting(slot="eu1/1001/payment/a", ids=()), a_posting(slot="eu1/1001/payment/b", ids=())]
    result = found(a_line(reference="1001"), *twice)
    assert isinstance(result, Unmatched)
    assert [candidate.posting.slot for candidate in result.candidates] == ["eu1/1001/payment/a", "eu1/1001/payment/b"]


def test_another_gateway_s_or_another_kind_of_posting_is_never_it() -> None:
    line = a_line(transaction="ch_3Qx1001abcd", reference="1001")
    assert found(line, a_posting(source="adyen"), a_posting(kind="refund")) == Unmatched(())


def test_what_the_customer_paid_is_compared_where_the_payout_is_in_another_currency() -> None:
    line = a_line(4600, reference="1001", other_minor=4990, other_currency="USD")
    assert found(line, a_posting(currency="USD")) == Matched(a_posting(currency="USD"), "reference and amount", 0)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (
            a_line(reference="1010"),
            "the reference is like its order's number, one letter off; the same amount; on the same day",
        ),
        (a_line(4800, fee_minor=-190, reference="x"), "the same amount but for the fee; on the same day"),
        (
            a_line(4800, reference="1001"),
            "the reference is its order's number; less by what a fee may be; on the same day",
        ),
        (
            a_line(transaction="ch_3Qx1001abdc"),
            "its transaction id differs in one place; the same amount; on the same day",
        ),
        (a_line(at=date(2026, 11, 23)), "the same amount; 3 days apart"),
        (
            a_line(6990, reference="1001"),
            "the reference is its order's number; the same amount together with another order"
            " of this customer; on the same day",
        ),
        (a_line(reference="Erika Muster"), "the reference bears its customer's name; the same amount; on the same day"),
        (
            a_line(currency="USD", reference="1001"),
            "the reference is its order's number; on the same day; but it is in EUR",
        ),
    ],
)
def test_a_candidate_s_reason_is_said_in_words(line: SettlementLine, reason: str) -> None:
    other = a_posting("2222", 2000, customer="eu1-1001")
    result = found(line, a_posting(name="Erika Muster"), other)
    assert isinstance(result, Unmatched)
    assert result.candidates[0].posting.reference == "1001"
    assert result.candidates[0].reason == reason
    assert "Erika" not in reason


def test_another_order_of_the_customer_whose_order_is_named_comes_after_it() -> None:
    result = found(a_line(3000, reference="1001"), a_posting(), a_posting("1777", 3000, customer="eu1-1001"))
    assert isinstance(result, Unmatched)
    assert [candidate.posting.reference for candidate in result.candidates] == ["1001", "1777"]
    assert "whose other order the reference names" in result.candidates[1].reason


def test_there_are_three_candidates_at_most_and_none_that_has_nothing_for_it() -> None:
    result = found(a_line(), *(a_posting(f"{n}", 4990) for n in range(3000, 3009)))
    assert isinstance(result, Unmatched)
    assert len(result.candidates) == 3
    assert found(a_line(10, at=date(2026, 1, 1)), a_posting()) == Unmatched(())


AMOUNTS = st.integers(1, 9)


@given(st.lists(st.tuples(AMOUNTS, AMOUNTS), max_size=8), AMOUNTS, AMOUNTS, st.randoms())
def test_scores_are_between_nought_and_one_and_don_t_depend_on_the_order_of_postings(
    drawn: list[tuple[int, int]], amount: int, number: int, shuffled: Any
) -> None:
    postings = [a_posting(f"100{n}", m, slot=f"s/{i}", ids=()) for i, (n, m) in enumerate(drawn)]
    line = a_line(amount, reference=f"10{number}0")
    result = found(line, *postings)
    shuffled.shuffle(postings)
    assert found(line, *postings) == result
    if isinstance(result, Unmatched):
        scores = [candidate.score for candidate in result.candidates]
        assert scores == sorted(scores, reverse=True)
        assert all(Decimal(0) < score < 1 for score in scores)


@pytest.mark.parametrize(
    ("left", "right", "is_slip"),
    [
        *[("1001", "1010", True), ("1001", "101", True), ("1001", "1002", True), ("1001", "10012", True)],
        *[("1001", "1001", False), ("1001", "2002", False), ("1001", "0110", False), ("12", "1234", False)],
    ],
)
def test_one_slip_of_a_finger_is_told_from_two(left: str, right: str, is_slip: bool) -> None:
    assert one_slip(left, right) == one_slip(right, left) == is_slip


@given(st.text("abc", min_size=1, max_size=8), st.integers(0, 7), st.sampled_from("abcd"))
def test_any_one_slip_is_seen_as_one(text: str, at: int, letter: str) -> None:
    at %= len(text)
    swapped = text[:at] + text[at : at + 2][::-1] + text[at + 2 :]
    for slipped in (
        text[:at] + text[at + 1 :],
        text[:at] + letter + text[at:],
        swapped,
        text[:at] + letter + text[at + 1 :],
    ):
        assert one_slip(text, slipped) == one_slip(slipped, text) == (slipped != text)
