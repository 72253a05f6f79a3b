"""Refunds that the engine pays itself: above the limit of the rules (table `approvals`) one is held until somebody has
proposed it and somebody else approved it. In force with the other four eyes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from counterfoil_engine.domain.documents import Document
from counterfoil_engine.domain.errors import Case, CounterfoilError
from counterfoil_engine.domain.money import show
from counterfoil_engine.domain.rules import Rules
from counterfoil_engine.ports import DuesOf, Facts, Records, RulesBook
from counterfoil_engine.work.decisions import Decision, Frozen
from counterfoil_engine.work.four_eyes import NO_LIMIT, hash_of, limit_of

WHAT = "refund_order"


def takes_another(records: Records, tx: Any, rules: Rules, document: Document) -> bool:
    """Whether this refund waits for a second person, who hasn't approved exactly it."""
    if document.kind != WHAT or document.is_kept or records.users.four_eyes_since(tx) is None:
        return False
    limit = limit_of(rules, tx.now().date(), WHAT, document.currency)
    if limit == NO_LIMIT or document.amount_minor <= int(limit):
        return False
    return not records.proposals.is_approved(tx, hash_of(WHAT, _payload(document)))


def waiting_case(document: Document) -> Case:
    """Says of a held refund what lets it go."""
    _, order, _, refund = document.slot.split("/")
    return Case(
        "refund",
        f"Refund {refund} of {show(document.amount_minor, document.currency)} is above what one person may have paid.",
        f"Propose it (counterfoil pay-refund {document.slot.split('/')[0]}/{order} {refund}) and have somebody else"
        " approve it; or delete the refund in the store.",
        money_minor=document.amount_minor,
        currency=document.currency,
    )


class PayRefund(Decision):
    """asked: {"store", "order", "refund"}: pay a refund that is held, and of exactly this amount."""

    what = WHAT

    def __init__(self, records: Records, book: RulesBook, dues: DuesOf, facts: Facts) -> None:
        self._records, self._book, self._dues, self._facts = records, book, dues, facts

    def freeze(self, tx: Any, asked: Mapping[str, Any]) -> Frozen:
        slot = f"{asked['store']}/{asked['order']}/{WHAT}/{asked['refund']}"
        facts = self._facts(tx, asked["store"], asked["order"])
        due = self._dues(facts, self._book.current(tx), tx.now()).documents if facts.is_known else ()
        document = next((each for each in due if each.slot == slot and not each.is_kept), None)
        if document is None:
            raise CounterfoilError(
                f"The engine has no refund {asked['refund'][:40]} of {asked['store']}/{asked['order']} to pay.",
                "See what is due (counterfoil order STORE/ID): a store may pay its refunds itself.",
                "conflict",
            )
        amount = show(document.amount_minor, document.currency)
        summary = f"Pay refund {asked['refund']} of {asked['store']}/{asked['order']} back: {amount}."
        return Frozen(_payload(document), summary, {document.currency: document.amount_minor})

    def carry_out(self, tx: Any, payload: Mapping[str, Any], who: str) -> Mapping[str, Any]:
        self._records.work.mark_due(tx, [payload["subject"]], "live")
        self._records.restatements.audit(tx, who, "pay refund", **payload)
        return dict(payload)


def _payload(document: Document) -> dict[str, Any]:
    return {
        "subject": document.subject,
        "slot": document.slot,
        "amount_minor": document.amount_minor,
        "currency": document.currency,
        "content_hash": document.content_hash,
    }
