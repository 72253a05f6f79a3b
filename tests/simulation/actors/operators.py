"""Operators look, preview, replay and retry amid it all: looking changes nothing, the rest nothing that is due."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING, Any

from counterfoil_engine.domain.errors import CounterfoilError
from counterfoil_engine.ports import Wanted

from simulation import books
from simulation.gates import Defect
from simulation.outbox_view import outbox_shown
from simulation.rules import STORE

if TYPE_CHECKING:
    from simulation.storm import Simulation

_COUNTS = (
    "select (select count(*) from events) as events, (select count(*) from intents) as intents, (select count(*)"
    " from cases) as cases, (select count(*) from work) as work, (select count(*) from looks) as looks"
)


def ask(simulation: Simulation, random: Random) -> str | None:
    """All that only looks."""
    world = simulation.world
    before = books.rows(world.engine_file, _COUNTS)
    simulation.guarded(lambda: _ask(simulation, random))
    if before != (after := books.rows(world.engine_file, _COUNTS)):
        simulation.failures.append(f"Looking changed something: {before} is now {after}")
    return None


def _ask(simulation: Simulation, random: Random) -> None:
    world = simulation.world
    commands = world.engine.engine.commands()
    commands.status(), world.engine.engine.case_desk().inbox.list(Wanted()), commands.rules(), commands.restatements()
    commands.load_rules(world.rules_text, dry_run=True)
    for order_id in random.sample(world.shop.order_ids(), min(2, len(world.shop.order_ids()))):
        _if_known(lambda order_id=order_id: commands.order(STORE, str(order_id)))
    _if_known(lambda: commands.replay(world.clock.true - timedelta(hours=1), STORE, dry_run=True))
    if simulation.disk is None and not simulation.notes.get("damaged"):
        outbox_shown(simulation)


def _if_known(act: Any) -> None:
    try:
        act()
    except (CounterfoilError, Defect):
        return  # nothing is known of it yet, or its look fails


def try_again(simulation: Simulation, random: Random) -> None:
    """A replay, or a retry of an order or of all that one kind of cause holds.

    Where a case asks to put something right in the ERP first, nobody retries before."""
    world = simulation.world
    if simulation.notes.get("by hand"):
        return
    orders = world.shop.order_ids() or [1001]
    acts = (
        lambda: world.engine.engine.commands().replay(world.clock.true - timedelta(hours=1), STORE, dry_run=False),
        lambda: world.engine.engine.commands().retry(f"order {STORE}/{random.choice(orders)}", None),
        lambda: world.engine.engine.commands().retry(None, random.choice(("conflict", "contract"))),
        lambda: world.agent.fetch(random.choice(orders)),
    )
    simulation.guarded(lambda: _if_known(random.choice(acts)))


HAPPENINGS = {"operators look": (3, ask), "an operator tries again": (2, try_again)}
