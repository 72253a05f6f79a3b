"""Agent or engine go back to their last backup: by minutes or by an hour."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING

from counterfoil_engine.work.switches import confirm_identity

from simulation.actors.backups import put_back

if TYPE_CHECKING:
    from simulation.storm import Simulation


def is_first(simulation: Simulation, party: str) -> bool:
    """An engine that lost which rules its documents were made by, and now has others, asks a person. So one of the two,
    "engine" and "rules", happens in one storm."""
    return bool(simulation.notes.setdefault("went back", party) == party)


def restore_agent(simulation: Simulation, random: Random) -> str | None:
    """That takes a while, in which the shop goes on."""
    world = simulation.world
    if "damaged" in simulation.notes:
        return "not now"  # its backup is of an installation that was handed over
    simulation.dies("agent")
    simulation.notes["agent lost"] = True
    put_back(world.outbox_file)
    world.down_until["agent"] = world.clock.true + timedelta(seconds=random.uniform(0, 200))
    return None


def restore_engine(simulation: Simulation, random: Random) -> str | None:
    """It says by itself that it was restored; a person confirms it after a while."""
    world = simulation.world
    if simulation.notes.get("by hand"):
        return None  # it would forget what a person puts right in the ERP, which its books don't tell
    if not is_first(simulation, "engine"):
        return "not now"
    world.clock.pass_time(61)
    simulation.live_on(at_once=True)  # no backup is younger than the last sign of life
    simulation.dies("engine")
    put_back(world.engine_file)
    simulation.notes["engine restored"] = True
    simulation.after(random.uniform(0, 60), lambda: confirm(simulation))
    return None


def confirm(simulation: Simulation) -> None:
    engine = simulation.world.engine.engine
    with engine.records.transaction() as tx:
        confirmed = engine.records.identity.is_confirmed(tx)
    if not confirmed:
        confirm_identity(engine.records, engine.place, "operator")


HAPPENINGS = {
    "the agent is restored": (3, restore_agent),
    "the engine is restored": (4, restore_engine),
}
FAULTS = tuple(HAPPENINGS)


def heal(simulation: Simulation) -> None:
    simulation.guarded(lambda: confirm(simulation))
