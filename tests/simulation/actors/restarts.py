"""Operators stop and start what is at work, as a service is stopped; perhaps with other settings, or a second time."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from counterfoil_agent.errors import Stop

if TYPE_CHECKING:
    from simulation.storm import Simulation


def restart(simulation: Simulation, random: Random) -> str:
    """In good order; the agent may find its first self still at work."""
    party: Any = random.choice(("agent", "engine", "engine"))
    if party == "agent":
        simulation.guarded(lambda: simulation.world.agent)
        try:
            simulation.world.make_agent(simulation.world.outbox_file).close()
            simulation.failures.append("E1 two agents were at work with one outbox")
        except Stop as error:
            simulation.say(error.cause)
    simulation.guarded(lambda: simulation.world.stop(party))
    return str(party)


def other_lanes(simulation: Simulation, random: Random) -> str:
    options = simulation.world.options
    options.lanes, options.workers = random.choice((1, 2, 4)), random.choice((1, 2))
    simulation.dies("engine")
    return f"{options.lanes} lanes, {options.workers} workers"


HAPPENINGS = {"a restart": (3, restart), "the engine restarts with other lanes": (1, other_lanes)}
FAULTS = ("the engine restarts with other lanes",)
