"""The engine goes back to before orders changed: what was undone and posted since it learns from the ERP (R4)."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING

from counterfoil_sandbox.shop import recorded

from simulation.actors.backups import back_up
from simulation.actors.edits import edit_all
from simulation.actors.restores import restore_engine
from simulation.orders import PAID, carried_now, orders

if TYPE_CHECKING:
    from simulation.storm import Simulation


def before_edits(simulation: Simulation, random: Random) -> None:
    """What stands is in the backup, with its journal; that it was reversed, and by what replaced, is not. The agent is
    away while the engine asks the ERP."""
    simulation.world.shop.place(recorded("order_before_edit"))
    _all_posted(simulation)
    back_up(simulation, random)
    edit_all(simulation, random)
    _all_posted(simulation)
    edit_all(simulation, random)  # so what the ERP holds rests on facts that are not the latest
    simulation.after(random.uniform(0, 60), lambda: go_back(simulation, random, random.uniform(0, 120)))


def _all_posted(simulation: Simulation) -> None:
    for order in orders(simulation, *PAID)[-2:]:
        carried_now(simulation, order["id"])
    for _ in range(12):
        simulation.world.clock.pass_time(1)
        if not simulation.guarded(simulation.world.step_engine):
            break


def go_back(simulation: Simulation, random: Random, without_agent_s: float = 0.0) -> None:
    if simulation.calm:
        return
    restore_engine(simulation, random)
    if without_agent_s:
        simulation.dies("agent")
        simulation.world.down_until["agent"] = simulation.world.clock.true + timedelta(seconds=without_agent_s)


HAPPENINGS = {"the engine goes back to before an edit": (3, before_edits)}
FAULTS = tuple(HAPPENINGS)
