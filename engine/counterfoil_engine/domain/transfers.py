"""Value that moves between roles by rule: revenue earned with each shipment, tax due on a prepayment, and a shortfall
that counts as paid (domain.md, section 4)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from counterfoil_engine.domain.charge import document_line
from counterfoil_engine.domain.documents import Document
from counterfoil_engine.domain.due_documents import DueDocuments, Step
from counterfoil_engine.domain.keys import natural_id
from counterfoil_engine.domain.parts import ACCEPTANCE
from counterfoil_engine.domain.postings import GIFT_CARDS, revenue_role, tax_role


def earning_steps(due: DueDocuments) -> Iterator[Step]:
    """Revenue that was invoiced at acceptance is earned with each shipment."""
    if not due.known.is_unearned or not due.known.is_taxed:
        return
    invoice = due.context.slot("invoice", ACCEPTANCE)
    for part in due.known.shipped.parts:
        earned: dict[tuple[str, str], int] = defaultdict(int)
        for line in part.lines:
            mapped = document_line(due.context, due.order, line, due.ordered)
            if mapped["class"] != GIFT_CARDS:
                earned["unearned", revenue_role(mapped)] += line.net_minor
                if due.known.sequence.discounts == "gross":
                    earned["discounts", revenue_role(mapped)] += line.discount_minor
        pairs = [(debit, credit, amount) for (debit, credit), amount in sorted(earned.items(), reverse=True) if amount]
        if not pairs:
            continue  # it left once all of it was taken back
        day = max(due.context.day(part.at), due.known.accepted)
        reason = f"shipment {part.id} left on {day}"
        yield Step(
            day,
            "transfer",
            due.context.slot("transfer", natural_id(f"revenue-{part.id}")),
            lambda step, pairs=pairs, reason=reason: _transfer(  # type: ignore[misc]
                due, step.slot, step.day, invoice, pairs, "revenue-on-shipment", reason
            ),
        )


def prepaid_tax(due: DueDocuments, of: Document) -> Iterator[Document]:
    """Where the rule says so, the tax inside what is on deposit is due at once; the invoice undoes it (EU VAT art. 65).

    It is a level like what is owed: each document moves it from where it stood to where it is to stand."""
    if not due.known.sequence.tax_on_deposits or not due.charge.gross_minor:
        return
    deposits = due.standing.balances["deposits"].amount_minor
    whole: dict[str, int] = defaultdict(int)
    for line in due.charge.lines:
        for tax in line["taxes"]:
            whole[tax_role(tax)] += tax["tax_minor"]
    pairs = []
    for role, amount in sorted(whole.items()):
        level = amount * max(0, deposits) // due.charge.gross_minor
        moved = level - due.prepaid_tax_minor[role]
        due.prepaid_tax_minor[role] = level
        if moved:
            pairs.append(("tax_on_deposits", role, moved))
    if pairs:
        natural = natural_id("-".join(["tax", *of.slot.split("/")[2:]]))
        reason = "tax is due on what was paid before its invoice"
        slot = due.context.slot("transfer", natural)
        yield _transfer(due, slot, of.day, of.slot, pairs, "tax-on-deposits", reason)


def shortfall(due: DueDocuments, documents: Sequence[Document]) -> Iterator[Document]:
    """An order that is paid but for so little as the rule lets go counts as paid."""
    missing = -due.standing.balances["receivable"].amount_minor
    bound = due.known.sequence.shortfall_minor
    if not due.paid_minor or not 0 < missing <= bound or due.known.money.waits:
        return
    day = max(document.day for document in documents)
    last = documents[-1].slot
    slot = due.context.slot("transfer", "shortfall")
    book = -due.standing.balances["receivable"].book_minor
    due.standing.book("receivable", missing, book)
    body = {"of": last, "moves": [_move("payment_differences", "receivable", missing, book)]}
    reason = "less came in than is owed, within the bound of the rule"
    yield due.document(slot, "transfer", missing, day, body, "shortfall", reason, last)


def _transfer(
    due: DueDocuments, slot: str, day: date, of: str, pairs: Sequence[tuple[str, str, int]], rule: str, reason: str
) -> Document:
    """pairs: debit, credit and amount; a negative amount goes the other way. Book amounts are of the day."""
    moves = [
        _move(debit, credit, amount, due.convert(amount, day))
        if amount > 0
        else _move(credit, debit, -amount, due.convert(-amount, day))
        for debit, credit, amount in pairs
        if amount
    ]
    total = sum(move["amount_minor"] for move in moves)
    return due.document(slot, "transfer", total, day, {"of": of, "moves": moves}, rule, reason, of)


def _move(debit: str, credit: str, amount_minor: int, book_minor: int) -> Mapping[str, Any]:
    return {
        "debit": debit,
        "credit": credit,
        "amount_minor": amount_minor,
        "debit_book_minor": book_minor,
        "credit_book_minor": book_minor,
    }
