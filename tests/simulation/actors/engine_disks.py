"""The engine's database can't be written for a while: its disk is full, or was mounted read-only after an error."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulation.storm import Simulation

# What SQLite itself then refuses: to make the file larger, or to write at all.
WAYS = {"is full": "max_page_count = 1", "is read-only": "query_only = 1"}
WELL = ("max_page_count = 1073741823", "query_only = 0")


def fail(simulation: Simulation, random: Random) -> str:
    """Now, or as a call to the ERP is under way; for one process of the engine at most."""
    way, lasts_s = random.choice(list(WAYS)), random.uniform(5, 120)

    def begin() -> None:
        simulation.guarded(lambda: simulation.world.engine)
        _tell(simulation, WAYS[way])
        simulation.after(lasts_s, lambda: _tell(simulation, *WELL))

    if random.random() < 0.5:
        begin()
        return f"it {way} for {lasts_s:.0f} s"
    simulation.meanwhiles.append(["erp.post.after", 1, begin])
    return f"it {way} for {lasts_s:.0f} s, as the ERP answers"


def _tell(simulation: Simulation, *pragmas: str) -> None:
    database = simulation.world._database
    for pragma in pragmas if database is not None and not database.peewee.is_closed() else ():
        database.peewee.execute_sql(f"pragma {pragma}")


HAPPENINGS = {"the engine's disk fails": (3, fail)}
FAULTS = tuple(HAPPENINGS)


def heal(simulation: Simulation) -> None:
    _tell(simulation, *WELL)
