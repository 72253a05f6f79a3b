"""The lines between the parts: calls are lost, cut, doubled, late, or answered with a pause."""

from __future__ import annotations

from collections import deque
from random import Random
from typing import TYPE_CHECKING

from simulation import books, wires
from simulation.actors.edits import edit_other, rewrite
from simulation.orders import orders, read_now
from simulation.rules import STORE

if TYPE_CHECKING:
    from simulation.storm import Simulation


def faults_on(line: str, *faults: str) -> object:
    def disturb(simulation: Simulation, random: Random) -> str:
        """Some of the next calls, one after the other or with good ones between."""
        kinds = [fault for fault in faults if line != "erp" or is_bearable(simulation, fault)]
        calls = [random.choice([*kinds, None]) for _ in range(random.randint(1, 5))]
        calls[0] = calls[0] or random.choice(kinds)
        simulation.next_calls[line] = deque(calls)
        return ", ".join(call or "good" for call in calls)

    return disturb


def is_bearable(simulation: Simulation, fault: str) -> bool:
    """An ERP that doesn't keep keys unique can't bear a post that the line doubles or keeps for later."""
    return simulation.world.options.unique_keys or fault not in (wires.DOUBLED, wires.LATE)


def firewall(simulation: Simulation, random: Random) -> str:
    """What stands before the engine blocks one event for what is in it; its neighbours go on. An order that is
    held back as it was paid says later what it comes to then: of those only the note changes."""
    world = simulation.world
    blocked = 1 if world.options.batch_events == 1 else random.choice((2, 3, 3, 4))  # until the batch is one event
    simulation.next_calls["line.events"] = deque([wires.BLOCKED] * blocked)
    told = {row["subject"] for row in books.facts(world.folder) if row["verdict"] == "stored"}
    for order in orders(simulation)[-2:]:
        changes = random.choice(((rewrite,), (rewrite, edit_other), (edit_other, edit_other)))
        for change in changes if f"order {STORE}/{order['id']}" in told else (rewrite, rewrite):
            change(simulation, random, order["id"])
            simulation.guarded(lambda order_id=order["id"]: read_now(simulation, order_id))
    return f"{blocked} times"


HAPPENINGS = {
    "a firewall takes offence": (4, firewall),
    "the line to the engine is bad": (5, faults_on("line", *wires.FAULTS, wires.BLOCKED)),
    "the line to the shop is bad": (2, faults_on("shop", wires.LOST, wires.CUT, wires.BUSY, wires.AWAY)),
    "the line to the ERP is bad": (4, faults_on("erp", *wires.FAULTS)),
}
FAULTS = tuple(HAPPENINGS)
