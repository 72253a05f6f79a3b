"""In the moment in which an order is to be posted it changes, or the accountant closes the period."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING

from simulation import books
from simulation.actors.edits import edit
from simulation.orders import carried_now, orders
from simulation.rules import ENTITY, STORE

if TYPE_CHECKING:
    from simulation.storm import Simulation


def change(simulation: Simulation, random: Random) -> str:
    """Before it is marked as sent, its look withdraws what isn't due any more; after, it waits for the result."""
    gate = random.choice(("erp.periods.before", "erp.periods.before", "erp.find.before", "erp.post.before"))
    simulation.meanwhiles.append([gate, 1, lambda: _change(simulation, random)])
    return f"at {gate}"


def _change(simulation: Simulation, random: Random) -> None:
    sql = "select distinct about from intents where state in ('ready', 'sent')"
    on_its_way = {row["about"] for row in books.rows(simulation.world.engine_file, sql)}
    for order in orders(simulation, "pending", "on-hold", "processing"):
        if f"order {STORE}/{order['id']}" in on_its_way:
            edit(simulation, random)
            simulation.world.shop.set_status(order["id"], "cancelled")
            carried_now(simulation, order["id"])


def close(simulation: Simulation, random: Random) -> str:
    """The engine has just heard that the period is open."""
    today = simulation.world.clock.true.date()
    last_day = today - timedelta(days=random.randint(0, 1))
    simulation.meanwhiles.append(
        ["erp.post.before", 1, lambda: simulation.world.books.close_period(ENTITY, today.replace(day=1), last_day)]
    )
    return f"through {last_day}"


HAPPENINGS = {"an order changes as it is posted": (2, change), "a period is closed as it is posted in": (2, close)}
FAULTS = tuple(HAPPENINGS)
