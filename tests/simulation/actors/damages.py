"""The outbox's file is damaged; a person moves it aside and begins anew, by the words of the agent's own remedy."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from counterfoil_agent.errors import Stop
from counterfoil_engine.ports import Rejected

from simulation.outbox_view import outbox_shown
from simulation.rules import STORE

if TYPE_CHECKING:
    from simulation.storm import Simulation

PAGE_BYTES = 4096


def damage(simulation: Simulation, random: Random) -> str | None:
    """The agent says so as it starts, or, stopped in good order, only once it meets the damage. A person moves the file
    aside, hands over, and fills in from a day before."""
    world, notes = simulation.world, simulation.notes
    if not world.outbox_file.exists() or "damaged" in notes or "second" in notes:
        return None
    if random.random() < 0.5:
        simulation.dies("agent")
    else:
        simulation.guarded(lambda: world.stop("agent"))
    notes["damaged"] = notes["agent lost"] = True
    for suffix in ("-wal", "-shm"):
        Path(f"{world.outbox_file}{suffix}").unlink(missing_ok=True)
    whole = world.outbox_file.read_bytes()
    kept = random.choice((0, PAGE_BYTES, len(whole) // 2 // PAGE_BYTES * PAGE_BYTES))
    world.outbox_file.write_bytes(whole[:kept] + b"\xa5" * (len(whole) - kept))
    simulation.after(random.uniform(10, 100), lambda: simulation.guarded(lambda: begin_anew(simulation)))
    return f"from byte {kept} on"


def begin_anew(simulation: Simulation) -> None:
    world = simulation.world
    with suppress(Stop):
        simulation.guarded(lambda: world.agent)
    simulation.dies("agent")
    _ask_status(simulation, "is damaged")
    world.outbox_file.rename(world.outbox_file.with_suffix(".damaged"))
    _ask_status(simulation, "There is no outbox")
    simulation.notes["anew"] = True
    hand_over(simulation)
    today = world.clock.true.date()
    world.agent.backfill(today - timedelta(days=1), today)


def _ask_status(simulation: Simulation, cause: str) -> None:
    """Where the damage lies in what status doesn't read, it says nothing of it."""
    try:
        outbox_shown(simulation)
    except Stop as error:
        if cause not in error.cause:
            simulation.failures.append(f"Not told that {cause}: {error.cause}")


def hand_over(simulation: Simulation) -> None:
    with suppress(Rejected):  # no agent has ever said hello
        simulation.world.engine.engine.commands().hand_over(STORE)


HAPPENINGS = {"the outbox is damaged": (2, damage)}
FAULTS = tuple(HAPPENINGS)


def heal(simulation: Simulation) -> None:
    """Where the engine went back to before the hand-over, it is handed over once more."""
    if simulation.notes.get("anew"):
        simulation.guarded(lambda: hand_over(simulation))
