"""Sweeps of the ERP's books in the middle of storms, in some of them: whatever is called a break is one.

What a sweep says is compared with the ERP's own files at that moment. It weighs nothing in the draw, so that all storms
stay as they were.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING, Any

from counterfoil_engine.domain.errors import CounterfoilError

from simulation import books
from simulation.rules import ENTITY

if TYPE_CHECKING:
    from simulation.storm import Simulation

EACH, TIMES, WITHIN_S = 5, 4, 400.0  # of so many seeds one is swept so many times


def begin(simulation: Simulation) -> None:
    if simulation.seed % EACH != 2:
        return
    random = Random(f"sweeps {simulation.seed}")
    for _ in range(TIMES):
        simulation.after(random.uniform(10, WITHIN_S), lambda: sweep(simulation))


def sweep(simulation: Simulation) -> None:
    world = simulation.world
    if world.clock.true < world.down_until["engine"]:
        return
    engine, sweeping = world.engine.engine, world.engine.sweeping
    with suppress(CounterfoilError):  # no rules yet
        number = sweeping.sweeps.start("erp", ENTITY, "sweep", dry_run=True)
        engine.step_books()
        run = sweeping.sweeps.show(number)
        simulation.say(f"the ERP is swept: {run['state']}, {run.get('found', run['cause'])}")
        simulation.failures += [f"a sweep's false alarm: {said}" for said in _wrong(simulation, run)]


def _wrong(simulation: Simulation, run: Any) -> list[str]:
    """What is called missed though it is there; doubled though it is once."""
    keys = Counter(one["key"] for one in books.erp_documents(simulation.world.folder))
    numbers = {one["number"]: one for one in books.erp_documents(simulation.world.folder)}
    wrong = []
    for one in run.get("named", ()):
        name = one["subject"].partition(" ")[2]
        if one["class"] == "missed" and keys[name]:
            wrong.append(one["cause"])
        if one["class"] == "doubled" and keys[numbers[name.partition("/")[2]]["key"]] < 2:
            wrong.append(one["cause"])
    return wrong


HAPPENINGS: dict[str, Any] = {}
