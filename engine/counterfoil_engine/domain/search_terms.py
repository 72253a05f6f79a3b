"""What an order is searched by: id, shown number, e-mail, transaction, SKUs, amounts. Taken from the store's last word.

An e-mail address is kept as its hash alone: who has the address finds the order, and no list of addresses comes to be.
Old terms stay: an order is still found by the address that it had.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, NamedTuple

from counterfoil_engine.domain.facts import OrderFacts
from counterfoil_engine.domain.stock import sku_key

Kind = Literal["order", "e-mail", "transaction", "SKU", "amount"]
LONGEST, MOST_LINES = 200, 200
_AMOUNT = re.compile(r"[0-9]{1,12}([.,][0-9]{1,4})?")
_GROUPED = re.compile(r"([0-9]{1,3}(?:[., '\u00a0][0-9]{3}){1,4})([.,])([0-9]{1,4})")
_CURRENCY = re.compile(r"^(?:[A-Z]{3}|[€$£¥])\s*|\s*(?:[A-Z]{3}|[€$£¥])$")
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class Term(NamedTuple):
    """kind: what it is of the order; term: as `term_of` writes it; at: when the order was made, so that the newest come
    first."""

    kind: Kind
    term: str
    at: datetime


def terms_of(facts: OrderFacts) -> set[Term]:
    """All that an order is found by; nothing of what can't be read."""
    bodies = [each.body.get("order") for each in facts.snapshots if each.kind == "order"]
    said = bodies[-1] if bodies else None
    if not isinstance(said, Mapping):
        return set()
    at = _moment(said.get("date_created_gmt"))
    return {Term(kind, term, at) for kind, value in _named(facts, said) if (term := term_of(kind, value))}


def _named(facts: OrderFacts, said: Mapping[str, Any]) -> Iterator[tuple[Kind, str]]:
    yield "order", facts.order_id
    yield "order", _text(said.get("number"))
    billing = said.get("billing")
    yield "e-mail", _text(billing.get("email")) if isinstance(billing, Mapping) else ""
    yield "transaction", _text(said.get("transaction_id"))
    yield "amount", _text(said.get("total"))
    for refund in _list(said.get("refunds")):
        yield "amount", _text(refund.get("total")).lstrip("-")
    for line in _list(said.get("line_items")):
        yield "SKU", _text(line.get("sku"))


def term_of(kind: Kind, value: str) -> str:
    """A value as it is kept and looked up: the same for each way to write it; empty: there is none."""
    text = value.strip()[:LONGEST]
    if kind == "e-mail":
        return hashlib.sha256(text.casefold().encode("utf-8", "surrogatepass")).hexdigest() if "@" in text else ""
    if kind == "SKU":
        return sku_key(text)
    if kind == "amount":
        return _amount(text)
    return text.casefold()


def _amount(text: str) -> str:
    """85.870, 85,87, 85.87 EUR → 85.87; 1,284.50 and 1.284,50 → 1284.5."""
    text = _CURRENCY.sub("", text)
    grouped = _GROUPED.fullmatch(text)
    if grouped and grouped[2] not in grouped[1]:
        text = re.sub(r"[^0-9]", "", grouped[1]) + "." + grouped[3]
    if not _AMOUNT.fullmatch(text):
        return ""
    try:
        amount = Decimal(text.replace(",", ".")).normalize()
    except InvalidOperation:
        return ""
    return f"{amount:f}"


def _list(value: Any) -> list[Mapping[str, Any]]:
    rows = value[:MOST_LINES] if isinstance(value, list | tuple) else []
    return [row for row in rows if isinstance(row, Mapping)]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value) if isinstance(value, int | Decimal) else ""


def _moment(value: Any) -> datetime:
    """WooCommerce's times in GMT bear no zone."""
    try:
        return datetime.fromisoformat(value).replace(tzinfo=UTC)
    except (TypeError, ValueError):
        return _BEGINNING
