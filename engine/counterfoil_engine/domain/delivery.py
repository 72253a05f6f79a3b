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


OF_KEPT = "wms-released"  # how cancellations begin that ask for less of what the WMS kept


@dataclass(frozen=True)
class Kept:
    """A fulfilment that the WMS didn't give back. country: where it goes; lines: by line, as it asks for them."""

    country: str | None
    lines: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Surplus:
    """What left and can't be of the order: more than was ordered, or of a line that it doesn't have."""

    line: str
    quantity: Decimal
    case: Case


@dataclass(frozen=True)
class Delivery:
    """All of an order's goods: released since, shipments in the order in which they became known, receipts, and what
    the WMS said to what was asked of it.

    missing: what it found missing, and when. kept: fulfilments that it didn't give back, by natural id; left_out: what
    it agreed to leave out, refused: cancellations that it refused, by the natural id of the cancellation."""

    released: datetime | None = None
    shipments: tuple[Shipment, ...] = ()
    missing: tuple[tuple[datetime, Quantities], ...] = ()
    receipts: tuple[Receipt, ...] = ()
    surplus: tuple[Surplus, ...] = ()
    kept: Mapping[str, Kept] = field(default_factory=dict)
    left_out: Mapping[str, Quantities] = field(default_factory=dict)
    refused: Mapping[str, PartyFact] = field(default_factory=dict)

    @property
    def left_out_of_kept(self) -> dict[str, Quantities]:
        """What it agreed to leave out of what it had kept."""
        return {natural: lines for natural, lines in sorted(self.left_out.items()) if natural.startswith(OF_KEPT)}

    def shipped(self) -> dict[str, Decimal]:
        """How much of each line was shipped."""
        total: dict[str, Decimal] = defaultdict(Decimal)
        for shipment in self.shipments:
            for line, quantity in shipment.quantities.items():
                total[line] += quantity
        return total

    def left_with(self) -> dict[str, Decimal]:
        """How much of each line left, whether it can be of the order or not."""
        total = self.shipped()
        for surplus in self.surplus:
            total[surplus.line] += surplus.quantity
        return total

    def found_missing(self) -> dict[str, Decimal]:
        """How much of each line was not there when it was picked."""
        total: dict[str, Decimal] = defaultdict(Decimal)
        for _, quantities in self.missing:
            for line, quantity in quantities.items():
                total[line] += quantity
        return total

    def received(self) -> dict[str, Decimal]:
        """How much of each line came back."""
        total: dict[str, Decimal] = defaultdict(Decimal)
        for receipt in self.receipts:
            for line, quantity in receipt.quantities.items():
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
    surplus: list[Surplus] = []
    shipments: list[Shipment] = []
    digital = {name: left[name] for name, line in items.items() if is_digital(line)}
    if digital and given:
        shipments.append(Shipment("digital", given, _taken(digital, left)))
    for fact in (fact for fact in facts if fact.kind == "shipment"):
        at = max([fact.at, *(shipment.at for shipment in shipments if shipment.id != "digital")])
        quantities = _quantities(order, fact, left, surplus)
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
        missing=tuple((fact.at, _summed(fact)) for fact in facts if fact.kind == "short_pick"),
        receipts=tuple(_receipts(facts)),
        surplus=tuple(surplus),
        kept=dict(sorted(_kept(facts), key=lambda kept: (kept[0] != "order", len(kept[0]), kept[0]))),
        left_out={asked_as(fact): _summed(fact) for fact in facts if fact.kind == "cancelled"},
        refused=_refused(facts),
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


def _quantities(order: Order, fact: PartyFact, left: dict[str, Decimal], surplus: list[Surplus]) -> Quantities:
    """What of a shipment can be true; the rest is a case."""
    taken: dict[str, Decimal] = defaultdict(Decimal)
    what = f"Shipment {fact.id} of {fact.source}"
    for name, quantity in _lines(fact):
        if name not in left:
            isnt = Case(
                "data",
                f"{what} ships {plain(quantity)} of line {name}, which isn't in the order.",
                "Let it come back and be received, or add the item to the order in the store.",
                currency=order.currency,
            )
            surplus.append(Surplus(name, quantity, isnt))
            continue
        fits = min(quantity, left[name])
        left[name] -= fits
        if fits:
            taken[name] += fits
        if fits < quantity:
            too_many = Case(
                "data",
                f"{what} ships {plain(quantity)} of line {name}, and {plain(fits)} was left.",
                "Let the surplus come back and be received, or sell it: raise the quantity in the store's order.",
                currency=order.currency,
            )
            surplus.append(Surplus(name, quantity - fits, too_many))
    return dict(taken)


def _summed(fact: PartyFact) -> Quantities:
    """The quantities of a fact's lines, added up by line."""
    quantities: dict[str, Decimal] = defaultdict(Decimal)
    for name, quantity in _lines(fact):
        quantities[name] += quantity
    return dict(quantities)


def asked_as(fact: PartyFact) -> str:
    """The natural id of the document that a party answers: `eu1/1001/cancellation/wms-5001/r1` → `wms-5001`."""
    return str(fact.body["of"]).split("/")[3]


def _kept(facts: Sequence[PartyFact]) -> Iterator[tuple[str, Kept]]:
    for fact in (fact for fact in facts if fact.kind == "recall_refused"):
        asked = fact.body["asked"]
        yield asked_as(fact), Kept(asked["ship_to_country"], {str(line["line"]): line for line in asked["lines"]})


def _refused(facts: Sequence[PartyFact]) -> dict[str, PartyFact]:
    """The cancellations to which its last word was no."""
    said = [fact for fact in facts if fact.kind in ("cancellation_refused", "cancelled")]
    last = {asked_as(fact): fact for fact in said}
    return {natural: fact for natural, fact in last.items() if fact.kind == "cancellation_refused"}


def _receipts(facts: Sequence[PartyFact]) -> Iterator[Receipt]:
    for fact in (fact for fact in facts if fact.kind == "receipt"):
        refund = fact.body.get("refund")
        yield Receipt(natural_id(f"{fact.source}-{fact.id}"), fact.at, str(refund) if refund else None, _summed(fact))
