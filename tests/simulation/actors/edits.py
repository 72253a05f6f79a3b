"""The merchant edits orders: what is due changes; or writes into them what changes nothing."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from simulation.orders import PAID, gift_card, note_total, one_of, orders

if TYPE_CHECKING:
    from simulation.storm import Simulation


def edit(simulation: Simulation, random: Random) -> str | None:
    order = one_of(simulation, random, *PAID, "pending", "on-hold")
    return edit_order(simulation, random, order) if order else None


def edit_order(simulation: Simulation, random: Random, order: dict[str, Any], is_other: bool = False) -> str | None:
    """Fewer units, or as many as there were: above what was paid, and beside refunds, it would be another story."""
    if order["refunds"] or not order["line_items"] or gift_card(order):
        return None
    line = random.choice(order["line_items"])
    most = simulation.notes.setdefault(("quantity", line["id"]), line["quantity"])
    quantity = random.choice([n for n in range(1, most + 1) if n != line["quantity"] or not is_other] or [most])
    simulation.world.shop.edit_quantity(order["id"], quantity, line["id"])
    note_total(simulation, order["id"])
    simulation.notes.setdefault("edited", set()).add(order["id"])
    return f"{order['id']} to {quantity}"


def edit_other(simulation: Simulation, random: Random, order_id: int) -> None:
    """To another number of units, where one is allowed."""
    order = simulation.world.shop.order(order_id)
    if order and order["status"] in (*PAID, "pending", "on-hold"):
        edit_order(simulation, random, order, is_other=True)


def edit_all(simulation: Simulation, random: Random) -> None:
    for order in orders(simulation, "processing"):
        edit_other(simulation, random, order["id"])


def rename(simulation: Simulation, random: Random) -> str | None:
    """What changes nothing that is due."""
    if order := one_of(simulation, random):
        rewrite(simulation, random, order["id"])
    return str(order["id"]) if order else None


def rewrite(simulation: Simulation, random: Random, order_id: int) -> None:
    simulation.world.shop.update(order_id, {"customer_note": f"Ring twice. {random.random()}"})


HAPPENINGS = {"edits": (6, edit), "writes a note": (1, rename)}
