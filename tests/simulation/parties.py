"""WMS, gateway and tax service of a world: in process over lines like the ERP's; what they know outlives whatever dies.

Some of the seeds have them.
"""

from __future__ import annotations

import functools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from random import Random
from typing import TYPE_CHECKING, Any

from counterfoil_engine.adapters.party.http import HttpParty
from counterfoil_engine.bootstrap import PartyLine
from counterfoil_engine.demo.proof import minor
from counterfoil_sandbox.erp_in_process import in_process_session
from counterfoil_sandbox.gateway import Gateway
from counterfoil_sandbox.party import PartyService
from counterfoil_sandbox.party_store import PartyStore
from counterfoil_sandbox.tax import TaxService
from counterfoil_sandbox.wms import Wms

from simulation import books, wires
from simulation.gates import Crash
from simulation.rules import ENTITY

if TYPE_CHECKING:
    from simulation.storm import Simulation
    from simulation.world import World

WAREHOUSES = ("BER", "PAR", "MAD")
SOURCES = {"wms": "hub-berlin", "gateway": "stripe", "tax": "taxes"}
OFF = ("cancelled", "failed", "trash")
_MADE: dict[str, type[PartyStore]] = {"wms": Wms, "gateway": Gateway, "tax": TaxService}


def has_parties(seed: int) -> bool:
    """A third of the seeds, but for those that have stock."""
    return seed % 3 == 2 and seed % 10 != 3


class Parties:
    """All three of one world, by the names that the engine gives them."""

    def __init__(self, world: World) -> None:
        self._world, self._now = world, world.clock.of("erp").now
        self.stores = {kind: self._store(kind, made) for kind, made in _MADE.items()}
        self.wms, self.gateway, self.taxes = self.stores.values()
        self.wms.warehouses = WAREHOUSES
        for kind, store in self.stores.items():
            service = _service(kind)
            service.party, service._pending = store, []
            service._now, service._sleep = self._now, world.clock.of("erp").sleep
        self._lines = [self._line(kind) for kind in SOURCES]

    def _store(self, kind: str, made: Any) -> Any:
        return made(kind, SOURCES[kind], now=self._now, random=Random(f"{kind} {self._world.seed}"))

    def _line(self, kind: Any) -> Any:
        world = self._world
        into = in_process_session(_service(kind), world.clock.of("engine").now).get_adapter("http://party")
        wire = wires.Wire(functools.partial(_gate, kind), into.send, world.gates, world.weather, _dies_further)
        return kind, wires.session_over(wire)

    def lines(self) -> list[PartyLine]:
        """For a life of the engine's."""
        return [
            PartyLine(
                kind,
                SOURCES[kind],
                HttpParty(
                    kind, SOURCES[kind], "http://party", "t", session, monotonic=self._world.clock.monotonic, lanes=1
                ),
                [ENTITY],
            )
            for kind, session in self._lines
        ]

    def told(self, kind: str, fact: str) -> list[dict[str, Any]]:
        """What a party has said of one kind, told or not yet."""
        return [one for one in self.stores[kind].told() if one["fact"] == f"counterfoil.{fact}.v1"]

    def charges(self, at_gateway: dict[int, str]) -> dict[str, int]:
        """By charge, whose it is. at_gateway: by order, the transaction of its checkout."""
        of = {transaction: order_id for order_id, transaction in at_gateway.items()}
        return {
            one["transaction"]: of[one["authorisation"] or one["transaction"]]
            for one in self.told("gateway", "captured")
        }

    def change(self, kind: str, **modes: Any) -> None:
        """What kind of day a party has."""
        self.stores[kind].modes = self.stores[kind].modes.changed(modes)

    def on_their_way(self, tx: Any) -> Iterator[str]:
        """What a party has said or has to do yet."""
        counted = tx.all("select party, count(*) as n from party_facts where kind <> 'recall_refused' group by party")
        known = {row["party"]: row["n"] for row in counted}
        for kind, store in self.stores.items():
            if missing := len(store.told()) - known.get(kind, 0):
                yield f"{missing} facts of the {kind} to be read"
        for name, order in self.wms.things("order"):
            if open_lines(order):
                yield f"goods of {name} to be shipped"

    def close(self) -> None:
        for store in self.stores.values():
            store.close()


def explain(simulation: Simulation) -> None:
    """Orders that may end in a case by what parties said of them."""
    parties = simulation.world.parties
    for order_id in sent_in_vain(simulation) if parties else ():
        simulation.explained.setdefault(order_id, "more left than is in the order now")
    edited = simulation.notes.get("edited", set())
    for case in books.open_cases(simulation.world.folder) if parties and edited else ():
        order_id = int(case["subject"].rpartition("/")[2]) if case["subject"].startswith("order ") else 0
        if order_id in edited and case["cause"].startswith("The store says that"):
            simulation.explained.setdefault(order_id, "edited before anybody had read what was paid")
    for store in parties.stores.values() if parties else ():
        for fact in store.told():
            kind = fact["fact"].split(".")[1]
            if kind in ("short_pick", "receipt", "cancellation_refused") and fact["order"]:
                simulation.explained.setdefault(int(fact["order"]), f"its goods: {kind}")
            if kind == "tax_quoted" and off(simulation, fact):
                simulation.explained.setdefault(int(fact["order"]), "another tax was quoted than was charged")


def moved(parties: Parties, kind: str, since: Callable[[int], str] = lambda order_id: "") -> dict[int, Counter[str]]:
    """By order, how many units of each line the WMS said that it shipped, didn't find or got back, after a time."""
    found: dict[int, Counter[str]] = defaultdict(Counter)
    for fact in parties.told("wms", kind):
        if fact["at"] <= since(int(fact["order"])):
            continue
        for line in fact["lines"]:
            found[int(fact["order"])][line["line"]] += int(line["quantity"])
    return found


def ordered(order: dict[str, Any]) -> Counter[str]:
    """Units of each line in the shop; of a cancelled order none."""
    is_off = order["status"] in OFF
    return Counter({f"item:{line['id']}": 0 if is_off else line["quantity"] for line in order["line_items"]})


def sent_in_vain(simulation: Simulation, is_certain: bool = False) -> list[int]:
    """Orders of which more left, less what came back, than the shop has in them now. is_certain: of cancelled ones only
    what left since they were last touched: what had left before them was known to whoever cancelled."""
    parties = simulation.world.parties
    assert parties is not None

    def cancelled(order_id: int) -> str:
        order = simulation.world.shop.order(order_id)
        is_off = is_certain and order and order["status"] in OFF
        return f"{order['date_modified_gmt']}Z" if is_off and order else ""

    shipped, received = moved(parties, "shipment", cancelled), moved(parties, "receipt")
    found = []
    for order_id, units in shipped.items():
        order = simulation.world.shop.order(order_id)
        if order and any(units[line] - received[order_id][line] > ordered(order)[line] for line in units):
            found.append(order_id)
    return found


def off(simulation: Simulation, quote: dict[str, Any]) -> bool:
    """Whether a quote differs from what the shop charges by more than the rules let go."""
    order = simulation.world.shop.order(int(quote["order"]))
    return not order or abs(minor(order["total_tax"], order["currency"]) - quote["tax_minor"]) > 2


def open_lines(order: dict[str, Any]) -> dict[str, int]:
    """Of an order at the WMS, the units of each line that it has yet to ship."""
    left = {
        line: int(quantity) - sum(int(order.get(what, {}).get(line, 0)) for what in ("shipped", "gone"))
        for line, quantity in order.get("ordered", {}).items()
    }
    return {line: units for line, units in left.items() if units > 0}


@functools.cache
def _service(kind: str) -> PartyService:
    """Made once for all worlds, as the ERP's application is."""
    return PartyService(kind, _MADE[kind](kind, SOURCES[kind]), "t")


def _gate(kind: str, method: str, path: str) -> str:
    if path == "/v1/documents":
        return f"{kind}.{'post' if method == 'POST' else 'list'}"
    return f"{kind}.{path.rpartition('/')[2]}"


def _dies_further(crash: Crash) -> None:
    """None of them dies here: who did is the engine that called it."""
    raise crash
