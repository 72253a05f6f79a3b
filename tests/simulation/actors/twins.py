"""An ERP that keeps no keys unique, on a line that doubles a post and loses its answer: two documents bear one key.

The look-up sees both, and a case says so (K4); a person reverses the second one in the ERP, as the case asks.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from random import Random
from typing import TYPE_CHECKING

from simulation import books, wires
from simulation.actors.shoppers import place
from simulation.hands import reverse, wait_for_look_ups
from simulation.orders import carried_now

if TYPE_CHECKING:
    from simulation.storm import Simulation


def double(simulation: Simulation, random: Random) -> str | None:
    """Had the answer come through, nobody could tell."""
    if simulation.world.options.unique_keys:
        return None
    place(simulation, random)
    simulation.next_calls["erp.post"] = deque([wires.DOUBLED_CUT])
    carried_now(simulation, simulation.world.shop.order_ids()[-1])
    return "the next post, without an answer"


def doubled(simulation: Simulation) -> list[str]:
    """The keys that the line doubled, and that more than one document bears by that."""
    count = Counter(one["key"] for one in books.erp_documents(simulation.world.folder))
    return [key for key in simulation.notes.get("doubled by the line", ()) if count[key] > 1]


HAPPENINGS = {"the line doubles a post and loses its answer": (3, double)}
FAULTS = tuple(HAPPENINGS)


def heal(simulation: Simulation) -> None:
    if doubled(simulation):
        wait_for_look_ups(simulation)
    for key in doubled(simulation):
        reverse(simulation, key)
    simulation.guarded(lambda: simulation.world.engine.engine.commands().retry(None, "conflict"))


def check(simulation: Simulation) -> Iterator[str]:
    """Each was shown, whoever had seen to it by then."""
    told = books.rows(simulation.world.engine_file, "select cause from cases where origin = 'doubled'")
    for key in doubled(simulation):
        if not any(f"of the key {key}:" in row["cause"] for row in told):
            yield f"K4 the ERP holds two documents of {key}, and no case ever said so"
