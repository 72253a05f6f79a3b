"""What lies in Tryton's warehouses: on hand, assigned, on the way in, for every item at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from counterfoil_engine.adapters.erp.tryton.books import Books, Refusal
from counterfoil_engine.domain.errors import Unavailable
from counterfoil_engine.ports import PositionPage, TokenForgotten

PAGE = 10_000
# A transaction may commit so long after the moment that its rows bear; what was read already is only read again.
OVERLAP = timedelta(minutes=5)


class Stock:
    """Positions in the warehouses that the map names. Raises Unavailable or RateLimited."""

    def __init__(self, books: Books) -> None:
        self._books, self._read = books, books.tryton.read

    def positions(self, since: str | None) -> Iterator[PositionPage]:
        """All, or those that changed after a token; without the module all of them each time."""
        try:
            places = {ours: self._books.warehouse(code) for ours, code in self._books.names.warehouses.items()}
        except Refusal as no:
            raise Unavailable(no.cause, no.remedy, category="contract") from no
        began = datetime.now(UTC)
        if self._books.has_module:
            as_of, rows = self._in_bulk(places, _moment(since))
        else:
            as_of, rows = began, [row for ours, place in places.items() for row in self._of(ours, place)]
        token = (as_of - OVERLAP).isoformat()
        for start in range(0, max(len(rows), 1), PAGE):
            page = rows[start : start + PAGE]
            yield PositionPage(page, as_of, token if start + PAGE >= len(rows) else None)

    def _in_bulk(
        self, places: Mapping[str, Mapping[str, Any]], since: datetime | None
    ) -> tuple[datetime, list[dict[str, Any]]]:
        ours_of: dict[int, list[str]] = {}
        for ours, place in places.items():
            ours_of.setdefault(place["id"], []).append(ours)
        answer = self._read("model.counterfoil.stock.positions", self._books.company, list(ours_of), since)
        as_of, codes = answer["at"].astimezone(UTC), answer["codes"]
        at = as_of.isoformat()
        rows = [
            _row(ours, codes[str(product)], on_hand, allocated, inbound, at)
            for warehouse, product, on_hand, allocated, inbound in answer["rows"]
            if codes.get(str(product))
            for ours in ours_of[warehouse]
        ]
        return as_of, rows

    def _of(self, ours: str, place: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
        """One warehouse by Tryton's own arithmetic: now, less what is assigned, and with what is to come."""
        now = datetime.now(UTC)
        context = {"locations": [place["storage_location"]], "with_childs": True, "stock_date_end": now.date()}
        fields, product = ["code", "quantity"], "model.product.product.search_read"
        domain = [("type", "=", "goods"), ("code", "!=", None)]
        held = self._read(product, domain, 0, None, None, fields, **context)
        free = self._read(product, domain, 0, None, None, fields, **context, stock_assign=True)
        left = {row["id"]: _units(row["quantity"]) for row in free}
        for row in held:
            on_hand = _units(row["quantity"])
            yield _row(ours, row["code"], on_hand, max(on_hand - left[row["id"]], 0), 0, now.isoformat())


def _row(ours: str, sku: str, on_hand: Any, allocated: Any, inbound: Any, at: str) -> dict[str, Any]:
    """A position as a party says it."""
    return {
        "warehouse": ours,
        "sku": sku,
        "on_hand": _text(on_hand),
        "allocated": _text(allocated),
        "damaged": "0",
        "quarantined": "0",
        "inbound": [],
        "lines": [],
        "as_of": at,
    }


def _units(quantity: Any) -> Decimal:
    return Decimal(str(quantity or 0))


def _text(quantity: Any) -> str:
    number = _units(quantity)
    return str(int(number)) if number == number.to_integral_value() else str(number.normalize())


def _moment(token: str | None) -> datetime | None:
    """The moment that a token of ours stands for. Raises TokenForgotten."""
    if token is None:
        return None
    try:
        moment = datetime.fromisoformat(token)
    except ValueError:
        raise TokenForgotten from None
    if moment.tzinfo is None:
        raise TokenForgotten
    return moment
