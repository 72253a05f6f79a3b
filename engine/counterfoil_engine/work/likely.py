"""What a payout's unmatched lines most likely are, for whoever has to say it: documents, score, reason, buyer."""

from __future__ import annotations

from typing import Any

from counterfoil_engine.domain.settlement.dues import settled
from counterfoil_engine.domain.settlement.posted import Candidate
from counterfoil_engine.ports import RulesBook
from counterfoil_engine.work.readers import NamesOf, PayoutReader

LINES_MAX = 50  # shown at once; once some are said, the next ones come


class Likely:
    """Reads only. names: whose order a document is of."""

    def __init__(self, reader: PayoutReader, book: RulesBook, names: NamesOf) -> None:
        self._reader, self._book, self._names = reader, book, names

    def of(self, tx: Any, subject: str, with_names: bool) -> list[dict[str, Any]]:
        """By unmatched line its candidates, the best first. with_names: who asks may see who bought."""
        rules, as_of = self._book.current(tx), tx.now()
        (facts,) = self._reader.facts(tx, [subject], rules, as_of)
        found = settled(facts, rules, as_of).found
        unknown = [(line, likely) for line, likely in found.unknown if likely][:LINES_MAX] if found else []
        slots = {each.posting.slot for _, likely in unknown for each in likely}
        names = self._names(tx, slots) if with_names and slots else {}
        return [
            {
                "line": line.id,
                "row": line.row,
                "candidates": [_told(each, names.get(each.posting.slot)) for each in likely],
            }
            for line, likely in unknown
        ]


def _told(each: Candidate, customer: str | None) -> dict[str, Any]:
    posting = each.posting
    return {
        "document": posting.slot,
        "score": str(each.score),
        "reason": each.reason,
        "amount_minor": posting.amount_minor,
        "currency": posting.currency,
        "day": posting.day.isoformat(),
        "customer": customer,
    }
