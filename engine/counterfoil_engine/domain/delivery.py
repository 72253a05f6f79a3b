"""What became of the goods, as the WMS says it; where no WMS speaks, what the store completed is shipped.

A shipment of more than was ordered, or of a line that the order doesn't have, counts as far as it can be true and is a
case beside the documents: no neighbour is held back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from counterfoil_engine.domain.errors import Case
from counterfoil_engine.domain.facts import PartyFact
from counterfoil_engine.domain.keys import natural_id
from counterfoil_engine.domain.order import Line, Order

Quantities = Mapping[str, Decimal]
"""By the order's line (`item:46`)."""


@dataclass(frozen=True)
class Shipment:
    """Goods that left a warehouse. id: its natural id in keys; at: when it left, UTC, never before one that came to
    be known earlier; so that what was invoiced first stays first (domain.md, section 5)."""

    id: str
    at: datetime
    quantities: Quantities
    warehouse: str = ""
    carrier: str | None = None
    tracking: str | None = None


@dataclass(frozen=True)
class Receipt:
    """Goods that came back. refund: the store's refund that they belong to, where the WMS knows it."""

    id: str
    at: datetime
    refund: str | None
    quantities: Quantities


@dataclass(frozen=True)
class Delivery:
    """All of an order's goods: released since, shipments in the order in which they became known, short picks (never
    shipped), receipts, what the WMS refused to cancel, and what is wrong with it."""

    released: datetime | None = None
    shipments: tuple[Shipment, ...] = ()
    short: Quantities = field(default_factory=dict)
    receipts: tuple[Receipt, ...] = ()
    refused: tuple[PartyFact, ...] = ()
    cases: tuple[Case, ...] = ()

    def shipped(self) -> dict[str, Decimal]:
        """How much of each line was shipped."""
        total: dict[str, Decimal] = defaultdict(Decimal)
        for shipment in self.shipments:
            for line, quantity in shipment.quantities.items():
                total[line] += quantity
        return total


def delivery_of(
    order: Order,
    sold: Sequence[Line],
    facts: Sequence[PartyFact],
    has_wms: bool,
    is_digital: Callable[[Line], bool],
    given: datetime | None,
) -> Delivery:
    """The delivery of an order's items. facts: the WMS's, by arrival. given: when digital goods are, None: not yet.

    Without a WMS, `completed` ships all that is left at date_completed."""
    items = {line.id: line for line in sold if line.type == "item" and line.id and line.quantity > 0}
    left = {name: line.quantity for name, line in items.items()}
    cases: list[Case] = []
    shipments: list[Shipment] = []
    digital = {name: left[name] for name, line in items.items() if is_digital(line)}
    if digital and given:
        shipments.append(Shipment("digital", given, _taken(digital, left)))
    for fact in (fact for fact in facts if fact.kind == "shipment"):
        at = max([fact.at, *(shipment.at for shipment in shipments if shipment.id != "digital")])
        quantities = _quantities(order, fact, left, cases)
        body = fact.body
        shipments.append(
            Shipment(
                natural_id(f"{fact.source}-{fact.id}"),
                at,
                quantities,
                str(body.get("warehouse") or ""),
                body.get("carrier"),
                body.get("tracking"),
            )
        )
    if not has_wms and order.completed and any(left.values()):
        shipments.append(Shipment("completed", order.completed, _taken(dict(left), left)))
    released = [fact.at for fact in facts if fact.kind in ("released", "shipment")]
    return Delivery(
        released=min(released) if released else None,
        shipments=tuple(shipments),
        short=_short(order, facts, left, cases),
        receipts=tuple(_receipts(facts)),
        refused=tuple(fact for fact in facts if fact.kind == "cancellation_refused"),
        cases=tuple(cases),
    )


def plain(quantity: Decimal) -> str:
    """A quantity as people and contracts write it: `2`, `0.5`."""
    return format(quantity.normalize(), "f")


def _taken(wanted: Mapping[str, Decimal], left: dict[str, Decimal]) -> Quantities:
    quantities = {name: quantity for name, quantity in wanted.items() if quantity > 0}
    for name, quantity in quantities.items():
        left[name] -= quantity
    return quantities


def _lines(fact: PartyFact) -> Iterator[tuple[str, Decimal]]:
    lines: Sequence[Mapping[str, Any]] = fact.body.get("lines") or ()
    for line in lines:
        yield str(line["line"]), Decimal(str(line["quantity"]))


def _quantities(order: Order, fact: PartyFact, left: dict[str, Decimal], cases: list[Case]) -> Quantities:
    """What of a shipment can be true; the rest is a case."""
    taken: dict[str, Decimal] = defaultdict(Decimal)
    what = f"Shipment {fact.id} of {fact.source}"
    for name, quantity in _lines(fact):
        if name not in left:
            cases.append(
                Case(
                    "data",
                    f"{what} ships {plain(quantity)} of line {name}, which isn't in the order.",
                    "Compare the shipment with the order; correct it in the WMS, or add the item to the order.",
                    currency=order.currency,
                )
            )
            continue
        fits = min(quantity, left[name])
        left[name] -= fits
        if fits:
            taken[name] += fits
        if fits < quantity:
            cases.append(
                Case(
                    "data",
                    f"{what} ships {plain(quantity)} of line {name}, and {plain(fits)} was left.",
                    "Find out what left the warehouse: ask the customer to return the surplus, or sell it to them.",
                    currency=order.currency,
                )
            )
    return dict(taken)


def _short(order: Order, facts: Sequence[PartyFact], left: Mapping[str, Decimal], cases: list[Case]) -> Quantities:
    """What was found missing when picked and wasn't shipped after all."""
    short: dict[str, Decimal] = defaultdict(Decimal)
    for fact in (fact for fact in facts if fact.kind == "short_pick"):
        for name, quantity in _lines(fact):
            if name in left:
                short[name] = min(short[name] + quantity, left[name])
    return {name: quantity for name, quantity in short.items() if quantity > 0}


def _receipts(facts: Sequence[PartyFact]) -> Iterator[Receipt]:
    for fact in (fact for fact in facts if fact.kind == "receipt"):
        quantities: dict[str, Decimal] = defaultdict(Decimal)
        for name, quantity in _lines(fact):
            quantities[name] += quantity
        refund = fact.body.get("refund")
        yield Receipt(
            natural_id(f"{fact.source}-{fact.id}"), fact.at, str(refund) if refund else None, dict(quantities)
        )
