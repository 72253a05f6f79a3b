"""What is posted that a payout's lines may be, indexed for many lines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cached_property

from counterfoil_engine.domain.settlement.lines import Kind, SettlementLine
from counterfoil_engine.domain.settlement.similar import plain, tokens


@dataclass(frozen=True)
class Posting:
    """Something posted that a line may be. amount_minor has the sign of a line's gross; ids: every id it is known by.

    reference: the order's number; customer: the counterparty; name: the customer's, as a person would write it.
    book_minor: what it moved on the clearing in book currency, with the same sign; None where it isn't known.
    """

    slot: str
    kind: Kind
    source: str
    ids: tuple[str, ...]
    amount_minor: int
    currency: str
    day: date
    reference: str | None = None
    customer: str | None = None
    name: str | None = None
    book_minor: int | None = None


@dataclass(frozen=True)
class Candidate:
    """A posting that a line may be: score from 0 to 1, reason: whole words without personal data."""

    posting: Posting
    score: Decimal
    reason: str


class Postings:
    """What is posted, indexed once for many lines."""

    def __init__(self, postings: Iterable[Posting]) -> None:
        self.all = tuple(postings)
        self.by_id: dict[str, list[Posting]] = defaultdict(list)
        self.by_reference: dict[str, list[Posting]] = defaultdict(list)
        for posting in self.all:
            for id in posting.ids:
                self.by_id[id].append(posting)
            if posting.reference:
                self.by_reference[plain(posting.reference)].append(posting)

    @cached_property
    def words(self) -> list[tuple[Posting, str, frozenset[str]]]:
        """Each posting with its number and its customer's names, as they are compared with a reference."""
        return [(posting, plain(posting.reference), tokens(posting.name)) for posting in self.all]

    @cached_property
    def by_customer(self) -> dict[str, list[Posting]]:
        found: dict[str, list[Posting]] = defaultdict(list)
        for posting in self.all:
            if posting.customer:
                found[posting.customer].append(posting)
        return found

    def named_by(self, reference: str | None) -> list[Posting]:
        """Those whose number the reference is, or holds: "Order WC-1001" names 1001 and WC-1001."""
        names = sorted({plain(reference), *(token for token in tokens(reference) if any(map(str.isdigit, token)))})
        return [posting for name in names if name for posting in self.by_reference.get(name, ())]


def amount_in(line: SettlementLine, currency: str) -> int | None:
    """The line's amount in a posting's currency: its gross, or what the customer paid; None where neither is in it."""
    if currency == line.currency:
        return line.gross_minor
    return line.other_minor if currency == line.other_currency else None
