"""A poster's hold on its lanes is lost while its call is under way: another takes them over, by the rules of K4."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from counterfoil_engine.work.post import Poster

from simulation.rules import ENTITY

if TYPE_CHECKING:
    from simulation.storm import Simulation


def lose(simulation: Simulation, random: Random) -> str:
    """Who held it isn't told, and comes back with its answer once the other has been there.

    Before the call only where the ERP keeps keys unique: nothing else can bear a process that stands still, for longer
    than the ERP takes to commit, between its mark and its call."""
    gate = random.choice(("erp.post.before", "erp.post.after") if simulation.world.options.unique_keys else _AFTER)
    simulation.meanwhiles.append([gate, random.randint(1, 2), lambda: _taken_over(simulation)])
    return f"at {gate}"


_AFTER = ("erp.post.after",)


def _taken_over(simulation: Simulation) -> None:
    world = simulation.world
    poster = world._in_a_step[-1]
    assert isinstance(poster, Poster)
    poster.forget()
    place = world.engine.posters.index(poster) % max(1, len(world.engine.posters) // world.options.workers)
    other = world.engine.engine.posters(ENTITY)[place]
    for _ in range(4):
        world.clock.pass_time(world.options.commit_delay_s + 2)
        simulation.guarded(other.step)
    other.give_back()


HAPPENINGS = {"a poster loses its hold": (4, lose)}
FAULTS = tuple(HAPPENINGS)
