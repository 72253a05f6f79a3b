"""What each document posts: journal lines by role, from the document's own body (domain.md, section 4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from counterfoil_engine.domain.documents import Document, JournalLine
from counterfoil_engine.domain.settlement.journals import payout_journal

GIFT_CARDS = "gift_cards"  # the class of items that are gift cards, in the rules
GOODWILL = "goodwill"  # the class of a price reduction for damages

Amounts = tuple[str, int, int]  # role, minor units and book minor units; a debit is positive, a credit negative


def journal(kind: str, body: Mapping[str, Any], amount_minor: int, currency: str) -> tuple[JournalLine, ...]:
    """The journal of a document of this kind; lines of nothing are left out. Kinds that post nothing give ()."""
    lines = _POSTINGS[kind](body, amount_minor, currency) if kind in _POSTINGS else ()
    return tuple(_line(*line) for line in lines if line[1] or line[2])


def mirrored(lines: Sequence[JournalLine]) -> tuple[JournalLine, ...]:
    """A reversal's journal: its document's, role by role, debit for credit."""
    return tuple(
        JournalLine(line.role, line.credit_minor, line.debit_minor, line.book_credit_minor, line.book_debit_minor)
        for line in lines
    )


def balance(documents: Sequence[Document], role: str) -> tuple[int, int]:
    """Debits less credits of a role over these documents, in the document's and the book currency."""
    lines = [line for document in documents for line in document.journal if line.role == role]
    return (
        sum(line.debit_minor - line.credit_minor for line in lines),
        sum(line.book_debit_minor - line.book_credit_minor for line in lines),
    )


def tax_role(tax: Mapping[str, Any]) -> str:
    return f"tax:{tax['treatment']}:{tax['jurisdiction']}:{tax['rate']}"


def _invoice(body: Mapping[str, Any], amount_minor: int, currency: str) -> Iterator[Amounts]:
    yield "receivable", amount_minor, body["book_minor"]
    for line in body["lines"]:
        yield from earned(body, line)
        for tax in line["taxes"]:
            yield tax_role(tax), -tax["tax_minor"], -tax["tax_book_minor"]


def earned(body: Mapping[str, Any], line: Mapping[str, Any]) -> Iterator[Amounts]:
    """An invoice's line without its taxes: its revenue or what isn't earned yet first, then a discount shown gross."""
    is_unearned = bool(body.get("unearned"))
    role = "unearned" if is_unearned and line["class"] != GIFT_CARDS else revenue_role(line)
    yield role, -line["net_minor"], -line["net_book_minor"]
    discount, discount_book = line.get("discount_minor", 0), line.get("discount_book_minor", 0)
    if not is_unearned:  # else it is shown once the revenue is earned
        yield revenue_role(line), -discount, -discount_book
        yield "discounts", discount, discount_book


def revenue_role(line: Mapping[str, Any]) -> str:
    """A gift card that is sold is no revenue: it is owed until it is used (EU VAT art. 30b)."""
    if line["class"] == GIFT_CARDS:
        return "gift_cards"
    return {"shipping": "revenue:shipping", "fee": "revenue:fees"}.get(line["type"], f"revenue:{line['class']}")


_CREDITED = {"shipping": "revenue:shipping", "fee": "revenue:fees", "allowance": "allowances"}


def _credit_note(body: Mapping[str, Any], amount_minor: int, currency: str) -> Iterator[Amounts]:
    for line in body["lines"]:
        yield credited(line)
        for tax in line["taxes"]:
            yield tax_role(tax), tax["tax_minor"], tax["tax_book_minor"]
    yield "receivable", -amount_minor, -body["book_minor"]


def credited(line: Mapping[str, Any]) -> Amounts:
    """A credit note's line without its taxes."""
    role = _CREDITED.get(line["type"], f"returns:{line['class']}")
    role = {GIFT_CARDS: "gift_cards", GOODWILL: "goodwill"}.get(line["class"], role)
    role = "unearned" if line.get("unearned") and line["class"] != GIFT_CARDS else role
    return role, line["net_minor"], line["net_book_minor"]


def _payment(body: Mapping[str, Any], amount_minor: int, currency: str) -> Iterator[Amounts]:
    yield f"clearing:{body['gateway']}:{currency}", amount_minor, body["book_minor"]
    role = "deposits" if body["to"] == "deposits" else f"unapplied:{body['gateway']}"
    yield role, -amount_minor, -body["book_minor"]


def _tender(body: Mapping[str, Any], amount_minor: int, currency: str) -> Iterator[Amounts]:
    if amount_minor >= 0:
        yield "gift_cards", amount_minor, body["book_minor"]
        yield "deposits", -amount_minor, -body["book_minor"]
        return
    yield "refunds_owed", -amount_minor, -body["carried_book_minor"]
    yield "gift_cards", amount_minor, body["book_minor"]
    yield from _exchange(-body["carried_book_minor"], -body["book_minor"])


def _fee(body: Mapping[str, Any], amount_minor: int, currency: str) -> Iterator[Amounts]:
    yield "gateway_fees", amount_minor, body["book_minor"]
    yield f"clearing:{body['gateway']}:{currency}", -amount_minor, -body["book_minor"]


def _dispute(body: Mapping[str, Any], amount_minor: int, currency: str) -> Iterator[Amounts]:
    """Opened: withdrawn from clearing; won: back into it; lost: a loss, or no deposit any more."""
    book = body["book_minor"]
    if body["state"] == "opened":
        yield "disputed", amount_minor, book
        yield f"clearing:{body['gateway']}:{currency}", -amount_minor, -book
    elif body["state"] == "won":
        yield f"clearing:{body['gateway']}:{currency}", amount_minor, book
        yield "disputed", -amount_minor, -book
    else:
        loss = body.get("loss") or "dispute_losses"
        carried = body.get("carried_book_minor", book)
        yield loss, amount_minor, carried
        yield "disputed", -amount_minor, -book
        yield from _exchange(carried, book)


def _refund_payment(body: Mapping[str, Any], amount_minor: int, currency: str) -> Iterator[Amounts]:
    yield "refunds_owed", amount_minor, body["carried_book_minor"]
    yield f"clearing:{body['gateway']}:{currency}", -amount_minor, -body["book_minor"]
    yield from _exchange(body["carried_book_minor"], body["book_minor"])


def _application(body: Mapping[str, Any], amount_minor: int, currency: str) -> Iterator[Amounts]:
    for move in body["moves"]:
        yield move["debit"], move["amount_minor"], move["debit_book_minor"]
        yield move["credit"], -move["amount_minor"], -move["credit_book_minor"]
        yield from _exchange(move["debit_book_minor"], move["credit_book_minor"])


def _exchange(debit_book_minor: int, credit_book_minor: int) -> Iterator[Amounts]:
    """What settling at another book amount than booked leaves: a loss is a debit, a gain a credit (IAS 21.28)."""
    difference = credit_book_minor - debit_book_minor
    if difference:
        yield "fx_loss" if difference > 0 else "fx_gain", 0, difference


_POSTINGS: dict[str, Callable[[Mapping[str, Any], int, str], Iterator[Amounts]]] = {
    "invoice": _invoice,
    "credit_note": _credit_note,
    "payment": _payment,
    "tender": _tender,
    "refund_payment": _refund_payment,
    "application": _application,
    "transfer": _application,
    "payout": payout_journal,
    "fee": _fee,
    "dispute": _dispute,
}


def _line(role: str, amount_minor: int, book_minor: int) -> JournalLine:
    return JournalLine(role, max(amount_minor, 0), max(-amount_minor, 0), max(book_minor, 0), max(-book_minor, 0))
