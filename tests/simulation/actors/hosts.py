"""The hosts' bad days: the shop's answers are not its own for a while, the outbox's disk is full for a while."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulation.storm import Simulation


def shop_is_unwell(simulation: Simulation, random: Random) -> str:
    """Too busy, in maintenance, behind a firewall; or every order answers as unknown."""
    mode = random.choice(("orders_404", "orders_404", "orders_404", "all_404", "busy", "maintenance", "firewall"))
    # An order that is asked for by itself: a list would show it.
    if mode == "orders_404":
        for order_id in simulation.world.shop.order_ids():
            simulation.guarded(lambda order_id=order_id: simulation.world.agent.hint(order_id))
    return _for_a_while(simulation, mode, random.uniform(100 if mode == "orders_404" else 20, 400))


def _for_a_while(simulation: Simulation, mode: str, lasts_s: float) -> str:
    simulation.world.front.mode = mode
    simulation.after(lasts_s, lambda: setattr(simulation.world.front, "mode", "up"))
    return f"{mode} for {lasts_s:.0f} s"


def disk_is_full(simulation: Simulation, random: Random) -> str:
    """Seen in time, or only once a write fails."""
    lasts_s = random.uniform(5, 120)
    if simulation.disk is not None:
        simulation.disk.full = True
        simulation.after(lasts_s, lambda: setattr(simulation.disk, "full", False))
    else:
        simulation.world.free_bytes = random.choice((0, 1_000_000))
        simulation.after(lasts_s, lambda: setattr(simulation.world, "free_bytes", 10**12))
    return f"for {lasts_s:.0f} s"


HAPPENINGS = {"the shop is unwell": (3, shop_is_unwell), "the disk is full": (2, disk_is_full)}
FAULTS = tuple(HAPPENINGS)


def heal(simulation: Simulation) -> None:
    """A person has looked at the deletions that were held, too."""
    simulation.guarded(lambda: simulation.world.agent.allow_deletions())
