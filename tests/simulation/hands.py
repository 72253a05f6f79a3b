"""What a person does in the ERP with their own hands."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING, Any

from simulation import books
from simulation.rules import ENTITY

if TYPE_CHECKING:
    from simulation.storm import Simulation


def is_posted(simulation: Simulation, document: dict[str, Any]) -> bool:
    world = simulation.world
    document["date"] = world.books.open_day(ENTITY, date.fromisoformat(document["date"])).isoformat()
    modes, world.erp.modes = world.erp.modes, world.erp.modes.changed({"fault": None, "commit_delay_s": 0.0})
    try:
        world.erp.post([document])
    finally:
        world.erp.modes = modes
    return any(one["key"] == document["key"] for one in books.erp_documents(world.folder))


def reverse(simulation: Simulation, key: str) -> None:
    """As a case asks: a person reverses in the ERP what bears this key; the next one, where two do."""
    documents = {one["key"]: one for one in books.erp_documents(simulation.world.folder)}
    document = json.loads(documents[key]["body"])
    undo = {"key": f"by hand/{len(documents)}/r1/reversal", "reverses": key}
    if not is_posted(simulation, {**document, **undo, "amount_minor": -document["amount_minor"]}):
        simulation.failures.append(f"{key} can't be reversed by hand")


def wait_for_look_ups(simulation: Simulation) -> None:
    """Once the ERP is well: until the engine has looked up all that it sent, or after a restore all that the ERP holds,
    and knows what a person has to see to."""
    world = simulation.world
    world.erp.change_modes({"fault": None, "fault_times": None})
    world.before_erp = lambda request: None
    for _ in range(20):
        if not _looks_up(simulation):
            return
        world.clock.pass_time(30)
        simulation.guarded(world.step_engine)


def _looks_up(simulation: Simulation) -> bool:
    records = simulation.world.engine.engine.records
    with records.transaction() as tx:
        is_to_adopt = records.identity.to_adopt(tx, "erp", ENTITY) is not None
    return is_to_adopt or bool(books.rows(simulation.world.engine_file, "select 1 from intents where state = 'sent'"))
