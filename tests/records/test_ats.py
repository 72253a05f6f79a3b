"""Versions and marks: whoever marks while another publishes is answered by the next publication, never lost (A5)."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from counterfoil_engine.ports import Written
from counterfoil_engine.records import ats, store_writes
from counterfoil_engine.records.database import Database
from fakes.clock import FakeClock
from fakes.databases import open_database
from fakes.stock import StockWorld


@pytest.fixture
def world(database: Database, clock: FakeClock) -> StockWorld:
    world = StockWorld(database, clock)
    world.position("MUG", 10)
    world.publish()
    return world


def test_a_pool_has_one_publisher_at_a_time(world: StockWorld) -> None:
    with world.locks.hold("eu") as first, world.locks.hold("eu") as second, world.locks.hold("us") as other:
        assert (first, second, other) == (True, False, True)
    with world.locks.hold("eu") as again:
        assert again


def test_the_last_writes_into_a_store_are_kept(world: StockWorld) -> None:
    with world.database.transaction() as tx:
        for version in range(1, 6):
            store_writes.note(tx, "eu1", [Written("mug", version, 10, "applied", 10)])
        store_writes.note(tx, "eu2", [Written("mug", 5, 10, "missing", reason="no such product")])
        told = [(row["store"], row["version"], row["verdict"]) for row in ats.writes_of(tx, "mug")]
    assert told == [("eu1", 5, "applied"), ("eu1", 4, "applied"), ("eu1", 3, "applied"), ("eu2", 5, "missing")]


@pytest.mark.postgresql
def test_a_mark_of_an_overlapping_writer_is_never_lost_though_its_id_is_below_others(tmp_path: Path) -> None:
    """Ids are taken when a row is written, and seen when its writer commits: a reader by the highest id misses some."""
    with open_database("postgresql", tmp_path, FakeClock()) as database:
        world = StockWorld(database, FakeClock())
        world.position("MUG", 10)
        world.publish()
        other = Database(database.url, FakeClock())
        wrote, published = threading.Event(), threading.Event()

        def slow_writer() -> None:
            with other.transaction() as tx:
                tx.run("update positions set on_hand = 3 where sku_key = 'mug'")
                tx.run(
                    "insert into stock_dirty (pool, sku_key, reason, marked_at) values ('eu', 'mug', 'position', now())"
                )
                wrote.set()
                assert published.wait(30)
            other.close()

        writer = threading.Thread(target=slow_writer)
        writer.start()
        assert wrote.wait(30)
        world.sell("eu1", "1001", "46", "MUG", 1)
        world.publish()
        assert world.number("MUG") == 9
        published.set()
        writer.join()
        world.publish()
        assert world.number("MUG") == 2
        assert world.marks() == []


@pytest.mark.postgresql
def test_a_publisher_that_died_leaves_its_pool_to_the_next(tmp_path: Path) -> None:
    with open_database("postgresql", tmp_path, FakeClock()) as database:
        other = Database(database.url, FakeClock())
        mine = ats.PoolLocks(database)
        with other.transaction() as tx:
            assert (tx.one("select pg_try_advisory_lock(%s) as taken", ats.lock_number("eu")) or {})["taken"]
        with mine.hold("eu") as is_free:
            assert not is_free
        other.close()
        for _ in range(100):
            with mine.hold("eu") as is_free:
                if is_free:
                    break
        assert is_free
