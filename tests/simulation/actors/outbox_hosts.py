"""The agent finds its outbox unwritable, or made by a newer agent, as it starts: it says so, and touches nothing."""

from __future__ import annotations

from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING

from counterfoil_agent.errors import Stop
from counterfoil_agent.outbox import LAYOUT, Outbox

from simulation.world import OutboxHost

if TYPE_CHECKING:
    from simulation.storm import Simulation


def unwritable(simulation: Simulation, random: Random) -> str:
    """Its disk was mounted read-only after an error, or somebody ran it as another user."""
    what = random.choice(("folder", "file"))
    simulation.world.outbox_host.unwritable = what
    _for_a_while(simulation, random)
    return f"the {what}"


def older_agent(simulation: Simulation, random: Random) -> str | None:
    """Somebody installs the version before, whose commands don't read the file either."""
    world = simulation.world
    if not world.outbox_file.exists() or "damaged" in simulation.notes:
        return None
    world.outbox_host.layout = LAYOUT - 1
    _for_a_while(simulation, random)
    with suppress(Stop), world.outbox_host.opening():
        Outbox.read_only(world.outbox_file).close()
        simulation.failures.append("The commands of an older agent read what a newer one wrote")
    return None


def _for_a_while(simulation: Simulation, random: Random) -> None:
    world = simulation.world
    simulation.dies("agent")
    try:
        world.agent.close()
        simulation.failures.append("An agent began on an outbox that it can't write, or can't read")
    except Stop as error:
        simulation.say(f"the agent stops: {error.cause}")
    simulation.after(random.uniform(5, 100), lambda: setattr(world, "outbox_host", OutboxHost()))


HAPPENINGS = {"the outbox can't be written": (1, unwritable), "an older agent is installed": (1, older_agent)}
FAULTS = tuple(HAPPENINGS)
