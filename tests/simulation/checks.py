"""What must hold at rest: I1, I2, I6, I7 and I8 of the design, and the books of the ERP as the engine expects them.

The shop's side is taken from the shop itself, in a few lines and by none of the engine's rules.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from counterfoil_engine.demo_proof import is_accepted, kept_minor

from simulation import books
from simulation.actors import actors
from simulation.rules import STORE

if TYPE_CHECKING:
    from simulation.storm import Simulation


MOST_ATTEMPTS = 25  # of one document in one storm: more is hammering


def check(simulation: Simulation) -> list[str]:
    """A sentence for everything that is wrong."""
    failures = list(simulation.failures)
    if failures:
        return []
    found = [
        *_once(simulation),
        *_balanced(simulation),
        *_books(simulation),
        *_facts(simulation),
        *_at_rest(simulation),
    ]
    for actor in actors():
        found += getattr(actor, "check", lambda simulation: ())(simulation)
    if not found:
        found += _replayed(simulation)
    return found


def _once(simulation: Simulation) -> Iterator[str]:
    """I1: an order that is accepted is there once, to the cent, or is an open case that can be explained."""
    folder = simulation.world.folder
    cases = defaultdict(list)
    for case in books.open_cases(folder):
        cases[case["subject"]].append(case["cause"])
    by_order = books.by_order(folder)
    for subject, causes in cases.items():
        order_id = int(subject.rpartition("/")[2]) if subject.startswith("order ") else 0
        if order_id not in simulation.explained:
            yield f"I1 {subject} ends in a case that nothing explains: {causes[0]}"
    shop = {order_id: simulation.world.shop.order(order_id) for order_id in simulation.world.shop.order_ids()}
    for order_id in sorted(shop.keys() | by_order.keys()):
        order, (sales_orders, kept) = shop.get(order_id), by_order.get(order_id, (0, 0))
        if sales_orders not in (0, 1):
            yield f"I1 order {order_id} has {sales_orders} standing sales orders"
        if order is None or f"order {STORE}/{order_id}" in cases or order["status"] == "trash":
            continue
        if is_accepted(order) and sales_orders != 1:
            yield f"I1 order {order_id} ({order['status']}) has {sales_orders} sales orders and no case"
        if kept != kept_minor(order):
            yield f"I1 order {order_id}: the shop keeps {kept_minor(order)}, the ERP {kept}"


def _balanced(simulation: Simulation) -> Iterator[str]:
    """I2: debits are credits, per document, so per order, in both currencies; in the ERP and in the engine."""
    folder = simulation.world.folder
    engine = books.rows(folder / "engine.sqlite", "select document as key, * from journal")
    for who, lines in (("ERP", books.rows(folder / "erp.sqlite", books.ERP_JOURNAL)), ("engine", engine)):
        sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for line in lines:
            sums[line["key"]][0] += line["debit_minor"] - line["credit_minor"]
            sums[line["key"]][1] += line["book_debit_minor"] - line["book_credit_minor"]
        yield from (f"I2 {who}: {key} is off by {off}" for key, off in sums.items() if off != [0, 0])


def _books(simulation: Simulation) -> Iterator[str]:
    """The ERP's documents and ledger are what the engine expects; no key twice, never two standing in one slot."""
    folder = simulation.world.folder
    documents = books.erp_documents(folder)
    doubled = [key for key, count in Counter(one["key"] for one in documents).items() if count > 1]
    if doubled:
        yield f"I1 the ERP holds twice: {', '.join(doubled[:3])}"
    standing: Counter[str] = Counter()
    for one in documents:
        standing[one["slot"]] += -1 if one["reverses"] else 1
        if standing[one["slot"]] > 1:
            yield f"I1 two stood at once in the slot {one['slot']}"
    intents = books.intents(folder)
    yield from (
        f"K6 {one['key']} was sent {one['attempts']} times" for one in intents if one["attempts"] > MOST_ATTEMPTS
    )
    due = {one["key"]: one["content_hash"] for one in intents if one["state"] == "done"}
    there = {one["key"]: one["content_hash"] for one in documents}
    if due != there:
        wrong = sorted(key for key in due.keys() | there.keys() if due.get(key) != there.get(key))
        yield f"I3 {len(wrong)} documents differ between ledger and ERP: {', '.join(wrong[:3])}"
    ours, theirs = books.engine_ledger(folder), books.erp_ledger(folder)
    if ours != theirs:
        roles = sorted(role for role in ours.keys() | theirs.keys() if ours.get(role) != theirs.get(role))
        yield f"I3 the books differ in {roles[0]}: engine {ours.get(roles[0])}, ERP {theirs.get(roles[0])}"
    customers = Counter(
        json.loads(one["body"])["counterparty"]
        for one in documents
        if one["kind"] == "customer" and not one["reverses"]
    )
    yield from (f"I1 the customer {name} was made {count} times" for name, count in customers.items() if count > 1)


def _facts(simulation: Simulation) -> Iterator[str]:
    """Nothing is lost: the engine's last fact of each order is what the shop says of it now."""
    world = simulation.world
    latest: dict[str, Any] = {}
    bodies = {}
    for row in books.facts(world.folder):
        if row["body"] is not None:
            bodies[row["event_id"]] = row["body"]
        if row["verdict"] == "stored" and row["subject"] and row["type"] in ORDER_FACTS:
            latest[row["subject"]] = row
        is_gone, order_id = row["type"] == "counterfoil.gone.v1", int((row["subject"] or "/0").rpartition("/")[2])
        if is_gone and order_id not in simulation.notes.get("deleted", ()):
            yield f"E10 order {order_id} was taken for gone, and nobody deleted it"
        if row["verdict"] == "kept-invalid":
            yield f"I7 an event was kept as invalid: {row['reason']}"
    for order_id in world.shop.order_ids():
        order, fact = world.shop.order(order_id), latest.pop(f"order {STORE}/{order_id}", None)
        if order is None or (order["status"] in ("checkout-draft", "auto-draft") and fact is None):
            continue
        said = json.loads(bodies[fact["same_as"] or fact["event_id"]]) if fact else {}
        if said.get("order") != order or said.get("refunds") != world.shop.refunds(order_id):
            yield f"I8 the last fact of order {order_id} is {'not what the shop says' if fact else 'missing'}"
    for subject, fact in latest.items():
        # An agent that went back to before it knew an order can't miss it; that is for the sweeps to find.
        if fact["type"] != "counterfoil.gone.v1" and not simulation.notes.get("agent restored"):
            yield f"I8 {subject} is gone from the shop, and the engine doesn't know"


ORDER_FACTS = ("counterfoil.order.v1", "counterfoil.gone.v1")


def _at_rest(simulation: Simulation) -> Iterator[str]:
    """No wake-up was lost: the pass that looks at every wait again finds nothing to free."""
    engine = simulation.world.engine.engine
    freed = engine.jobs.waits()
    if freed:
        yield f"L2 {freed[0]} was never woken"
    with engine.records.transaction() as tx:
        if defects := engine.records.waits.defects(tx):
            yield f"L2 {defects} waits had to be freed by the hourly pass"


def _replayed(simulation: Simulation) -> Iterator[str]:
    """I6: all events once more into the same engine, and a look at everything, change nothing."""
    world = simulation.world
    before = _came_to(simulation)
    world.agent.outbox.unacknowledge(None)
    engine = world.engine.engine
    with engine.records.transaction() as tx:
        subjects = [row["subject"] for row in tx.all("select subject from subjects order by subject")]
        engine.records.work.mark_due(tx, subjects, "history")
    world.agent.pump.welcomed = False
    world.clock.pass_time(2.0)
    while world.agent.pump.step() == 0:
        pass
    for _ in range(20):
        did = world.step_look()
        for poster in range(len(world.engine.posters)):
            did = world.step_post(poster) or did
        if not did:
            break
    after = _came_to(simulation)
    yield from (f"I6 a replay changed the {what}" for what in before if before[what] != after[what])


def _came_to(simulation: Simulation) -> dict[str, Any]:
    folder = simulation.world.folder
    return {
        "ERP": [one["key"] for one in books.erp_documents(folder)],
        "journal": books.engine_ledger(folder),
        "intents": [(one["key"], one["state"]) for one in books.intents(folder)],
        "facts": {(one["event_id"], one["body_hash"]) for one in books.facts(folder)},
        "cases": [(one["subject"], one["fingerprint"]) for one in books.open_cases(folder)],
    }
