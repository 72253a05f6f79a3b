"""What stores answered, and what of stock is kept no longer: nothing that a number, a basis or a cap still needs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from counterfoil_engine.domain.freshness import bucket_of
from counterfoil_engine.ports import Drifted, Written
from counterfoil_engine.records import ats, stock_pruning, store_writes
from counterfoil_engine.records.database import Database
from fakes.clock import FakeClock
from fakes.stock import StockWorld

CAPPED = {"pool": "*", "store": "eu1", "sku": "*", "share": "0.5", "from": "2020-01-01"}


@pytest.fixture
def world(database: Database, clock: FakeClock) -> StockWorld:
    world = StockWorld(database, clock)
    world.position("MUG", 10)
    world.publish()
    return world


def _prune(world: StockWorld, days: int = -1) -> None:
    """What is older than so many days; -1: all that may go."""
    with world.database.transaction() as tx:
        before = tx.now() - timedelta(days=days)
    for _ in range(20):
        with world.database.transaction() as tx:
            if not stock_pruning.prune(tx, before):
                return


def _count(world: StockWorld, table: str) -> int:
    with world.database.transaction() as tx:
        return int(tx.all(f"select count(*) as rows from {table}")[0]["rows"])


def _sold(world: StockWorld, store: str = "eu1", key: str = "mug") -> int:
    with world.database.transaction() as tx:
        return ats.sold(tx, [(store, key)]).get((store, key), 0)


def _confirm(world: StockWorld, age_s: float, verdict: str = "applied", sku: str = "mug", store: str = "eu1") -> Any:
    with world.database.transaction() as tx:
        as_of = tx.now() - timedelta(seconds=age_s)
        store_writes.note(tx, store, [Written(sku, 1, 10, verdict, 10, None, None, as_of)])
        return as_of


def _ages(world: StockWorld, store: str = "eu1") -> list[int]:
    with world.database.transaction() as tx:
        return store_writes.ages(tx, store)


def _shipped_line_of(world: StockWorld, order: str, units: int, on_hand: int) -> None:
    world.sell("eu1", order, order, "MUG", units)
    world.position("MUG", on_hand, lines={f"eu1/{order}/{order}": (0, units)})
    world.publish()


# Answers


def test_a_change_counts_once_for_a_store_when_it_is_first_confirmed(world: StockWorld) -> None:
    with world.database.transaction() as tx:
        as_of = tx.now() - timedelta(seconds=7)
        for verdict in ("error", "applied", "applied", "older"):
            store_writes.note(tx, "eu1", [Written("mug", 1, 10, verdict, 10, None, None, as_of)])
        store_writes.note(tx, "eu1", [Written("mug", 1, 10, "applied", 10, None, None, as_of - timedelta(hours=1))])
    _confirm(world, 0.0, store="eu2")
    assert [place for place, count in enumerate(_ages(world)) if count] == [bucket_of(7)]
    assert (sum(_ages(world)), sum(_ages(world, "eu2"))) == (1, 1)


def test_a_newer_change_of_the_same_sku_counts_again(world: StockWorld) -> None:
    _confirm(world, 100)
    _confirm(world, 40, "corrected")
    assert [count for count in _ages(world) if count] == [1, 1]


def test_an_age_that_is_still_to_come_counts_not(world: StockWorld) -> None:
    _confirm(world, -3600)
    assert sum(_ages(world)) == 0


def test_ten_thousand_answers_of_one_request_are_kept_in_a_few_statements(world: StockWorld) -> None:
    many = [Written(f"s{number}", 7, 1, "applied", 1) for number in range(5_000)]
    for _ in range(2):
        with world.database.transaction() as tx:
            store_writes.note(tx, "eu1", many)
    assert _count(world, "store_writes") == 10_000


def test_a_sale_leaves_when_the_owner_changed_it_and_a_position_moves_it(world: StockWorld) -> None:
    first = world.feed("eu1")["MUG"].as_of
    world.sell("eu1", "1001", "46", "MUG", 1)
    world.publish()
    assert world.feed("eu1")["MUG"].as_of == first
    world.position("MUG", 12)
    world.publish()
    second = world.feed("eu1")["MUG"].as_of
    assert first is not None and second is not None and second > first
    version = world.version("MUG")
    with world.database.transaction() as tx:
        assert store_writes.changed_as_of(tx, "eu", {"mug": version}) == {"mug": second}
        assert store_writes.changed_as_of(tx, "eu", {"mug": version - 1}) == {}


def test_what_a_store_offers_in_excess_is_what_it_has_less_what_it_ought_to(world: StockWorld) -> None:
    world.position("CUP", 5)
    world.publish()
    with world.database.transaction() as tx:
        store_writes.note(tx, "eu1", [Written("mug", 1, 10, "applied", 10), Written("cup", 2, 5, "applied", 5)])
    world.sell("eu2", "7", "9", "MUG", 4)
    world.position("CUP", 9)
    world.publish()
    with world.database.transaction() as tx:
        assert store_writes.offered_in_excess(tx, "eu1", "eu", 100) == (1, 4)
        store_writes.note(tx, "eu1", [Written("mug", 3, 6, "error"), Written("mug", 3, 6, "applied", 6)])
        assert store_writes.offered_in_excess(tx, "eu1", "eu", 100) == (0, 0)


def test_an_edit_is_kept_and_its_sku_gets_a_version(world: StockWorld) -> None:
    before = world.version("MUG")
    with world.database.transaction() as tx:
        store_writes.note_drift(tx, "eu1", [Drifted("mug", "MUG", 10, 12, "instock")])
        assert store_writes.drifted_since(tx, "eu1", tx.now() - timedelta(hours=1)) == 1
    world.publish()
    assert world.version("MUG") == before + 1


# What is kept no longer


def test_a_line_that_goes_is_added_to_what_the_store_has_sold(world: StockWorld) -> None:
    _shipped_line_of(world, "1001", 3, 7)
    _shipped_line_of(world, "1002", 1, 6)
    world.sell("eu1", "1003", "9", "MUG", 2)
    world.publish()
    assert (_sold(world), world.number("MUG")) == (6, 4)
    _prune(world)
    assert (_count(world, "stock_lines"), _count(world, "stock_moves")) == (1, 1), "the open one stays, with its move"
    assert _count(world, "stock_held") == 0
    assert _sold(world) == 6
    _prune(world)
    assert _sold(world) == 6, "nothing is added twice"
    world.position("MUG", 6)
    world.publish()
    assert world.number("MUG") == 4


def test_a_return_of_a_line_that_is_kept_no_more_is_taken_off_what_was_sold(world: StockWorld) -> None:
    _shipped_line_of(world, "1001", 3, 7)
    _prune(world)
    world.sell("eu1", "1001", "1001", "MUG", -2)
    world.publish()
    assert (_sold(world), world.number("MUG")) == (1, 7)
    _prune(world)
    assert (_sold(world), _count(world, "stock_lines")) == (1, 0)


def test_a_cap_is_the_same_before_and_after(world: StockWorld) -> None:
    world.load_rules(caps=[CAPPED])
    world.publish()
    _shipped_line_of(world, "1001", 3, 7)
    assert world.number("MUG", "eu1") == 2
    _prune(world)
    world.sell("eu1", "1002", "9", "MUG", 1)
    world.publish()
    assert world.number("MUG", "eu1") == 1


def test_what_is_young_stays(world: StockWorld) -> None:
    _shipped_line_of(world, "1001", 3, 7)
    _prune(world, days=1)
    assert (_count(world, "stock_lines"), _count(world, "stock_moves"), _count(world, "stock_held")) == (1, 1, 1)


def test_a_line_that_the_shop_itself_counts_stays(world: StockWorld) -> None:
    world.sell_by_rest("eu1", "1001", "46", "MUG", 3)
    world.position("MUG", 7, lines={"eu1/1001/46": (0, 3)})
    world.publish()
    _prune(world)
    world.sell_by_rest("eu1", "1001", "46", "MUG", 3, status="completed")
    world.publish()
    assert (_count(world, "stock_lines"), _sold(world), world.number("MUG")) == (1, 3, 7)


def test_a_mapping_that_comes_later_moves_the_total_too(world: StockWorld) -> None:
    world.position("CUP", 20)
    world.sell("eu1", "1001", "46", "OLD", 3)
    world.sell("eu1", "1001", "46", "OLD", -3)
    world.sell("eu1", "1002", "47", "OLD", 2)
    world.publish()
    with world.database.transaction() as tx:
        tx.run("update stock_lines set is_open = %s", False)
    _prune(world)
    world.load_rules(items=[{"store": "eu1", "sku": "OLD", "item": "CUP", "class": "goods", "from": "2020-01-01"}])
    world.publish()
    assert _sold(world, key="cup") == 2


def test_the_feed_is_right_when_publications_are_kept_no_more(world: StockWorld) -> None:
    world.sell("eu1", "1001", "46", "MUG", 2)
    world.publish()
    with world.database.transaction() as tx:
        tx.run("delete from publications")
    assert world.feed("eu1")["MUG"].basis == (1, 1)
    world.sell("eu1", "1002", "47", "MUG", 1)
    assert world.feed("eu1") == {}, "it can't be said which sales the number counts"
    world.publish()
    assert (world.feed("eu1")["MUG"].number, world.feed("eu1")["MUG"].basis) == (7, (1, 2))


def test_answers_and_ages_of_long_ago_go_and_places_that_were_passed(world: StockWorld) -> None:
    _confirm(world, 5)
    _confirm(world, 5, sku="gone")
    with world.database.transaction() as tx:
        tx.run("insert into freshness (store, day, bucket, writes) values ('eu1', '2020-01-01', 0, 9)")
        tx.run("insert into stock_drift (store, sku_key, at, sku, expected) values ('eu1', 'mug', %s, 'MUG', 1)",
               tx.now() - timedelta(days=30))  # fmt: skip
        tx.run_many("insert into stock_stood_for (store, epoch, n) values ('eu1', %s, %s)", [(1, 1), (1, 9)])
    world.sell("eu1", "1001", "46", "MUG", 1)
    _prune(world)
    assert _count(world, "store_writes") == 1, "that of a SKU that nobody publishes is gone"
    assert (_count(world, "freshness"), _count(world, "stock_drift"), _count(world, "stock_stood_for")) == (1, 0, 1)
