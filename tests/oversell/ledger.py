"""What really is: goods in warehouses, units sold by line, shipped and held; and from it what a store may offer.

The truth is kept apart from all that is tried: goods by what happened to them, sales by WooCommerce's own count on the
order's line, never by the plugin's moves. A number in a store rests on positions of some moment; to that moment's goods

    may be offered = goods that ever came in, as of then
                     − for each of the store's lines the larger of: lowered now, shipped as of then

and never more, whatever was late or lost. What is offered above that was sold there before (I4).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

LineId = tuple[str, str, str]  # store, order, line
Place = tuple[str, str]  # warehouse, SKU


@dataclass
class Line:
    """A sold line. lowered: what the store's stock is lowered by for it now; the rest by warehouse."""

    sku: str
    lowered: int = 0
    allocated: dict[str, int] = field(default_factory=dict)
    shipped: dict[str, int] = field(default_factory=dict)
    sent_back: int = 0

    @property
    def out(self) -> int:
        return sum(self.shipped.values())

    @property
    def held(self) -> int:
        return sum(self.allocated.values())

    @property
    def open(self) -> int:
        """Units of it that no warehouse holds yet."""
        return max(0, self.lowered - self.out - self.held)


class Snapshot(NamedTuple):
    """A position's moment: all goods that ever came in, and what was shipped of each line by then."""

    supply: int
    shipped: Mapping[LineId, int]


@dataclass
class Ledger:
    warehouses: tuple[str, ...]
    skus: tuple[str, ...]
    supply: dict[Place, int] = field(default_factory=dict)
    lines: dict[LineId, Line] = field(default_factory=dict)
    snapshots: dict[tuple[Place, datetime], Snapshot] = field(default_factory=dict)

    # What happens to goods

    def on_hand(self, place: Place) -> int:
        gone = sum(line.shipped.get(place[0], 0) for line in self.lines.values() if line.sku == place[1])
        return self.supply.get(place, 0) - gone

    def free(self, place: Place) -> int:
        """On hand and not allocated."""
        held = sum(line.allocated.get(place[0], 0) for line in self.lines.values() if line.sku == place[1])
        return self.on_hand(place) - held

    def come_in(self, place: Place, units: int) -> None:
        """Goods arrive, or below 0: are found missing."""
        self.supply[place] = self.supply.get(place, 0) + units

    def lower(self, store: str, order: int, line: int, sku: str, lowered: int) -> None:
        """The store's own count of what is lowered for a line is this now."""
        self.lines.setdefault((store, str(order), str(line)), Line(sku)).lowered = lowered

    def of_sku(self, sku: str) -> Iterator[tuple[LineId, Line]]:
        return ((name, line) for name, line in self.lines.items() if line.sku == sku)

    # What is said of it

    def position(self, place: Place, as_of: datetime, with_lines: bool = True) -> dict[str, Any]:
        """A row as the warehouse's owner says it at this moment."""
        warehouse, sku = place
        self.snapshots[place, as_of] = Snapshot(
            self.supply.get(place, 0), {name: line.shipped.get(warehouse, 0) for name, line in self.of_sku(sku)}
        )
        row: dict[str, Any] = {
            "warehouse": warehouse,
            "sku": sku,
            "on_hand": str(self.on_hand(place)),
            "allocated": str(sum(line.allocated.get(warehouse, 0) for _, line in self.of_sku(sku))),
            "as_of": as_of.isoformat(),
            "lines": None,  # which lines it holds goods for isn't said
        }
        if with_lines:
            row["lines"] = [
                {
                    "store": name[0],
                    "order": name[1],
                    "line": name[2],
                    "allocated": str(line.allocated.get(warehouse, 0)),
                    "shipped": str(line.shipped.get(warehouse, 0)),
                }
                for name, line in self.of_sku(sku)
                if line.allocated.get(warehouse, 0) or line.shipped.get(warehouse, 0)
            ]
        return row

    # What follows from it

    def offerable(self, store: str, sku: str, said_at: Mapping[str, datetime]) -> int:
        """What the store may offer by positions of these moments, were no other store there."""
        return self._left(sku, said_at, {name: line.lowered for name, line in self.of_sku(sku) if name[0] == store})

    def left_to_all(self, store: str, sku: str, said_at: Mapping[str, datetime], counted: Mapping[LineId, int]) -> int:
        """What is left when the other stores' sales come off as well, as far as they were counted."""
        return self._left(
            sku,
            said_at,
            {name: line.lowered if name[0] == store else counted.get(name, 0) for name, line in self.of_sku(sku)},
        )

    def _left(self, sku: str, said_at: Mapping[str, datetime], lowered: Mapping[LineId, int]) -> int:
        snapshots = [self.snapshots[(warehouse, sku), moment] for warehouse, moment in said_at.items()]
        left = sum(snapshot.supply for snapshot in snapshots)
        for name, units in lowered.items():
            left -= max(units, sum(snapshot.shipped.get(name, 0) for snapshot in snapshots))
        return left

    def unsold(self, sku: str) -> int:
        """Goods that are there and that nobody bought; below 0: more were sold than there are."""
        supply = sum(self.supply.get((warehouse, sku), 0) for warehouse in self.warehouses)
        return supply - sum(max(line.lowered, line.out) for _, line in self.of_sku(sku))

    def available(self, sku: str) -> int:
        """The number that ought to be published once everybody has heard of everything, before policy."""
        free = sum(max(0, self.free((warehouse, sku))) for warehouse in self.warehouses)
        return free - sum(line.open for _, line in self.of_sku(sku))
