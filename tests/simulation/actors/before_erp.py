"""What stands before the ERP rejects calls, or the adapter to it fails unforeseen.

A batch that is rejected as a whole is halved until the culprit stands alone (K6); whatever an adapter raises ends no
poster, and nothing is lost or posted twice by it.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from simulation import proxies
from simulation.actors.defects import retry
from simulation.actors.edits import edit
from simulation.actors.shoppers import place
from simulation.orders import carried_now

if TYPE_CHECKING:
    from simulation.storm import Simulation


def rejects(simulation: Simulation, random: Random) -> str:
    """From now on, while there is something to be posted."""
    kind = random.choice(list(proxies.KINDS))
    simulation.world.before_erp = proxies.KINDS[kind](simulation, random)
    place(simulation, random)
    edit(simulation, random)
    carried_now(simulation, simulation.world.shop.order_ids()[-1])
    return kind


HAPPENINGS = {"something before the ERP": (5, rejects)}
FAULTS = tuple(HAPPENINGS)


def heal(simulation: Simulation) -> None:
    """What stood there is gone, and a person retries what was rejected."""
    simulation.world.before_erp = lambda request: None
    simulation.guarded(lambda: retry(simulation))
