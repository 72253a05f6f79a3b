"""A controller loads other rules: they alone reverse nothing that stands (R2)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random
from typing import TYPE_CHECKING, Any

from simulation import books
from simulation.actors.restores import is_first
from simulation.rules import STORE, rules_text

if TYPE_CHECKING:
    from simulation.storm import Simulation


def load_rules(simulation: Simulation, random: Random) -> str | None:
    """Every item gets another class: of what stands already that is held until somebody approves it (R2)."""
    world = simulation.world
    if "two" in world.rules_text[:20] or not is_first(simulation, "rules") or world.engine is None:
        return None
    simulation.notes["by old rules"] = (_invoices(simulation), _looked_at(simulation))
    world.rules_text = rules_text(
        "two", "wares", world.options.parties
    )  # an engine that can't load them now does as it starts again
    world.engine.engine.load_rules(world.rules_text, "controller")
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
    """Those that stand and are ours, and that nothing is about to reverse."""
    intents = books.intents(simulation.world.folder)
    ours = {one["key"] for one in intents if one["state"] == "done"}
    ours -= {one["reverses"] for one in intents if one["state"] in ("ready", "sent")}
    found = books.standing(simulation.world.folder)
    return {slot: one["key"] for slot, one in found.items() if one["kind"] == "invoice" and one["key"] in ours}


HAPPENINGS = {"a controller loads other rules": (1, load_rules)}


def check(simulation: Simulation) -> Iterator[str]:
    invoices, orders = simulation.notes.get("by old rules", ({}, {}))
    now, shop = _invoices(simulation), simulation.world.shop
    for slot, key in invoices.items():
        number = int(slot.split("/")[1])
        untouched = orders[number] == (shop.order(number), shop.refunds(number)) if number in orders else False
        if untouched and number not in simulation.explained and now.get(slot) != key:
            yield f"R2 {key} was reversed by rules alone"
