"""What differs over many subjects: counted by kind, month and account, with some named and the rest told as a number.

However many subjects are added, it stays small: it grows with kinds, months, accounts and what `MOST_…` allows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from counterfoil_engine.domain.compare import Account, Changed, Differing
from counterfoil_engine.domain.errors import Case

MOST_NAMED = 100  # subjects told one by one
MOST_CAUSES = 200  # causes that park subjects
MOST_NAMED_OF_A_CAUSE = 5


@dataclass
class _Cause:
    """Subjects that one cause parks; case: of the first of them."""

    case: Case
    subjects: int = 0
    named: list[str] = field(default_factory=list)


@dataclass
class Totals:
    """The sum of what differs. looked_at: subjects, also those that don't differ.

    documents: (how, kind, entity, currency) → number, amount before and after. months: (month, entity, how) → number.
    accounts: (entity, role, currency, book currency) → amounts before and after, and in book currency.
    """

    looked_at: int = 0
    differ: int = 0
    resume: int = 0
    park: int = 0
    documents: dict[tuple[str, ...], list[int]] = field(default_factory=dict)
    months: dict[tuple[str, ...], list[int]] = field(default_factory=dict)
    accounts: dict[tuple[str, ...], list[int]] = field(default_factory=dict)
    causes: dict[str, _Cause] = field(default_factory=dict)
    named: list[tuple[str, tuple[Changed, ...]]] = field(default_factory=list)

    def add(self, one: Differing) -> None:
        """Count a subject in, among those that were looked at already."""
        self.differ += 1
        self.resume += one.resumes
        self.park += bool(one.parks)
        for each in one.differences.documents:
            _sum(
                self.documents,
                (each.how, each.kind, each.entity, each.currency),
                [1, each.before_minor, each.after_minor],
            )
            _sum(self.months, (f"{each.day:%Y-%m}", each.entity, each.how), [1])
        for account in one.differences.accounts:
            _sum(self.accounts, _name(account), _amounts(account))
        for case in one.parks[:1]:
            self._park(case, 1, [one.subject])
        if one.differences.documents and len(self.named) < MOST_NAMED:
            self.named.append((one.subject, one.differences.documents))

    def merge(self, other: Totals) -> None:
        """Add what was counted elsewhere, of subjects that come after these."""
        for name in ("looked_at", "differ", "resume", "park"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("documents", "months", "accounts"):
            for key, numbers in getattr(other, name).items():
                _sum(getattr(self, name), key, numbers)
        for cause in other.causes.values():
            self._park(cause.case, cause.subjects, cause.named)
        self.named = [*self.named, *other.named][:MOST_NAMED]

    def _park(self, case: Case, subjects: int, named: list[str]) -> None:
        # Without rows to fill in, causes differ by the order's own amounts: they are told by what kind they are.
        known = case.fingerprint if case.rows else case.category
        if known not in self.causes and len(self.causes) >= MOST_CAUSES:
            return
        cause = self.causes.setdefault(known, _Cause(case))
        cause.subjects += subjects
        cause.named = [*cause.named, *named][:MOST_NAMED_OF_A_CAUSE]

    def as_json(self) -> dict[str, Any]:
        """Plain values; lists in order of their names, what parks most first."""
        causes = sorted(self.causes.values(), key=lambda cause: -cause.subjects)
        return {
            "subjects": self.looked_at,
            "differ": self.differ,
            "documents": [
                dict(zip(_DOCUMENTS, (*name, *numbers), strict=True))
                for name, numbers in sorted(self.documents.items())
            ],
            "months": [
                dict(zip(_MONTHS, (*name, *numbers), strict=True)) for name, numbers in sorted(self.months.items())
            ],
            "accounts": [_account(name, numbers) for name, numbers in sorted(self.accounts.items()) if _moves(numbers)],
            "park": {
                "subjects": self.park,
                "causes": [
                    {
                        "category": cause.case.category,
                        "cause": cause.case.cause,
                        "remedy": cause.case.remedy,
                        "rows": [dict(row) for row in cause.case.rows],
                        "subjects": cause.subjects,
                        "named": cause.named,
                    }
                    for cause in causes
                ],
                "not_told": self.park - sum(cause.subjects for cause in causes),
            },
            "resume": self.resume,
            "named": [
                {"subject": subject, "documents": [_document(each) for each in documents]}
                for subject, documents in self.named
            ],
        }


_DOCUMENTS = ("how", "kind", "entity", "currency", "documents", "before_minor", "after_minor")
_MONTHS = ("month", "entity", "how", "documents")


def _sum(sums: dict[tuple[str, ...], list[int]], name: tuple[str, ...], numbers: list[int]) -> None:
    known = sums.get(name)
    sums[name] = [one + other for one, other in zip(known, numbers, strict=True)] if known else list(numbers)


def _name(account: Account) -> tuple[str, ...]:
    return account.entity, account.role, account.currency, account.book_currency


def _amounts(account: Account) -> list[int]:
    return [account.before_minor, account.after_minor, account.before_book_minor, account.after_book_minor]


def _moves(numbers: list[int]) -> bool:
    before, after, before_book, after_book = numbers
    return before != after or before_book != after_book


def _account(name: tuple[str, ...], numbers: list[int]) -> dict[str, Any]:
    entity, role, currency, book_currency = name
    before, after, before_book, after_book = numbers
    return {
        "entity": entity,
        "role": role,
        "currency": currency,
        "before_minor": before,
        "after_minor": after,
        "difference_minor": after - before,
        "book_currency": book_currency,
        "before_book_minor": before_book,
        "after_book_minor": after_book,
        "difference_book_minor": after_book - before_book,
    }


def _document(each: Changed) -> Mapping[str, Any]:
    return {
        "slot": each.slot,
        "how": each.how,
        "currency": each.currency,
        "before_minor": each.before_minor,
        "after_minor": each.after_minor,
    }
