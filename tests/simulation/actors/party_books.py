"""What must hold of a WMS, a gateway and a tax service at rest, by what they themselves say and hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from simulation import books
from simulation.parties import SOURCES, Parties
from simulation.rules import STORE

if TYPE_CHECKING:
    from simulation.storm import Simulation

HAPPENINGS: dict[str, tuple[int, object]] = {}


def check(simulation: Simulation) -> Iterator[str]:
    if parties := simulation.world.parties:
        yield from _known_once(simulation, parties)
        yield from _fulfilled_once(parties)
        yield from _money_there(simulation, parties)


def _known_once(simulation: Simulation, parties: Parties) -> Iterator[str]:
    """The engine knows each fact once, and what stands at a party is what the ledger says."""
    for kind, store in parties.stores.items():
        said = "select id from party_facts where party = ? and kind <> 'recall_refused'"
        known = books.rows(simulation.world.engine_file, said, kind)
        told = sorted(one["id"] for one in store.told())
        if sorted(one["id"] for one in known) != told:
            yield f"I7 the {kind} said {len(told)} facts, the engine knows {len(known)}"
        there = {row["key"]: row["content_hash"] for row in store._rows("select key, content_hash from documents")}
        ours = [one for one in books.intents(simulation.world.folder) if one["party"] == kind]
        due = {one["key"]: one["content_hash"] for one in ours if one["state"] == "done"}
        if due != there:
            wrong = sorted(key for key in due.keys() | there.keys() if due.get(key) != there.get(key))
            yield f"I3 {len(wrong)} documents differ between ledger and {SOURCES[kind]}: {', '.join(wrong[:3])}"


def _fulfilled_once(parties: Parties) -> Iterator[str]:
    standing: Counter[str] = Counter()
    for row in parties.wms._rows("select slot, reverses from documents where kind = 'fulfilment' order by id"):
        standing[row["slot"]] += -1 if row["reverses"] else 1
        if standing[row["slot"]] > 1:
            yield f"I1 two fulfilments stood at once in {row['slot']}"


def _money_there(simulation: Simulation, parties: Parties) -> Iterator[str]:
    """By order, what the ERP holds at the gateway is what the gateway holds for it."""
    of, theirs, ours = parties.charges(simulation.notes.get("at gateway", {})), Counter[int](), Counter[int]()
    for _, item in parties.gateway.things("item"):
        if item["transaction"]:
            theirs[of[item["transaction"]]] += item["amount_minor"]
    for line in books.rows(simulation.world.folder / "erp.sqlite", books.ERP_JOURNAL):
        if line["role"].startswith("clearing:stripe") and (name := line["slot"].split("/")[1]).isdigit():
            ours[int(name)] += line["debit_minor"] - line["credit_minor"]
    in_cases = {case["subject"] for case in books.open_cases(simulation.world.folder)}
    for order_id in sorted(theirs.keys() | ours.keys()):
        if theirs[order_id] != ours[order_id] and f"order {STORE}/{order_id}" not in in_cases:
            yield f"I1 order {order_id}: the gateway holds {theirs[order_id]} for it, the ERP {ours[order_id]}"
