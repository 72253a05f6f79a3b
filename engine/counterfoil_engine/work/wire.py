"""A document as it goes to the ERP: the JSON of its contract (`contracts/documents/<kind>.v1.json`)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from types import MappingProxyType

from counterfoil_engine.domain.documents import Document
from counterfoil_engine.ports import Intent, Posting


def posting_of(intent: Intent, posting_date: date, old_numbers: Mapping[str, str] = MappingProxyType({})) -> Posting:
    """What is sent for an intent: its document under its key, with the date that was chosen for it (R1).

    old_numbers: by slot, the ERP's own of what was taken over; those that the document rests on go with it (R3)."""
    assert intent.document is not None
    document = wire_document(
        intent.document,
        intent.key,
        intent.store,
        posting_date,
        event_date=intent.day,
        reverses=intent.reverses,
        content_hash=intent.content_hash,
    )
    if named := {slot: old_numbers[slot] for slot in intent.document.after if slot in old_numbers}:
        document["taken_over"] = named
    return Posting(intent.key, intent.content_hash, document)


def wire_document(
    document: Document,
    key: str,
    store: str,
    posting_date: date,
    event_date: date | None = None,
    reverses: str | None = None,
    content_hash: str | None = None,
) -> dict[str, object]:
    """The common fields, then those of the kind. reverses: the original's key, where this is its reversal: the same
    document with its amount negated; the ERP mirrors the journal that it booked for the original. content_hash: where
    it is known already."""
    order = document.subject.removeprefix("order ").split("/", 1)[1] if document.subject.startswith("order ") else None
    return {
        "contract": f"counterfoil.{document.kind}.v1",
        "key": key,
        "slot": document.slot,
        "kind": document.kind,
        "entity": document.entity,
        "store": store,
        "order": int(order) if order and order.isdecimal() else order,
        "number": document.number or order,
        "currency": document.currency,
        "book_currency": document.book_currency,
        "amount_minor": -document.amount_minor if reverses else document.amount_minor,
        "date": posting_date.isoformat(),
        "event_date": (event_date or document.day).isoformat(),
        "content_hash": content_hash or document.content_hash,
        "reverses": reverses,
        "why": document.why,
        **document.body,
    }
