"""What would be posted once a case is over: by the rules in force, or with its missing row filled in. Reads only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from counterfoil_engine.domain.difference import Post, Reverse
from counterfoil_engine.domain.rules import Rules
from counterfoil_engine.ports import InboxRecords, Records
from counterfoil_engine.work.case_hands import CaseHands
from counterfoil_engine.work.hold import Considered
from counterfoil_engine.work.inbox import read_case
from counterfoil_engine.work.look import Looker

GROUP = 50  # subjects looked at in one transaction
SUBJECTS_MOST, DOCUMENTS_MOST = 1_000, 200


class CasePreview:
    """parse: a rules file's text → Rules."""

    def __init__(
        self,
        records: Records,
        inbox: InboxRecords,
        looker: Looker,
        hands: CaseHands,
        parse: Callable[[str], Rules],
    ) -> None:
        self._records, self._inbox, self._looker, self._hands = records, inbox, looker, hands
        self._parse = parse

    def preview(self, case_id: int, values: Mapping[str, str], alike: bool) -> Mapping[str, Any]:
        """The documents that looks would post or reverse, totals by kind, and what would be parked still. values: what
        is filled in of the missing row; then all that it holds are looked at."""
        with self._records.transaction() as tx:
            case = read_case(self._inbox, tx, case_id)
            rules = self._parse(self._hands.filled(tx, case_id, values)[0]) if values else None
            subjects = [case["subject"]]
            if values or alike:
                subjects = self._records.cases.subjects_of(tx, case["fingerprint"])
        found: list[Considered] = []
        for first in range(0, min(len(subjects), SUBJECTS_MOST), GROUP):
            found += self._looker.previews(subjects[first : min(first + GROUP, SUBJECTS_MOST)], rules)
        documents = [document for considered in found for document in _documents(considered)]
        totals: dict[tuple[str, str, str], list[int]] = {}
        for one in documents:
            total = totals.setdefault((one["step"], one["kind"], one["currency"]), [0, 0])
            total[0] += 1
            total[1] += one["amount_minor"]
        return {
            "case": case_id,
            "subjects": len(subjects),
            "looked_at": len(found),
            "documents": documents[:DOCUMENTS_MOST],
            "would": [
                {"step": step, "kind": kind, "currency": currency, "documents": count, "amount_minor": amount}
                for (step, kind, currency), (count, amount) in sorted(totals.items())
            ],
            "parked": [
                {"subject": one.facts.subject, "cause": one.dues.reason}
                for one in found
                if one.dues.reading == "parked"
            ][:DOCUMENTS_MOST],
        }


def _documents(considered: Considered) -> list[dict[str, Any]]:
    documents = []
    for step in considered.steps:
        if isinstance(step, Post):
            one: Any = step.document
            documents.append(_shown(considered, "post", one.slot, one, one.why))
        elif isinstance(step, Reverse) and (intent := considered.intent(step.of_key)):
            documents.append(_shown(considered, "reverse", intent.key, intent, "it is not due any more"))
    return documents


def _shown(considered: Considered, step: str, name: str, one: Any, why: str) -> dict[str, Any]:
    return {
        "subject": considered.facts.subject,
        "step": step,
        "name": name,
        "kind": one.kind,
        "amount_minor": one.amount_minor,
        "currency": one.currency,
        "why": why,
    }
