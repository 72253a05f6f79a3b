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


def test_an_event_that_comes_again_mangled_holds_nothing_and_the_basis_never_goes_back(world: StockWorld) -> None:
    sale = world.order("eu1", "1001", world.move("46", "MUG", -3))
    mangled = world.event("eu1", "1001", None, n=1, event_id=sale.event_id)
    world.take_in("eu1", sale)
    world.take_in("eu1", mangled)
    world.publish()
    assert (world.basis().epoch, world.basis().n, world.basis().held) == (1, 1, False)
    assert world.feed("eu1")["MUG"].number == 7
    world.sell("eu1", "1002", "47", "MUG", 1)
    world.publish()
    assert world.number("MUG") == 6 and world.basis().n == 2


def test_the_first_event_of_a_store_with_the_plugin_holds_the_basis_too_where_it_cannot_be_read(
    world: StockWorld,
) -> None:
    sale = world.order("eu1", "1001", world.move("46", "MUG", -3))
    world.take_in("eu1", sale._replace(body=sale.body[:-1], reason="it is no JSON"))
    world.publish()
    assert (world.basis().n, world.basis().held) == (0, True)
    anew = world.order("eu1", "1001", world.move("46", "MUG", -3), data={"stands_for": [{"epoch": 1, "n": 1}]})
    world.take_in("eu1", anew)
    world.publish()
    assert (world.number("MUG"), world.basis().n, world.basis().held) == (7, 2, False)
