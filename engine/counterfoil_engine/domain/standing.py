"""The standing of an order: what is receivable, on deposit and owed back, and the applications that level it.

What is owed is a balance, not an event (domain.md, section 4, *Standing*): with C = money and tenders in, R = paid
back, I = invoiced less credited and K = value kept, P = C − R − I and
receivable = max(0, −P), deposits = min(max(0, P), max(0, K − I)), refunds_owed = max(0, P) − deposits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from typing import Any

ROLES = ("deposits", "receivable", "refunds_owed")


@dataclass
class Balance:
    """A role's balance as a credit, in the order's and the book currency; receivable's is a debit, so negative."""

    amount_minor: int = 0
    book_minor: int = 0

    def part(self, amount_minor: int) -> int:
        """The book amount that so much of the balance carries."""
        if not self.amount_minor:
            return 0
        return round(Fraction(self.book_minor * amount_minor, self.amount_minor))


@dataclass
class Standing:
    """The levels as the documents so far leave them; `convert(amount_minor, day)` gives book amounts of the day."""

    convert: Callable[[int, date], int]
    balances: dict[str, Balance] = field(default_factory=lambda: {role: Balance() for role in ROLES})
    kept_minor: int = 0
    invoiced_minor: int = 0

    def levels(self) -> dict[str, int]:
        """What each role should stand at, as a credit, by the formula; their sum is P."""
        open_minor = sum(balance.amount_minor for balance in self.balances.values())
        receivable = max(0, -open_minor)
        deposits = min(max(0, open_minor), max(0, self.kept_minor - self.invoiced_minor))
        return {
            "deposits": deposits,
            "receivable": -receivable,
            "refunds_owed": max(0, open_minor) - deposits,
        }

    def book(self, role: str, amount_minor: int, book_minor: int) -> None:
        """Add a document's own effect on a role, as a credit."""
        self.balances[role].amount_minor += amount_minor
        self.balances[role].book_minor += book_minor

    def carried(self, role: str, amount_minor: int, day: date) -> int:
        """The book amount at which so much of a credit balance goes: what it carries, the rest at the day's rate."""
        held = self.balances[role]
        covered = min(max(held.amount_minor, 0), amount_minor)
        return held.part(covered) + self.convert(amount_minor - covered, day)

    def apply(self, day: date) -> list[dict[str, Any]]:
        """Move the balances to their levels; the moves, each with both roles' book amounts (none: an empty list)."""
        levels = self.levels()
        change = {role: levels[role] - self.balances[role].amount_minor for role in ROLES}
        moves = []
        for debit in [role for role in ROLES if change[role] < 0]:
            for credit in [role for role in ROLES if change[role] > 0]:
                amount = min(-change[debit], change[credit])
                if amount > 0:
                    moves.append(self._move(debit, credit, amount, day))
                    change[debit] += amount
                    change[credit] -= amount
        return moves

    def _move(self, debit: str, credit: str, amount_minor: int, day: date) -> dict[str, Any]:
        """One move: a balance going to zero goes at what it carries; one that arises takes the other side's amount."""
        debited, credited = self.balances[debit], self.balances[credit]
        closes_debited = min(max(debited.amount_minor, 0), amount_minor)
        closes_credited = min(max(-credited.amount_minor, 0), amount_minor)
        debit_book, credit_book = debited.part(closes_debited), -credited.part(-closes_credited)
        rest_debited, rest_credited = amount_minor - closes_debited, amount_minor - closes_credited
        if rest_debited and rest_credited:
            debit_book += self.convert(rest_debited, day)
            credit_book += self.convert(rest_credited, day)
        elif rest_debited:
            debit_book = credit_book
        elif rest_credited:
            credit_book = debit_book
        self.book(debit, -amount_minor, -debit_book)
        self.book(credit, amount_minor, credit_book)
        return {
            "debit": debit,
            "credit": credit,
            "amount_minor": amount_minor,
            "debit_book_minor": debit_book,
            "credit_book_minor": credit_book,
        }
