"""What the recorded orders make due keeps to the documents' contracts, as it is sent and as it is undone."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from builders import NOW, an_order, facts_of, the_rules
from contracts.examples import slow_validator
from counterfoil_contracts import faults, schema
from counterfoil_engine.domain.documents import Document
from counterfoil_engine.domain.dues import dues
from counterfoil_engine.work.rules_file import parse_rules, render_rules
from counterfoil_engine.work.wire import wire_document
from domain.recorded import facts_by_order

FACTS = facts_by_order()
# What an order makes due where no other party says anything of it.
STORES_OWN = (
    "customer",
    "sales_order",
    "payment",
    "tender",
    "invoice",
    "cancellation",
    "credit_note",
    "refund_payment",
    "application",
)


def sent(document: Document) -> list[dict[str, Any]]:
    """The document as JSON: posted, and its reversal."""
    key = f"{document.slot}/r1"
    day = date(2026, 11, 23)
    posted = wire_document(document, key, "eu1", day)
    undone = wire_document(document, f"{key}/reversal", "eu1", day, reverses=key)
    return [json.loads(json.dumps(each)) for each in (posted, undone)]


@pytest.mark.parametrize("order_id", FACTS)
def test_a_recorded_orders_documents_keep_to_their_contracts(order_id: str) -> None:
    for document in dues(FACTS[order_id], the_rules(), NOW).documents:
        name = f"documents/{document.kind}.v1"
        for value in sent(document):
            assert faults(name, value) == []
            assert slow_validator(name).is_valid(value)


def test_every_kind_of_document_is_among_them() -> None:
    """No recorded order was accepted and then cancelled; this one was."""
    cancelled = facts_of(an_order(), an_order(status="cancelled"))
    kinds = {
        document.kind for facts in (*FACTS.values(), cancelled) for document in dues(facts, the_rules(), NOW).documents
    }
    assert kinds >= set(STORES_OWN)
    assert all(schema(f"documents/{kind}.v1") for kind in kinds)
    for document in dues(cancelled, the_rules(), NOW).documents:
        assert [faults(f"documents/{document.kind}.v1", value) for value in sent(document)] == [[], []]


def test_rules_made_in_a_program_can_be_written_as_a_file_that_means_the_same() -> None:
    written = parse_rules(render_rules(the_rules()))
    assert written.entities == the_rules().entities
    assert written.stores == the_rules().stores
    for order_id, facts in FACTS.items():
        assert dues(facts, written, NOW) == dues(facts, the_rules(), NOW), order_id
