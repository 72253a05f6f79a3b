"""The postings that an unmatched line is most likely to be, each with a score and the reasons in words.

Each sign that speaks for a posting is a chance in a hundred that it is the one; together they are the chance that not
all of them are accidents: 1 - (1-a)(1-b)… Amounts in a currency that the line doesn't know count for nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from counterfoil_engine.domain.settlement.lines import SettlementLine
from counterfoil_engine.domain.settlement.matching import Candidate, Posting, Postings, amount_in
from counterfoil_engine.domain.settlement.similar import edits, plain, tokens

CANDIDATES_MAX = 3
_LEAST = 10  # in a hundred: less is no candidate
_ID_LETTERS_MIN = 8  # shorter ids are alike by accident
_NAME_LETTERS_MIN = 3
_FEE_SHARE, _FEE_FIXED_MINOR = 6, 60  # a fee is at most six in a hundred, and so many minor units
Sign = tuple[int, str]


def candidates(line: SettlementLine, postings: Postings) -> tuple[Candidate, ...]:
    """At most three, the best first; equal ones by the nearer date, then by slot."""
    reference = _Reference(line, postings)
    found = []
    for posting in postings.all:
        if posting.kind != line.kind or posting.source != line.source:
            continue
        against, reasons = 100_000_000, []
        for chance, reason in _signs(line, posting, postings, reference):
            against = against * (100 - chance) // 100
            reasons.append(reason)
        if amount_in(line, posting.currency) is None:
            against = 100_000_000 - (100_000_000 - against) * 3 // 10
            reasons.append(f"but it is in {posting.currency}")
        if against <= (100 - _LEAST) * 1_000_000:
            found.append((against, abs((line.at - posting.day).days), posting.slot, posting, "; ".join(reasons)))
    best = sorted(found, key=lambda each: each[:3])[:CANDIDATES_MAX]
    return tuple(
        Candidate(posting, (1 - Decimal(against) / 100_000_000).quantize(Decimal("0.01")), reason)
        for against, _, _, posting, reason in best
    )


class _Reference:
    """A line's reference, taken apart once for all postings, and the customers whose orders it names."""

    def __init__(self, line: SettlementLine, postings: Postings) -> None:
        self.plain = plain(line.reference)
        self.tokens = tokens(line.reference)
        self.numbers = sorted({self.plain, *(token for token in self.tokens if any(map(str.isdigit, token)))} - {""})
        self.named = frozenset(posting.slot for posting in postings.named_by(line.reference))
        self.customers = frozenset(
            posting.customer for posting in postings.named_by(line.reference) if posting.customer
        )


def _signs(line: SettlementLine, posting: Posting, postings: Postings, reference: _Reference) -> Iterator[Sign]:
    yield from _by_id(line, posting)
    yield from _by_reference(posting, reference)
    yield from _by_amount(line, posting, postings)
    yield from _by_date(line, posting)


def _by_id(line: SettlementLine, posting: Posting) -> Iterator[Sign]:
    """A transaction's id with a slip in it is hardly ever another one's."""
    pairs = ((left, right) for left in line.ids for right in posting.ids)
    slips = min((edits(a, b) for a, b in pairs if min(len(a), len(b)) >= _ID_LETTERS_MIN), default=9)
    if slips == 0:
        yield 85, "bears the same transaction id"
    elif slips <= 2:
        yield (90, 75)[slips - 1], f"its transaction id differs in {('one place', 'two places')[slips - 1]}"


def _by_reference(posting: Posting, reference: _Reference) -> Iterator[Sign]:
    number = plain(posting.reference)
    if posting.slot in reference.named:
        yield 60, "the reference is its order's number"
    elif number and len(number) >= 3:
        slips = min((edits(number, each) for each in reference.numbers), default=9)
        if slips == 1:
            yield 45, "the reference is like its order's number, one letter off"
        elif slips == 2 and len(number) >= 5:
            yield 25, "the reference is like its order's number, two letters off"
    if posting.slot not in reference.named and posting.customer in reference.customers:
        yield 10, "an order of the customer whose other order the reference names"
    names = [name for name in tokens(posting.name) if len(name) >= _NAME_LETTERS_MIN]
    heard = sum(
        any(name == word or (len(name) > 4 and edits(name, word) == 1) for word in reference.tokens) for name in names
    )
    if names and heard == len(names):
        yield 55, "the reference bears its customer's name"
    elif heard:
        yield 20, "the reference bears a part of its customer's name"


def _by_amount(line: SettlementLine, posting: Posting, postings: Postings) -> Iterator[Sign]:
    amount, posted = amount_in(line, posting.currency), posting.amount_minor
    if amount is None:
        return
    taken_off = abs(posted) - abs(amount)
    if amount == posted:
        yield 55, "the same amount"
    elif posting.currency == line.currency and posted in (line.net_minor, line.gross_minor + line.fee_minor):
        yield 50, "the same amount but for the fee"
    elif _together(amount, posting, postings):
        yield 50, "the same amount together with another order of this customer"
    elif (amount < 0) == (posted < 0) and 0 < taken_off <= abs(posted) * _FEE_SHARE // 100 + _FEE_FIXED_MINOR:
        yield 30, "less by what a fee may be"
    elif (amount < 0) == (posted < 0) and abs(taken_off) * 50 <= abs(posted):
        yield 15, "nearly the same amount"


def _together(amount: int, posting: Posting, postings: Postings) -> bool:
    """Do this posting and another one of the same customer make the amount up?"""
    others = postings.by_customer.get(posting.customer, ()) if posting.customer else ()
    return any(
        posting.amount_minor + other.amount_minor == amount
        for other in others
        if other.slot != posting.slot and (other.kind, other.currency) == (posting.kind, posting.currency)
    )


def _by_date(line: SettlementLine, posting: Posting) -> Iterator[Sign]:
    days = abs((line.at - posting.day).days)
    if days == 0:
        yield 20, "on the same day"
    elif days <= 3:
        yield 12, f"{days} day{'s' if days > 1 else ''} apart"
    elif days <= 14:
        yield 5, f"{days} days apart"
