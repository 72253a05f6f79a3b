"""What ought to exist: documents, each in its slot, and what the difference makes of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import Any

from counterfoil_engine.domain.errors import Case

# The order of domain.md's table: documents of one accounting date are posted and applied in it.
KINDS: tuple[str, ...] = (
    "customer",
    "tax_quote",
    "sales_order",
    "payment",
    "tender",
    "capture",
    "fulfilment",
    "invoice",
    "tax_commit",
    "store_update",
    "cancellation",
    "return",
    "credit_note",
    "refund_payment",
    "application",
    "transfer",
    "refund_order",
    "fee",
    "payout",
    "dispute",
)

# Money that moved is posted even while its order is parked.
MONEY_KINDS = frozenset({"payment", "tender", "refund_payment", "fee", "dispute", "payout"})


@dataclass(frozen=True)
class JournalLine:
    """One line of a document's journal, by role; either debit or credit is 0, in both currencies."""

    role: str
    debit_minor: int
    credit_minor: int
    book_debit_minor: int
    book_credit_minor: int


@dataclass(frozen=True)
class Document:
    """One document that ought to exist.

    slot: `<store>/<order>/<kind>/<natural id>`; subject: whose lane it goes in (`order eu1/1001`).
    amount_minor: gross, in minor units of currency (a reversal's is negative). day: the event's own date in the
    entity's zone; the posting date is chosen when sent. body: the fields of the kind's contract
    (`contracts/documents/<kind>.v1.json`) beside the common ones; amounts in book currency end in `book_minor`.
    after: slots that must have a result first. why: `rule@version: reason` for people.
    taken_over: counts as posted, since it was made before the store's start line. number: the order's as it is shown.
    known_as: the gateway's ids of the money that it books, by which a payout names it; no part of what is due.
    is_kept: its party didn't give it back, so it stands as it is, though what it rested on is reversed.
    """

    slot: str
    kind: str
    party: str
    entity: str
    subject: str
    currency: str
    book_currency: str
    amount_minor: int
    day: date
    body: Mapping[str, Any]
    journal: tuple[JournalLine, ...] = ()
    after: tuple[str, ...] = ()
    why: str = ""
    taken_over: bool = False
    number: str | None = None
    known_as: tuple[str, ...] = ()
    is_kept: bool = False

    @cached_property
    def content_hash(self) -> str:
        """Hash of what is due: never of dates, numbers, book amounts or personal data (K3)."""
        due = {
            "kind": self.kind,
            "entity": self.entity,
            "currency": self.currency,
            "amount_minor": self.amount_minor,
            "body": _due_part(self.body),
        }
        text = json.dumps(due, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
        return hashlib.sha256(text.encode()).hexdigest()


def _due_part(value: Any) -> Any:
    if isinstance(value, str | int):
        return value
    if isinstance(value, Mapping):
        return {key: _due_part(inner) for key, inner in value.items() if _is_due(key)}
    if isinstance(value, list | tuple):
        return [_due_part(inner) for inner in value]
    return value


def _is_due(key: str) -> bool:
    return key != "personal" and not key.endswith("book_minor")


def say_the_same(one: Document, other: Document) -> bool:
    """Whether two documents have one content, as their hashes say: known at the first difference, so much cheaper."""
    names = (one.kind, one.entity, one.currency, one.amount_minor)
    return names == (other.kind, other.entity, other.currency, other.amount_minor) and _alike(one.body, other.body)


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        names = [key for key in one if _is_due(key)]
        return len(names) == sum(map(_is_due, other)) and all(
            name in other and _alike(one[name], other[name]) for name in names
        )
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_alike, one, other))
    return bool(one == other)


@dataclass(frozen=True)
class Proof:
    """One named equation (domain.md, section 4): left = right, both in minor units of the order's currency."""

    name: str
    ok: bool
    left_minor: int
    right_minor: int


@dataclass(frozen=True)
class Dues:
    """What ought to exist for a subject, and why.

    reading: filtered, waiting, posted, parked, cancelled or closed, by the facts alone ("posted" = its documents
    are due); reason: the sentence behind it. documents: sorted by day, kind, slot. cases: empty unless parked.
    again_at: the next moment at which time alone could change the dues. waits: what a due waits for besides slots,
    as wait keys (`watermark eu1`), see `custody.md`, L2 and L3. unproven: payments inferred without a payment row.
    day: the entity's date of the latest event, which dates reversals and what replaces them.
    """

    subject: str
    reading: str
    reason: str
    currency: str
    total_minor: int
    documents: tuple[Document, ...] = ()
    cases: tuple[Case, ...] = ()
    proofs: tuple[Proof, ...] = ()
    waits: tuple[str, ...] = ()
    again_at: datetime | None = None
    unproven: bool = False
    rules_version: str = ""
    day: date | None = None
