"""The proof from outside: the shop's own database, the ERP's books and the engine's database, compared.

What is due is computed from the shop's orders alone (`demo.proof`), without the engine's rules. Nothing may be lost,
doubled, stuck or in need of a person, but for what is a person's by the rules: a payment method that nobody mapped, and
an order thrown away with the money that was paid for it.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from counterfoil_engine.demo import proof as demo_proof
from torture.load import UNKNOWN_METHOD
from torture.world import STORE, World

NEWEST = """
select subject, type, event_id, coalesce(e.body, (select o.body from events o where o.store = e.store
  and o.event_id = e.same_as and o.body is not null)) as body
from events e where verdict = 'stored' and subject is not null
and not exists (select 1 from events l where l.subject = e.subject and l.verdict = 'stored'
  and (l.epoch > e.epoch or (l.epoch = e.epoch and l.n > e.n)))"""

STUCK = {
    "subjects that deserve a look": "(select count(*) from work)",
    "intents without result": "(select count(*) from intents where state in ('ready', 'sent'))",
    "waits": "(select count(*) from waits)",
    "lost wake-ups": "(select count(*) from counters where name like 'waits freed%' and value > 0)",
    "breakers that are open": "(select count(*) from breakers where state = 'open')",
    "brakes tripped": "(select count(*) from brakes where tripped_at is not null)",
    "restatements held": "(select count(*) from restatements)",
    "looks that failed": "(select count(*) from failures)",
    "numbers above the watermark": "(select count(*) from numbers)",
    "events kept as invalid": "(select count(*) from events where verdict <> 'stored')",
    "doubts about the database": "(select count(*) from identity where confirmed = 0)",
}


@dataclass
class Proof:
    """Sentences on what is lost, doubled or otherwise wrong; figures of what was compared."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    figures: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not (self.lost or self.doubled or self.wrong)


def prove(world: World) -> Proof:
    """Compare all of it now; it should be at rest."""
    proof = Proof()
    shop = shop_orders(world)
    books = Books(world)
    cases = defaultdict(list)
    for case in world.engine_rows("select * from cases where resolved_at is null order by id"):
        cases[case["subject"]].append(case)
    prove_orders(proof, world, shop, books, cases)
    prove_keys(proof, books)
    prove_ledgers(proof, world, books)
    prove_sequence(proof, world)
    for what, count in STUCK.items():
        if found := world.engine_count(count):
            proof.wrong.append(f"{found} {what}")
    for subject, open_cases in sorted(cases.items()):
        if not is_for_a_person(shop.get(subject.rpartition("/")[2])):
            proof.wrong += [f"needs a person: {subject}: {case['category']}: {case['cause']}" for case in open_cases]
    return proof


def is_for_a_person(order: Mapping[str, Any] | None) -> bool:
    """Whether the order's last state is a case by the rules; None: the shop has deleted it, from the trash."""
    if order is None or order["payment_method"] == UNKNOWN_METHOD:
        return True
    return order["status"] == "trash" and order["date_paid_gmt"] is not None


def may_stand(order: Mapping[str, Any]) -> bool:
    """What came back and no money moved for: posted or not, by whether the agent ever read it in between."""
    is_back = order["status"] in ("cancelled", "refunded")
    return is_back and (order["date_paid_gmt"] is None or not Decimal(order["total"]))


def shop_orders(world: World) -> dict[str, dict[str, Any]]:
    """Every order of the shop by its id, as its own database has it."""
    return {str(row["id"]): json.loads(row["body"]) for row in world.shop_rows("select id, body from orders")}


def behind(world: World) -> list[str]:
    """Orders whose newest fact in the engine says something else than the shop says now; a few words on each."""
    shop = shop_orders(world)
    refunds: dict[str, list[Any]] = defaultdict(list)
    for row in world.shop_rows("select order_id, body from refunds order by created desc, id desc"):
        refunds[str(row["order_id"])].append(json.loads(row["body"]))
    facts = {row["subject"].rpartition("/")[2]: row for row in world.engine_rows(NEWEST)}
    late = []
    for order_id, order in shop.items():
        fact = facts.get(order_id)
        if fact is None:
            late.append(f"{order_id} ({order['status']}): the engine has nothing")
            continue
        said = json.loads(bytes(fact["body"]))
        if said.get("order") != order:
            late.append(f"{order_id} ({order['status']}): the engine's newest fact is older")
        elif sorted(r["id"] for r in said["refunds"]) != sorted(r["id"] for r in refunds[order_id]):
            late.append(f"{order_id} ({order['status']}): the engine knows other refunds")
    for order_id in facts.keys() - shop.keys():
        if facts[order_id]["type"] != "counterfoil.gone.v1":
            late.append(f"{order_id}: deleted in the shop, not in the engine")
    return late


class Books:
    """Both ledgers. documents: key → row; of the ERP, several rows of a key are kept."""

    def __init__(self, world: World) -> None:
        self.erp = world.erp_rows("select id, key, kind, currency, amount_minor, reverses, body from documents")
        self.engine = {row["key"]: row for row in world.engine_rows("select * from intents where state = 'done'")}
        self.balance_of: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for line in world.erp_rows("select d.key as key, j.* from journal j join documents d on d.id = j.document"):
            self.balance_of[line["key"]][0] += line["debit_minor"] - line["credit_minor"]
            self.balance_of[line["key"]][1] += line["book_debit_minor"] - line["book_credit_minor"]
        self.sales_orders: Counter[str] = Counter()
        self.kept: Counter[str] = Counter()
        self.money: Counter[str] = Counter()
        for row in self.erp:
            order_id, sign = str(json.loads(row["body"]).get("order")), -1 if row["reverses"] else 1
            if row["kind"] == "sales_order":
                self.sales_orders[order_id] += sign
            elif row["kind"] in ("invoice", "credit_note"):
                self.kept[order_id] += row["amount_minor"] * (1 if row["kind"] == "invoice" else -1)
            elif row["kind"] in ("payment", "refund_payment"):
                self.money[order_id] += row["amount_minor"] * (1 if row["kind"] == "payment" else -1)


def prove_orders(
    proof: Proof,
    world: World,
    shop: Mapping[str, Mapping[str, Any]],
    books: Books,
    cases: Mapping[str, list[dict[str, Any]]],
) -> None:
    ends: Counter[str] = Counter()
    readings = {row["subject"]: row for row in world.engine_rows("select subject, reading, reason from subjects")}
    for order_id, order in shop.items():
        subject = f"order {STORE}/{order_id}"
        standing, kept = books.sales_orders[order_id], books.kept[order_id]
        told = f"{order_id} ({order['status']}, {order['total']} {order['currency']})"
        if standing > 1:
            proof.doubled.append(f"order {told} has {standing} sales orders in the ERP")
        elif subject not in readings:
            proof.lost.append(f"order {told} was never looked at")
        elif cases.get(subject):
            ends["in a case"] += 1
            if not all(case["cause"] and case["remedy"] for case in cases[subject]):
                proof.wrong.append(f"order {told}: its case says no cause or no remedy")
        elif demo_proof.is_accepted(order) and not may_stand(order):
            ends["in the ERP"] += 1
            if standing != 1:
                proof.lost.append(f"order {told} is not in the ERP: {readings[subject]['reason']}")
            elif kept != demo_proof.kept_minor(order):
                proof.lost.append(f"order {told}: the shop keeps {demo_proof.kept_minor(order)}, the ERP {kept}")
        else:
            ends["never accepted, or back without money"] += 1
            if kept or (standing and not may_stand(order)):
                proof.wrong.append(f"order {told}: {standing} sales orders, {kept} kept, nothing was due")
            if not readings[subject]["reason"]:
                proof.wrong.append(f"order {told}: no reason says why it is not in the ERP")
    # What was deleted while money was held for it stands until a person has dealt with it, and is a case.
    for order_id in {one for one, standing in books.sales_orders.items() if standing} - shop.keys():
        if not cases.get(f"order {STORE}/{order_id}"):
            proof.wrong.append(f"order {order_id} stands in the ERP, the shop has deleted it, and no case says so")
    shown = ", ".join(f"{count} {what}" for what, count in sorted(ends.items()))
    proof.figures.append(f"{len(shop)} orders in the shop: {shown}; {len(books.erp)} documents in the ERP")


def prove_keys(proof: Proof, books: Books) -> None:
    counted = Counter(row["key"] for row in books.erp)
    proof.doubled += [f"key {key} is in the ERP {count} times" for key, count in counted.items() if count > 1]
    proof.lost += [f"{key} is done in the engine, and not in the ERP" for key in books.engine.keys() - counted.keys()]
    proof.wrong += [f"{key} is in the ERP, and not done in the engine" for key in counted.keys() - books.engine.keys()]
    for row in books.erp:
        ours = books.engine.get(row["key"])
        if ours and (ours["amount_minor"], ours["kind"]) != (row["amount_minor"], row["kind"]):
            proof.wrong.append(f"{row['key']}: engine {ours['amount_minor']}, ERP {row['amount_minor']}")
    for key, (net, book_net) in books.balance_of.items():
        if net or book_net:
            proof.wrong.append(f"{key}: its debits less its credits are {net}, in the books {book_net}")


def prove_ledgers(proof: Proof, world: World, books: Books) -> None:
    """Net of each role: reversals raise both sides."""
    names = ("debit_minor", "credit_minor", "book_debit_minor", "book_credit_minor")
    sums = ", ".join(f"sum({name}) as {name}" for name in names)
    ours = world.engine_rows(f"select role, currency, {sums} from journal group by role, currency")
    nets = [net_of(ours), net_of(world.erp_balances())]
    for role in sorted(nets[0].keys() | nets[1].keys()):
        engine, erp = nets[0].get(role, (0, 0)), nets[1].get(role, (0, 0))
        if engine != erp:
            proof.wrong.append(f"{' '.join(role)}: {engine} in the engine's journal, {erp} in the ERP's ledger")
    proof.figures.append(f"{len(nets[1])} roles and currencies in the ERP's ledger and the engine's journal")


def net_of(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], tuple[int, int]]:
    return {
        (row["role"], row["currency"]): (
            int(row["debit_minor"]) - int(row["credit_minor"]),
            int(row["book_debit_minor"]) - int(row["book_credit_minor"]),
        )
        for row in rows
    }


def prove_sequence(proof: Proof, world: World) -> None:
    """No hole: the agent's last number is the engine's watermark, and each number up to it has its event."""
    counter = world.agent_rows("select epoch, n from counter")[0]
    waiting = world.agent_rows("select count(*) as n from rows where acked_s is null")[0]["n"]
    buried = world.agent_rows("select count(*) as n from dead")[0]["n"]
    epochs = world.engine_rows("select epoch, stored_through from epochs order by epoch")
    there = {"epoch": epochs[-1]["epoch"], "n": epochs[-1]["stored_through"]}
    if there != counter:
        proof.lost.append(f"the agent's last number is {counter}, the engine's watermark {there}")
    if waiting or buried:
        proof.wrong.append(f"the agent still holds {waiting} events, and buried {buried}")
    stored = world.engine_rows("select count(*) as n, count(distinct event_id) as ids from events")[0]
    through = sum(row["stored_through"] for row in epochs)
    if len(epochs) > 1:
        proof.wrong.append(f"{len(epochs)} epochs, where nobody was restored")
    if stored["n"] < through:
        proof.lost.append(f"{through} numbers are stored, {stored['n']} events are there")
    proof.figures.append(f"{stored['n']} events, stored through {there['n']} of epoch {there['epoch']}, no hole")
