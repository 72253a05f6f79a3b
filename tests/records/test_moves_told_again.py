"""An agent that goes on in a new epoch tells its moves again: they count once, and each SKU gets the new basis."""

from __future__ import annotations

import pytest
from counterfoil_engine.records.database import Database
from fakes.clock import FakeClock
from fakes.stock import INSTALLATION, StockWorld


@pytest.fixture
def world(database: Database, clock: FakeClock) -> StockWorld:
    world = StockWorld(database, clock)
    for sku in ("MUG", "CUP", "BAG"):
        world.position(sku, 10)
    world.publish()
    return world


def test_moves_told_again_count_once_and_each_sku_gets_a_version_once_the_basis_has_passed_them(
    world: StockWorld,
) -> None:
    mugs = world.order("eu1", "1001", world.move("46", "MUG", -3))
    cups = world.order("eu1", "1002", world.move("47", "CUP", -2))
    world.take_in("eu1", mugs, cups)
    world.publish()
    before, bag = world.feed("eu1"), world.version("BAG")
    world.events.grant_epoch("eu1", INSTALLATION, 1, "restored from a backup")
    world.take_in("eu1", mugs._replace(epoch=2, n=1))
    world.publish()
    between = world.feed("eu1")
    assert (between["MUG"].number, between["MUG"].basis) == (7, (2, 1))
    assert between["MUG"].version > before["MUG"].version
    world.take_in("eu1", cups._replace(epoch=2, n=2))
    world.publish()
    after = world.feed("eu1")
    assert (after["CUP"].number, after["CUP"].basis) == (8, (2, 2)) and after["CUP"].version > between["CUP"].version
    assert world.version("BAG") == bag


def test_a_line_that_a_snapshot_told_of_first_takes_from_the_item_that_its_move_names(world: StockWorld) -> None:
    """A variation has a SKU of its own, and its parent the stock."""
    world.take_in("eu1", world.order("eu1", "1001", lines={"46": ("MUG-L", 2)}, created=world.now()))
    world.take_in("eu1", world.order("eu1", "1001", world.move("46", "MUG", -2), lines={"46": ("MUG-L", 2)}))
    world.publish()
    assert world.number("MUG") == 8
    world.take_in("eu1", world.order("eu1", "1001", world.move("46", "MUG", 2, "restore"), lines={"46": ("MUG-L", 0)}))
    world.publish()
    assert world.number("MUG") == 10
