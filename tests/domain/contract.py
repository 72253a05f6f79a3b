"""What a document would meet at the ERP: its contract, and another reading of the journal that it makes."""

from __future__ import annotations

import json
from typing import Any

import counterfoil_contracts
from counterfoil_engine.domain.documents import Document, Dues
from counterfoil_engine.work.wire import wire_document
from counterfoil_sandbox.erp_journal import journal_of


def sent(document: Document) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(wire_document(document, f"{document.slot}/r1", "eu1", document.day)))
    return found


def assert_the_erp_takes(result: Dues) -> None:
    """Every document fits its contract, and the ERP works out the same journal from the body of each of its own."""
    for document in result.documents:
        wire = sent(document)
        assert counterfoil_contracts.faults(f"documents/{document.kind}.v1", wire) == [], wire
        if document.party != "erp":
            assert document.journal == (), document.slot
            continue
        theirs = {
            line.role: (line.debit_minor - line.credit_minor, line.book_debit_minor - line.book_credit_minor)
            for line in journal_of(wire)
        }
        ours: dict[str, tuple[int, int]] = {}
        for line in document.journal:
            amount, book = ours.get(line.role, (0, 0))
            ours[line.role] = (
                amount + line.debit_minor - line.credit_minor,
                book + line.book_debit_minor - line.book_credit_minor,
            )
        assert theirs == {role: amounts for role, amounts in ours.items() if any(amounts)}, document.slot
