"""Documents from before a store's start line, in the ERP: found by our key or by how their maker marked them (R3).

Nothing is posted or changed there. What is found alone and of the same amount is linked: the ledger keeps the ERP's own
number, and what rests on the document names it (`wire.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Protocol

from counterfoil_engine.domain.old_references import Finding, OldDocument, TakenOver, reference_of, which
from counterfoil_engine.domain.rules import Rules
from counterfoil_engine.ports import Erp, OldBooks, Records, Rejected, RulesBook

AT_ONCE = 500
MOST_SHOWN = 20

REMEDIES: Mapping[str, str] = {
    "not found": "Correct old_references of the store in the rules, or leave it: it counts as posted all the same.",
    "several": "Reverse all but one in the ERP, or take the reference off the others; then link again.",
    "another amount": "Compare both: correct it in the ERP, or leave it; it counts as posted, and is not linked.",
}


class TakenOverRecords(Protocol):
    """`records/taken_over.py`."""

    def page(self, tx: Any, store: str, after: int, limit: int) -> list[tuple[int, TakenOver, str]]: ...
    def link(self, tx: Any, numbers: Mapping[int, str]) -> int: ...


def numbers(erp: Erp, rules: Rules, wanted: Sequence[TakenOver]) -> dict[str, str]:
    """The ERP's own numbers, by key, of those that can be linked. Raises Unavailable or RateLimited."""
    return {key: found.number for key, found in findings(erp, rules, wanted).items() if found.number}


def findings(erp: Erp, rules: Rules, wanted: Sequence[TakenOver]) -> dict[str, Finding]:
    """What the ERP has of each document, by key. Raises Unavailable or RateLimited."""
    ours = erp.find([one.key for one in wanted])
    referred = {one.key: reference_of(rules.store(one.store).old_references, one.document, one.store) for one in wanted}
    theirs = _old(erp, [one for one in wanted if one.key not in ours], referred)
    return {
        one.key: Finding("linked", ours[one.key][0].number)
        if one.key in ours
        else which(one.document, referred[one.key], theirs.get((one.document.kind, referred[one.key] or ""), ()))
        for one in wanted
    }


def _old(
    erp: Erp, wanted: Sequence[TakenOver], referred: Mapping[str, str | None]
) -> dict[tuple[str, str], Sequence[OldDocument]]:
    """By kind and reference; nothing is asked of an ERP whose adapter can't tell."""
    if not isinstance(erp, OldBooks):
        return {}
    found: dict[tuple[str, str], Sequence[OldDocument]] = {}
    by_place = sorted(
        {(one.document.entity, one.document.kind, reference) for one in wanted if (reference := referred[one.key])}
    )
    for (entity, kind), places in groupby(by_place, key=lambda place: place[:2]):
        told = erp.find_old(entity, kind, [reference for _, _, reference in places])
        found |= {(kind, reference): documents for reference, documents in told.items()}
    return found


class TakingOver:
    """What is taken over of a store, shown against its ERP, and linked."""

    def __init__(self, records: Records, kept: TakenOverRecords, book: RulesBook, erps: Mapping[str, Erp]) -> None:
        self._records, self._kept, self._book, self._erps = records, kept, book, erps

    def show(self, store: str) -> Mapping[str, Any]:
        """How many documents of each kind are linked, or would be, and what keeps the others from it."""
        return self._tell(store, is_linking=False)

    def link(self, store: str) -> Mapping[str, Any]:
        """As `show`; what can be linked by now is."""
        return self._tell(store, is_linking=True)

    def _tell(self, store: str, is_linking: bool) -> Mapping[str, Any]:
        counts: dict[tuple[str, str], int] = {}
        unlinked: list[Mapping[str, Any]] = []
        linked = 0
        for page, found in self._pages(store):
            new = {
                row: number
                for row, one, known in page
                if (number := found[one.key].number) is not None and number != known
            }
            linked += self._link(new) if is_linking else len(new)
            for _, one, _known in page:
                finding = found[one.key]
                place = (one.document.kind, finding.outcome)
                counts[place] = counts.get(place, 0) + 1
                if finding.number is None and len(unlinked) < MOST_SHOWN:
                    unlinked.append(_told(one, finding))
        return {
            "store": store,
            "kinds": [{"kind": kind, "outcome": how, "documents": n} for (kind, how), n in sorted(counts.items())],
            "new": linked,
            "is_linked": is_linking,
            "unlinked": unlinked,
        }

    def _pages(self, store: str) -> Iterator[tuple[list[tuple[int, TakenOver, str]], dict[str, Finding]]]:
        with self._records.transaction() as tx:
            rules = self._book.current(tx)
        if store not in rules.stores:
            told = ", ".join(sorted(rules.stores)[:10])
            raise Rejected(f"There is no store {store} in the rules.", f"Name one of {told}.")
        erp = self._erps.get(rules.store(store).entity)
        if erp is None:
            raise Rejected(
                f"The entity {rules.store(store).entity} has no ERP in the settings.", "Name it under [erp.ENTITY]."
            )
        after = 0
        while True:
            with self._records.transaction() as tx:
                page = self._kept.page(tx, store, after, AT_ONCE)
            if not page:
                return
            yield page, findings(erp, rules, [one for _, one, _ in page])
            after = page[-1][0]

    def _link(self, new: Mapping[int, str]) -> int:
        with self._records.transaction() as tx:
            return self._kept.link(tx, new)


def _told(one: TakenOver, finding: Finding) -> Mapping[str, Any]:
    remedy = REMEDIES[finding.outcome]
    return {"key": one.key, "outcome": finding.outcome, "cause": finding.told, "remedy": remedy}
