"""A store with the plugin for the agent's tests: the sandbox shop behind real HTTP, and an engine's feed in memory.

`FakeFeed` gives the latest number of each SKU in the order of versions, as the engine does, and keeps what is reported.
`StockStore` is a world whose shop is the sandbox's, with products to sell and the plugin paired.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

from counterfoil_agent import bootstrap
from counterfoil_agent.config import (
    EngineSettings,
    OutboxSettings,
    PluginSettings,
    Settings,
    ShopSettings,
    StockSettings,
    WebhookSettings,
)
from counterfoil_agent.loop import Agent
from counterfoil_agent.plugin import SignedPlugin
from counterfoil_agent.ports import FeedPage, Number
from counterfoil_agent.rest import RestStore
from counterfoil_contracts import faults
from counterfoil_sandbox.shop import Plugin as SandboxPlugin
from counterfoil_sandbox.shop_stock import PER_UNIT
from fakes.agent_engine import FakeEngine
from fakes.agent_sandbox import SandboxShop, sandbox
from fakes.clock import FakeClock

KEY = "the plugin's key"
BASE = 1 << 40


@dataclass
class FakeFeed:
    """An engine's feed. fail: called before each call, may raise."""

    engine_epoch: int = 1
    counter: int = 0
    numbers: dict[str, Number] = field(default_factory=dict)
    reports: list[Mapping[str, Any]] = field(default_factory=list)
    polls: list[tuple[int, int | None, float]] = field(default_factory=list)
    fail: Callable[[str], None] = lambda what: None
    after: Callable[[str], None] = lambda what: None

    def tell(self, sku: str, number: int, basis: tuple[int, int] | None = (1, 0), **more: Any) -> Number:
        """The SKU's number is this from now on."""
        self.counter += 1
        plain = Number(sku, 0, 0, None, "2026-11-23T09:00:00Z", None, None, False, False, 0)
        told = replace(plain, version=(self.engine_epoch << 40) + self.counter, number=number, basis=basis, **more)
        self.numbers[sku] = told
        return told

    def poll(self, version: int, engine_epoch: int | None, wait_s: float, limit: int) -> FeedPage:
        self.polls.append((version, engine_epoch, wait_s))
        self.fail("poll")
        resync = engine_epoch not in (None, self.engine_epoch) or version > (self.engine_epoch << 40) + self.counter
        since = 0 if resync else version
        changed = sorted((each for each in self.numbers.values() if each.version > since), key=lambda n: n.version)
        shown = changed[:limit]
        page = FeedPage(self.engine_epoch, shown[-1].version if shown else since, shown, len(changed) > limit, resync)
        self.after("poll")
        return page

    def report(self, body: Mapping[str, Any]) -> None:
        self.fail("report")
        assert faults("feed/writes.v1", body) == []
        self.reports.append(body)
        self.after("report")

    def said(self, name: str) -> list[Any]:
        """All that was reported under this name."""
        return [each for report in self.reports for each in report[name] or ()]

    def verdicts(self) -> dict[str, str]:
        """The last verdict of each SKU."""
        return {each["sku"]: each["verdict"] for each in self.said("writes")}


class StockStore:
    """One store with its agent. plugin: whether the shop has it, and the agent its key."""

    def __init__(self, path: Path, shop: SandboxShop, clock: FakeClock, plugin: bool = True) -> None:
        self.path, self.sandbox, self.clock = path, shop, clock
        self.shop, self.engine, self.feed = shop.shop, FakeEngine(), FakeFeed()
        self.random = Random(1)
        self.has_plugin = plugin
        self.plugin = SandboxPlugin(shop.shop, KEY) if plugin else None
        self.stock_settings: dict[str, Any] = {"switch": "on", "idle_s": 1.0}
        self.plugin_settings: dict[str, Any] = {"poll_s": 10}
        self.shop_settings: dict[str, Any] = {"reread_days": 0, "poll_s": 10}
        self._agent: Agent | None = None
        self.wrap_plugin: Callable[[Any], Any] = lambda plugin: plugin
        self.sweeps: Any = None

    @property
    def agent(self) -> Agent:
        if self._agent is None:
            store = RestStore(self.sandbox.url, "ck_sandbox", "cs_sandbox", self.clock, timeout_s=5)
            plugin = SignedPlugin(self.sandbox.url, KEY, self.clock, timeout_s=5) if self.has_plugin else None
            self._agent = bootstrap.agent(
                Settings(
                    "eu1",
                    ShopSettings(self.sandbox.url, **self.shop_settings),
                    EngineSettings("http://engine", idle_s=1),
                    OutboxSettings(self.path),
                    WebhookSettings(),
                    PluginSettings("COUNTERFOIL_PLUGIN_KEY" if self.has_plugin else None, **self.plugin_settings),
                    StockSettings(**self.stock_settings),
                ),
                store=store,
                engine=self.engine,
                plugin=self.wrap_plugin(plugin) if plugin else None,
                feed=self.feed,
                sweeps=self.sweeps,
                clock=self.clock,
                random=self.random,
                free_bytes=lambda: 10**12,
                environment={},
            )
        return self._agent

    def crash(self) -> None:
        """Kill the agent; the next use starts it again over what is on the disk."""
        if self._agent is not None:
            self._agent.close(clean=False)
            self._agent = None

    def run(self, seconds: float = 15) -> None:
        left, steps = seconds, 0
        while True:
            wait_s = self.agent.step()
            steps += 1
            assert steps < 20_000, "the agent never comes to rest"
            if wait_s > 0:
                if left <= 0:
                    return
                self.clock.pass_time(min(wait_s, left))
                left -= wait_s

    def accept(self) -> None:
        assert self.agent.applier is not None
        self.agent.applier.accept_preview(self.clock.now())

    def product(self, sku: str, stock: int | None = 10, **more: Any) -> int:
        managed = {"manage_stock": True, "stock_quantity": stock} if stock is not None else {}
        return int(self.shop.products.add({"name": sku, "sku": sku, "regular_price": "10", **managed, **more}))

    def turns_variable(self) -> tuple[int, int]:
        """A shirt was taken into use and is turned into a variable one, beside a cup; new numbers are on their way. Its
        first size, and the cup."""
        shirt, cup = self.product("SHIRT"), self.product("CUP")
        self.feed.tell("SHIRT", 9)
        self.feed.tell("CUP", 9)
        self.accept()
        self.run(30)
        self.shop.products.change(shirt, {"type": "variable", "manage_stock": False})
        small = self.shop.products.add({"sku": "SHIRT-S", "manage_stock": True, "stock_quantity": 6}, shirt)
        for sku in ("SHIRT", "SHIRT-S", "CUP"):
            self.feed.tell(sku, 4)
        return int(small), cup

    def stock_of(self, product_id: int) -> int:
        return int((self.shop.products.must(product_id).stock or 0) / PER_UNIT)

    def sell(self, *lines: tuple[int, int], **more: Any) -> int:
        """An order paid: (product, units) each."""
        items = [{"product_id": product, "quantity": units} for product, units in lines]
        return self.shop.create({"line_items": items, "set_paid": True, **more})

    def events(self) -> list[Any]:
        """What the engine holds, in the order of arrival: (subject, data)."""
        return [(subject, json.loads(body)) for subject, _, body in self.engine.facts.values()]

    def moves(self) -> list[tuple[str, str, str]]:
        """Of all moves the engine holds: SKU, quantity, kind."""
        return [
            (move["sku"], move["quantity"], move["kind"]) for _, data in self.events() for move in data.get("moves", ())
        ]


@contextmanager
def stock_store(folder: Path, plugin: bool = True) -> Iterator[StockStore]:
    clock = FakeClock()
    with sandbox(clock, permission="read_write") as shop:
        store = StockStore(folder / "outbox.sqlite", shop, clock, plugin)
        yield store
        store.crash()
