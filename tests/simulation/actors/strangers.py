"""Somebody else has the store's secret: a test program, an agent of another make. What it sends harms no order."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from counterfoil_agent.errors import CounterfoilError
from counterfoil_agent.uplink import Uplink

from simulation import books, wires
from simulation.rules import STORE
from simulation.strange import KINDS

if TYPE_CHECKING:
    from simulation.storm import Simulation


def send(simulation: Simulation, random: Random) -> str | None:
    """Events under the agent's next numbers, or with holes before; old ids with other bodies; requests of no form."""
    world = simulation.world
    epochs = world.engine and books.rows(world.engine_file, "select * from epochs order by epoch desc limit 1")
    if not epochs:
        return None
    line = Uplink("http://engine", STORE, world.store_secrets[0], world.clock.of("engine"))
    line._session = wires.session_over(
        wires.Wire(wires.line_gate, world._into_engine, world.gates, wires_are_good, world.fell)
    )
    kinds = random.sample(list(KINDS), random.randint(2, 5))
    for kind in kinds:
        simulation.guarded(lambda kind=kind: _send(simulation, line, KINDS[kind](simulation, random, epochs[0])))
    return ", ".join(kinds)


class _Good:
    def fault(self, gate: str) -> None:
        return None


wires_are_good: Any = _Good()


def _send(simulation: Simulation, line: Uplink, request: tuple[str, bytes]) -> None:
    try:
        line.post(*request, dict)
    except CounterfoilError as error:
        simulation.say(f"the stranger is told: {error.cause[:100]}")


HAPPENINGS = {"a stranger has the store's secret": (4, send)}
FAULTS = tuple(HAPPENINGS)
