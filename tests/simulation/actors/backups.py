"""Backups are taken, and agent, store or engine go back to theirs: by minutes or by an hour."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from counterfoil_engine.work.switches import confirm_identity
from counterfoil_sandbox.shop_orders import Shop

from simulation import books

if TYPE_CHECKING:
    from simulation.storm import Simulation


def begin(simulation: Simulation) -> None:
    """The first backups are taken before anything happens."""
    back_up(simulation, Random(0))


def back_up(simulation: Simulation, random: Random) -> None:
    world = simulation.world
    simulation.guarded(lambda: (world.agent, world.engine))
    for path in (world.outbox_file, world.engine_file):
        if path.exists() and (path != world.outbox_file or simulation.disk is None):
            with suppress(sqlite3.DatabaseError):  # of a damaged file the backup before stays
                _copy(path, _kept(path))
    if simulation.disk is not None:
        simulation.dies("agent")  # over a disk of its own a file is copied at rest
        for path in (world.outbox_file, Path(f"{world.outbox_file}-wal")):
            shutil.copy(path, _kept(path)) if path.exists() else _kept(path).unlink(missing_ok=True)
    backup = sqlite3.connect(":memory:")
    world.shop.connection.backup(backup)
    simulation.notes["shop backup"] = backup


def _kept(path: Path) -> Path:
    return path.with_name(f"backup-{path.name}")


def _copy(path: Path, copy: Path) -> None:
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)


def hour_passes(simulation: Simulation, random: Random) -> None:
    simulation.world.clock.pass_time(random.uniform(600, 3600))


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
    _put_back(world.outbox_file)
    world.down_until["agent"] = world.clock.true + timedelta(seconds=random.uniform(0, 200))
    return None


def restore_engine(simulation: Simulation, random: Random) -> str | None:
    """It says by itself that it was restored; a person confirms it after a while."""
    world = simulation.world
    if simulation.notes.get("by hand"):
        return None  # it would forget that a person put something right in the ERP, which its books don't tell
    if not is_first(simulation, "engine"):
        return "not now"
    world.clock.pass_time(61)
    simulation.live_on(at_once=True)  # no backup is younger than the last sign of life
    simulation.dies("engine")
    _put_back(world.engine_file)
    simulation.notes["engine restored"] = True
    simulation.after(random.uniform(0, 60), lambda: confirm(simulation))
    return None


def _put_back(path: Path) -> None:
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    for suffix in ("", "-wal"):
        if (kept := _kept(Path(f"{path}{suffix}"))).exists():
            shutil.copy(kept, f"{path}{suffix}")


def confirm(simulation: Simulation) -> None:
    engine = simulation.world.engine.engine
    with engine.records.transaction() as tx:
        confirmed = engine.records.identity.is_confirmed(tx)
    if not confirmed:
        confirm_identity(engine.records, engine.place, "operator")


def restore_store(simulation: Simulation, random: Random) -> str:
    """What was placed since is gone, and its ids come again; what was changed since is as it was."""
    world, old = simulation.world, simulation.world.shop
    shop = Shop(clock=old.clock, utc_offset_minutes=60, site_url=old.site_url, seed=random.getrandbits(32))
    simulation.notes["shop backup"].backup(shop.connection)
    changed = [number for number in old.order_ids() if old.order(number) != shop.order(number)]
    simulation.explained |= dict.fromkeys(changed, "the store went back")
    simulation.notes.setdefault("deleted", set()).update(set(old.order_ids()) - set(shop.order_ids()))
    world.take_shop(shop)
    old.close()
    return f"orders {changed}"


HAPPENINGS = {
    "backups are taken": (4, back_up),
    "an hour passes": (2, hour_passes),
    "the agent is restored": (2, restore_agent),
    "the engine is restored": (2, restore_engine),
    "the store is restored": (1, restore_store),
}
FAULTS = ("the agent is restored", "the engine is restored", "the store is restored")


def heal(simulation: Simulation) -> None:
    simulation.guarded(lambda: confirm(simulation))


def check(simulation: Simulation) -> Iterator[str]:
    """I7: facts and journal only grow, but where the engine itself went back."""
    kept = _kept(simulation.world.engine_file)
    if simulation.notes.get("engine restored") or not kept.exists():
        return
    for table, columns in (("events", "event_id, body_hash"), ("journal", "document, role, debit_minor, credit_minor")):
        sql = f"select {columns} from {table}"
        before, now = (
            {tuple(row.values()) for row in books.rows(path, sql)} for path in (kept, simulation.world.engine_file)
        )
        if gone := before - now:
            yield f"I7 {len(gone)} rows of {table} are gone: {sorted(gone)[0]}"
