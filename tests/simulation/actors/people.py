"""People at the engine: a controller loads other rules, an operator restarts it, somebody starts a second agent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random
from typing import TYPE_CHECKING, Any

from simulation import books
from simulation.actors.backups import is_first
from simulation.rules import STORE, rules_text

if TYPE_CHECKING:
    from simulation.storm import Simulation


def load_rules(simulation: Simulation, random: Random) -> str | None:
    """Every item gets another class: of what stands already that is held until somebody approves it (R2)."""
    world = simulation.world
    if "two" in world.rules_text[:20] or not is_first(simulation, "rules") or world.engine is None:
        return None
    world.rules_text = rules_text("two", "wares")
    world.engine.engine.load_rules(world.rules_text, "controller")
    simulation.notes["by old rules"] = (_invoices(simulation), _looked_at(simulation))
    return "goods are wares now"


def _looked_at(simulation: Simulation) -> dict[int, tuple[Any, Any]]:
    """The orders that the engine knows as the shop has them now, and has looked at: by number, with their refunds."""
    world, said = simulation.world, {}
    for row in books.facts(world.folder):
        if row["verdict"] == "stored" and row["body"] is not None and (row["subject"] or "").startswith("order "):
            said[row["subject"]] = json.loads(row["body"])
    due = {row["subject"] for row in books.rows(world.engine_file, "select subject from work")}
    found = {}
    for number in world.shop.order_ids():
        subject, now = f"order {STORE}/{number}", (world.shop.order(number), world.shop.refunds(number))
        known = said.get(subject, {})
        if subject not in due and (known.get("order"), known.get("refunds")) == now:
            found[number] = now
    return found


def _invoices(simulation: Simulation) -> dict[str, Any]:
    """Those that stand, of orders on which nothing is under way."""
    found = books.standing(simulation.world.folder)
    return {slot: one["key"] for slot, one in found.items() if one["kind"] == "invoice"}


def other_lanes(simulation: Simulation, random: Random) -> str:
    options = simulation.world.options
    options.lanes, options.workers = random.choice((1, 2, 4)), random.choice((1, 2))
    simulation.dies("engine")
    return f"{options.lanes} lanes, {options.workers} workers"


def second_agent(simulation: Simulation, random: Random) -> str | None:
    """Somebody starts the agent on another machine too: the engine takes nothing from it."""
    world = simulation.world
    begun = world.engine and books.rows(world.engine_file, "select 1 from epochs")
    if not begun or "second" in simulation.notes or "damaged" in simulation.notes:
        return None  # who comes first is the one
    disk, world.disk = world.disk, world._open_outbox
    second = world.make_agent(world.folder / "second.sqlite")
    world.disk = disk
    simulation.notes["second"] = False
    try:
        for _ in range(random.randint(4, 12)):
            world.clock.pass_time(random.uniform(0.1, 2))
            second.step()
            simulation.notes["second"] |= second.pump.welcomed
    finally:
        second.close(clean=False)
    return None


HAPPENINGS = {
    "a controller loads other rules": (1, load_rules),
    "the engine restarts with other lanes": (1, other_lanes),
    "a second agent is started": (1, second_agent),
}
FAULTS = ("the engine restarts with other lanes", "a second agent is started")


def check(simulation: Simulation) -> Iterator[str]:
    """Rules alone reverse nothing; one installation speaks for the store."""
    world = simulation.world
    invoices, orders = simulation.notes.get("by old rules", ({}, {}))
    now = _invoices(simulation)
    shop = world.shop
    for slot, key in invoices.items():
        number = int(slot.split("/")[1])
        untouched = orders[number] == (shop.order(number), shop.refunds(number)) if number in orders else False
        if untouched and number not in simulation.explained and now.get(slot) != key:
            yield f"R2 {key} was reversed by rules alone"
    if simulation.notes.get("second"):
        yield "E1 a second installation of the agent was welcome"
