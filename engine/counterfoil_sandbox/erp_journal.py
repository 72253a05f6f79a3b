"""The sandbox ERP's own reading of a document: which journal it makes, and why it is refused. Pure.

Nothing here is taken from the sender but the document's body, so that a wrong role on either side shows when
the books are compared.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import counterfoil_contracts

# SQLite holds 64 bits; this leaves room for sums and is far above any order.
AMOUNT_BOUND_MINOR = 10**15
MAX_LINES = 10_000
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True)
class Line:
    """One line of a journal; of debit and credit one is 0, in each currency by itself. All in minor units."""

    role: str
    debit_minor: int
    credit_minor: int
    book_debit_minor: int
    book_credit_minor: int

    @property
    def mirrored(self) -> Line:
        return Line(self.role, self.credit_minor, self.debit_minor, self.book_credit_minor, self.book_debit_minor)


class Refusal(Exception):
    """The ERP's no to one document: category, cause and remedy in whole sentences."""

    def __init__(self, category: str, cause: str, remedy: str) -> None:
        super().__init__(f"{cause} {remedy}")
        self.category, self.cause, self.remedy = category, cause, remedy


def require_contract(document: Mapping[str, Any]) -> None:
    """Raise Refusal where the document is not as the contract of its kind says."""
    kind = document.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise Refusal(
            "contract", f"The kind {str(kind)[:40]!r} is unknown to this ERP.", f"Send one of {', '.join(KINDS)}."
        )
    faults = counterfoil_contracts.faults(f"documents/{kind}.v1", document, 3)
    if faults:
        raise Refusal(
            "contract",
            f"The {kind} is not as its contract says: {'; '.join(str(fault) for fault in faults)}.",
            f"Send it as documents/{kind}.v1 says.",
        )


def journal_of(document: Mapping[str, Any]) -> tuple[Line, ...]:
    """The journal that this document makes by itself, one line a role; empty where it moves no value.

    Raises Refusal where its shape is not the contract's, its amount is not the sum of its parts, or debits and credits
    differ in the document's or the book currency. Not for reversals: those mirror what the original has booked.
    """
    entries = _Entries(document)
    _DERIVED[entries.kind](entries)
    return entries.balanced()


def lines_of(document: Mapping[str, Any]) -> tuple[DocumentLine, ...]:
    """The lines of a document, read and checked; empty where its kind has none."""
    if document.get("kind") not in ("sales_order", "invoice", "credit_note", "cancellation"):
        return ()
    return read_lines(document, with_book=document["kind"] in ("invoice", "credit_note"))


# Reading: hostile values end as a Refusal that names the field.


def text_of(fields: Mapping[str, Any], name: str, at_most: int = 300) -> str:
    """A text field of 1 to so many characters, none of them a control character or half of one (lone surrogate)."""
    value = fields.get(name)
    if not isinstance(value, str) or not 1 <= len(value) <= at_most or _CONTROL.search(value):
        raise _wrong(name, f"is not a text of 1 to {at_most} characters without control characters")
    return value


def amount_of(fields: Mapping[str, Any], name: str) -> int:
    """An amount: an integer in minor units within the bound."""
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > AMOUNT_BOUND_MINOR:
        raise _wrong(name, "is not an integer in minor units within ±10^15")
    return value


def day_of(fields: Mapping[str, Any], name: str) -> date:
    """A day as YYYY-MM-DD."""
    value = fields.get(name)
    if isinstance(value, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise _wrong(name, "is not a day of the calendar as YYYY-MM-DD")


def currency_of(fields: Mapping[str, Any], name: str) -> str:
    """A currency's three capital letters."""
    value = fields.get(name)
    if not isinstance(value, str) or not re.fullmatch(r"[A-Z]{3}", value):
        raise _wrong(name, "is not a currency of three capital letters")
    return value


def _wrong(name: str, what: str) -> Refusal:
    return Refusal("contract", f"The field `{name}` {what}.", "Send the document as its contract says.")


def _part(fields: Mapping[str, Any], name: str) -> str:
    """A part of a role's name: nothing that could make two roles look like one."""
    value = text_of(fields, name, 80)
    if ":" in value or value != value.strip():
        raise _wrong(name, "can't be part of a role, since it has a colon or spaces at its ends")
    return value


def _rows(fields: Mapping[str, Any], name: str) -> Sequence[Mapping[str, Any]]:
    value = fields.get(name)
    if not isinstance(value, list) or len(value) > MAX_LINES or not all(isinstance(row, dict) for row in value):
        raise _wrong(name, f"is not a list of at most {MAX_LINES} objects")
    return value


@dataclass(frozen=True)
class DocumentLine:
    """One line of a document: net and taxes by role, (minor, book minor) each."""

    type: str
    item: str | None
    item_class: str | None
    is_unearned: bool
    net: tuple[int, int]
    discount: tuple[int, int]
    taxes: tuple[tuple[str, int, int], ...]

    @property
    def gross_minor(self) -> int:
        return self.net[0] + sum(tax_minor for _, tax_minor, _ in self.taxes)


def read_lines(document: Mapping[str, Any], *, with_book: bool) -> tuple[DocumentLine, ...]:
    return tuple(_read_line(row, with_book) for row in _rows(document, "lines"))


def _read_line(row: Mapping[str, Any], with_book: bool) -> DocumentLine:
    text_of(row, "line")
    kind = row.get("type")
    if kind not in ("item", "shipping", "fee", "allowance"):
        raise _wrong("type", "is none of item, shipping, fee, allowance")
    quantity = row.get("quantity", "1")
    if not isinstance(quantity, str) or not re.fullmatch(r"-?[0-9]{1,15}(\.[0-9]{1,10})?", quantity):
        raise _wrong("quantity", "is not a decimal string")
    return DocumentLine(
        type=kind,
        item=text_of(row, "item") if row.get("item") is not None else None,
        item_class=_part(row, "class") if kind == "item" or row.get("class") is not None else None,
        is_unearned=row.get("unearned") is True,
        net=(amount_of(row, "net_minor"), amount_of(row, "net_book_minor") if with_book else 0),
        discount=_discount_of(row, with_book),
        taxes=tuple(_read_tax(tax, with_book) for tax in _rows(row, "taxes")),
    )


def _discount_of(row: Mapping[str, Any], with_book: bool) -> tuple[int, int]:
    """What coupons took off the line, where it is to be shown."""
    if not with_book or "discount_minor" not in row:
        return 0, 0
    return amount_of(row, "discount_minor"), amount_of(row, "discount_book_minor")


def _read_tax(tax: Mapping[str, Any], with_book: bool) -> tuple[str, int, int]:
    rate = tax.get("rate")
    if not isinstance(rate, str) or not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,8})?", rate):
        raise _wrong("rate", "is not a rate in percent as a decimal string")
    role = f"tax:{_part(tax, 'treatment')}:{_part(tax, 'jurisdiction')}:{rate}"
    return role, amount_of(tax, "tax_minor"), amount_of(tax, "tax_book_minor") if with_book else 0


# Deriving: a function a kind.


class _Entries:
    """Signed amounts by role while a journal is derived: debits above 0, credits below."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        self.kind = text_of(document, "kind")
        self.amount_minor = amount_of(document, "amount_minor")
        self.same_currency = document.get("currency") == document.get("book_currency")
        self.by_role: dict[str, list[int]] = {}

    def debit(self, role: str, minor: int, book_minor: int) -> None:
        entry = self.by_role.setdefault(role, [0, 0])
        entry[0] += minor
        entry[1] += book_minor

    def credit(self, role: str, minor: int, book_minor: int) -> None:
        self.debit(role, -minor, -book_minor)

    def settle_exchange(self, left_book_minor: int) -> None:
        """What two sides leave in book currency alone is an exchange difference: a loss is a debit, a gain a credit."""
        if left_book_minor < 0:
            self.debit("fx_loss", 0, -left_book_minor)
        elif left_book_minor > 0:
            self.credit("fx_gain", 0, left_book_minor)

    def require_sum(self, total_minor: int, of_what: str) -> None:
        if total_minor != self.amount_minor:
            raise Refusal(
                "unbalanced",
                f"The document's amount is {self.amount_minor}, its {of_what} add up to {total_minor} (minor units).",
                "Correct the document, so that both agree.",
            )

    def require_sign(self, holds: bool, what: str) -> None:
        if not holds:
            raise Refusal(
                "contract",
                f"A {self.kind} has an amount of {self.amount_minor}, and it has to be {what}.",
                "Correct the amount; what undoes a document is its reversal.",
            )

    def balanced(self) -> tuple[Line, ...]:
        for place, name in ((0, "document"), (1, "book")):
            debits = sum(entry[place] for entry in self.by_role.values() if entry[place] > 0)
            credits = -sum(entry[place] for entry in self.by_role.values() if entry[place] < 0)
            if debits != credits:
                raise Refusal(
                    "unbalanced",
                    f"In {name} currency the debits are {debits} and the credits {credits} (minor units).",
                    "Correct the document, so that both agree; a difference is never booked away.",
                )
        if self.same_currency and any(minor != book for minor, book in self.by_role.values()):
            raise Refusal(
                "unbalanced",
                "Document and book currency are the same, but their amounts differ.",
                "Send equal amounts where both currencies are one.",
            )
        return tuple(
            Line(role, max(minor, 0), max(-minor, 0), max(book, 0), max(-book, 0))
            for role, (minor, book) in self.by_role.items()
            if minor or book
        )


def _customer(entries: _Entries) -> None:
    text_of(entries.document, "counterparty")
    entries.require_sign(entries.amount_minor == 0, "0")


def _sales_order(entries: _Entries) -> None:
    text_of(entries.document, "counterparty")
    _require_lines_sum(entries, with_book=False)


def _cancellation(entries: _Entries) -> None:
    text_of(entries.document, "sales_order")
    _require_lines_sum(entries, with_book=False)


def _invoice(entries: _Entries) -> None:
    text_of(entries.document, "sales_order")
    lines = _require_lines_sum(entries, with_book=True)
    entries.debit("receivable", entries.amount_minor, amount_of(entries.document, "book_minor"))
    for line in lines:
        sold = "gift_cards" if line.item_class == "gift_cards" else f"revenue:{line.item_class}"
        role = {"item": sold, "shipping": "revenue:shipping", "fee": "revenue:fees"}
        if entries.document.get("unearned") is True and sold != "gift_cards":
            role = dict.fromkeys(role, "unearned")
        if line.type not in role:
            raise _wrong("type", "of an invoice's line is none of item, shipping, fee")
        entries.credit(role[line.type], *line.net)
        if role[line.type] != "unearned":
            entries.credit(role[line.type], *line.discount)
            entries.debit("discounts", *line.discount)
        for tax_role, tax_minor, tax_book_minor in line.taxes:
            entries.credit(tax_role, tax_minor, tax_book_minor)


def _credit_note(entries: _Entries) -> None:
    text_of(entries.document, "invoice")
    lines = _require_lines_sum(entries, with_book=True)
    entries.credit("receivable", entries.amount_minor, amount_of(entries.document, "book_minor"))
    for line in lines:
        role = {
            "item": "gift_cards" if line.item_class == "gift_cards" else f"returns:{line.item_class}",
            "shipping": "revenue:shipping",
            "fee": "revenue:fees",
            "allowance": "goodwill" if line.item_class == "goodwill" else "allowances",
        }[line.type]
        if line.is_unearned and line.item_class != "gift_cards":
            role = "unearned"
        entries.debit(role, *line.net)
        for tax_role, tax_minor, tax_book_minor in line.taxes:
            entries.debit(tax_role, tax_minor, tax_book_minor)


def _require_lines_sum(entries: _Entries, *, with_book: bool) -> tuple[DocumentLine, ...]:
    entries.require_sign(entries.amount_minor >= 0, "0 or more")
    lines = read_lines(entries.document, with_book=with_book)
    entries.require_sum(sum(line.gross_minor for line in lines), "lines")
    return lines


def _payment(entries: _Entries) -> None:
    entries.require_sign(entries.amount_minor != 0, "other than 0: below it, the money failed to come")
    gateway, book_minor = _part(entries.document, "gateway"), amount_of(entries.document, "book_minor")
    to = entries.document.get("to")
    if to not in ("deposits", "unapplied"):
        raise _wrong("to", "is none of deposits, unapplied")
    entries.debit(_clearing(entries.document), entries.amount_minor, book_minor)
    entries.credit("deposits" if to == "deposits" else f"unapplied:{gateway}", entries.amount_minor, book_minor)


def _tender(entries: _Entries) -> None:
    entries.require_sign(entries.amount_minor != 0, "other than 0")
    if entries.document.get("tender") != "gift_card":
        raise _wrong("tender", "is not gift_card, the only one known here")
    book_minor = amount_of(entries.document, "book_minor")
    entries.debit("gift_cards", entries.amount_minor, book_minor)
    if entries.amount_minor > 0:
        entries.credit("deposits", entries.amount_minor, book_minor)
    else:  # given back with a refund: all its amounts are negative
        carried_book_minor = amount_of(entries.document, "carried_book_minor")
        entries.credit("refunds_owed", entries.amount_minor, carried_book_minor)
        entries.settle_exchange(book_minor - carried_book_minor)


def _refund_payment(entries: _Entries) -> None:
    entries.require_sign(entries.amount_minor != 0, "other than 0: below it, the money failed to go")
    book_minor = amount_of(entries.document, "book_minor")
    carried_book_minor = amount_of(entries.document, "carried_book_minor")
    entries.debit("refunds_owed", entries.amount_minor, carried_book_minor)
    entries.credit(_clearing(entries.document), entries.amount_minor, book_minor)
    entries.settle_exchange(carried_book_minor - book_minor)


def _application(entries: _Entries) -> None:
    text_of(entries.document, "of")
    moves = _rows(entries.document, "moves")
    for move in moves:
        for side in ("debit", "credit"):
            if move.get(side) not in ("receivable", "deposits", "refunds_owed"):
                raise _wrong(side, "of a move is none of receivable, deposits, refunds_owed")
        if move["debit"] == move["credit"] or amount_of(move, "amount_minor") <= 0:
            raise _wrong("moves", "has a move that is not from one role to another by more than 0")
        entries.debit(move["debit"], move["amount_minor"], amount_of(move, "debit_book_minor"))
        entries.credit(move["credit"], move["amount_minor"], amount_of(move, "credit_book_minor"))
        entries.settle_exchange(move["debit_book_minor"] - move["credit_book_minor"])
    entries.require_sum(sum(move["amount_minor"] for move in moves), "moves")


def _transfer(entries: _Entries) -> None:
    text_of(entries.document, "of")
    moves = _rows(entries.document, "moves")
    for move in moves:
        debit, credit = text_of(move, "debit", 200), text_of(move, "credit", 200)
        if debit == credit or amount_of(move, "amount_minor") <= 0:
            raise _wrong("moves", "has a move that is not from one role to another by more than 0")
        entries.debit(debit, move["amount_minor"], amount_of(move, "debit_book_minor"))
        entries.credit(credit, move["amount_minor"], amount_of(move, "credit_book_minor"))
        entries.settle_exchange(move["debit_book_minor"] - move["credit_book_minor"])
    entries.require_sum(sum(move["amount_minor"] for move in moves), "moves")


def _clearing(document: Mapping[str, Any]) -> str:
    return f"clearing:{_part(document, 'gateway')}:{currency_of(document, 'currency')}"


def _return(entries: _Entries) -> None:
    entries.require_sign(entries.amount_minor == 0, "0")
    _rows(entries.document, "lines")


def _fee(entries: _Entries) -> None:
    entries.require_sign(entries.amount_minor != 0, "other than 0")
    book_minor = amount_of(entries.document, "book_minor")
    entries.debit("gateway_fees", entries.amount_minor, book_minor)
    entries.credit(_clearing(entries.document), entries.amount_minor, book_minor)


def _payout(entries: _Entries) -> None:
    entries.require_sign(entries.amount_minor != 0, "other than 0")
    gateway, book_minor = _part(entries.document, "gateway"), amount_of(entries.document, "book_minor")
    to = entries.document.get("to", "in_transit")
    if to not in ("in_transit", "reserve", "conversion"):
        raise _wrong("to", "is none of in_transit, reserve, conversion")
    carried_book_minor = book_minor
    if "carried_book_minor" in entries.document:
        carried_book_minor = amount_of(entries.document, "carried_book_minor")
    role = f"{to}:{gateway}" + (f":{entries.document['currency']}" if to == "reserve" else "")
    entries.debit(role, entries.amount_minor, book_minor)
    entries.credit(_clearing(entries.document), entries.amount_minor, carried_book_minor)
    entries.settle_exchange(book_minor - carried_book_minor)


def _dispute(entries: _Entries) -> None:
    entries.require_sign(entries.amount_minor > 0, "above 0")
    book_minor, state = amount_of(entries.document, "book_minor"), entries.document.get("state")
    if state == "opened":
        entries.debit("disputed", entries.amount_minor, book_minor)
        entries.credit(_clearing(entries.document), entries.amount_minor, book_minor)
    elif state == "won":
        entries.debit(_clearing(entries.document), entries.amount_minor, book_minor)
        entries.credit("disputed", entries.amount_minor, book_minor)
    elif state == "lost":
        early = entries.document.get("loss") == "deposits"
        lost = amount_of(entries.document, "carried_book_minor") if early else book_minor
        entries.debit("deposits" if early else "dispute_losses", entries.amount_minor, lost)
        entries.credit("disputed", entries.amount_minor, book_minor)
        entries.settle_exchange(lost - book_minor)
    else:
        raise _wrong("state", "is none of opened, won, lost")


_DERIVED: dict[str, Callable[[_Entries], None]] = {
    "customer": _customer,
    "sales_order": _sales_order,
    "payment": _payment,
    "tender": _tender,
    "invoice": _invoice,
    "cancellation": _cancellation,
    "credit_note": _credit_note,
    "refund_payment": _refund_payment,
    "application": _application,
    "transfer": _transfer,
    "return": _return,
    "fee": _fee,
    "payout": _payout,
    "dispute": _dispute,
}
KINDS: tuple[str, ...] = tuple(_DERIVED)


# Comparing books.


@dataclass(frozen=True)
class Balance:
    """Turnover of one role in one currency, and in book currency; minor units. What it comes to is debit − credit."""

    debit_minor: int = 0
    credit_minor: int = 0
    book_debit_minor: int = 0
    book_credit_minor: int = 0

    @property
    def net_minor(self) -> int:
        return self.debit_minor - self.credit_minor

    @property
    def book_net_minor(self) -> int:
        return self.book_debit_minor - self.book_credit_minor


# (entity, role, currency) -> Balance
Balances = dict[tuple[str, str, str], Balance]


def balances_of(lines: Iterable[tuple[str, str, str, int, int, int, int]]) -> Balances:
    """Balances of journal lines, anybody's: (entity, role, currency, debit, credit, book debit, book credit), minor."""
    sums: dict[tuple[str, str, str], list[int]] = {}
    for entity, role, currency, *amounts in lines:
        total = sums.setdefault((entity, role, currency), [0, 0, 0, 0])
        for place, amount in enumerate(amounts):
            total[place] += amount
    return {key: Balance(*total) for key, total in sums.items()}


def differing(ours: Balances, theirs: Balances) -> list[tuple[tuple[str, str, str], Balance, Balance]]:
    """Where two sets of books come to different balances: (entity, role, currency), ours, theirs; sorted.

    Compared is what a role comes to, not its turnover: how often a document was reversed is no difference.
    """
    nothing = Balance()
    rows = []
    for key in sorted(ours.keys() | theirs.keys()):
        our, their = ours.get(key, nothing), theirs.get(key, nothing)
        if (our.net_minor, our.book_net_minor) != (their.net_minor, their.book_net_minor):
            rows.append((key, our, their))
    return rows
