"""The postings that an unmatched line is most likely to be, each with a score and the reasons in words.

Each sign that speaks for a posting is a chance in a hundred that it is the one; together they are the chance that not
all of them are accidents: 1 - (1-a)(1-b)… Amounts in a currency that the line doesn't know count for nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import ROUND_DOWN, Decimal

from counterfoil_engine.domain.settlement.lines import SettlementLine
from counterfoil_engine.domain.settlement.posted import Candidate, Posting, Postings, amount_in
from counterfoil_engine.domain.settlement.similar import one_slip, plain, tokens

CANDIDATES_MAX = 3
_WHOLE = 100_000_000
_ID_LETTERS_MIN = 8  # shorter ids are alike by accident
_FEE_SHARE, _FEE_FIXED_MINOR = 6, 60  # a fee is at most six in a hundred, and so many minor units
Sign = tuple[int, str]


def candidates(line: SettlementLine, postings: Postings) -> tuple[Candidate, ...]:
    """At most three, the best first; equal ones by the nearer date, then by slot. The date alone makes none."""
    reference = _Reference(line, postings)
    ids, found = line.ids, []
    for posting, number, names in postings.words:
        if posting.kind != line.kind or posting.source != line.source:
            continue
        signs = [
            *_by_id(ids, posting),
            *reference.signs(posting, number, names),
            *_by_amount(line, posting, postings),
        ]
        if signs:
            against, reason = _weighed([*signs, *_by_date(line, posting)], line, posting)
            found.append((against, abs((line.at - posting.day).days), posting.slot, posting, reason))
    best = sorted(found, key=lambda each: each[:3])[:CANDIDATES_MAX]
    return tuple(
        Candidate(posting, (1 - Decimal(against) / _WHOLE).quantize(Decimal("0.01"), ROUND_DOWN), reason)
        for against, _, _, posting, reason in best
    )


def _weighed(signs: Sequence[Sign], line: SettlementLine, posting: Posting) -> tuple[int, str]:
    """What is left against a posting, of `_WHOLE`, and why so little."""
    against, reason = _WHOLE, "; ".join(reason for _, reason in signs)
    for chance, _ in signs:
        against = against * (100 - chance) // 100
    if amount_in(line, posting.currency) is not None:
        return against, reason
    return _WHOLE - (_WHOLE - against) * 3 // 10, f"{reason}; but it is in {posting.currency}"


class _Reference:
    """A line's reference, taken apart once for all postings, and the customers whose orders it names."""

    def __init__(self, line: SettlementLine, postings: Postings) -> None:
        named = postings.named_by(line.reference)
        words = tokens(line.reference)
        self.numbers = sorted({plain(line.reference), *(word for word in words if not word.isalpha())} - {""})
        self.words = frozenset(word for word in words if word.isalpha())
        self.named = frozenset(posting.slot for posting in named)
        self.customers = frozenset(posting.customer for posting in named if posting.customer)

    def signs(self, posting: Posting, number: str, names: frozenset[str]) -> Iterator[Sign]:
        """What the reference says for a posting: its number, its customer's other order, its customer's name."""
        if posting.slot in self.named:
            yield 60, "the reference is its order's number"
        elif len(number) >= 3 and any(one_slip(number, each) for each in self.numbers):
            yield 45, "the reference is like its order's number, one letter off"
        if posting.customer in self.customers and posting.slot not in self.named:
            yield 10, "an order of the customer whose other order the reference names"
        if self.words and names:
            yield from self._by_name(names)

    def _by_name(self, names: frozenset[str]) -> Iterator[Sign]:
        heard = sum(
            name in self.words or (len(name) > 4 and any(one_slip(name, word) for word in self.words)) for name in names
        )
        if heard == len(names):
            yield 55, "the reference bears its customer's name"
        elif heard:
            yield 20, "the reference bears a part of its customer's name"


def _by_id(ids: Sequence[str], posting: Posting) -> Iterator[Sign]:
    """A transaction's id with a slip in it is hardly ever another one's."""
    for id in posting.ids:
        if id in ids:
            yield 85, "bears the same transaction id"
            return
        if len(id) >= _ID_LETTERS_MIN and any(one_slip(id, each) for each in ids):
            yield 90, "its transaction id differs in one place"
            return


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
    if not posting.customer or abs(amount) <= abs(posting.amount_minor):
        return False
    wanted = (amount - posting.amount_minor, posting.kind, posting.currency)
    return any(
        (other.amount_minor, other.kind, other.currency) == wanted and other.slot != posting.slot
        for other in postings.by_customer[posting.customer]
    )


def _by_date(line: SettlementLine, posting: Posting) -> Iterator[Sign]:
    days = abs((line.at - posting.day).days)
    if days == 0:
        yield 20, "on the same day"
    elif days <= 3:
        yield 12, f"{days} day{'s' if days > 1 else ''} apart"
    elif days <= 14:
        yield 5, f"{days} days apart"
