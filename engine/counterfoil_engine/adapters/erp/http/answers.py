"""Reading what an ERP alone answers: rates, periods, balances, positions."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from counterfoil_engine.adapters.http.answers import Malformed, is_text, member, object_of, rows_of
from counterfoil_engine.domain.documents import JournalLine
from counterfoil_engine.domain.old_references import OldDocument
from counterfoil_engine.domain.tie_out import Booked
from counterfoil_engine.ports import PositionPage

_AMOUNTS = ("debit_minor", "credit_minor", "book_debit_minor", "book_credit_minor")


def rate(body: bytes) -> Decimal | None:
    """A rate above 0 as a decimal string, or None."""
    value = member(object_of(body), "rate")
    if value is None:
        return None
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,12})?", value) or not Decimal(value):
        raise Malformed("has a `rate` that is no decimal string above 0")
    return Decimal(value)


def open_day(body: bytes, on: date) -> date:
    """A day that is not before the one asked about."""
    value = member(object_of(body), "open_day")
    try:
        day = date.fromisoformat(value)
    except (TypeError, ValueError):
        raise Malformed("has an `open_day` that is no day") from None
    if day < on:
        raise Malformed("has an `open_day` before the day asked about")
    return day


def balances(body: bytes) -> dict[tuple[str, str], JournalLine]:
    """Turnover by (role, currency)."""
    rows = {}
    for row in rows_of(object_of(body), "balances"):
        if not isinstance(row, dict) or not is_text(row.get("role")) or not is_text(row.get("currency")):
            raise Malformed("has a balance without role and currency")
        if any(type(row.get(name)) is not int for name in _AMOUNTS) or (row["role"], row["currency"]) in rows:
            raise Malformed("has a balance without whole amounts, or one of them twice")
        rows[row["role"], row["currency"]] = JournalLine(row["role"], *(row[name] for name in _AMOUNTS))
    return rows


def balances_until(body: bytes, last: date) -> dict[tuple[str, str], JournalLine] | None:
    """Turnover to a day, as the answer says itself; None: it says none, so it is to date."""
    until = object_of(body).get("until")
    if until is None:
        return None
    if until != last.isoformat():
        raise Malformed("has an `until` that is not the day asked about")
    return balances(body)


def entries(body: bytes) -> tuple[list[Booked], str | None]:
    """A page of the ledger's documents, and the cursor of the next page."""
    answer = object_of(body)
    following = answer.get("next")
    if following is not None and not is_text(following):
        raise Malformed("has a `next` that is no text")
    return [_entry(row) for row in rows_of(answer, "entries")], following


def _entry(row: Any) -> Booked:
    if not isinstance(row, dict) or not all(is_text(row.get(name)) for name in ("number", "kind", "currency")):
        raise Malformed("has a row in `entries` without number, kind and currency")
    key = member(row, "key")
    if (key is not None and not is_text(key)) or type(row.get("amount_minor")) is not int:
        raise Malformed("has a row in `entries` whose key is no text, or whose amount is no whole number")
    day = _day_of(row)
    net: dict[tuple[str, str], tuple[int, int]] = {}
    for line in rows_of(row, "lines"):
        if not isinstance(line, dict) or not is_text(line.get("role")):
            raise Malformed("has a row in `entries` with a line without role")
        if any(type(line.get(name)) is not int for name in _AMOUNTS):
            raise Malformed("has a row in `entries` with a line without whole amounts")
        debit, credit, book_debit, book_credit = (line[name] for name in _AMOUNTS)
        amount, book = net.get((line["role"], row["currency"]), (0, 0))
        net[line["role"], row["currency"]] = (amount + debit - credit, book + book_debit - book_credit)
    return Booked(key, row["number"], row["kind"], row["amount_minor"], row["currency"], day, net)


def old_documents(body: bytes, asked: Collection[str]) -> list[OldDocument]:
    """What bears the references asked for; an answer on others is none."""
    found = [_old_document(row) for row in rows_of(object_of(body), "found")]
    if any(one.reference not in asked for one in found):
        raise Malformed("names a reference that was not asked for")
    return found


def _old_document(row: Any) -> OldDocument:
    if not isinstance(row, dict) or not all(is_text(row.get(name)) for name in ("reference", "number", "currency")):
        raise Malformed("has a row in `found` without reference, number and currency")
    if type(row.get("amount_minor")) is not int:
        raise Malformed("has a row in `found` whose amount is no whole number")
    return OldDocument(row["reference"], row["number"], row["amount_minor"], row["currency"], _day_of(row))


def _day_of(row: Any) -> date:
    try:
        return date.fromisoformat(member(row, "day"))
    except (TypeError, ValueError):
        raise Malformed("has a row whose `day` is no day") from None


def positions(body: bytes) -> tuple[PositionPage, str | None]:
    """A page of positions, its rows unread, and the cursor of the next page."""
    answer = object_of(body)
    following, token = answer.get("next"), answer.get("token")
    if any(each is not None and not is_text(each) for each in (following, token)):
        raise Malformed("has a `next` or a `token` that is no text")
    try:
        as_of = datetime.fromisoformat(member(answer, "as_of"))
    except (TypeError, ValueError):
        raise Malformed("has an `as_of` that is no moment") from None
    if as_of.tzinfo is None:
        raise Malformed("has an `as_of` without its offset")
    return PositionPage(rows_of(answer, "rows"), as_of, token), following
