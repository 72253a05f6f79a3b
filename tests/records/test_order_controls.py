"""Orders' amounts by their facts, on both databases: what a store's totals are compared with."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from counterfoil_engine.domain.order_sweep import Control
from counterfoil_engine.records import order_controls
from counterfoil_engine.records.database import Database
from fakes.clock import FakeClock
from fakes.stock import StockWorld

FIRST, LAST = date(2026, 11, 1), date(2026, 11, 30)


@pytest.fixture
def world(database: Database, clock: FakeClock) -> StockWorld:
    return StockWorld(database, clock)


def order(world: StockWorld, order_id: str, total: str = "119.00", **more: Any) -> Any:
    head = {"currency": "EUR", "total": total, "total_tax": "19.00", "refunds": [], **more.pop("head", {})}
    return world.order("eu1", order_id, created=world.clock.now(), head=head, **more)


def amounts(world: StockWorld) -> dict[str, Control]:
    with world.database.transaction() as tx:
        while order_controls.catch_up(tx, "eu1"):
            pass
        return {one.order_id: one for _, one in order_controls.of_days(tx, "eu1", FIRST, LAST)}


def test_the_latest_fact_of_an_order_says_its_amounts(world: StockWorld) -> None:
    world.take_in("eu1", order(world, "1001"), order(world, "1002", "50.00"))
    assert amounts(world)["1001"] == Control("1001", "EUR", 11900, 0, 1900, True)
    world.take_in("eu1", order(world, "1001", "100.00", head={"refunds": [{"total": "-20.00"}]}))
    assert amounts(world)["1001"] == Control("1001", "EUR", 10000, 2000, 1900, True)
    assert len(amounts(world)) == 2


def test_an_order_whose_fact_is_missing_is_missing_here(world: StockWorld) -> None:
    world.take_in("eu1", order(world, "1001"), order(world, "1002"))
    assert set(amounts(world)) == {"1001", "1002"}
    with world.database.transaction() as tx:
        tx.run("delete from events where subject = 'order eu1/1001'")
    assert set(amounts(world)) == {"1002"}
    world.take_in("eu1", order(world, "1001"))
    assert set(amounts(world)) == {"1001", "1002"}


def test_what_stands_above_a_hole_counts_and_what_fills_the_hole_later_is_read(world: StockWorld) -> None:
    late = order(world, "1001")
    world.take_in("eu1", order(world, "1002"))
    assert set(amounts(world)) == {"1002"}
    world.take_in("eu1", late)
    assert set(amounts(world)) == {"1001", "1002"}


def test_an_order_that_is_gone_or_in_the_trash_keeps_its_day_and_counts_no_more(world: StockWorld) -> None:
    world.take_in("eu1", order(world, "1001"), order(world, "1002"))
    world.take_in("eu1", world.event("eu1", "1001", {"order_id": 1001}, type="counterfoil.gone.v2"))
    world.take_in("eu1", order(world, "1002", status="trash"))
    assert [one.is_there for one in amounts(world).values()] == [False, False]


def test_an_equal_snapshot_rests_on_the_fact_that_holds_its_body(world: StockWorld) -> None:
    first = order(world, "1001")
    world.take_in("eu1", first)
    again = first._replace(event_id="f" * 32, n=world.n["eu1"] + 1)
    world.n["eu1"] += 1
    world.take_in("eu1", again)
    assert amounts(world)["1001"].total_minor == 11900
