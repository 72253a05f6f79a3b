"""The engine goes back further than the outbox keeps what it delivered: nobody has those events any more (E12)."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from simulation.actors.backups import back_up
from simulation.actors.histories import go_back
from simulation.actors.shoppers import place
from simulation.orders import carried_now

if TYPE_CHECKING:
    from simulation.storm import Simulation


def more_than_is_kept(simulation: Simulation, random: Random) -> str:
    """The share of the outbox is used up, so that it keeps little; and the two go on talking."""
    world = simulation.world
    back_up(simulation, random)
    for _ in range(2):
        place(simulation, random)
        carried_now(simulation, world.shop.order_ids()[-1])
    simulation.guarded(lambda: world.bounds.update(share_bytes=world.agent.outbox.size_bytes() - 1))
    simulation.dies("agent")
    simulation.notes["agent lost"] = True  # what it prunes is gone

    def lose_it() -> None:
        go_back(simulation, random)
        place(simulation, random)
        carried_now(simulation, world.shop.order_ids()[-1])
        world.bounds = {}
        simulation.after(random.uniform(10, 60), lambda: simulation.dies("agent"))  # it has its share again then

    simulation.after(random.uniform(70, 150), lose_it)
    return "once the outbox is tidied up"


HAPPENINGS = {"the engine goes back further than the outbox keeps": (1, more_than_is_kept)}
FAULTS = tuple(HAPPENINGS)


def heal(simulation: Simulation) -> None:
    """A person gives the outbox the room that it asks for."""
    if simulation.world.bounds:
        simulation.world.bounds = {}
        simulation.dies("agent")
