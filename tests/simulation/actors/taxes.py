"""The tax service: it says the store's figure or another, and is told of each invoice."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulation.storm import Simulation


def another_figure(simulation: Simulation, random: Random) -> str:
    """Within what the rules let go, or beyond."""
    off_minor = random.choice((0, 1, 1, 7))
    simulation.world.parties.change("tax", off_minor=off_minor)  # type: ignore[union-attr]
    return f"by {off_minor}"


HAPPENINGS = {"the tax service says another figure": (0, another_figure)}
FAULTS = tuple(HAPPENINGS)
