"""Sweeps in the middle of storms, in some of them: whatever is called a break is one, and nothing that is on its way.

What a sweep says is compared with the parties' own files at that very moment. It weighs nothing in the draw.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING, Any

from counterfoil_agent.sweep_line import EngineSweeps
from counterfoil_engine.domain.breaks import Found
from counterfoil_engine.domain.errors import CounterfoilError

from simulation import books
from simulation.actors.stock import has_stock
from simulation.rules import ENTITY, STORE

if TYPE_CHECKING:
    from simulation.storm import Simulation
    from simulation.world import World

ASKED_AGAIN = timedelta(hours=1)  # in which what a dead agent was asked is asked once more, and answered
EACH, TIMES, WITHIN_S = 5, 4, 400.0  # of so many seeds one is swept so many times, of those with stock each


def is_swept(simulation: Simulation) -> bool:
    return simulation.seed % EACH == 2 or has_stock(simulation)


def begin(simulation: Simulation) -> None:
    if not is_swept(simulation):
        return
    answers_sweeps(simulation.world)
    simulation.world.stop("agent")
    simulation.world.on_found = lambda found: simulation.failures.extend(_wrong(simulation, found))
    random = Random(f"sweeps {simulation.seed}")
    for kind, place in (("erp", ENTITY), ("money", ENTITY), ("orders", STORE), ("stock", STORE)):
        for _ in range(TIMES if kind != "stock" or has_stock(simulation) else 0):
            simulation.after(
                random.uniform(10, WITHIN_S), lambda kind=kind, place=place: sweep(simulation, kind, place)
            )


def answers_sweeps(world: World) -> None:
    """From now on its agent answers them, whatever else it is equipped with."""
    equip = world.equip

    def equipped(settings: Any) -> Any:
        settings, more = equip(settings)
        line = world.uplink()
        return settings, {**more, "sweeps": EngineSweeps(lambda: line)}

    world.equip = equipped


def sweep(simulation: Simulation, kind: Any, place: str) -> None:
    """Books are read at once; a store's agent answers by and by. Only what can do no harm is healed by itself."""
    world = simulation.world
    if world.clock.true < world.down_until["engine"]:
        return
    engine, sweeping = world.engine.engine, world.engine.sweeping
    with suppress(CounterfoilError):  # no rules yet, or no agent that ever said hello
        number = sweeping.sweeps.start(kind, place, "sweep")
        engine.step_books()
        run = sweeping.sweeps.show(number)
        simulation.say(f"{kind} of {place} is swept: {run['state']}, {run.get('found', run['cause'])}")


# What is called a break, against what there is


def _wrong(simulation: Simulation, found: Sequence[Found]) -> Iterator[str]:
    documents = _differing(simulation) if any(one.sweep in ("erp", "money") for one in found) else set()
    for one in found:
        if not _is_true(simulation, one, documents):
            yield f"a sweep's false alarm: {one.subject} is called {one.kind}: {one.cause}"


def _is_true(simulation: Simulation, found: Found, documents: set[str]) -> bool:
    name = found.subject.partition(" ")[2]
    if found.sweep == "orders":
        return differs(simulation.world, int(name.rpartition("/")[2]))
    if found.sweep == "erp" and found.subject.startswith("document "):
        return name in documents
    if found.sweep == "erp":
        return name.rpartition("/")[2] in documents
    if found.sweep == "money":
        return bool(documents & set(found.detail.get("documents", ())))
    return False  # nobody edits stock past the plugin


def _differing(simulation: Simulation) -> set[str]:
    """Keys and numbers of documents that one side alone has, or has more than once, or otherwise than the other."""
    folder = simulation.world.folder
    ours = {one["key"]: one for one in books.intents(folder) if one["party"] == "erp" and one["state"] == "done"}
    theirs = list(books.erp_documents(folder))
    times = Counter(one["key"] for one in theirs)
    wrong = set(ours) - set(times)
    for one in theirs:
        mine = ours.get(one["key"])
        if mine is None or times[one["key"]] > 1 or one["amount_minor"] != mine["amount_minor"]:
            wrong |= {one["key"], one["number"]}
    return wrong


def differs(world: World, order_id: int) -> bool:
    """Whether the shop has the order otherwise than the engine knows it, and nobody is about to tell."""
    if order_id in {row["order_id"] for row in books.rows(world.outbox_file, _WAITS)}:
        return False
    told = [row for row in books.facts(world.folder) if row["subject"] == f"order {STORE}/{order_id}"]
    known = json.loads(told[-1]["body"]).get("order") if told and told[-1]["body"] else None
    order = world.shop.order(order_id)
    return _amounts(order) != _amounts(known)


_WAITS = """select order_id from rows where acked_s is null union select order_id from marks
 union select order_id from missing"""


def _amounts(order: Any) -> tuple[Any, ...] | None:
    if order is None or order["status"] in ("trash", "auto-draft", "draft", "checkout-draft"):
        return None
    refunds = sum(Decimal(one["total"]) for one in order["refunds"])
    return order["currency"], Decimal(order["total"]), refunds, Decimal(order["total_tax"])


HAPPENINGS: dict[str, Any] = {}


def check(simulation: Simulation) -> Iterator[str]:
    """What was asked was answered, or failed with a cause and a remedy."""
    for run in books.rows(simulation.world.engine_file, "select * from sweeps order by id"):
        simulation.say(f"the sweep of {run['sweep']} ended: {run['state']}. {run['cause'] or ''}")
        age = simulation.world.clock.true - datetime.fromisoformat(run["started_at"])
        if run["state"] == "running" and age > ASKED_AGAIN:
            yield f"the sweep of {run['sweep']} that began at {run['started_at']} never ended"
        if run["state"] == "failed" and not run["remedy"]:
            yield f"the sweep of {run['sweep']} failed without a remedy: {run['cause']}"
