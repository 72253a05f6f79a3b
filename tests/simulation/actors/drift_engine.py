"""Drift by a restore of the engine: its database is put back to a backup from before the last orders."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from counterfoil_engine.work.switches import confirm_identity

from simulation import books
from simulation.actors.backups import back_up, put_back
from simulation.planted import Planted

if TYPE_CHECKING:
    from simulation.drift import Drifting

HAPPENINGS: dict[str, Any] = {}


def restore_engine(drifting: Drifting, random: Random) -> list[Planted]:
    """It says so by itself, agents send again, what the ERP holds is taken in: no sweep has anything left to find."""
    world, what = drifting.world, "the engine's database restored"
    world.engine.engine.jobs.alive()
    back_up(drifting, random)  # type: ignore[arg-type]
    drifting.lives_on(random)
    before, told = standing(drifting), events(drifting)
    world.clock.pass_time(61)
    world.engine.engine.jobs.alive()
    world.kill("engine")
    put_back(world.engine_file)
    engine = world.engine.engine
    drifting.came.planted[what] += 1
    with engine.records.transaction() as tx:
        drifting.came.found[what] += not engine.records.identity.is_confirmed(tx)
    confirm_identity(engine.records, engine.place, "operator")
    drifting.rest()
    at_once = standing(drifting)
    world.clock.pass_time(world.options.heartbeat_s)  # by their next sign of life agents know
    drifting.rest()
    if at_once != before:
        drifting.failures.append(f"{what}: before anything was sent again, other documents stood in the ERP")
    if lost := told - events(drifting):
        drifting.failures.append(f"{what}: {len(lost)} events were not sent again")
    if standing(drifting) == before:
        drifting.came.named[what] += 1
    else:
        drifting.failures.append(f"{what}: other documents stand in the ERP than before")
    drifting.notes["engine restored"] = True
    return []


def events(drifting: Drifting) -> set[str]:
    return {row["event_id"] for row in books.facts(drifting.world.folder)}


def standing(drifting: Drifting) -> list[Any]:
    """What stands in the ERP and was not reversed, each as often as it is there."""
    documents = books.erp_documents(drifting.world.folder)
    undone = [one["reverses"] for one in documents if one["reverses"]]
    kept = [one for one in documents if not one["reverses"] and one["key"] not in undone]
    return sorted((one["slot"], one["content_hash"]) for one in kept)


DRIFT = {"engine restored": restore_engine}
