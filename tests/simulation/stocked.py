"""What a storm needs for stock: the shop's catalogue and plugin, the agent's lines to it and to the feed, the figures.

In process as all lines are (`wires.py`), and as bad: calls to the plugin pass the gates `shop.changes`, `shop.stock`, …
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import suppress
from email.utils import format_datetime
from random import Random
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import requests
from counterfoil_agent.config import AcceptWhen, PluginSettings, Settings, StockSettings
from counterfoil_agent.feed import EngineFeed
from counterfoil_agent.plugin import SignedPlugin
from counterfoil_engine.domain.errors import Retry
from counterfoil_sandbox.erp_stock import Stock
from counterfoil_sandbox.shop import Plugin, Shop, recorded
from counterfoil_sandbox.shop_plugin_routes import SPACE, Routes
from counterfoil_sandbox.shop_stock import PER_UNIT
from counterfoil_sandbox.shop_web import PAGES

from simulation import books, wires
from simulation.rules import ORDERS

if TYPE_CHECKING:
    from simulation.storm import Simulation
    from simulation.world import World

KEY, WAREHOUSE, POOL = "the plugin's key", "BER", "eu"
SETTINGS = StockSettings("on", AcceptWhen(1.0), brake_from=1_000_000, idle_s=20.0, most_items=2)


def stock_up(world: World, units: int) -> None:
    """The shop gets what the recorded orders sell, under the ids that they know, and the plugin; the ERP has units."""
    Plugin(world.shop, KEY)
    world.erp.stock = Stock(now=world.clock.of("erp").now)
    for sku, product_id in catalogue().items():
        wanted = {"name": sku, "sku": sku, "regular_price": "10", "manage_stock": True, "stock_quantity": units}
        made = world.shop.products.add(wanted)
        for table, column in (("products", "id"), ("plugin_changes", "object_id")):
            world.shop.connection.execute(f"update {table} set {column} = ? where {column} = ?", (product_id, made))
        put(world, sku, units)
    world.equip = lambda settings: equipped(world, settings)


def catalogue() -> dict[str, int]:
    """SKU → the product's id."""
    lines = [line for name in ORDERS for line in recorded(name)["line_items"]]
    return {line["sku"]: line["variation_id"] or line["product_id"] for line in lines}


def put(world: World, sku: str, units: int) -> None:
    """So many are there, says the ERP."""
    world.erp.stock.put([{"warehouse": WAREHOUSE, "sku": sku, "on_hand": str(units)}])


def publish(simulation: Simulation, random: Random | None = None) -> None:
    """Positions are read and numbers published, as two threads of the engine do."""
    with suppress(Retry):  # its thread looks again
        simulation.guarded(lambda: simulation.world.engine.engine.step_positions())
    while simulation.guarded(lambda: simulation.world.engine.engine.step_publish()):
        pass


def equipped(world: World, settings: Settings) -> tuple[Settings, dict[str, Any]]:
    """The agent of a shop with the plugin."""
    plugin = SignedPlugin("https://shop", KEY, world.clock.of("agent"))
    wire = wires.Wire(_gate, lambda request, _: _into_plugin(world, request), world.gates, world.weather, world.fell)
    plugin._session = wires.session_over(wire)
    line = world.uplink()
    paired = PluginSettings("COUNTERFOIL_PLUGIN_KEY", nudge_listen="", poll_s=10, safety_poll_s=settings.shop.poll_s)
    settings = dataclasses.replace(settings, plugin=paired, stock=SETTINGS)
    return settings, {"plugin": plugin, "feed": EngineFeed(lambda: line)}


def _gate(method: str, path: str) -> str:
    return "shop." + path.rpartition("/")[2]


def _into_plugin(world: World, request: Any) -> requests.Response:
    """Where the agent's address leads to now."""
    front = world.front
    kind = {"Content-Type": "application/json", "Date": format_datetime(front.shop.now(), usegmt=True)}
    if front.mode in PAGES:
        status, text, headers = PAGES[front.mode]
        return wires.answer_of(request, status, {**kind, "Content-Type": "text/html", **headers}, text.encode())
    address = urlsplit(request.url)
    path, query = address.path.partition(SPACE)[2], dict(parse_qsl(address.query))
    raw = request.body or b""
    answer = Routes(front.shop.plugin).answer(request.method, path, query, dict(request.headers), raw)
    return wires.answer_of(request, answer.status, kind, json.dumps(answer.body).encode())


class Copy:
    """A copy of the shop, as a host makes one: files and database at another address, the plugin with them. From now on
    the shop's address leads to it, until that is put right."""

    def __init__(self, world: World, random: Random) -> None:
        shop = world.shop
        self.shop = Shop(clock=shop.clock, utc_offset_minutes=60, site_url="https://copy", seed=random.getrandbits(32))
        shop.connection.backup(self.shop.connection)
        Plugin(self.shop)
        self.order_id = self.shop.place(recorded(random.choice(ORDERS)))
        self._world, self._front, self._before = world, world.front, self._written()
        world.front = wires.ShopFront(self.shop, dict(world.front.keys.keys))

    def is_put_right(self) -> None:
        self._world.front = self._front

    def _written(self) -> list[Any]:
        return list(self.shop._all("select stock_id, version, number from plugin_stock order by stock_id", ()))

    def check(self) -> Iterator[str]:
        if self._written() != self._before:
            yield "E5 numbers were written into a copy of the shop"
        order = self.shop.order(self.order_id)
        key = order["order_key"].encode() if order else b"?"
        if any(key in (row["body"] or b"") for row in books.facts(self._world.folder)):
            yield f"E5 order {self.order_id} of a copy of the shop is among the facts"


def units(shop: Shop, sku: str) -> int:
    """What the shop offers of it."""
    return int((shop.products.must(catalogue()[sku]).stock or 0) / PER_UNIT)


def sold(shop: Shop, sku: str) -> int:
    """All that orders took and didn't put back, by the shop's own moves."""
    rows = shop._all("select coalesce(sum(parts), 0) from plugin_moves where sku = ? and kind <> 'set'", (sku,))
    return -int(rows[0][0] / PER_UNIT)


def number(world: World, sku: str) -> int | None:
    """As the engine published it last."""
    rows = books.rows(world.engine_file, "select number from ats where sku = ?", sku)
    return rows[0]["number"] if rows else None
