"""Backups are taken, and what they hold only grows (I7)."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

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


def put_back(path: Path) -> None:
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    for suffix in ("", "-wal"):
        if (kept := _kept(Path(f"{path}{suffix}"))).exists():
            shutil.copy(kept, f"{path}{suffix}")


def hour_passes(simulation: Simulation, random: Random) -> None:
    simulation.world.clock.pass_time(random.uniform(600, 3600))


KEPT = (
    ("events", "event_id, body_hash"),
    ("journal", "document, role, debit_minor, credit_minor"),
    ("party_facts", "party, source, id, body_hash"),
)
HAPPENINGS = {"backups are taken": (4, back_up), "an hour passes": (2, hour_passes)}


def check(simulation: Simulation) -> Iterator[str]:
    """Facts and journal only grow, but where the engine itself went back."""
    kept = _kept(simulation.world.engine_file)
    if simulation.notes.get("engine restored") or not kept.exists():
        return
    for table, columns in KEPT:
        sql = f"select {columns} from {table}"
        before, now = (
            {tuple(row.values()) for row in books.rows(path, sql)} for path in (kept, simulation.world.engine_file)
        )
        if gone := before - now:
            yield f"I7 {len(gone)} rows of {table} are gone: {sorted(gone)[0]}"
