"""Somebody posts by hand, just before the engine does and under its keys: the same document, or another (K3).

Once the storm is over a person does what the case says: reverses the other one in the ERP, and retries the order.
"""

from __future__ import annotations

from collections import deque
from random import Random
from typing import TYPE_CHECKING, Any

from counterfoil_engine.work.wire import posting_of

from simulation import books, wires
from simulation.hands import is_posted, reverse, wait_for_look_ups
from simulation.rules import ENTITY

if TYPE_CHECKING:
    from simulation.storm import Simulation


def post(simulation: Simulation, random: Random) -> str | None:
    """In an ERP that keeps keys unique: in another one nobody could prevent what stands twice then."""
    if not simulation.world.options.unique_keys:
        return None
    is_other, is_lost = random.random() < 0.6, random.random() < 0.6
    simulation.meanwhiles.append(["erp.post.before", 1, lambda: _post(simulation, random, is_other, is_lost)])
    return f"{'another content' if is_other else 'the same'}{', as the line is cut' if is_lost else ''}"


def _post(simulation: Simulation, random: Random, is_other: bool, is_lost: bool) -> None:
    """What the engine has marked as sent and the ERP has not seen. is_lost: the engine's own call doesn't arrive."""
    world, notes = simulation.world, simulation.notes
    is_other = is_other and "engine restored" not in notes
    there = {one["key"] for one in books.erp_documents(world.folder)}
    for document in _sent(simulation):
        if document["key"] in there or document["reverses"] or document["kind"] == "customer":
            continue
        if is_other:
            document["content_hash"] = f"{random.getrandbits(256):064x}"
        if is_posted(simulation, document) and is_other:
            notes.setdefault("by hand", {})[document["key"]] = document
            simulation.say(f"by hand: {document['key']}")
        if is_lost:
            simulation.next_calls["erp.post"] = deque([wires.LOST])
        return


def _sent(simulation: Simulation) -> list[dict[str, Any]]:
    records = simulation.world.engine.engine.records
    with records.transaction() as tx:
        keys = [row["key"] for row in tx.all("select key from intents where state = 'sent' order by id")]
        found = [records.intents.by_key(tx, "erp", ENTITY, key) for key in keys]
        return [dict(posting_of(one, one.posting_date or one.day).document) for one in found if one and one.document]


HAPPENINGS = {"somebody posts by hand": (4, post)}
FAULTS = tuple(HAPPENINGS)


def heal(simulation: Simulation) -> None:
    if "by hand" in simulation.notes:
        wait_for_look_ups(simulation)
    for key in simulation.notes.get("by hand", {}):
        reverse(simulation, key)
    simulation.guarded(lambda: simulation.world.engine.engine.commands().retry(None, "conflict"))
