"""What a posted document is to a payout's lines: money on the gateway's clearing, and the ids it is known by."""

from __future__ import annotations

from counterfoil_engine.domain.documents import Document
from counterfoil_engine.domain.settlement.lines import Kind
from counterfoil_engine.domain.settlement.posted import Posting

MONEY = ("payment", "refund_payment", "fee", "dispute")


def posting_of(document: Document) -> Posting | None:
    """The posting that a line of a payout may be; None where the document moves nothing that a line could be."""
    gateway = str(document.body.get("gateway", ""))
    is_lost = document.kind == "dispute" and document.body.get("state") == "lost"
    if document.kind not in MONEY or not gateway or is_lost:
        return None
    role = f"clearing:{gateway}:{document.currency}"
    moved = [line for line in document.journal if line.role == role]
    sign = -1 if document.kind == "fee" else 1  # a fee is positive where the gateway takes it
    kind = _kind(document)
    return Posting(
        slot=document.slot,
        kind=kind,
        source=gateway,
        ids=_ids(document),
        amount_minor=sign * sum(line.debit_minor - line.credit_minor for line in moved),
        currency=document.currency,
        day=document.day,
        reference=document.number or _order_of(document),
        book_minor=sign * sum(line.book_debit_minor - line.book_credit_minor for line in moved),
    )


def _kind(document: Document) -> Kind:
    if document.kind == "payment":
        settles = document.body.get("settles")
        # A capture that failed is reported as the refund that undoes it.
        return settles or ("charge" if document.amount_minor >= 0 else "refund")
    return "refund" if document.kind == "refund_payment" else "fee" if document.kind == "fee" else "dispute"


def _ids(document: Document) -> tuple[str, ...]:
    """Its own id first. A dispute's body names it by a natural id, and the charge that it is about."""
    said = (document.body.get("dispute"), document.body.get("transaction"))
    return tuple(dict.fromkeys(id for id in (*document.known_as, *said) if id))


def _order_of(document: Document) -> str | None:
    order = document.slot.split("/")[1]
    return None if order == "-" else order
