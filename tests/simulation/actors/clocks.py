"""Clocks jump and disagree; once the storm is over somebody sets them right."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulation.storm import Simulation


def jump(simulation: Simulation, random: Random) -> str:
    clock = simulation.world.clock
    party = random.choice(list(clock.off_s))
    clock.off_s[party] = random.choice((-1, 1)) * random.choice((2.0, 90.0, 700.0))
    return f"the {party}'s is {clock.off_s[party]:+.0f} s off"


HAPPENINGS = {"a clock jumps": (3, jump)}
FAULTS = tuple(HAPPENINGS)


def heal(simulation: Simulation) -> None:
    simulation.world.clock.off_s = dict.fromkeys(simulation.world.clock.off_s, 0.0)
