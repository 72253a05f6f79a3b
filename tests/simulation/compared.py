"""What sweeps call a break, against what the parties' own files say at that very moment."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from counterfoil_engine.domain.breaks import Found

from simulation import books
from simulation.rules import STORE

if TYPE_CHECKING:
    from simulation.storm import Simulation
    from simulation.world import World


def wrong(simulation: Simulation, found: Sequence[Found]) -> Iterator[str]:
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
