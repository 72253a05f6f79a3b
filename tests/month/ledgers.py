"""Both ledgers of the month as they stand: what the engine posted, what the ERP has, and where they break."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from counterfoil_engine.domain.documents import Document
from counterfoil_engine.domain.postings import mirrored
from counterfoil_engine.domain.tie_out import Booked, Break, Tie, added, compare, tie_out
from counterfoil_engine.records import close as close_records
from counterfoil_engine.records.intents import as_intent

from month.run import Month
from month.world import BOOK, FIRST, LAST


@dataclass(frozen=True)
class Posted:
    """A document as the engine posted it. sign: -1 for a reversal."""

    key: str
    entity: str
    document: Document
    sign: int

    @property
    def lines(self) -> list[Mapping[str, Any]]:
        return list(self.document.body.get("lines", ()))


@dataclass(frozen=True)
class TheirDocument:
    """A document as the ERP's own books have it."""

    key: str
    number: str
    entity: str
    kind: str
    currency: str
    body: Mapping[str, Any]
    sign: int


class Ledgers:
    """Read once, after the month."""

    def __init__(self, month: Month) -> None:
        chain = month.chain
        with chain.database.transaction() as tx:
            self.ours = {entity: close_records.booked(tx, entity, FIRST, LAST) for entity in BOOK}
            rows = tx.all("select * from intents where state = 'done' and party = 'erp' order by id")
            self.posted = [each for row in rows if (each := _posted(as_intent(row)))]
        self.theirs = {entity: list(chain.erps[entity].entries(entity, FIRST, LAST)) for entity in BOOK}
        self.breaks = {entity: compare(self.ours[entity], self.theirs[entity]) for entity in BOOK}
        self.documents = list(_their_documents(month))

    def trial_balance(self, month: Month) -> Iterator[tuple[str, Tie]]:
        """Role by role, the ERP's side by its own balances."""
        for entity in BOOK:
            theirs = {
                place: (line.debit_minor - line.credit_minor, line.book_debit_minor - line.book_credit_minor)
                for place, line in month.chain.erps[entity].balances(entity).items()
            }
            for tie in tie_out(added(each.net for each in self.ours[entity]), theirs, self.breaks[entity]):
                yield entity, tie

    def all_breaks(self) -> Iterator[tuple[str, Break]]:
        for entity, breaks in self.breaks.items():
            for each in breaks:
                yield entity, each

    def theirs_as_ours(self) -> list[Booked]:
        return [each for entity in BOOK for each in self.theirs[entity]]


def _posted(intent: Any) -> Posted | None:
    document = intent.document
    if document is None:
        return None
    day = intent.posting_date or intent.day
    if intent.reverses:
        return Posted(intent.key, intent.entity, replace(document, day=day, journal=mirrored(document.journal)), -1)
    return Posted(intent.key, intent.entity, replace(document, day=day), 1)


def _their_documents(month: Month) -> Iterator[TheirDocument]:
    """Of the sandbox, or of an ERP that says them itself."""
    for erp in month.chain.erps.values():
        if hasattr(erp, "documents"):
            yield from erp.documents()
    before: int | None = None
    while page := month.chain.books.newest(before, 1000):
        before = page[-1]["id"]
        for row in page:
            body, sign = json.loads(row["body"]), 1
            if row["reverses"]:
                original = month.chain.books.id_of(row["reverses"])
                there = month.chain.books.document(original) if original else None
                body, sign = json.loads(there["body"]) if there else {}, -1
            yield TheirDocument(row["key"], row["number"], row["entity"], row["kind"], row["currency"], body, sign)
