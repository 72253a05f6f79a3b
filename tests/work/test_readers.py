"""What a look can ask of an order beside what is due now."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from builders import NOW, a_capture, a_fact, an_order, facts_of, the_rules
from counterfoil_engine.domain.dues import dues
from counterfoil_engine.work.readers import OrderReader


def unread(*_: Any) -> Any:
    raise AssertionError("the facts are given")


def test_the_beginnings_of_an_order_lack_what_its_store_or_others_said_last() -> None:
    capture = a_capture("c1", 0, 1190)
    failed = a_fact("gateway", "failed", "f1", 30, of="c1", transaction="c1", reason="The bank took it back.")
    facts = facts_of(an_order(), an_order(customer_note="Ring twice."), others=[capture, failed])
    tried = list(OrderReader(dues, unread).earlier(facts))
    assert [(len(one.snapshots), len(one.party_facts)) for one in tried] == [
        (2, 1), (1, 2), (2, 0), (1, 1), (0, 2), (1, 0), (0, 1), (0, 0),
    ]  # fmt: skip


def test_a_payment_as_the_store_claimed_it_is_found_again_once_the_gateway_has_said_another_figure() -> None:
    """A restored engine learns by it what the ERP's document says."""
    facts = facts_of(an_order(transaction_id="ch_1"), others=[a_capture("ch_1", 0, 1000)])

    def paid(facts: Any) -> list[int]:
        documents = dues(facts, the_rules(), NOW + timedelta(days=9)).documents
        return [document.amount_minor for document in documents if document.kind == "payment"]

    assert paid(facts) == [1000]
    assert [1190] in [paid(earlier) for earlier in OrderReader(dues, unread).earlier(facts)]
