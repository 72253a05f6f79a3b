"""Counting what stores lowered: at ingest, in sequence order, once each, whatever came when (A1, A2, E11)."""

from __future__ import annotations

import json
import random
from datetime import timedelta
from typing import Any

import pytest
from counterfoil_engine.records import moves
from counterfoil_engine.records.database import Database
from counterfoil_engine.records.sequences import current_epoch, watermark_of
from fakes.clock import FakeClock
from fakes.stock import StockWorld


@pytest.fixture
def world(database: Database, clock: FakeClock) -> StockWorld:
    world = StockWorld(database, clock)
    world.publish()
    return world


def lines(world: StockWorld) -> dict[str, tuple[int, int, int]]:
    """order/line → lowered, restocked, net."""
    with world.database.transaction() as tx:
        rows = tx.all("select order_id, line, lowered, restocked, net from stock_lines order by order_id, line")
        return {f"{row['order_id']}/{row['line']}": (row["lowered"], row["restocked"], row["net"]) for row in rows}


def test_a_move_is_counted_in_the_commit_of_its_event_and_marks_its_sku(world: StockWorld) -> None:
    world.sell("eu1", "1001", "46", "MUG", 2)
    assert lines(world) == {"1001/46": (2, 0, 2)}
    assert world.marks() == [("mug", "move")]
    assert (world.basis().epoch, world.basis().n) == (1, 1)


def test_a_restock_takes_off_what_was_lowered(world: StockWorld) -> None:
    world.sell("eu1", "1001", "46", "MUG", 4)
    world.sell("eu1", "1001", "46", "MUG", -1)
    assert lines(world) == {"1001/46": (4, 1, 3)}


def test_an_event_ahead_of_a_hole_is_counted_once_the_hole_is_filled(world: StockWorld) -> None:
    first = world.order("eu1", "1001", world.move("46", "MUG", -2), n=1)
    second = world.order("eu1", "1002", world.move("47", "MUG", -3), n=2)
    third = world.order("eu1", "1003", world.move("48", "MUG", -4), n=3)
    world.take_in("eu1", first)
    world.take_in("eu1", third)
    assert lines(world) == {"1001/46": (2, 0, 2)} and world.basis().n == 1
    world.take_in("eu1", second)
    assert len(lines(world)) == 3 and world.basis().n == 3


def test_a_move_that_comes_twice_is_counted_once(world: StockWorld) -> None:
    move = world.move("46", "MUG", -2)
    event = world.order("eu1", "1001", move)
    world.take_in("eu1", event)
    world.take_in("eu1", event)
    world.take_in("eu1", world.order("eu1", "1001", move), world.order("eu1", "1001", move, move))
    assert lines(world) == {"1001/46": (2, 0, 2)}
    assert world.basis().n == 3


def test_in_a_new_epoch_what_was_left_behind_is_counted_and_what_is_sent_again_is_not(world: StockWorld) -> None:
    world.take_in("eu1", world.order("eu1", "1001", world.move("46", "MUG", -1), n=1))
    ahead = world.order("eu1", "1003", world.move("48", "MUG", -4), n=3)
    left = world.order("eu1", "1004", world.move("49", "MUG", -5), n=4)
    world.take_in("eu1", ahead, left)
    world.events.grant_epoch("eu1", "1" * 32, 1, "restored")
    world.take_in("eu1", ahead._replace(epoch=2, n=1))
    world.take_in("eu1", world.order("eu1", "1005", world.move("50", "MUG", -6), epoch=2, n=2))
    assert {name: net for name, (_, _, net) in lines(world).items()} == {
        "1001/46": 1,
        "1003/48": 4,
        "1004/49": 5,
        "1005/50": 6,
    }
    assert (world.basis().epoch, world.basis().n) == (2, 2)


def test_an_event_that_can_not_be_read_holds_the_basis_until_another_stands_for_it(world: StockWorld) -> None:
    world.sell("eu1", "1001", "46", "MUG", 1)
    world.take_in("eu1", world.event("eu1", "1002", None))
    world.sell("eu1", "1003", "48", "MUG", 3)
    assert world.basis().n == 1 and world.basis().held
    assert ["Event 1/2 can't be read" in cause for cause in world.cases()].count(True) == 1
    anew = world.order("eu1", "1002", world.move("47", "MUG", -2), data={"stands_for": [{"epoch": 1, "n": 2}]})
    world.take_in("eu1", anew)
    assert (world.basis().n, world.basis().held) == (4, False)
    assert sum(net for _, _, net in lines(world).values()) == 6
    assert world.cases() == []


def test_a_person_may_say_that_an_unreadable_event_held_no_move(world: StockWorld) -> None:
    world.sell("eu1", "1001", "46", "MUG", 1)
    world.take_in("eu1", world.event("eu1", "1002", None))
    with world.database.transaction() as tx:
        assert moves.pass_over(tx, "eu1")
    world.sell("eu1", "1003", "48", "MUG", 3)
    assert world.basis().n == 3
    with world.database.transaction() as tx:
        assert not moves.pass_over(tx, "eu1")


def test_a_store_without_the_plugin_is_not_held_and_its_lines_speak_for_themselves(world: StockWorld) -> None:
    world.sell_by_rest("eu1", "1001", "46", "MUG", 4)
    world.take_in("eu1", world.event("eu1", "1002", None))
    world.sell_by_rest("eu1", "1001", "46", "MUG", 3)
    assert {name: net for name, (_, _, net) in lines(world).items()} == {"1001/46": 3}
    assert world.basis().n == 3
    world.take_in("eu1", world.order("eu1", "1001", by_rest=True))
    assert lines(world)["1001/46"][2] == 0


def test_an_order_from_before_the_plugin_counts_the_larger_of_moves_and_its_own_count(world: StockWorld) -> None:
    long_ago = world.now() - timedelta(days=30)
    world.sell_by_rest("eu1", "900", "40", "MUG", 4, created=long_ago)
    world.sell("eu1", "1001", "46", "MUG", 1)
    refund = world.order("eu1", "900", world.move("40", "MUG", 1, "refund"), lines={"40": ("MUG", 3)}, created=long_ago)
    world.take_in("eu1", refund)
    assert lines(world)["900/40"][2] == 3


def test_a_new_order_counts_its_moves_whatever_its_own_count_says(world: StockWorld) -> None:
    world.sell("eu1", "1001", "46", "MUG", 2)
    world.take_in("eu1", world.order("eu1", "1001", lines={"46": ("MUG", 0), "47": ("CUP", 5)}))
    assert {name: net for name, (_, _, net) in lines(world).items()} == {"1001/46": 2}


def stock_event(world: StockWorld, *moves_of: dict[str, Any], **more: Any) -> Any:
    """Moves that come with no order's event."""
    data = {"stock_id": 11, "sku": "MUG", "moves": list(moves_of), **more}
    return world.event("eu1", "", data, type="counterfoil.stock.v1")


def test_stock_set_by_hand_is_kept_and_marks_its_sku_for_a_new_version(world: StockWorld) -> None:
    world.take_in("eu1", stock_event(world, world.move("0", "MUG", -3, "set")))
    assert lines(world) == {} and world.marks() == [("mug", "set")]
    assert (world.basis().epoch, world.basis().n) == (1, 1)
    with world.database.transaction() as tx:
        assert [(row["kind"], row["units"]) for row in tx.all("select kind, units from stock_moves")] == [("set", -3)]


def test_the_moves_of_an_order_that_can_not_be_sent_count_for_it_and_free_the_basis(world: StockWorld) -> None:
    world.sell("eu1", "1001", "46", "MUG", 1)
    tombstone = world.event("eu1", "1002", {"of": "counterfoil.order.v1"}, type="counterfoil.tombstone.v1")
    world.take_in("eu1", tombstone)
    assert world.basis().held
    stands_for = [{"epoch": 1, "n": 2}]
    anew = stock_event(world, world.move("47", "MUG", -2), order_id=1002, stands_for=stands_for)
    world.take_in("eu1", anew)
    assert lines(world) == {"1001/46": (1, 0, 1), "1002/47": (2, 0, 2)}
    assert (world.basis().n, world.basis().held) == (3, False)


def test_moves_of_an_order_that_is_no_more_are_kept_and_nothing_is_reserved_for_them(world: StockWorld) -> None:
    world.take_in("eu1", stock_event(world, world.move("47", "MUG", -2)))
    assert lines(world) == {} and world.marks() == [("mug", "set")]


def test_where_the_plugin_went_away_new_orders_speak_for_themselves_until_they_are_restocked(
    world: StockWorld,
) -> None:
    world.sell("eu1", "1001", "46", "MUG", 1)
    later = world.now() + timedelta(days=1)
    world.sell_by_rest("eu1", "1002", "47", "MUG", 4, created=later)
    assert lines(world)["1002/47"] == (0, 0, 4)
    world.take_in("eu1", world.order("eu1", "1002", lines={"47": ("MUG", 4)}, created=later))
    assert lines(world)["1002/47"] == (0, 0, 4), "the plugin is back; what it didn't see stays counted"
    restored = world.move("47", "MUG", 4, "restore")
    world.take_in("eu1", world.order("eu1", "1002", restored, lines={"47": ("MUG", 0)}, created=later))
    assert lines(world)["1002/47"][2] == 0


def test_a_move_that_can_not_be_counted_is_a_case_and_its_neighbours_count(world: StockWorld) -> None:
    wrong = {**world.move("46", "MUG", -1), "quantity": "lots"}
    world.take_in("eu1", world.order("eu1", "1001", wrong, world.move("47", "CUP", -2)))
    assert lines(world) == {"1001/47": (2, 0, 2)}
    assert "quantity is 'lots', no number" in world.cases()[0]


@pytest.mark.parametrize("moves_said", [7, "x", None, [None], [{}], {"a": 1}, [[]]])
def test_moves_that_make_no_sense_never_hold_up_intake(world: StockWorld, moves_said: Any) -> None:
    world.take_in("eu1", world.order("eu1", "1001", data={"moves": moves_said}, by_rest=True))
    world.sell("eu1", "1002", "46", "MUG", 1)
    assert world.basis().n == 2


def test_a_product_without_sku_counts_under_its_number_in_its_store_alone(world: StockWorld) -> None:
    for store in ("eu1", "eu2"):
        world.take_in(store, world.order(store, "1001", {**world.move("46", "", -1), "sku": None}))
    assert sorted(key for key, _ in world.marks()) == ["eu1#11", "eu2#11"]


def test_what_an_older_database_has_not_counted_is_caught_up_with(world: StockWorld) -> None:
    for order in range(3):
        world.sell("eu1", str(1001 + order), str(46 + order), "MUG", 1)
    with world.database.transaction() as tx:
        for table in ("stock_stores", "stock_lines", "stock_moves", "stock_dirty"):
            tx.run(f"delete from {table}")
        assert moves.behind(tx) == ["eu1"]
        watermark = watermark_of(current_epoch(tx, "eu1") or {})
        assert not moves.catch_up(tx, "eu1", watermark)
        assert moves.behind(tx) == []
    assert len(lines(world)) == 3 and world.basis().n == 3


@pytest.mark.parametrize("seed", range(6))
def test_whatever_order_events_come_in_the_same_is_counted(world: StockWorld, seed: int) -> None:
    rng = random.Random(seed)
    events = []
    for n in range(1, 25):
        order, line = rng.choice([("1001", "46"), ("1002", "47"), ("1003", "48")])
        events.append(world.order("eu1", order, world.move(line, "MUG", rng.choice([-3, -2, -1, 1])), n=n))
    sent = [event for event in events for _ in range(rng.choice([1, 1, 2]))]
    rng.shuffle(sent)
    while sent:
        batch: dict[int, Any] = {}
        for event in sent[: rng.randint(1, 6)]:
            batch.setdefault(event.n, event)
        del sent[: len(batch)]
        world.take_in("eu1", *batch.values())
        sent += [event for event in events if event not in batch.values() and rng.random() < 0.02]
    world.take_in("eu1", *events)
    expected = {}
    for event in events:
        [move] = json.loads(event.body)["moves"]
        expected[move["order_item_id"]] = expected.get(move["order_item_id"], 0) - int(move["quantity"])
    assert {name.split("/")[1]: net for name, (_, _, net) in lines(world).items()} == expected
    assert world.basis().n == 24
