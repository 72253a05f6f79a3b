"""Positions as kept: an older one never overwrites a newer, lines come along, and only changes are marked."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import pytest
from counterfoil_engine.records import positions
from counterfoil_engine.records.database import Database
from fakes.clock import FakeClock
from fakes.stock import StockWorld, said


@pytest.fixture
def world(database: Database, clock: FakeClock) -> StockWorld:
    world = StockWorld(database, clock)
    world.publish()
    return world


def kept(world: StockWorld) -> dict[str, int]:
    with world.database.transaction() as tx:
        return {row["sku"]: row["on_hand"] for row in tx.all("select sku, on_hand from positions order by sku")}


def held(world: StockWorld) -> list[tuple[str, int, int]]:
    with world.database.transaction() as tx:
        rows = tx.all("select line, allocated, shipped from stock_held order by line, as_of")
        return [(row["line"], row["allocated"], row["shipped"]) for row in rows]


def test_an_older_position_never_overwrites_a_newer(world: StockWorld) -> None:
    now = world.now()
    assert world.say(said("MUG", 10, as_of=now)).changed == 1
    taken = world.say(said("MUG", 99, as_of=now - timedelta(seconds=1)))
    assert (taken.written, taken.older, taken.changed) == (0, 1, 0)
    assert kept(world) == {"MUG": 10}


def test_only_what_changed_is_marked_and_goods_that_came_in_are_told_apart(world: StockWorld) -> None:
    now = world.now()
    world.say(said("MUG", 10, as_of=now), said("CUP", 1, as_of=now))
    world.publish()
    taken = world.say(
        said("MUG", 10, as_of=now + timedelta(seconds=1)), said("CUP", 0, as_of=now + timedelta(seconds=1))
    )
    assert (taken.written, taken.changed) == (2, 1)
    assert world.marks() == [("cup", "position")]
    world.say(said("CUP", 5, as_of=now + timedelta(seconds=2)))
    assert world.marks()[-1] == ("cup", "receipt")


def test_a_line_that_a_complete_position_leaves_out_is_allocated_no_more_and_stays_shipped(world: StockWorld) -> None:
    world.position("MUG", 10, lines={"eu1/1/46": (2, 1), "eu1/1/47": (1, 0)})
    world.position("MUG", 10, lines={"eu1/1/47": (1, 0)})
    assert held(world) == [("46", 0, 1), ("47", 1, 0)]
    world.position("MUG", 10, lines=None)
    assert held(world) == [("46", 0, 1), ("47", 1, 0)]


def test_facts_of_lines_are_forgotten_once_the_position_has_passed_a_newer(world: StockWorld) -> None:
    for units in (1, 2, 3, 3, 3):
        world.position("MUG", 10, lines={"eu1/1/46": (units, 0)})
    assert held(world) == [("46", 3, 0)]


def test_positions_of_many_skus_are_written_in_parts(world: StockWorld) -> None:
    now = world.now()
    taken = world.say(*(said(f"S{number}", 1, as_of=now) for number in range(positions.AT_ONCE + 5)))
    assert taken.written == taken.changed == positions.AT_ONCE + 5


def test_what_a_full_reading_left_out_is_known(world: StockWorld) -> None:
    now = world.now()
    world.say(said("MUG", 10, as_of=now), said("NONE", 0, as_of=now), said("CUP", 1, as_of=now + timedelta(hours=1)))
    with world.database.transaction() as tx:
        later = now + timedelta(days=1)
        assert positions.absent(tx, "BER", now + timedelta(minutes=1), later) == (["MUG"], 3)
        assert positions.absent(tx, "BER", now + timedelta(minutes=1), now - timedelta(days=1)) == ([], 3)
        assert positions.spellings(tx, [("BER", "mug"), ("BER", "x")]) == {("BER", "mug"): "MUG"}


def test_in_whatever_order_positions_come_the_same_is_kept_and_published(world: StockWorld) -> None:
    now = world.now()
    rows: list[dict[str, Any]] = [
        said("MUG", 10, as_of=now, lines={}),
        said("MUG", 10, as_of=now + timedelta(seconds=1), allocated="3", lines={"eu1/1/46": (3, 0)}),
        said("MUG", 9, as_of=now + timedelta(seconds=2), allocated="2", lines={"eu1/1/46": (2, 1)}),
        said("MUG", 9, as_of=now + timedelta(seconds=3), allocated="0", lines={"eu1/1/46": (0, 1)}),
    ]
    world.sell("eu1", "1", "46", "MUG", 3)
    found = set()
    for ordered in itertools.permutations(rows):
        with world.database.transaction() as tx:
            for table in ("positions", "stock_held", "ats", "stock_dirty", "publications"):
                tx.run(f"delete from {table}")
            tx.run("update stock_lines set is_open = %s", True)
        for row in ordered:
            world.say(row)
            world.publish()
        found.add((world.number("MUG"), tuple(held(world)), tuple(kept(world).items())))
    assert found == {(7, (("46", 0, 1),), (("MUG", 9),))}
