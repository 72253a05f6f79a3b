"""An engine is installed before its rules are written: what comes in waits for them, and nothing is lost."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulation.storm import Simulation

HAPPENINGS: dict[str, tuple[int, object]] = {}


def begin(simulation: Simulation) -> None:
    if not simulation.world.options.rules_are_there:
        lasts_s = Random(f"rules {simulation.seed}").uniform(10, 300)
        simulation.after(lasts_s, lambda: simulation.guarded(lambda: load(simulation)))
        simulation.say(f"there are no rules for {lasts_s:.0f} s")


def load(simulation: Simulation) -> None:
    world = simulation.world
    world.engine.engine.load_rules(world.rules_text)
    world.options.rules_are_there = True


def heal(simulation: Simulation) -> None:
    """Where they couldn't be written then, a person loads them again."""
    if not simulation.world.options.rules_are_there:
        simulation.guarded(lambda: load(simulation))
