"""Shoppers place orders and pay."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from counterfoil_sandbox.shop import recorded

from simulation import books
from simulation.orders import one_of
from simulation.rules import ORDERS

if TYPE_CHECKING:
    from simulation.storm import Simulation

OLD_S = 3 * 86_400.0


def place(simulation: Simulation, random: Random) -> str:
    name = random.choice(ORDERS)
    order_id = simulation.world.shop.place(recorded(name))
    return f"{order_id}, {name}"


def old_order(simulation: Simulation, random: Random) -> str | None:
    """From before the start line, and touched today: what was posted of it is the old connector's, its customer is
    one that the ERP knows."""
    clock = simulation.world.clock
    known = {slot.rpartition("-")[2] for slot in books.standing(simulation.world.folder) if "/customer/" in slot}
    names = [name for name in ORDERS if recorded(name)["billing"]["country"] in known]
    if not names:
        return None
    clock.off_s["shop"] -= OLD_S
    order_id = simulation.world.shop.place(recorded(random.choice(names)))
    clock.off_s["shop"] += OLD_S
    simulation.world.shop.update(order_id, {"customer_note": "Where is my parcel?"})
    simulation.notes.setdefault("old", set()).add(order_id)
    simulation.explained[order_id] = "it is from before the start line"
    return str(order_id)


def pay(simulation: Simulation, random: Random) -> str | None:
    if order := one_of(simulation, random, "pending", "on-hold"):
        simulation.world.shop.pay(order["id"])
    return str(order["id"]) if order else None


HAPPENINGS = {
    "places an order": (6, place),
    "touches an old order": (3, old_order),
    "pays": (2, pay),
}


def heal(simulation: Simulation) -> None:
    """One order that surely stands, so that the shop's answers can prove something."""
    if not simulation.world.shop.order_ids():
        place(simulation, Random(0))
