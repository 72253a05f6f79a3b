"""Deleted orders: told when they are gone, and never because a shop is broken."""

from __future__ import annotations

import pytest
from counterfoil_agent import snapshot
from counterfoil_agent.gone import HELD
from counterfoil_agent.ports import Absent
from counterfoil_contracts import faults
from fakes.agent_shop import FakeShop
from fakes.agent_world import World


@pytest.fixture
def shop(world: World) -> FakeShop:
    """Orders 1001 to 1005, sent; the re-read goes through them every six minutes."""
    world.shop_settings |= {"reread_days": 14, "reread_every_h": 0.1, "reread_page_s": 0, "poll_s": 60}
    world.engine_settings["idle_s"] = 15
    for order_id in range(1001, 1006):
        world.shop.put(order_id)
    world.run(60)
    return world.shop


def gone(world: World) -> list[str]:
    return [subject for subject, kind, _ in world.engine.facts.values() if kind == snapshot.GONE]


def test_a_deleted_order_is_told_with_its_evidence(world: World, shop: FakeShop) -> None:
    shop.delete(1003)
    world.run(600)
    assert gone(world) == ["order/1003"]
    told = world.engine.latest("order/1003")
    assert faults("events/gone.v1", told) == []
    first, second = told["evidence"]
    assert first["control_order_id"] == 1005
    assert second["at"] > first["at"][:14] + "01"


def test_it_is_told_once(world: World, shop: FakeShop) -> None:
    shop.delete(1003)
    world.run(1500)
    assert gone(world) == ["order/1003"]


def test_the_two_looks_are_a_minute_apart(world: World, shop: FakeShop) -> None:
    shop.delete(1003)
    world.agent.hint(1003)
    world.run(50)
    assert gone(world) == []
    world.run(30)
    assert gone(world) == ["order/1003"]


def test_where_every_order_answers_404_none_is_gone(world: World, shop: FakeShop) -> None:
    shop.all_unknown = True
    for order_id in range(1001, 1006):
        world.agent.hint(order_id)
    world.run(1500)
    assert gone(world) == []
    shop.all_unknown = False
    world.run(1500)
    assert gone(world) == []
    assert world.agent.outbox.in_doubt("probing") == 0


def test_a_404_that_isnt_woocommerces_own_proves_nothing(world: World, shop: FakeShop) -> None:
    ask = shop.order
    shop.order = lambda order_id: Absent(404, "rest_no_route") if order_id == 1003 else ask(order_id)  # type: ignore[method-assign]
    world.agent.hint(1003)
    world.run(1500)
    assert gone(world) == []


def test_an_order_that_is_found_at_the_second_look_was_never_gone(world: World, shop: FakeShop) -> None:
    order = shop.orders[1003]
    shop.delete(1003)
    world.agent.hint(1003)
    world.run(20)
    shop.orders[1003] = order
    world.run(1500)
    assert gone(world) == []


def test_an_order_that_comes_back_is_sent_again(world: World, shop: FakeShop) -> None:
    order = shop.orders[1003]
    shop.delete(1003)
    world.run(600)
    shop.orders[1003] = order
    world.run(600)
    assert world.engine.latest("order/1003")["order"]["id"] == 1003


def test_an_order_that_was_never_sent_needs_no_taking_back(world: World, shop: FakeShop) -> None:
    world.agent.hint(4711)
    world.run(600)
    assert gone(world) == []
    assert world.agent.outbox.in_doubt("probing") == 0


def test_many_deletions_wait_for_a_person(world: World) -> None:
    world.shop_settings |= {
        "reread_days": 14,
        "reread_every_h": 0.1,
        "reread_page_s": 0,
        "poll_s": 60,
        "deletions_an_hour": 3,
    }
    for order_id in range(1001, 1020):
        world.shop.put(order_id)
    world.run(60)
    for order_id in range(1001, 1011):
        world.shop.delete(order_id)
    world.run(1500)
    assert gone(world) == []
    assert world.agent.outbox.recall(HELD)
    assert world.agent.outbox.in_doubt("held") == 10
    assert world.agent.allow_deletions() == 10
    world.run(600)
    assert len(gone(world)) == 10


def test_only_as_many_go_as_were_allowed(world: World) -> None:
    world.shop_settings |= {
        "reread_days": 14,
        "reread_every_h": 0.1,
        "reread_page_s": 0,
        "poll_s": 60,
        "deletions_an_hour": 1,
    }
    for order_id in range(1001, 1010):
        world.shop.put(order_id)
    world.run(60)
    for order_id in range(1001, 1006):
        world.shop.delete(order_id)
    world.run(1200)
    world.agent.allow_deletions(2)
    world.run(1200)
    assert len(gone(world)) == 2
