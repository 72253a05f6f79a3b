"""What lies in Tryton's warehouses: on hand, assigned and for which orders, on the way in, for every item at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from counterfoil_engine.adapters.erp.tryton.books import Books, Refusal
from counterfoil_engine.adapters.erp.tryton.shelves import OrderLine, Reading, Shelves
from counterfoil_engine.domain.errors import Unavailable
from counterfoil_engine.ports import PositionPage, TokenForgotten

PAGE = 10_000
# A transaction may commit so long after the moment that its rows bear; what was read already is only read again.
OVERLAP = timedelta(minutes=5)
# An order's line is listed so long after its shipment, as the contract of positions says.
LISTED = timedelta(days=90)


class Stock:
    """Positions in the warehouses that the map names. Raises Unavailable or RateLimited."""

    def __init__(self, books: Books) -> None:
        self._books, self._read = books, books.tryton.read

    def positions(self, since: str | None) -> Iterator[PositionPage]:
        """All, or those that changed after a token."""
        moment, began = _moment(since), datetime.now(UTC)
        try:
            places = {ours: self._books.warehouse(code) for ours, code in self._books.names.warehouses.items()}
        except Refusal as no:
            raise Unavailable(no.cause, no.remedy, category="contract") from no
        shipped_since = (began - LISTED).date()
        if self._books.has_module:
            as_of, reading = self._in_bulk(places, moment, shipped_since)
        else:
            as_of, reading = began, Reading()
            Shelves(self._books, reading).read(places.values(), moment, shipped_since)
        rows = list(self._rows(places, reading, as_of))
        token = (as_of - OVERLAP).isoformat()
        for start in range(0, max(len(rows), 1), PAGE):
            page = rows[start : start + PAGE]
            yield PositionPage(page, as_of, token if start + PAGE >= len(rows) else None)

    def _in_bulk(
        self, places: Mapping[str, Mapping[str, Any]], since: datetime | None, shipped_since: date
    ) -> tuple[datetime, Reading]:
        warehouses = sorted({place["id"] for place in places.values()})
        answer = self._read("model.counterfoil.stock.positions", self._books.company, warehouses, since, shipped_since)
        reading = Reading({int(product): code for product, code in answer["codes"].items()})
        for warehouse, product, on_hand, allocated in answer["rows"]:
            reading.holds((warehouse, product), on_hand, allocated)
        for warehouse, product, day, quantity in answer["inbound"]:
            reading.arrives((warehouse, product), day, quantity)
        for warehouse, product, *line in answer["lines"]:
            reading.takes((warehouse, product), *line)
        return answer["at"].astimezone(UTC), reading

    def _rows(
        self, places: Mapping[str, Mapping[str, Any]], reading: Reading, as_of: datetime
    ) -> Iterator[dict[str, Any]]:
        """A position as a party says it."""
        ours_of: dict[int, list[str]] = defaultdict(list)
        for ours, place in places.items():
            ours_of[place["id"]].append(ours)
        nothing, at, ships = (Decimal(0), Decimal(0)), as_of.isoformat(), self._books.names.ships
        for place in sorted({*reading.buckets, *reading.inbound}):
            warehouse, product = place
            on_hand, allocated = reading.buckets.get(place, nothing)
            if not (code := reading.codes.get(product)):
                continue
            for ours in ours_of[warehouse]:
                yield {
                    "warehouse": ours,
                    "sku": code,
                    "on_hand": _text(on_hand),
                    "allocated": _text(allocated),
                    "damaged": "0",
                    "quarantined": "0",
                    "inbound": [
                        {"expected_on": (day or as_of.date()).isoformat(), "quantity": _text(quantity)}
                        for day, quantity in reading.inbound.get(place, ())
                    ],
                    # Where a WMS ships, Tryton doesn't know for which orders.
                    "lines": _lines(reading.lines.get(place, {})) if ships else None,
                    "as_of": at,
                }


def _lines(lines: Mapping[OrderLine, list[Decimal]]) -> list[dict[str, str]]:
    return [
        {"store": store, "order": order, "line": line, "allocated": _text(allocated), "shipped": _text(shipped)}
        for (store, order, line), (allocated, shipped) in sorted(lines.items())
    ]


def _text(number: Decimal) -> str:
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
