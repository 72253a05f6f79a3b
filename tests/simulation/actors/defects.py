"""A defect of our own code, for a while: an order whose look raises (L4)."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from simulation import books
from simulation.gates import Defect
from simulation.orders import one_of
from simulation.rules import STORE

if TYPE_CHECKING:
    from simulation.storm import Simulation


def looks_raise(simulation: Simulation, random: Random) -> str | None:
    """Of one order, perhaps beside many others: its group is looked at one by one, later it is taken alone, then it
    parks, until new code is here and somebody retries it."""
    order, world = one_of(simulation, random), simulation.world
    if order is None:
        return None
    subject = f"order {STORE}/{order['id']}"

    def raises(one: str) -> None:
        if one == subject:
            raise Defect

    def mended() -> None:
        world.defect = lambda subject: None
        simulation.dies("engine")
        simulation.guarded(lambda: retry(simulation))

    world.defect = raises
    others = [f"order {STORE}/{order_id}" for order_id in world.shop.order_ids()]
    simulation.guarded(lambda: _mark(simulation, others))
    for _ in range(random.choice((0, 8))):  # nobody notices for a while
        world.clock.pass_time(random.uniform(20, 200))
        simulation.looks()
    lasts_s = random.choice((20, 600))
    simulation.after(lasts_s, mended)
    return f"{subject}, for {lasts_s} s"


def _mark(simulation: Simulation, subjects: list[str]) -> None:
    """A replay: all that is known is looked at together."""
    records = simulation.world.engine.engine.records
    with records.transaction() as tx:
        known = [subject for subject in subjects if tx.one("select 1 as n from events where subject = %s", subject)]
        records.work.mark_due(tx, known, "live")


def retry(simulation: Simulation) -> None:
    simulation.world.engine.engine.commands().retry(None, "contract")


HAPPENINGS = {"looks at an order raise": (3, looks_raise)}
FAULTS = tuple(HAPPENINGS)


def heal(simulation: Simulation) -> None:
    """New code is here, and a person retries what has parked."""
    world = simulation.world
    for _ in range(10):
        if not books.rows(world.engine_file, "select 1 from work where claims > 0"):
            break
        world.clock.pass_time(100)
        simulation.looks()
    simulation.guarded(lambda: retry(simulation))
