"""Store, gateway and credit note agree on a refund after the tender is taken off, or a case names what is missing."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from counterfoil_engine.domain.settlement.refunds import RefundWays, Side, refund_case
from hypothesis import given
from hypothesis import strategies as st

STORE, GATEWAY, CREDIT = (
    Side("5001", 1900, "EUR"),
    Side("re_1", 1900, "EUR"),
    Side("eu1/1001/credit_note/5001", 1900, "EUR"),
)
AGREED = RefundWays("5001", STORE, [GATEWAY], [CREDIT])


def test_three_that_agree_are_no_case() -> None:
    assert refund_case(AGREED) is None


@pytest.mark.parametrize(
    ("ways", "cause"),
    [
        (
            replace(AGREED, store=None),
            "The refund 5001 lacks the store's refund; there is the gateway's refund 19.00 EUR"
            " and the credit note 19.00 EUR.",
        ),
        (
            replace(AGREED, gateway=[]),
            "The refund 5001 lacks the gateway's refund; there is the store's refund 19.00 EUR"
            " and the credit note 19.00 EUR.",
        ),
        (
            replace(AGREED, credit_notes=[]),
            "The refund 5001 lacks the credit note; there is the store's refund 19.00 EUR"
            " and the gateway's refund 19.00 EUR.",
        ),
        (
            replace(AGREED, gateway=[Side("re_1", 1800, "EUR")]),
            "The refund 5001 differs: the store's refund 19.00 EUR and the gateway's refund 18.00 EUR"
            " and the credit note 19.00 EUR.",
        ),
        (
            replace(AGREED, gateway=[Side("re_1", 1900, "USD")]),
            "The refund 5001 is in EUR and USD: the store's refund 19.00 EUR and the gateway's refund 19.00 USD and the"
            " credit note 19.00 EUR.",
        ),
    ],
)
def test_a_case_names_the_one_that_is_missing_or_differs(ways: RefundWays, cause: str) -> None:
    case = refund_case(ways)
    assert case
    assert (case.category, case.cause) == ("refund", cause)


def test_what_is_at_stake_is_the_difference_or_all_of_it() -> None:
    differs, lacks = replace(AGREED, gateway=[Side("re_1", 1800, "EUR")]), replace(AGREED, gateway=[])
    assert [(case.money_minor, case.currency) for case in (refund_case(differs), refund_case(lacks)) if case] == [
        *((100, "EUR"), (1900, "EUR")),
    ]


def test_what_a_gift_card_paid_is_taken_off_before_they_are_compared() -> None:
    card = replace(AGREED, credit_notes=[Side("cn", 2900, "EUR", tender_minor=1000)])
    assert refund_case(card) is None


def test_a_refund_paid_in_parts_and_credited_per_invoice_agrees_as_a_whole() -> None:
    parts = [Side("re_1", 1000, "EUR"), Side("re_2", 900, "EUR")]
    notes = [Side("cn-1", 400, "EUR"), Side("cn-2", 1500, "EUR")]
    assert refund_case(RefundWays("5001", STORE, parts, notes)) is None


def test_a_refund_that_failed_is_missing_its_money() -> None:
    case = refund_case(replace(AGREED, gateway=[GATEWAY, Side("re_1-failed", -1900, "EUR")]))
    assert case
    assert "the gateway's refund 0.00 EUR" in case.cause


def test_a_transfer_by_hand_expects_no_gateway() -> None:
    assert refund_case(replace(AGREED, gateway=[], expected=("store", "credit_note"))) is None


def test_goods_that_did_not_come_back_are_named_by_line() -> None:
    goods = {"item:46": Decimal(2), "item:47": Decimal(1)}
    ways = replace(AGREED, goods=goods, received={"item:46": Decimal(1), "item:47": Decimal(1)})
    assert refund_case(ways) is None
    case = refund_case(replace(ways, expected=("store", "gateway", "credit_note", "receipt")))
    assert case
    assert case.cause == "The refund 5001 waits for goods: 1 of item:46 did not come back."


SIDES = st.builds(Side, st.just("x"), st.integers(-500, 500), st.sampled_from(["EUR", "USD"]), st.integers(0, 99))


@given(st.one_of(st.none(), SIDES), st.lists(SIDES, max_size=3), st.lists(SIDES, max_size=3))
def test_there_is_no_case_exactly_where_all_three_come_to_the_same_in_one_currency(
    store: Side | None, gateway: list[Side], notes: list[Side]
) -> None:
    ways = [[store] if store else [], gateway, notes]
    agree = (
        all(ways)
        and len({side.currency for way in ways for side in way}) == 1
        and len({sum(side.amount_minor - side.tender_minor for side in way) for way in ways}) == 1
    )
    assert (refund_case(RefundWays("1", store, gateway, notes)) is None) == agree
