"""Sweeps in the middle of some storms: whatever is called a break is one. They weigh nothing in the draw."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any

from counterfoil_agent.sweep_line import EngineSweeps
from counterfoil_engine.domain.errors import CounterfoilError

from simulation import books
from simulation.actors.stock import has_stock
from simulation.compared import wrong
from simulation.rules import ENTITY, STORE

if TYPE_CHECKING:
    from simulation.storm import Simulation
    from simulation.world import World

ASKED_AGAIN = timedelta(hours=1)  # in which what a dead agent was asked is asked once more, and answered
EACH, TIMES, WITHIN_S = 5, 4, 400.0  # of so many seeds one is swept so many times, of those with stock each


def is_swept(simulation: Simulation) -> bool:
    return simulation.seed % EACH == 2 or has_stock(simulation)


def begin(simulation: Simulation) -> None:
    if not is_swept(simulation):
        return
    answers_sweeps(simulation.world)
    simulation.world.stop("agent")
    simulation.world.on_found = lambda found: simulation.failures.extend(wrong(simulation, found))
    random = Random(f"sweeps {simulation.seed}")
    for kind, place in (("erp", ENTITY), ("money", ENTITY), ("orders", STORE), ("stock", STORE)):
        for _ in range(TIMES if kind != "stock" or has_stock(simulation) else 0):
            at_s = random.uniform(10, WITHIN_S)
            simulation.after(at_s, lambda kind=kind, place=place: sweep(simulation, kind, place))


def answers_sweeps(world: World) -> None:
    """From now on its agent answers them, whatever else it is equipped with."""
    equip = world.equip

    def equipped(settings: Any) -> Any:
        settings, more = equip(settings)
        line = world.uplink()
        return settings, {**more, "sweeps": EngineSweeps(lambda: line)}

    world.equip = equipped


def sweep(simulation: Simulation, kind: Any, place: str) -> None:
    """Books are read at once; a store's agent answers by and by. Only what can do no harm is healed by itself."""
    world = simulation.world
    if world.clock.true < world.down_until["engine"]:
        return
    engine, sweeping = world.engine.engine, world.engine.sweeping
    with suppress(CounterfoilError):  # no rules yet, or no agent that ever said hello
        number = sweeping.sweeps.start(kind, place, "sweep")
        engine.step_books()
        run = sweeping.sweeps.show(number)
        simulation.say(f"{kind} of {place} is swept: {run['state']}, {run.get('found', run['cause'])}")


HAPPENINGS: dict[str, Any] = {}


def check(simulation: Simulation) -> Iterator[str]:
    """What was asked was answered, or failed with a cause and a remedy."""
    for run in books.rows(simulation.world.engine_file, "select * from sweeps order by id"):
        simulation.say(f"the sweep of {run['sweep']} ended: {run['state']}. {run['cause'] or ''}")
        age = simulation.world.clock.true - datetime.fromisoformat(run["started_at"])
        if run["state"] == "running" and age > ASKED_AGAIN:
            yield f"the sweep of {run['sweep']} that began at {run['started_at']} never ended"
        if run["state"] == "failed" and not run["remedy"]:
            yield f"the sweep of {run['sweep']} failed without a remedy: {run['cause']}"
