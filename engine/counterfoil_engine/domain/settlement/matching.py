"""Matches a payout's lines with what is posted: by the transaction's id, then by reference and amount, never by guess.

What neither finds is a person's to say; the three postings that are most likely it are shown with a score and the
reason in words (`candidates.py`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
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


@dataclass(frozen=True)
class Matched:
    """The posting that a line is. difference_minor: the line's amount less the posting's, in the posting's currency."""

    posting: Posting
    by: str
    difference_minor: int


@dataclass(frozen=True)
class Unmatched:
    """No posting is this line for sure; at most three candidates, the best first."""

    candidates: tuple[Candidate, ...]


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


def match(line: SettlementLine, postings: Postings) -> Matched | Unmatched:
    """The posting that this line is, or the best candidates.

    The transaction's own id decides, even where the amounts differ. An id that it only relates to (a refund's charge),
    or the reference, needs the amount as well; and where two would do, none does.
    """
    from counterfoil_engine.domain.settlement.candidates import candidates

    possible = [posting for id in line.ids for posting in postings.by_id.get(id, ()) if _may_be(line, posting)]
    own = [posting for posting in possible if line.transaction in posting.ids]
    same = [posting for posting in own or possible if amount_in(line, posting.currency) == posting.amount_minor]
    for found, by in ((_only(same), "transaction"), (_only(own), "transaction")):
        if found:
            return _matched(line, found, by)
    if not same:
        named = [posting for posting in postings.named_by(line.reference) if _may_be(line, posting)]
        found = _only([each for each in named if amount_in(line, each.currency) == each.amount_minor])
        if found:
            return _matched(line, found, "reference and amount")
    return Unmatched(candidates(line, postings))


def _may_be(line: SettlementLine, posting: Posting) -> bool:
    return posting.kind == line.kind and posting.source == line.source


def _only(postings: Sequence[Posting]) -> Posting | None:
    """The one posting that all of these are."""
    slots = {posting.slot for posting in postings}
    return postings[0] if len(slots) == 1 else None


def _matched(line: SettlementLine, posting: Posting, by: str) -> Matched:
    amount = amount_in(line, posting.currency)
    return Matched(posting, by, (line.gross_minor if amount is None else amount) - posting.amount_minor)
