"""Which documents stand in Tryton, by their keys: asked of the module's register, or of the records themselves."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from counterfoil_engine.adapters.erp.tryton.books import Books
from counterfoil_engine.adapters.erp.tryton.known import literal, slot_of
from counterfoil_engine.adapters.erp.tryton.vouchers import INVOICE, MOVE, PARTY, SALE
from counterfoil_engine.ports import Found

KEYS_A_CALL = 500
PAGE = 1000
_STAMP = re.compile(r"(-?[0-9]{1,17}) ([A-Z]{3}) (\S{1,128})")
KEY = re.compile(r"\S+/r[1-9][0-9]*(/reversal)?")
_CUSTOMER = re.compile(r"(\S+/r[1-9][0-9]*) (\S+) ([0-9]{4}-[0-9]{2}-[0-9]{2})")  # an identifier of a party
# A record in one of these states was begun and is no document yet.
BEGUN: Mapping[str, tuple[str, ...]] = {
    SALE: ("draft", "quotation"),
    INVOICE: ("draft", "validated"),
    MOVE: ("draft",),
}


@dataclass(frozen=True)
class Standing:
    """A document as a record has it. record: "sale.sale,12". day: of posting."""

    key: str
    number: str
    content_hash: str
    amount_minor: int
    currency: str
    day: date
    posted_at: datetime
    record: str

    @property
    def kind(self) -> str:
        return slot_of(self.key).split("/")[2]

    @property
    def found(self) -> Found:
        return Found(self.key, self.number, self.content_hash, self.posted_at)


class Register:
    """Finds documents. Raises Unavailable or RateLimited."""

    def __init__(self, books: Books) -> None:
        self._books, self._read = books, books.tryton.read

    def find(self, keys: Sequence[str]) -> dict[str, list[Found]]:
        """All documents that bear each key; what none bears is absent."""
        by_key: dict[str, list[Found]] = {}
        for start in range(0, len(keys), KEYS_A_CALL):
            part = list(keys[start : start + KEYS_A_CALL])
            if self._books.has_module:
                found: Iterable[Found] = map(_told, self._read("model.counterfoil.document.found", part))
            else:
                found = (each.found for each in self.records(keys=part))
            for each in found:
                by_key.setdefault(each.key, []).append(each)
        return by_key

    def since(self, moment: datetime) -> Iterator[Found]:
        if not self._books.has_module:
            yield from (each.found for each in self.records(since=moment))
            return
        yield from map(_told, self._module_pages("since", moment))

    def between(self, first: date, last: date) -> Iterator[Standing]:
        """All documents of a company with a posting date in these days."""
        if not self._books.has_module:
            yield from (each for each in self.records(first=first, last=last) if first <= each.day <= last)
            return
        for row in self._module_pages("between", first, last):
            key, number, content_hash, amount_minor, currency, day, at, record = row
            yield Standing(key, number, content_hash, amount_minor, currency, day, at, record or "")

    def _module_pages(self, method: str, *asked: Any) -> Iterator[Sequence[Any]]:
        after: int | None = 0
        while after is not None:
            page = self._read(f"model.counterfoil.document.{method}", self._books.company, *asked, after)
            yield from page["rows"]
            after = page["next"]

    # Without the module: what the records themselves bear

    def records(
        self,
        keys: Sequence[str] = (),
        since: datetime | None = None,
        first: date | None = None,
        last: date | None = None,
        begun: bool = False,
    ) -> Iterator[Standing]:
        """Documents as sales, invoices, moves and parties bear them; a note is a cancelled sale without lines. begun:
        those that were begun and not finished instead."""
        wanted = frozenset(keys)  # compared here once more: Tryton strips what it searches for
        for model, field, day, stamp, number in (
            (SALE, "reference", "sale_date", "description", "number"),
            (INVOICE, "reference", "accounting_date", "description", "number"),
            (MOVE, "description", "date", "lines.description", "number"),
        ):
            named = (field, "in", list(keys)) if keys else (field, "like", "%/r%")
            domain = self._books.of_company(named, ("state", "in" if begun else "not in", list(BEGUN[model])))
            if model == MOVE:
                domain.append(("origin", "=", None))  # a move that cancels one of ours bears its description
            if since is not None:
                domain.append(_written(since))
            if first is not None:
                domain += [(day, ">=", first), (day, "<=", last)]
            fields = [field, day, number, "create_date", stamp]
            for row in self._pages(model, domain, fields):
                key = row[field] or ""
                if KEY.fullmatch(key) and (not wanted or key in wanted):
                    yield self._standing(model, row, key, row[day], row[number], _stamps(row, stamp))
        if not begun:
            yield from self._parties(keys, since)

    def _parties(self, keys: Sequence[str], since: datetime | None) -> Iterator[Standing]:
        ours = [key for key in keys if "/customer/" in key]
        if keys and not ours:
            return
        like = [("code", "like", f"{literal(key)} %") for key in ours] or [("code", "like", "%/customer/%")]
        domain: list[Any] = [["OR", *like]]
        if since is not None:
            domain.append(_written(since))
        for row in self._pages("party.identifier", domain, ["code", "party", "party.code", "create_date"]):
            if match := _CUSTOMER.fullmatch(row["code"]):
                key, content_hash, day = match.groups()
                stamp = f"0 {self._books.currency.code} {content_hash}"
                number = (row.get("party.") or {}).get("code")
                of_party = {**row, "id": row["party"]}
                yield self._standing(PARTY, of_party, key, date.fromisoformat(day), number, [stamp])

    def _standing(
        self, model: str, row: Mapping[str, Any], key: str, day: date | None, number: str | None, stamps: list[str]
    ) -> Standing:
        match = next((found for stamp in stamps if (found := _STAMP.fullmatch(stamp or ""))), None)
        amount, currency, content_hash = match.groups() if match else ("0", self._books.currency.code, "unknown")
        at: datetime = row["create_date"]
        day = day or at.date()
        record = f"{model},{row['id']}"
        return Standing(key, number or record, content_hash, int(amount), currency, day, at, record)

    def _pages(self, model: str, domain: Sequence[Any], fields: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        last = 0
        while True:
            rows = self._read(
                *(f"model.{model}.search_read", [*domain, ("id", ">", last)], 0, PAGE, [("id", "ASC")], list(fields)),
                active_test=False,  # those of a party that was merged are inactive
            )
            yield from rows
            if len(rows) < PAGE:
                return
            last = rows[-1]["id"]


def _stamps(row: Mapping[str, Any], field: str) -> list[str]:
    if field == "lines.description":
        return [line["description"] for line in row.get("lines.") or ()]
    return [row[field] or ""]


def _written(since: datetime) -> list[Any]:
    return ["OR", ("create_date", ">=", since), ("write_date", ">=", since)]


def _told(row: Sequence[Any]) -> Found:
    key, number, content_hash, at, _ = row
    return Found(key, number, content_hash, at if at.tzinfo else at.replace(tzinfo=UTC))
