"""Refunds: the merchant gives back all or a part, or deletes a refund."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING

from simulation.orders import PAID, gift_card, one_of, orders, refundable

if TYPE_CHECKING:
    from simulation.storm import Simulation


def refund(simulation: Simulation, random: Random) -> str | None:
    order = one_of(simulation, random, *PAID)
    left = refundable(order) if order else Decimal(0)
    if order is None or left <= 0 or gift_card(order):
        return None
    lines = None
    if random.random() < 0.5 and not order["refunds"]:
        lines = {random.choice(order["line_items"])["id"]: 1}
    amount = None if lines else str((left / random.choice((1, 2, 3))).quantize(Decimal("0.01")))
    return f"{order['id']}, {simulation.world.shop.refund(order['id'], lines, amount)}"


def delete_refund(simulation: Simulation, random: Random) -> str | None:
    found = [order for order in orders(simulation, *PAID) if order["refunds"]]
    if not found:
        return None
    order = random.choice(found)
    simulation.world.shop.delete_refund(order["id"], order["refunds"][0]["id"])
    simulation.explained[order["id"]] = "a refund was deleted that may have been paid"
    return str(order["id"])


HAPPENINGS = {"refunds": (4, refund), "deletes a refund": (1, delete_refund)}
