"""What must hold at rest of the goods of an order, by what the WMS says that it shipped, didn't find and got back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from simulation import books
from simulation.parties import SOURCES, Parties, moved, ordered, sent_in_vain
from simulation.rules import BY_PARTIES, STORE

if TYPE_CHECKING:
    from simulation.storm import Simulation

HAPPENINGS: dict[str, tuple[int, object]] = {}


def check(simulation: Simulation) -> Iterator[str]:
    if parties := simulation.world.parties:
        yield from _missing_told(simulation, parties)
        yield from _invoiced_as_shipped(simulation, parties)


def _missing_told(simulation: Simulation, parties: Parties) -> Iterator[str]:
    """Goods that weren't there when they were picked, and that the shop neither shipped nor gives back, are a case; and
    so is what left beyond what the shop has in the order."""
    in_cases = {case["subject"] for case in books.open_cases(simulation.world.folder)}
    shipped = moved(parties, "shipment")
    missing = set()
    for order_id, short in moved(parties, "short_pick").items():
        order = simulation.world.shop.order(order_id)
        if order is None or order["status"] == "refunded":
            continue
        waits = ordered(order)
        waits.subtract(shipped[order_id])
        for refund in simulation.world.shop.refunds(order_id):
            for line in refund["line_items"]:
                of = next(meta["value"] for meta in line["meta_data"] if meta["key"] == "_refunded_item_id")
                waits[f"item:{of}"] += line["quantity"]
        if any(units and waits[line] > 0 for line, units in short.items()):
            missing.add(order_id)
    for order_id in sorted(missing | set(sent_in_vain(simulation, is_certain=True))):
        if f"order {STORE}/{order_id}" not in in_cases:
            yield f"order {order_id} lacks goods, or has too many, and no case says so"


def _invoiced_as_shipped(simulation: Simulation, parties: Parties) -> Iterator[str]:
    """Of an order that is invoiced so each shipment has one invoice, and beside them stands what is left at the end."""
    invoices = [slot.split("/") for slot in books.standing(simulation.world.folder) if slot.split("/")[2] == "invoice"]
    in_cases = {case["subject"] for case in books.open_cases(simulation.world.folder)}
    shipped = parties.told("wms", "shipment")
    for order_id in sorted({one["order"] for one in shipped}):
        order = simulation.world.shop.order(int(order_id))
        by_shipment = order and BY_PARTIES.get(order["payment_method"], {}).get("invoice_on") == "shipment"
        due = {f"{SOURCES['wms']}-{one['id']}" for one in shipped if one["order"] == order_id}
        there = {natural for _, of, _, natural in invoices if of == order_id} - {"rest"}
        if by_shipment and f"order {STORE}/{order_id}" not in in_cases and due != there:
            yield f"I1 order {order_id} was shipped as {sorted(due)}, and is invoiced as {sorted(there)}"
