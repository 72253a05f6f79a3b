"""Defects of our own code, for a while: an order whose look raises (L4), an adapter that fails unforeseen, and a proxy
before the ERP that takes no large call (K6)."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from simulation import books
from simulation.actors.merchant import one_of
from simulation.gates import Defect
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
        simulation.guarded(lambda: _retry(simulation))

    world.defect = raises
    others = [f"order {STORE}/{order_id}" for order_id in world.shop.order_ids()]
    simulation.guarded(lambda: _mark(simulation, others))
    lasts_s = random.choice((20, 600, 1000))
    simulation.after(lasts_s, mended)
    return f"{subject}, for {lasts_s} s"


def _mark(simulation: Simulation, subjects: list[str]) -> None:
    """A replay: all that is known is looked at together."""
    records = simulation.world.engine.engine.records
    with records.transaction() as tx:
        known = [subject for subject in subjects if tx.one("select 1 as n from events where subject = %s", subject)]
        records.work.mark_due(tx, known, "live")


def _retry(simulation: Simulation) -> None:
    simulation.world.engine.engine.commands().retry(None, "contract")


def before_the_erp(simulation: Simulation, random: Random) -> str:
    """The adapter's code fails, or what stands before the ERP rejects calls: large ones, or those of finding."""
    kind, calls = random.choice(("defect", "413", "413", "404")), [random.randint(1, 4)]

    def meets(request: Any) -> int | None:
        is_post = request.method == "POST" and request.path_url == "/v1/documents"
        if simulation.calm or calls[0] <= 0 or (kind == "404" and is_post):
            return None
        if kind == "413":
            return 413 if is_post and request.body.count(b'"content_hash"') > 1 else None
        calls[0] -= 1
        if kind == "defect":
            raise Defect
        return 404

    simulation.world.before_erp = meets
    return kind


HAPPENINGS = {"looks at an order raise": (3, looks_raise), "something before the ERP": (6, before_the_erp)}
FAULTS = tuple(HAPPENINGS)


def heal(simulation: Simulation) -> None:
    """New code is here, what is large passes, and a person retries what has parked."""
    world = simulation.world
    world.before_erp = lambda request: None
    for _ in range(10):
        if not books.rows(world.engine_file, "select 1 from work where claims > 0"):
            break
        world.clock.pass_time(100)
        simulation.looks()
    simulation.guarded(lambda: _retry(simulation))
