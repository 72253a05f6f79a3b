"""What becomes of orders: they are cancelled, completed, revived, thrown away and deleted."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from simulation.orders import PAID, one_of

if TYPE_CHECKING:
    from simulation.storm import Simulation


def set_status(status: str, *before: str) -> Any:
    def change(simulation: Simulation, random: Random) -> str | None:
        if order := one_of(simulation, random, *before):
            simulation.world.shop.set_status(order["id"], status)
        return str(order["id"]) if order else None

    return change


def trash(simulation: Simulation, random: Random) -> str | None:
    if order := one_of(simulation, random, *PAID, "pending", "cancelled"):
        simulation.world.shop.trash(order["id"])
        simulation.explained[order["id"]] = "it was thrown away while money was held for it"
    return str(order["id"]) if order else None


def untrash(simulation: Simulation, random: Random) -> str | None:
    if order := one_of(simulation, random, "trash"):
        simulation.world.shop.untrash(order["id"])
    return str(order["id"]) if order else None


def delete(simulation: Simulation, random: Random) -> str | None:
    """For good; never the last one: with no order left, no answer of the shop would prove anything."""
    if len(simulation.world.shop.order_ids()) < 2 or (order := one_of(simulation, random)) is None:
        return None
    simulation.world.shop.delete(order["id"])
    simulation.explained[order["id"]] = "it was deleted while money was held for it"
    simulation.notes.setdefault("deleted", set()).add(order["id"])
    return str(order["id"])


HAPPENINGS = {
    "cancels": (3, set_status("cancelled", *PAID, "pending", "on-hold")),
    "completes": (1, set_status("completed", "processing")),
    "revives": (1, set_status("processing", "cancelled")),
    "trashes": (1, trash),
    "takes out of the trash": (1, untrash),
    "deletes for good": (1, delete),
}
