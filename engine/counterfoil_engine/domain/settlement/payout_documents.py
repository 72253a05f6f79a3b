"""Writes the documents of a payout, each in its slot `<entity>/-/<kind>/<source>.<natural id>`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from functools import cached_property
from typing import Any

from counterfoil_engine.domain.documents import Document, JournalLine
from counterfoil_engine.domain.keys import natural_id
from counterfoil_engine.domain.money import convert
from counterfoil_engine.domain.postings import journal
from counterfoil_engine.domain.rules import Entity, Rules
from counterfoil_engine.domain.settlement.journals import payout_journal
from counterfoil_engine.domain.settlement.lines import Report, SettlementLine
from counterfoil_engine.domain.settlement.posted import Posting


class Writer:
    """Writes one payout's documents for an entity; book amounts are at the rate of each one's own day."""

    def __init__(self, report: Report, rules: Rules, entity: Entity) -> None:
        self.report, self.rules, self.entity = report, rules, entity

    def is_own(self, slot: str) -> bool:
        """Is this a document that this payout itself makes?"""
        return slot in self._slots

    @cached_property
    def _slots(self) -> frozenset[str]:
        own = {self._slot("payout", "")}
        for line in self.report.lines:
            ends = ("", f"-{line.currency}", f"-{line.other_currency}", "-opened", "-won")
            own |= {self._slot(kind, line.id + end) for end in ends for kind in ("payment", "fee", "payout", "dispute")}
        return frozenset(own)

    def unapplied_lines(self) -> dict[str, SettlementLine]:
        """Where lines stand, or once stood, that no order knows: slot → line."""
        kinds = ("charge", "refund", "adjustment")
        return {self._slot("payment", line.id): line for line in self.report.lines if line.kind in kinds}

    def _slot(self, kind: str, id: str) -> str:
        """A line's id is unique in its payout alone; the payout itself has none beside its own."""
        natural = natural_id(f"{self.report.payout}.{id}" if id else self.report.payout)
        return f"{self.entity.id}/-/{kind}/{self.report.source}.{natural}"

    def payout(self, carried_book_minor: int | None) -> Document:
        """The payout itself, at the rate of its day; what the clearing carried it at goes off the clearing."""
        report = self.report
        book = self._book(report.net_minor, report.currency, report.paid_on)
        body = {**self._to("in_transit", report.payout), "book_minor": book}
        if carried_book_minor is not None:
            body["carried_book_minor"] = carried_book_minor
        reason = f"{report.source} paid it out on {report.paid_on}"
        return self._document("payout", "", report.net_minor, report.currency, report.paid_on, body, reason)

    def moved(self, line: SettlementLine, to: str) -> Document:
        """Money that left the clearing for a reserve or the bank, or came back from there (negative)."""
        body = {**self._to(to, line.id), "book_minor": self._book(-line.gross_minor, line.currency, line.at)}
        what = "held in reserve" if to == "reserve" else "paid out"
        reason = f"{line.source} says that it was {what}, or came back, on {line.at}"
        return self._document("payout", line.id, -line.gross_minor, line.currency, line.at, body, reason)

    def converted(self, line: SettlementLine) -> Document:
        """One side of a conversion. The side that is sold goes at what the other one brought, where that is known."""
        amount = -line.gross_minor
        body = {**self._to("conversion", line.id), "book_minor": self._book(amount, line.currency, line.at)}
        if amount > 0 and line.other_minor is not None and line.other_currency:
            body["carried_book_minor"] = body["book_minor"]
            body["book_minor"] = self._book(line.other_minor, line.other_currency, line.at)
        reason = f"{line.source} changed it on {line.at}"
        return self._document("payout", line.id, amount, line.currency, line.at, body, reason)

    def exchanged(self, line: SettlementLine, posting: Posting) -> list[Document]:
        """A charge or refund posted in one currency and settled in another: off the one clearing, onto the other."""
        book = self._book(line.gross_minor, line.currency, line.at)
        sold = {
            **self._to("conversion", line.id),
            "book_minor": book,
            "carried_book_minor": self.book_of(posting),
        }
        bought = {**self._to("conversion", line.id), "book_minor": -book}
        reason = f"{line.source} settled {posting.currency} in {line.currency}"
        return [
            self._document("payout", f"{line.id}-{currency}", amount, currency, line.at, body, reason)
            for body, amount, currency in (
                (sold, posting.amount_minor, posting.currency),
                (bought, -line.gross_minor, line.currency),
            )
        ]

    def fee(self, line: SettlementLine) -> Document:
        """What the gateway took for a line; negative where it gave a fee back."""
        body = {
            "gateway": line.source,
            "transaction": next(iter(line.ids), None),
            "book_minor": self._book(line.fee_minor, line.currency, line.at),
        }
        reason = f"{line.source} took it on {line.at}"
        return self._document("fee", line.id, line.fee_minor, line.currency, line.at, body, reason)

    def dispute(self, line: SettlementLine) -> Document:
        """A dispute that only the report knows: opened where money was withdrawn, won where it came back."""
        state, amount = ("opened" if line.gross_minor < 0 else "won"), abs(line.gross_minor)
        body = {
            "gateway": line.source,
            "dispute": line.transaction or line.id,
            "transaction": next(iter(line.related), line.transaction or line.id),
            "state": state,
            "book_minor": self._book(amount, line.currency, line.at),
        }
        id = f"{line.id}-{state}"
        reason = f"{line.source} settled it as {state} on {line.at}"
        return self._document("dispute", id, amount, line.currency, line.at, body, reason)

    def unapplied(self, line: SettlementLine) -> Document:
        """A line that nobody knows; negative where money went out."""
        body = {
            "gateway": line.source,
            "method": "",
            "transaction": line.transaction,
            "to": "unapplied",
            "inferred": False,
            "settles": line.kind,
            "book_minor": self._book(line.gross_minor, line.currency, line.at),
        }
        reason = f"{line.source} settled this {line.kind}, which no order knows"
        return self._document("payment", line.id, line.gross_minor, line.currency, line.at, body, reason)

    def book_of(self, posting: Posting) -> int:
        """What a posting moved in book currency: as it was booked, else at the rate of its day."""
        if posting.book_minor is not None:
            return posting.book_minor
        return self._book(posting.amount_minor, posting.currency, posting.day)

    def on_clearing(self, document: Document) -> tuple[int, int]:
        """What a document moves on the clearing of this payout's currency, and that in book currency."""
        role = f"clearing:{self.report.source}:{self.report.currency}"
        lines = [line for line in document.journal if line.role == role]
        return (
            sum(line.debit_minor - line.credit_minor for line in lines),
            sum(line.book_debit_minor - line.book_credit_minor for line in lines),
        )

    def _to(self, to: str, payout: str) -> dict[str, Any]:
        return {"gateway": self.report.source, "payout": payout, "to": to}

    def _book(self, amount_minor: int, currency: str, day: date) -> int:
        book = self.entity.book_currency
        return convert(amount_minor, currency, book, self.rules.rate(currency, book, day))

    def _document(
        self, kind: str, id: str, amount_minor: int, currency: str, day: date, body: Mapping[str, Any], reason: str
    ) -> Document:
        lines = journal(kind, body, amount_minor, currency)
        return Document(
            slot=self._slot(kind, id),
            kind=kind,
            party="erp",
            entity=self.entity.id,
            subject=f"payout {self.report.source}/{self.report.payout}",
            currency=currency,
            book_currency=self.entity.book_currency,
            amount_minor=amount_minor,
            day=day,
            body=body,
            journal=_lines(payout_journal(body, amount_minor, currency)) if kind == "payout" else lines,
            why=f"settlement@{self.rules.version}: {reason}",
        )


def _lines(amounts: Iterable[tuple[str, int, int]]) -> tuple[JournalLine, ...]:
    """Signed amounts by role as journal lines; lines of nothing are left out."""
    return tuple(
        JournalLine(role, max(amount, 0), max(-amount, 0), max(book, 0), max(-book, 0))
        for role, amount, book in amounts
        if amount or book
    )
