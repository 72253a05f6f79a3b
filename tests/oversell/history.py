"""A random history under a seed: shoppers, merchants, warehouses, messages that come late, twice or not at all.

A seed makes a plan of happenings, each with a seed of its own, so a seed lives again to the same end. Between two of
them the parties take steps of their own, in any order; shoppers may come between any two steps of a write of stock. At
the end all is put right and everything has to come to rest with the right number in every store.
"""

from __future__ import annotations

import contextlib
import functools
import json
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from counterfoil_engine.domain.stock import sku_key
from counterfoil_sandbox.erp_stock import Stock
from counterfoil_sandbox.shop import Plugin, Shop
from counterfoil_sandbox.shop_stock import PER_UNIT, status_of
from fakes.clock import FakeClock

from oversell import happenings
from oversell.agent import KEY, Lost, StoreAgent
from oversell.engine import ENTITY, OWNER, POOL, Engine
from oversell.ledger import Ledger, Place
from oversell.shipped import ShippedAgent
from oversell.watch import Watch

START = datetime(2026, 11, 24, 9, tzinfo=UTC)
ROUNDS = 40
CALM_ROUNDS = 60
SHIPPED_EACH = 8  # seed of so many has the agent as it is shipped


@dataclass(frozen=True)
class Happening:
    """One thing of a plan: in which round, what, and the seed of its details."""

    round: int
    what: str
    seed: int


@dataclass(frozen=True)
class Options:
    stores: tuple[str, ...]
    warehouses: tuple[str, ...]
    skus: tuple[str, ...]
    shares: tuple[str, ...]  # of each store; none: no caps
    safety_units: int
    silence_hours: int
    is_agent_shipped: bool
    is_plugin_new: bool  # orders of its first hour count by their lines' own word as well as by moves

    @property
    def are_exclusive(self) -> bool:
        return bool(self.shares) and sum(map(float, self.shares)) <= 1


@dataclass
class Ended:
    """What a seed came to. units: offered after they were sold, by way of writing; across: sold that nobody has, and
    explained: how many delay explains."""

    seed: int
    steps: int
    faults: int
    units: dict[str, int]
    across: int
    explained: int
    stores: int
    are_exclusive: bool
    failures: list[str]
    trace: list[str] = field(repr=False, default_factory=list)
    plan: list[Happening] = field(repr=False, default_factory=list)


def options_of(seed: int) -> Options:
    random = Random(f"options {seed}")
    stores = ("eu1", "eu2") if random.random() < 0.6 else ("eu1",)
    shares: tuple[str, ...] = ()
    if len(stores) == 2 and random.random() < 0.4:
        shares = random.choice((("0.5", "0.5"), ("0.7", "0.3"), ("0.8", "0.8")))
    return Options(
        stores,
        ("BER", "HAM")[: random.choice((1, 2, 2))],
        ("MUG", "CUP", "SHIRT")[: random.choice((1, 2, 3))],
        shares,
        random.choice((0, 0, 1)),
        random.choice((0, 0, 0, 2)),
        seed % SHIPPED_EACH == 0,
        random.random() < 0.3,
    )


def plan_of(seed: int) -> list[Happening]:
    random = Random(f"plan {seed}")
    names = list(happenings.HAPPENINGS)
    drawn = random.choices(names, [happenings.HAPPENINGS[name][0] for name in names], k=random.randint(22, 44))
    found = [Happening(random.randrange(ROUNDS - 4), what, random.getrandbits(32)) for what in drawn]
    return sorted(found, key=lambda one: one.round)


@functools.cache
def rules_of(options: Options) -> str:
    since = {"from": "2020-01-01"}
    everything = {"pool": "*", "warehouse": "*", "class": "*", "sku": "*", **since}
    policy: dict[str, str] = {"safety_units": str(options.safety_units)}
    if options.silence_hours:
        policy |= {"silence_hours": str(options.silence_hours), "silence_share": "0.5"}
    return json.dumps(
        {
            "rules": "one",
            "entities": [{"id": ENTITY, "book_currency": "EUR", "zone": "UTC", "country": "DE"}],
            "stores": [
                {"id": store, "entity": ENTITY, "pool": POOL, "start_line": "2026-01-01T00:00:00Z"}
                for store in options.stores
            ],
            "warehouses": [{"id": name, "owner": OWNER, "entity": ENTITY} for name in options.warehouses],
            "pools": [{"id": POOL, "warehouses": list(options.warehouses)}],
            "availability": [{**everything, **policy}],
            "caps": [
                {"pool": POOL, "store": store, "sku": "*", "share": share, **since}
                for store, share in zip(options.stores, options.shares, strict=False)
            ],
        }
    )


class History:
    def __init__(self, seed: int, plan: Sequence[Happening] | None = None) -> None:
        self.seed, self.plan = seed, list(plan_of(seed) if plan is None else plan)
        self.options, self.random = options_of(seed), Random(f"steps {seed}")
        self.clock = FakeClock(START)
        self.ledger = Ledger(self.options.warehouses, self.options.skus)
        self.erp = Stock(now=self.clock.now)
        self.shops = {store: self._shop(store, place) for place, store in enumerate(self.options.stores)}
        self.engine = Engine(self.clock, rules_of(self.options), self.erp)
        self.watch = Watch(self.shops, self.ledger, self.engine)
        self.engine.older = self.watch.failures.append
        self.next_calls: dict[str, deque[str]] = {}
        self.late: list[tuple[datetime, str, Callable[[], Any]]] = []
        self.agents = {store: self._agent(store, shop) for store, shop in self.shops.items()}
        self.meanwhile: list[tuple[str, str, int]] = []  # (gate, what happens there, its seed)
        self.trace: list[str] = []
        self.steps = self.faults = 0
        self.calm = False

    def _shop(self, store: str, place: int) -> Shop:
        shop = Shop(clock=self.clock.now, site_url=f"https://{store}", seed=self.seed * 2 + place)
        Plugin(shop, KEY).gate = lambda gate: self.at_gate(store, gate)
        for sku in self.options.skus:
            wanted = {"sku": sku, "regular_price": "5.00", "manage_stock": True, "stock_quantity": 0}
            if sku == "SHIRT":  # its variations' stock is the parent's
                parent = shop.products.add({**wanted, "type": "variable"})
                for size in "SM":
                    shop.products.add({"sku": f"SHIRT-{size}", "regular_price": "5.00"}, parent)
            else:
                shop.products.add(wanted)
        return shop

    def _agent(self, store: str, shop: Shop) -> StoreAgent | ShippedAgent:
        agent = (ShippedAgent if self.options.is_agent_shipped else StoreAgent)(
            store,
            shop,
            self.engine,
            lambda call: self.fault(store, call),
            lambda carry: self.after(self.random.uniform(1, 60), "a late call comes", carry),
            lambda items, results: self.watch.wrote(store, items, results),
        )
        agent.on_changed = lambda rows: self.watch.numbers_read(store, rows)
        return agent

    # The weather

    def fault(self, store: str, call: str) -> str | None:
        queue = self.next_calls.get(f"{store} {call}")
        fault = queue.popleft() if queue and not self.calm else None
        if fault:
            self.say(f"{store} {call}: {fault}")
        return fault

    def after(self, seconds: float, what: str, act: Callable[[], Any]) -> None:
        """Let this happen so many seconds from now, or when the history ends."""
        self.late.append((self.clock.now() + timedelta(seconds=seconds), what, act))

    def at_gate(self, store: str, gate: str) -> None:
        """A write of stock stands still here: the shop is looked at, and a shopper may come."""
        self.watch.sync(store)
        if not self.meanwhile or self.meanwhile[0][0] != gate or self.calm:
            return
        _, what, seed = self.meanwhile.pop(0)
        if what == happenings.DIES:
            self.say(f"{store}: the process of a write dies at {gate}")
            raise Lost
        self.say(f"meanwhile, at {gate}:")
        happenings.act(self, what, Random(seed), store)

    # Running

    def run(self) -> Ended:
        try:
            self._begin()
            self._storm()
            self._come_to_rest()
            if self.options.are_exclusive and self.watch.across:
                self.watch.failures.append(f"Shares are exclusive, and {self.watch.across} were sold that nobody has.")
        except Exception as error:
            self.watch.failures.append(f"{type(error).__name__}: {error}")
            self.say("".join(traceback.format_exception(error)[-8:]))
        finally:
            for agent in self.agents.values():
                agent.close()
            self.engine.close()
            self.erp.close()
            for shop in self.shops.values():
                shop.close()
        return Ended(
            self.seed,
            self.steps,
            self.faults,
            dict(self.watch.units),
            self.watch.across,
            self.watch.explained,
            len(self.shops),
            self.options.are_exclusive,
            self.watch.failures,
            self.trace,
            self.plan,
        )

    def say(self, what: str) -> None:
        self.trace.append(f"{(self.clock.now() - START).total_seconds():8.1f} s  {what}")

    def pass_time(self, seconds: float) -> None:
        self.clock.pass_time(max(0.001, round(seconds, 3)))

    def _begin(self) -> None:
        """Goods are there, and every store has its number."""
        random = Random(f"goods {self.seed}")
        for place in self.places():
            self.ledger.come_in(place, random.randint(0, 8))
        self.say_positions(self.places())
        self.watch.begin()
        self.settle()
        if not self.options.is_plugin_new:
            for store in self.shops:
                happenings.act(self, "a shopper buys", random, store)
            self.settle()
            self.pass_time(7200)
        if self.watch.failures:
            raise AssertionError("It begins wrongly.")

    def places(self) -> list[Place]:
        return [(warehouse, sku) for warehouse in self.options.warehouses for sku in self.options.skus]

    def say_positions(self, places: Sequence[Place], with_lines: bool = True) -> list[dict[str, Any]]:
        """The ERP writes down what is there now."""
        self.pass_time(0.001)
        rows = [self.ledger.position(place, self.clock.now(), with_lines) for place in places]
        self.erp.put(rows)
        return rows

    def _storm(self) -> None:
        plan = deque(self.plan)
        for number in range(ROUNDS):
            while plan and plan[0].round <= number:
                one = plan.popleft()
                self.steps += 1
                self.faults += one.what in happenings.FAULTS
                self.pass_time(self.random.uniform(0.01, 2))
                happenings.act(self, one.what, Random(one.seed))
            self.pass_time(self.random.choice((0.1, 1.0, 5.0)) * self.random.random())
            self._deliver_late()
            for _ in range(2):
                self.steps += 1
                self.random.choice(self._enabled())()

    def _enabled(self) -> list[Callable[[], Any]]:
        steps: list[Callable[[], Any]] = [self.engine.publish]
        if self.engine.is_behind():
            steps += [self.engine.publish] * 2
        for agent in self.agents.values():
            steps += [agent.read, agent.acknowledge, agent.send, agent.ask]
            steps += [functools.partial(self._write, agent)] * (2 if agent.has_numbers else 0)
        return steps

    def _write(self, agent: StoreAgent | ShippedAgent) -> None:
        agent.write()
        self.watch.try_again(agent.store)

    def _deliver_late(self) -> None:
        for entry in [entry for entry in self.late if entry[0] <= self.clock.now()]:
            self.late.remove(entry)
            self.say(entry[1])
            with contextlib.suppress(Lost):
                entry[2]()

    # At rest

    def _come_to_rest(self) -> None:
        self.say("the storm is over")
        self.calm = True
        self.next_calls.clear()
        for entry in sorted(self.late, key=lambda entry: entry[0]):
            self.say(entry[1])
            entry[2]()
        self.late.clear()
        self.pass_time(61)  # rows that a dead process left open are told then
        self.say_positions(self.places())
        self.settle()
        self._check_at_rest()

    def settle(self) -> None:
        """Until nobody has anything to do."""
        idle = 0
        for _ in range(CALM_ROUNDS):
            self.pass_time(0.5)
            self.engine.read_positions()
            did = False
            for agent in self.agents.values():
                did = agent.read() or did
                did = agent.acknowledge() or did
                did = agent.send() or did
            while self.engine.publish():
                did = True
            for agent in self.agents.values():
                did = agent.ask() or did
                did = agent.write() or did
                self.watch.try_again(agent.store)
            if not did:
                idle += 1
                self.pass_time(15)  # the shipped agent looks at some things only so often
            if idle > (3 if self.options.is_agent_shipped else 0):
                return
        self.watch.failures.append("It doesn't come to rest.")

    def _check_at_rest(self) -> None:
        """I3: each store has the number for it, and the number is what is there."""
        for store, shop in self.shops.items():
            told = {row.key: row for row in self.engine.ask(store, 0, 100)}
            for sku in self.options.skus:
                row = told.get(sku_key(sku))
                product = shop.products.all("sku = ?", (sku,))[0]
                stock = (product.stock or 0) // PER_UNIT
                if row is None or stock not in (row.number, self._lapsed(shop, product.id)):
                    self.watch.failures.append(f"I3 {store} {sku}: {stock} in the store, told is {row and row.number}")
                if product.status != status_of(product):
                    self.watch.failures.append(
                        f"I3 {store} {sku}: {stock} in the store, and its status is {product.status}"
                    )
                self._check_number(sku, row)

    @staticmethod
    def _lapsed(shop: Shop, stock_id: int) -> int | None:
        """What is offered of a number whose end has come."""
        row = shop._one("select number, silence_share, lapsed from plugin_stock where stock_id = ?", (stock_id,))
        return int(row[0] * float(row[1]) // 1) if row and row[2] else None

    def _check_number(self, sku: str, row: Any) -> None:
        free = sum(max(0, self.ledger.free((warehouse, sku))) for warehouse in self.options.warehouses)
        right = self.ledger.available(sku) - min(free, self.options.safety_units)
        is_right = row is not None and (row.number == right or (self.options.shares and row.number <= right))
        if not is_right:
            self.watch.failures.append(
                f"I3 {sku}: the number is {row and row.number}, and {right} are there to be sold"
            )


def live(seed: int, plan: Sequence[Happening] | None = None) -> Ended:
    return History(seed, plan).run()
