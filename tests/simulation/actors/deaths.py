"""Processes die at any gate, or stand still there while others go on."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulation.storm import Simulation

# Kinds of gates, and at which of the next ones of that kind at the latest.
GATES = {
    "agent.commit": 10,
    "engine.commit": 10,
    "looker engine.commit": 4,
    "poster engine.commit": 6,
    "line.": 10,
    "shop.": 10,
    "erp.post": 10,
    "erp.": 10,
    "line.events": 10,
}


def die(simulation: Simulation, random: Random) -> str:
    """At one of the next gates of that kind."""
    gate = random.choice(list(GATES))
    simulation.deaths.append([gate, random.randint(1, GATES[gate])])
    return f"at {gate}…"


def stand_still(simulation: Simulation, random: Random) -> str:
    """At one of the next gates: time passes, and other workers, posters and threads do their steps."""
    gate = random.choice(
        ("erp.post.before", "erp.post.before", "erp.post.after", "erp.", "engine.commit.after", "shop.", "line.")
    )
    pause_s, steps = random.choice((0.5, 3.0, 15.0, 90.0)), random.randint(1, 6)

    def others_act() -> None:
        simulation.world.clock.pass_time(pause_s)
        for _ in range(steps):
            simulation.world.clock.pass_time(random.uniform(0, 3))
            acts = [simulation.looks, simulation.posts, simulation.posts]
            if gate == "shop.":
                acts = [lambda: simulation.guarded(simulation.world.agent.pump.step)]
            elif gate == "line.":
                acts = [lambda: simulation.guarded(simulation.world.agent.step_store)]
            random.choice(acts)()

    simulation.meanwhiles.append([gate, random.randint(1, 4), others_act])
    return f"for {pause_s} s at {gate}…"


HAPPENINGS = {"somebody dies": (8, die), "somebody stands still": (6, stand_still)}
FAULTS = tuple(HAPPENINGS)
