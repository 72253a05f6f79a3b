"""Two readings of the same documents: what the engine says a due books, and what the sandbox ERP makes of it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import counterfoil_contracts
import pytest
from builders import NOW, the_rules
from counterfoil_engine.domain.documents import Document
from counterfoil_engine.domain.dues import dues
from counterfoil_engine.work.wire import wire_document
from counterfoil_sandbox.books import Books
from counterfoil_sandbox.erp_journal import balances_of, differing
from domain.recorded import facts_by_order

FACTS = facts_by_order()


def due(order_id: str) -> list[Document]:
    """The order's documents, each after what it waits for."""
    documents = {each.slot: each for each in dues(FACTS[order_id], the_rules(), NOW).documents}
    placed: dict[str, Document] = {}

    def place(slot: str) -> None:
        if slot in documents and slot not in placed:
            for before in documents[slot].after:
                place(before)
            placed[slot] = documents[slot]

    for slot in documents:
        place(slot)
    return list(placed.values())


def sent(document: Document, **fields: Any) -> dict[str, Any]:
    wire = wire_document(document, f"{document.slot}/r1", "eu1", document.day, **fields)
    return json.loads(json.dumps(wire))


def posted(books: Books, documents: Iterable[dict[str, Any]]) -> None:
    for document in documents:
        assert counterfoil_contracts.faults(f"documents/{document['kind']}.v1", document) == []
        (outcome,) = books.post([document])
        assert outcome["status"] == "posted", (document, outcome)


def engines_lines(documents: Iterable[Document]) -> list[tuple[str, str, str, int, int, int, int]]:
    return [
        (
            *(document.entity, line.role, document.currency),
            *(line.debit_minor, line.credit_minor, line.book_debit_minor, line.book_credit_minor),
        )
        for document in documents
        for line in document.journal
    ]


@pytest.mark.parametrize("order_id", FACTS)
def test_every_recorded_order_is_accepted_and_both_books_agree(order_id: str) -> None:
    documents, books = due(order_id), Books()
    posted(books, map(sent, documents))
    assert differing(balances_of(engines_lines(documents)), books.balances()) == []


@pytest.mark.parametrize("order_id", FACTS)
def test_every_recorded_order_can_be_reversed_until_nothing_is_left(order_id: str) -> None:
    documents, books = due(order_id), Books()
    posted(books, map(sent, documents))
    for document in reversed(documents):
        reversal = {**sent(document, reverses=f"{document.slot}/r1"), "key": f"{document.slot}/r1/reversal"}
        posted(books, [reversal])
    assert all((balance.net_minor, balance.book_net_minor) == (0, 0) for balance in books.balances().values())


def test_a_wrong_role_planted_in_the_engine_shows_in_the_comparison() -> None:
    documents, books = due("41"), Books()
    posted(books, map(sent, documents))
    wrong = [
        replace(
            each,
            journal=tuple(
                replace(line, role="revenue:fees") if line.role == "revenue:shipping" else line for line in each.journal
            ),
        )
        for each in documents
    ]
    roles = {key[1] for key, _, _ in differing(balances_of(engines_lines(wrong)), books.balances())}
    assert roles == {"revenue:fees", "revenue:shipping"}
