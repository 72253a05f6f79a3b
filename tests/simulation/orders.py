"""The shop's orders as a storm sees them, for those who act on one of them."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulation.storm import Simulation

PAID = ("processing", "completed")


def orders(simulation: Simulation, *statuses: str) -> list[dict[str, Any]]:
    """Those since the start line, in these statuses."""
    found = [simulation.world.shop.order(order_id) for order_id in simulation.world.shop.order_ids()]
    old = simulation.notes.get("old", ())
    return [
        order for order in found if order and order["id"] not in old and (not statuses or order["status"] in statuses)
    ]


def one_of(simulation: Simulation, random: Random, *statuses: str) -> dict[str, Any] | None:
    found = orders(simulation, *statuses)
    return random.choice(found) if found else None


def gift_card(order: dict[str, Any]) -> bool:
    return any(Decimal(fee["total"]) < 0 for fee in order["fee_lines"])


def refundable(order: dict[str, Any]) -> Decimal:
    return Decimal(order["total"]) + sum((Decimal(refund["total"]) for refund in order["refunds"]), Decimal(0))


def note_total(simulation: Simulation, order_id: int) -> None:
    """An order was edited: what the store claims was paid is its total as it was first told."""
    total = Decimal(simulation.world.shop.order(order_id)["total"])  # type: ignore[index]
    least = simulation.notes.setdefault("least total", {})
    least[order_id] = min(total, least.get(order_id, total))


def least_told(simulation: Simulation, order: dict[str, Any]) -> Decimal:
    """The least that may have come in for it, where its store alone speaks."""
    total = Decimal(order["total"])
    return min(total, simulation.notes.get("least total", {}).get(order["id"], total))


def read_now(simulation: Simulation, order_id: int) -> None:
    """The agent hears of this order, and reads it at once."""
    simulation.world.agent.hint(order_id)
    for _ in range(4):
        simulation.world.agent.step_store()


def carried_now(simulation: Simulation, order_id: int) -> None:
    """Read, sent and looked at, as far as those who do it are well: its documents are to be posted now."""
    simulation.guarded(lambda: read_now(simulation, order_id))
    simulation.world.clock.pass_time(2)  # a subject rests between two looks
    for _ in range(3):
        simulation.guarded(lambda: simulation.world.agent.pump.step())
    for _ in range(2):
        simulation.looks()
