"""A shopper writes what looks like an attack: no firewall ever lets that order pass (E11)."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import TYPE_CHECKING

from simulation import books
from simulation.actors.edits import rewrite
from simulation.orders import carried_now, one_of, orders
from simulation.rules import STORE

if TYPE_CHECKING:
    from simulation.storm import Simulation


def attack(simulation: Simulation, random: Random) -> str | None:
    """In whatever wrapping it comes; perhaps the firewall is taught to let it, after a while."""
    order, world = one_of(simulation, random), simulation.world
    if order is None or "blocked" in simulation.notes:
        return None
    word = f"union select {random.getrandbits(32):08x}"
    world.shop.update(order["id"], {"customer_note": word})
    status = random.choice((403, 406, 413))
    world.firewall = lambda body: status if word.encode() in body else None
    simulation.notes["blocked"], simulation.notes["attack"] = order["id"], word
    carried_now(simulation, order["id"])
    for other in [one["id"] for one in orders(simulation) if one["id"] != order["id"]][-2:]:
        rewrite(simulation, random, other)
        carried_now(simulation, other)  # its neighbours go on
    if random.random() < 0.4:

        def taught() -> None:
            world.firewall = lambda body: None
            simulation.notes["blocked"] = None

        simulation.after(random.uniform(20, 400), taught)
    return f"{order['id']}, status {status}"


HAPPENINGS = {"a shopper writes what looks like an attack": (3, attack)}
FAULTS = tuple(HAPPENINGS)


def heal(simulation: Simulation) -> None:
    """A person reads in the agent's status what became a tombstone, and lets it be read again; what still doesn't pass
    is a case."""
    if (blocked := simulation.notes.get("blocked")) is not None:
        simulation.explained.setdefault(blocked, "it never passes")
    simulation.guarded(lambda: _fetch_buried(simulation))


def _fetch_buried(simulation: Simulation) -> None:
    agent = simulation.world.agent
    for order_id in sorted({row["order_id"] for row in agent.outbox.tombstones()}):
        if order_id and order_id != simulation.notes.get("blocked"):
            agent.fetch(order_id)


def check(simulation: Simulation) -> Iterator[str]:
    """E11: of an order that never passed there is a tombstone, so that people know. Who has the store's secret may have
    taken its number with an event of their own, and is the store by that (docs/security.md)."""
    blocked = simulation.notes.get("blocked")
    ids = {row["event_id"] for row in books.rows(simulation.world.engine_file, "select event_id from events")}
    if ids & simulation.notes.get("strange", set()):
        return
    order = simulation.world.shop.order(blocked) if blocked is not None else None
    if order is None or simulation.notes["attack"] not in order["customer_note"]:
        return  # deleted, or written over before it was read
    facts = [row for row in books.facts(simulation.world.folder) if row["subject"] == f"order {STORE}/{blocked}"]
    if not any(row["type"] == "counterfoil.tombstone.v1" for row in facts):
        yield f"E11 order {blocked} never passed, and nothing in the engine says so"
