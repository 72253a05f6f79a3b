"""Matches a payout's lines with what is posted: by the transaction's id, then by reference and amount, never by guess.

What neither finds is a person's to say; the three postings that are most likely it are shown with a score and the
reason in words (`candidates.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from counterfoil_engine.domain.settlement.candidates import candidates
from counterfoil_engine.domain.settlement.lines import SettlementLine
from counterfoil_engine.domain.settlement.posted import Candidate, Posting, Postings, amount_in


@dataclass(frozen=True)
class Matched:
    """The posting that a line is. difference_minor: the line's amount less the posting's, in the posting's currency;
    0 where the line says no amount in it."""

    posting: Posting
    by: str
    difference_minor: int


@dataclass(frozen=True)
class Unmatched:
    """No posting is this line for sure; at most three candidates, the best first."""

    candidates: tuple[Candidate, ...]


def match(line: SettlementLine, postings: Postings) -> Matched | Unmatched:
    """The posting that this line is, or the best candidates.

    The transaction's own id decides, even where the amounts differ. An id that it only relates to (a refund's charge),
    or the reference, needs the amount as well; and where two would do, none does.
    """
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
    return Matched(posting, by, 0 if amount is None else amount - posting.amount_minor)
