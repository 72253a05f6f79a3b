"""Somebody starts the agent on another machine too: one installation speaks for the store (E1)."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import TYPE_CHECKING

from simulation import books

if TYPE_CHECKING:
    from simulation.storm import Simulation


def second_agent(simulation: Simulation, random: Random) -> str | None:
    """Somebody starts the agent on another machine too: the engine takes nothing from it."""
    world = simulation.world
    begun = world.engine and books.rows(world.engine_file, "select 1 from epochs")
    if not begun or "second" in simulation.notes or "damaged" in simulation.notes:
        return None  # who comes first is the one
    disk, world.disk = world.disk, world._open_outbox
    second = world.make_agent(world.folder / "second.sqlite")
    world.disk = disk
    simulation.notes["second"] = False
    try:
        for _ in range(random.randint(4, 12)):
            world.clock.pass_time(random.uniform(0.1, 2))
            second.step()
            simulation.notes["second"] |= second.pump.welcomed
    finally:
        second.close(clean=False)
    return None


HAPPENINGS = {"a second agent is started": (1, second_agent)}
FAULTS = tuple(HAPPENINGS)


def check(simulation: Simulation) -> Iterator[str]:
    if simulation.notes.get("second"):
        yield "E1 a second installation of the agent was welcome"
