"""The outbox's disk is nearly full, or its share of it is small."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING

from simulation.actors.edits import rename

if TYPE_CHECKING:
    from simulation.storm import Simulation


def nearly_full(simulation: Simulation, random: Random) -> str:
    """While the engine is away: what waits and says the same about money becomes one."""
    world, lasts_s = simulation.world, random.uniform(20, 200)
    world.down_until["engine"] = world.clock.true + timedelta(seconds=lasts_s)
    for _ in range(random.randint(2, 4)):
        rename(simulation, random)
        simulation.guarded(lambda: _read_all(simulation))
    world.free_bytes = 1_000_000
    simulation.guarded(lambda: world.agent.step_store())
    simulation.after(lasts_s / 2, lambda: setattr(world, "free_bytes", 10**12))
    return f"for {lasts_s:.0f} s"


def _read_all(simulation: Simulation) -> None:
    agent = simulation.world.agent
    for order_id in simulation.world.shop.order_ids()[-2:]:
        agent.hint(order_id)
    for _ in range(5):
        agent.step_store()


def small_share(simulation: Simulation, random: Random) -> str:
    """Somebody gives the outbox less than it takes: what was delivered goes, the oldest first, below the watermark."""
    world, lasts_s = simulation.world, random.uniform(100, 300)
    simulation.dies("agent")
    simulation.notes["agent lost"] = True  # what it prunes is gone, should the engine go back
    world.bounds = {"share_bytes": 10_000, "retain_days": 0.0}

    def more() -> None:
        world.bounds = {}
        simulation.dies("agent")

    simulation.after(lasts_s, more)
    return f"for {lasts_s:.0f} s"


HAPPENINGS = {"the disk is nearly full": (3, nearly_full), "the outbox has a small share": (3, small_share)}
FAULTS = tuple(HAPPENINGS)
