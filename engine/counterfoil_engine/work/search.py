"""One search for everything that a person may have in hand: an order's number, an e-mail address, a SKU, a transaction,
a document's key or the ERP's number, an amount. Reads only."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from counterfoil_engine.domain.search_terms import Kind, term_of
from counterfoil_engine.ports import Records, Rejected

PAGE = 50
_HASH = re.compile(r"[0-9a-f]{64}")
_SUBJECT = re.compile(r"(?:order )?([A-Za-z0-9_.-]{1,63})/([0-9]{1,20})")
_KINDS: tuple[Kind, ...] = ("order", "transaction", "SKU", "amount")


class SearchRecords(Protocol):
    """Orders by terms, documents by keys (`records/search.py`)."""

    def orders(
        self, tx: Any, terms: Sequence[tuple[str, str]], after: tuple[datetime, str] | None, limit: int
    ) -> list[Mapping[str, Any]]: ...
    def by_transaction(self, tx: Any, transaction: str) -> list[str]: ...
    def documents(self, tx: Any, text: str, limit: int) -> list[Mapping[str, Any]]: ...
    def readings(self, tx: Any, subjects: Sequence[str]) -> list[Mapping[str, Any]]: ...
    def stocked(self, tx: Any, sku_key: str) -> list[Mapping[str, Any]]: ...


def hidden(text: str) -> str:
    """An e-mail address as the hash that stands for it in addresses and logs; everything else as it is."""
    return term_of("e-mail", text) if "@" in text else text


class Search:
    """Reads only."""

    def __init__(self, records: Records, search: SearchRecords) -> None:
        self._records, self._search = records, search

    def find(self, text: str, after: str = "") -> Mapping[str, Any]:
        """Orders, the newest first, a page; documents and stock only on the first one. text: as typed, or the hash of
        an e-mail address (`hidden`). after: the answer's `next`."""
        text = text.strip()
        if not text:
            raise Rejected("Nothing was asked for.", "Name an order, an e-mail, a SKU, a transaction, an amount.")
        by_mail = _HASH.fullmatch(hidden(text))
        terms = [("e-mail", by_mail[0])] if by_mail else [(kind, term_of(kind, text)) for kind in _KINDS]
        terms = [(kind, term) for kind, term in terms if term]
        with self._records.transaction() as tx:
            rows = self._search.orders(tx, terms, _place(after), PAGE + 1)
            named: list[Mapping[str, Any]] = []
            documents: list[Mapping[str, Any]] = []
            stock: list[Mapping[str, Any]] = []
            if not after and not by_mail:
                named = self._search.readings(tx, [*_subjects(text), *self._search.by_transaction(tx, text)])
                documents = self._search.documents(tx, text, PAGE)
                stock = self._search.stocked(tx, term_of("SKU", text))
        known = {row["subject"] for row in rows}
        more = [{**row, "kind": "order", "at": row["looked_at"]} for row in named if row["subject"] not in known]
        return {
            "asked": text if not by_mail else "",
            "orders": [_order(row) for row in [*more, *rows[:PAGE]]],
            "next": _after(rows[PAGE - 1]) if len(rows) > PAGE else "",
            "documents": [_document(row) for row in documents],
            "stock": [dict(row) for row in stock],
        }


def _subjects(text: str) -> list[str]:
    found = _SUBJECT.fullmatch(text)
    return [f"order {found[1]}/{found[2]}"] if found else []


def _order(row: Mapping[str, Any]) -> dict[str, Any]:
    store, _, order_id = row["subject"].removeprefix("order ").partition("/")
    return {
        "subject": row["subject"],
        "store": store,
        "order": order_id,
        "found_by": row["kind"],
        "reading": row["reading"] or "waiting",
        "reason": row["reason"] or "It waits for its first look.",
        "total_minor": row["total_minor"],
        "currency": row["currency"],
        "at": _text(row["at"]),
    }


def _document(row: Mapping[str, Any]) -> dict[str, Any]:
    names = ("party", "entity", "key", "kind", "state", "amount_minor", "currency", "number", "day")
    return {**{name: row[name] for name in names}, "subject": row["about"]}


def _after(row: Mapping[str, Any]) -> str:
    return f"{_text(row['at'])} {row['subject']}"


def _place(after: str) -> tuple[datetime, str] | None:
    at, _, subject = after.partition(" ")
    if not at:
        return None
    try:
        moment = datetime.fromisoformat(at)
        if moment.tzinfo is None or not subject:
            raise ValueError(after)
    except ValueError:
        raise Rejected("There is no such page of this search.", "Search anew.") from None
    return moment, subject


def _text(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
