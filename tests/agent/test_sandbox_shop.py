"""The agent before the sandbox shop, which behaves as WooCommerce 11 does, over real HTTP with real signatures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from counterfoil_agent import snapshot
from counterfoil_agent.rest import RestStore
from fakes.agent_sandbox import SandboxShop, sandbox
from fakes.agent_shop import RECORDED
from fakes.agent_world import World

HISTORIES = sorted(path.stem for path in (RECORDED / "histories").glob("*.json"))


@pytest.fixture
def before_sandbox(world: World) -> Iterator[tuple[World, SandboxShop]]:
    world.shop_settings |= {
        "reread_days": 14,
        "reread_every_h": 0.1,
        "reread_page_s": 0,
        "page_orders": 5,
        "poll_s": 60,
    }
    world.engine_settings["idle_s"] = 15
    with sandbox(world.clock) as shop:
        world.shop = RestStore(shop.url, "ck_sandbox", "cs_sandbox", world.clock, timeout_s=5)  # type: ignore[assignment]
        yield world, shop


def latest(world: World, order_id: int) -> Any:
    return world.engine.latest(f"order/{order_id}")


def same_as_shop(world: World, shop: SandboxShop) -> None:
    """What the engine holds last of each order is what the shop says of it now."""
    for order_id in shop.shop.order_ids():
        told = latest(world, order_id)
        assert told["order"]["status"] == shop.shop.order(order_id)["status"]  # type: ignore[index]
        assert told["order"]["total"] == shop.shop.order(order_id)["total"]  # type: ignore[index]
        assert [each["id"] for each in told["refunds"]] == [each["id"] for each in shop.shop.refunds(order_id)]


def test_orders_of_many_pages_arrive(before_sandbox: tuple[World, SandboxShop]) -> None:
    world, shop = before_sandbox
    for place in range(17):
        shop.shop.place(shop.recorded("order_simple_paid"))
        world.clock.pass_time(place % 3)
    world.run(70)
    assert len(world.engine.facts) == 17
    same_as_shop(world, shop)


def test_money_given_back_and_a_refund_deleted(before_sandbox: tuple[World, SandboxShop]) -> None:
    world, shop = before_sandbox
    order_id = shop.shop.place(shop.recorded("order_simple_paid"))
    world.run(70)
    shop.shop.refund(order_id, amount="5.00")
    world.clock.pass_time(5)
    world.run(70)
    same_as_shop(world, shop)
    assert len(latest(world, order_id)["refunds"]) == 1
    shop.shop.delete_refund(order_id, int(shop.shop.refunds(order_id)[0]["id"]))
    world.run(700)
    same_as_shop(world, shop)


def test_trash_and_deletion(before_sandbox: tuple[World, SandboxShop]) -> None:
    world, shop = before_sandbox
    first, second = (shop.shop.place(shop.recorded("order_simple_paid")) for _ in range(2))
    world.run(70)
    shop.shop.trash(first)
    world.clock.pass_time(5)
    world.run(70)
    assert latest(world, first)["order"]["status"] == "trash"
    shop.shop.delete(first)
    world.run(900)
    assert latest(world, first)["code"] == "woocommerce_rest_shop_order_invalid_id"
    assert latest(world, second)["order"]["status"] == "processing"


@pytest.mark.parametrize("mode", ["all_404", "orders_404", "maintenance", "firewall", "busy"])
def test_a_bad_day_loses_nothing_and_deletes_nothing(before_sandbox: tuple[World, SandboxShop], mode: str) -> None:
    world, shop = before_sandbox
    orders = [shop.shop.place(shop.recorded("order_simple_paid")) for _ in range(6)]
    world.run(70)
    shop.weather.mode = mode
    new = shop.shop.place(shop.recorded("order_simple_paid"))
    for order_id in orders:
        world.agent.hint(order_id)
    world.run(400)
    assert snapshot.GONE not in [kind for _, kind, _ in world.engine.facts.values()]
    shop.weather.mode = "up"
    world.run(700)
    assert latest(world, new) is not None
    assert snapshot.GONE not in [kind for _, kind, _ in world.engine.facts.values()]
    same_as_shop(world, shop)


@pytest.mark.parametrize("name", HISTORIES)
def test_a_recorded_history_arrives_snapshot_by_snapshot(before_sandbox: tuple[World, SandboxShop], name: str) -> None:
    world, shop = before_sandbox
    history = json.loads((RECORDED / "histories" / f"{name}.json").read_text())
    shop.shop.place(shop.recorded("order_simple_paid"))
    replay = shop.shop.replay(history)
    while replay.step() is not None:
        world.clock.pass_time(2)
        assert replay.order_id is not None
        world.agent.hint(replay.order_id)
        world.run(15)
    world.run(200)
    kinds = [kind for subject, kind, _ in world.engine.facts.values() if subject == f"order/{replay.order_id}"]
    assert len(kinds) == len(history["snapshots"])
    assert not world.engine.conflicts


def test_a_webhook_of_the_sandbox_is_taken(before_sandbox: tuple[World, SandboxShop], tmp_path: Path) -> None:
    world, shop = before_sandbox
    world.run(5)
    deliveries = world.agent.deliveries
    assert deliveries is not None
    shop.shop.webhooks.add("order.created", "http://agent/", "s3cret")
    order_id = shop.shop.place(shop.recorded("order_simple_paid"))
    from requests.structures import CaseInsensitiveDict

    done = shop.shop.webhooks.deliver(lambda url, headers, body: deliveries.take(CaseInsensitiveDict(headers), body)[0])
    assert [each.status for each in done] == [200]
    world.run(20)
    assert latest(world, order_id) is not None
