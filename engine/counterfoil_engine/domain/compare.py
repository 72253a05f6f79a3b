"""Two times the dues of one subject, slot by slot: which documents differ, and what that comes to by account.

One comparison serves all that ask what other rules would change: a restatement that is held (custody.md, R2),
`counterfoil rules try`, and rules in shadow.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Literal

from counterfoil_engine.domain.documents import Document, Dues, say_the_same
from counterfoil_engine.domain.errors import Case

How = Literal["new", "posted anew", "reversed", "booked otherwise"]


@dataclass(frozen=True)
class Changed:
    """One slot on which the two disagree; an amount is 0 where no document is due.

    how: new: due only after. reversed: due only before. posted anew: both, with other content. booked otherwise: both
    with the same content at other book amounts, so that what is posted stands (K3). day: the document's own date.
    """

    slot: str
    kind: str
    entity: str
    currency: str
    day: date
    how: How
    before_minor: int
    after_minor: int


@dataclass(frozen=True)
class Account:
    """What the documents that differ come to on one account: debits less credits, in both currencies."""

    entity: str
    role: str
    currency: str
    book_currency: str
    before_minor: int = 0
    after_minor: int = 0
    before_book_minor: int = 0
    after_book_minor: int = 0


@dataclass(frozen=True)
class Differences:
    """All slots of a subject on which two sets of documents disagree, by slot, and their accounts."""

    documents: tuple[Changed, ...] = ()
    accounts: tuple[Account, ...] = ()


@dataclass(frozen=True)
class Differing:
    """A subject whose dues differ. parks: cases that only the dues after have; resumes: only those before had any."""

    subject: str
    differences: Differences
    parks: tuple[Case, ...] = ()
    resumes: bool = False


def differing(before: Dues, after: Dues) -> Differing | None:
    """What differs between two times the dues of one subject; None where nothing does."""
    known = {case.fingerprint for case in before.cases}
    parks = tuple(case for case in after.cases if case.fingerprint not in known)
    resumes = bool(before.cases) and not after.cases
    differences = compare(before.subject, before.documents, after.documents)
    if not (differences.documents or parks or resumes):
        return None
    return Differing(before.subject, differences, parks, resumes)


def compare(subject: str, before: Iterable[Document], after: Iterable[Document]) -> Differences:
    """Where two sets of a subject's documents disagree.

    Documents of other subjects (a customer) are left out: orders only ask for them, and never change them."""
    ones = {document.slot: document for document in before if document.subject == subject}
    others = {document.slot: document for document in after if document.subject == subject}
    changed = []
    for slot in sorted(ones.keys() | others.keys()):
        one, other = ones.get(slot), others.get(slot)
        how = _how(one, other)
        document = one or other
        if how is None or document is None:
            continue
        amounts = one.amount_minor if one else 0, other.amount_minor if other else 0
        changed.append(Changed(slot, document.kind, document.entity, document.currency, document.day, how, *amounts))
    slots = [each.slot for each in changed]
    return Differences(tuple(changed), _accounts(_at(ones, slots), _at(others, slots)))


def _how(one: Document | None, other: Document | None) -> How | None:
    if one is None:
        return "new"
    if other is None:
        return "reversed"
    if not say_the_same(one, other):
        return "posted anew"
    return None if one.journal == other.journal else "booked otherwise"


def _at(documents: dict[str, Document], slots: Iterable[str]) -> list[Document]:
    return [documents[slot] for slot in slots if slot in documents]


_Name = tuple[str, str, str, str]


def _accounts(before: Iterable[Document], after: Iterable[Document]) -> tuple[Account, ...]:
    """The accounts on which these documents come to different amounts."""
    sums: dict[_Name, list[int]] = {}
    for place, documents in enumerate((before, after)):
        for document in documents:
            for line in document.journal:
                name = document.entity, line.role, document.currency, document.book_currency
                amounts = sums.setdefault(name, [0, 0, 0, 0])
                amounts[place] += line.debit_minor - line.credit_minor
                amounts[2 + place] += line.book_debit_minor - line.book_credit_minor
    return tuple(Account(*name, *amounts) for name, amounts in sorted(sums.items()))
