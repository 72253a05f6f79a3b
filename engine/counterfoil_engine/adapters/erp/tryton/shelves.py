"""What a reading of warehouses holds; and how it is put together without the module, by what Tryton itself answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from counterfoil_engine.adapters.erp.tryton.books import Books

PAGE = 1000

Place = tuple[int, int]  # warehouse and product, by Tryton's ids
OrderLine = tuple[str, str, str]  # store, order, line


@dataclass
class Reading:
    """codes: by product. buckets: on hand and allocated. inbound: units by day. lines: [allocated, shipped]."""

    codes: MutableMapping[int, str] = field(default_factory=dict)
    buckets: dict[Place, tuple[Decimal, Decimal]] = field(default_factory=dict)
    inbound: dict[Place, list[tuple[date | None, Decimal]]] = field(default_factory=lambda: defaultdict(list))
    lines: dict[Place, dict[OrderLine, list[Decimal]]] = field(default_factory=lambda: defaultdict(dict))

    def holds(self, place: Place, on_hand: Any, allocated: Any) -> None:
        self.buckets[place] = units(on_hand), units(allocated)

    def arrives(self, place: Place, day: date | None, quantity: Any) -> None:
        self.inbound[place].append((day, units(quantity)))

    def takes(self, place: Place, reference: str | None, description: str | None, allocated: Any, shipped: Any) -> None:
        """For a sale's line; of a sale that isn't ours it is nobody's here."""
        store, *order = (reference or "").split("/")
        if len(order) < 3 or order[1] != "sales_order":
            return
        line = self.lines[place].setdefault((store, order[0], (description or "").partition(" ")[0]), [Decimal(0)] * 2)
        line[0] += units(allocated)
        line[1] += units(shipped)


class Shelves:
    """By Tryton's own arithmetic, some questions a warehouse. Raises Unavailable or RateLimited."""

    def __init__(self, books: Books, reading: Reading) -> None:
        self._books, self._read, self._reading = books, books.tryton.read, reading

    def read(self, warehouses: Iterable[Mapping[str, Any]], since: datetime | None, shipped_since: date) -> None:
        """What is allocated for whom first, then what is there: a unit that goes in between counts twice, not never."""
        only = [] if since is None else [("id", "in", self._changed(since))]
        for each in {warehouse["id"]: warehouse for warehouse in warehouses}.values():
            self._taken(each, shipped_since)
            self._coming(each)
            self._held(each, only)

    def _changed(self, since: datetime) -> list[int]:
        domain = self._books.of_company(["OR", ("create_date", ">=", since), ("write_date", ">=", since)])
        return sorted({row["product"] for row in self._pages("stock.move", domain, ["product"])})

    def _held(self, warehouse: Mapping[str, Any], only: Sequence[Any]) -> None:
        """Now, and less what is assigned."""
        today = datetime.now(UTC).date()
        context = {"locations": [warehouse["storage_location"]], "with_childs": True, "stock_date_end": today}
        domain, fields = [("type", "=", "goods"), ("code", "!=", None), *only], ["code", "quantity"]
        product = "model.product.product.search_read"
        held = self._read(product, domain, 0, None, None, fields, **context)
        free = self._read(product, domain, 0, None, None, fields, **context, stock_assign=True)
        left = {row["id"]: units(row["quantity"]) for row in free}
        for row in held:
            on_hand = units(row["quantity"])
            self._reading.codes[row["id"]] = row["code"]
            self._reading.holds((warehouse["id"], row["id"]), on_hand, max(on_hand - left[row["id"]], Decimal(0)))

    def _coming(self, warehouse: Mapping[str, Any]) -> None:
        """Into the zone of storage or where goods come in, and what came in and isn't put away."""
        inside = [warehouse["storage_location"], warehouse["input_location"]]
        domain = self._books.of_company(
            ("state", "in", ["draft", "assigned"]),
            ("to_location", "child_of", inside, "parent"),
            ("from_location", "not child_of", inside[:1], "parent"),
            ("from_location.type", "!=", "customer"),
        )
        for row in self._pages("stock.move", domain, ["product", "internal_quantity", "planned_date"]):
            self._reading.arrives((warehouse["id"], row["product"]), row["planned_date"], row["internal_quantity"])

    def _taken(self, warehouse: Mapping[str, Any], shipped_since: date) -> None:
        """Out of the zone of storage for a sale's line: the move itself, or that which it brings the goods for, is."""
        inside = [warehouse["storage_location"]]
        domain = self._books.of_company(
            ["OR", ("state", "=", "assigned"), [("state", "=", "done"), ("effective_date", ">=", shipped_since)]],
            ("from_location", "child_of", inside, "parent"),
            ("to_location", "not child_of", inside, "parent"),
            ["OR", ("origin", "like", "stock.move,%"), ("origin", "like", "sale.line,%")],
        )
        rows = list(self._pages("stock.move", domain, ["product", "internal_quantity", "state", "origin"]))
        brought = self._by_id("stock.move", (row["origin"] for row in rows), ["origin"])
        ends = [(row, (brought.get(row["origin"]) or row)["origin"] or "") for row in rows]
        sold = self._by_id("sale.line", (origin for _, origin in ends), ["description", "sale.reference"])
        for row, origin in ends:
            if line := sold.get(origin):
                quantity = row["internal_quantity"]
                both = (quantity, 0) if row["state"] == "assigned" else (0, quantity)
                reference = (line.get("sale.") or {}).get("reference")
                self._reading.takes((warehouse["id"], row["product"]), reference, line["description"], *both)

    def _by_id(self, model: str, origins: Iterable[str], fields: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """The records of a model that are named as "stock.move,12"."""
        ids = sorted({int(number) for name, _, number in (each.partition(",") for each in origins) if name == model})
        found = {}
        for start in range(0, len(ids), PAGE):
            for row in self._read(f"model.{model}.read", ids[start : start + PAGE], list(fields)):
                found[f"{model},{row['id']}"] = row
        return found

    def _pages(self, model: str, domain: Sequence[Any], fields: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        last = 0
        while True:
            asked = [*domain, ("id", ">", last)]
            rows = self._read(f"model.{model}.search_read", asked, 0, PAGE, [("id", "ASC")], list(fields))
            yield from rows
            if len(rows) < PAGE:
                return
            last = rows[-1]["id"]


def units(quantity: Any) -> Decimal:
    return Decimal(str(quantity or 0))
