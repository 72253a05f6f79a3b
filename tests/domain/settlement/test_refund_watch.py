"""Refunds three ways, order by order: who lacks what, since when, and from which day on it is a case."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from builders import START, a_capture, a_fact, a_row, an_order, facts_of, paid_back, refund_of, the_rules
from counterfoil_engine.domain.documents import Dues
from counterfoil_engine.domain.dues import dues as order_dues
from counterfoil_engine.domain.settlement.refund_watch import Watched, dues, refunds_of

ORDER = an_order()
REFUND = refund_of(ORDER, {1: 1}, created=START + timedelta(hours=20))
REFUNDED = (an_order(refunds=[REFUND]), [REFUND])
CAPTURE = a_capture("c1", 0, 1190)
WATCHED = the_rules(settlement=[a_row(match={"gateway": "stripe", "currency": "*"}, refund_days="3")])


def told(*others: Any) -> list[Watched]:
    facts, rules, as_of = facts_of(ORDER, REFUNDED, others=others), the_rules(), START + timedelta(days=2)
    return refunds_of(facts, order_dues(facts, rules, as_of), rules, as_of)


def watched(days: float, *others: Any, rules: Any = WATCHED) -> Dues:
    return dues(facts_of(ORDER, REFUNDED, others=others), rules, START + timedelta(days=days))


def test_a_refund_that_all_three_agree_on_is_no_case() -> None:
    (refund,) = told(CAPTURE, paid_back("b1", 21, 1190, 5001))
    assert refund.case is None
    assert [side.amount_minor for side in (*refund.ways.gateway, *refund.ways.credit_notes)] == [1190, 1190]


def test_what_the_gateway_has_not_paid_yet_is_named_with_its_remedy() -> None:
    (refund,) = told(CAPTURE)
    assert refund.case and "lacks the gateway's refund" in refund.case.cause
    assert (refund.gateway, refund.since) == ("stripe", START + timedelta(hours=20))


def test_where_no_gateway_speaks_of_the_order_none_is_expected_to() -> None:
    (refund,) = told()
    assert refund.case is None


def test_a_refund_that_failed_at_the_gateway_differs() -> None:
    failed = a_fact("gateway", "failed", "f1", 30, of="b1", transaction="ch_1", reason="account closed")
    (refund,) = told(CAPTURE, paid_back("b1", 21, 1190, 5001), failed)
    assert refund.case and "differs" in refund.case.cause


def test_a_refund_made_only_at_the_gateway_lacks_the_stores() -> None:
    facts = facts_of(ORDER, others=[CAPTURE, paid_back("b1", 21, 500)])
    (refund,) = refunds_of(facts, order_dues(facts, the_rules(), START), the_rules(), START + timedelta(days=2))
    assert refund.case and "lacks the store's refund" in refund.case.cause


def test_it_becomes_a_case_once_the_days_of_the_rule_are_over_and_time_alone_brings_it() -> None:
    early = watched(2, CAPTURE)
    assert early.cases == () and early.again_at == START + timedelta(hours=20, days=3)
    late = watched(4, CAPTURE)
    assert [case.category for case in late.cases] == ["refund"] and late.reading == "parked"
    assert late.documents == early.documents  # nothing is posted because somebody is late
    assert watched(4, CAPTURE, paid_back("b1", 90, 1190, 5001)).cases == ()


@pytest.mark.parametrize("settlement", [[], [a_row(match={"gateway": "paypal", "currency": "*"}, refund_days="3")]])
def test_without_a_rule_for_its_gateway_no_refund_is_watched(settlement: list[Any]) -> None:
    assert watched(90, CAPTURE, rules=the_rules(settlement=settlement)).cases == ()
