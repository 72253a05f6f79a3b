"""Telling orders over the sandbox shop's REST API, with real HTTP, real signatures, and WooCommerce's own answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from counterfoil_agent.errors import Blocked, Denied, RateLimited, Unavailable
from counterfoil_agent.ports import Absent, OrderState, Update
from counterfoil_agent.rest import RestStore
from counterfoil_agent.rest_orders import RestOrders
from counterfoil_agent.updates import TOLD, TRACKING
from fakes.agent_sandbox import SandboxShop, sandbox
from fakes.agent_world import World

KEY, HASH = "eu1/1001/store_update/ship-77/r1", "4f1c2a9be07d3355" * 4
SHIPPED = Update(KEY, HASH, 1001, None, "JD014600", "DHL", "Shipped from Hamburg by DHL.")


@pytest.fixture
def shop(world: World) -> Iterator[SandboxShop]:
    with sandbox(world.clock, permission="read_write") as shop:
        shop.shop.place(shop.recorded("order_simple_paid"))
        yield shop


@pytest.fixture
def orders(world: World, shop: SandboxShop) -> RestOrders:
    return RestOrders(RestStore(shop.url, "ck_sandbox", "cs_sandbox", world.clock, timeout_s=5))


def test_an_order_is_read_with_what_it_was_told(orders: RestOrders) -> None:
    assert orders.state(1001) == OrderState("processing", [], [])
    orders.change(1001, None, {TOLD: ["a b"], TRACKING: [{"key": "a", "tracking": "1", "carrier": ""}]})
    orders.change(1001, "completed", {TOLD: ["a b", "c d"]})
    tracking = [{"key": "a", "tracking": "1", "carrier": ""}]
    assert orders.state(1001) == OrderState("completed", ["a b", "c d"], tracking)


def test_a_note_is_written_for_the_stores_people_alone(orders: RestOrders, shop: SandboxShop) -> None:
    orders.add_note(1001, "Shipped.")
    shop.shop.notes.add(1001, "Thank you!", customer=True)
    assert orders.notes(1001) == ["Shipped."]
    assert [note["customer_note"] for note in shop.shop.notes.of(1001)] == [True, False]


def test_an_unknown_order_is_absent_and_a_shop_without_permalinks_is_not(orders: RestOrders, shop: SandboxShop) -> None:
    assert orders.state(9) == Absent(404, "woocommerce_rest_shop_order_invalid_id")
    shop.weather.mode = "all_404"
    with pytest.raises(Unavailable):
        orders.state(1001)


def test_what_the_shop_refuses_is_said_in_its_words(orders: RestOrders) -> None:
    with pytest.raises(Blocked, match=r"Invalid parameter\(s\): status \(rest_invalid_param\)"):
        orders.change(1001, "dispatched", {})


@pytest.mark.parametrize(("mode", "error"), [("busy", RateLimited), ("maintenance", RateLimited), ("firewall", Denied)])
def test_a_shop_on_a_bad_day_is_told_apart(orders: RestOrders, shop: SandboxShop, mode: str, error: Any) -> None:
    shop.weather.mode = mode
    for call in (lambda: orders.state(1001), lambda: orders.notes(1001), lambda: orders.add_note(1001, "x")):
        with pytest.raises(error):
            call()


def test_a_key_that_may_only_read_is_denied_the_writing_alone(world: World, quick_path: Path) -> None:
    with sandbox(world.clock, permission="read") as shop:
        shop.shop.place(shop.recorded("order_simple_paid"))
        orders = RestOrders(RestStore(shop.url, "ck_sandbox", "cs_sandbox", world.clock, timeout_s=5))
        assert orders.state(1001) == OrderState("processing", [], [])
        with pytest.raises(Denied):
            orders.add_note(1001, "x")


def test_the_whole_agent_tells_an_order_and_reads_it_once_more(world: World, shop: SandboxShop) -> None:
    world.shop = RestStore(shop.url, "ck_sandbox", "cs_sandbox", world.clock, timeout_s=5)  # type: ignore[assignment]
    world.engine.contracts = {"updates": 1}
    world.run(30)
    before = len(world.engine.facts)
    completed = Update("eu1/1001/store_update/completed/r1", HASH, 1001, "completed")
    world.engine.waiting = {KEY: SHIPPED, completed.key: completed}
    world.run(120)
    order = shop.shop.order(1001)
    assert order is not None and order["status"] == "completed"
    texts = [note["note"] for note in shop.shop.notes.of(1001)]
    assert texts.count("Shipped from Hamburg by DHL. [Counterfoil ship-77/r1]") == 1
    assert [result.outcome for result in world.engine.results] == ["applied", "applied"]
    world.run(600)
    assert len(world.engine.facts) - before in (1, 2), "at most a snapshot for each of the two updates"
