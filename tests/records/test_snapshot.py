"""One moment of a database, read only, while the engine goes on."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from pathlib import Path

import peewee
import pytest
from counterfoil_engine.domain.errors import CounterfoilError
from counterfoil_engine.records.database import Database
from counterfoil_engine.records.facts import facts_of_group
from counterfoil_engine.records.snapshot import groups_since, snapshot
from fakes.clock import FakeClock
from fakes.events import incoming
from records.test_events import Intake


@pytest.fixture
def intake(database: Database) -> Intake:
    intake = Intake(database)
    intake.hello()
    return intake


def named(groups) -> list[list[str]]:
    return [[facts.order_id for facts in group] for group in groups]


def test_it_sees_nothing_that_is_committed_later(intake: Intake, database: Database, clock: FakeClock):
    intake.send(incoming("a", 1, 1001))
    with snapshot(database.url, clock) as tx:
        assert named(groups_since(tx, clock.now() - timedelta(days=1), None, 10)) == [["1001"]]
        intake.send(incoming("b", 2, 1002), incoming("c", 3, 1001, "11.00"))
        (group,) = groups_since(tx, clock.now() - timedelta(days=1), None, 10)
    assert [len(facts.snapshots) for facts in group] == [1]


def test_it_can_write_nothing(database: Database, clock: FakeClock):
    with pytest.raises((peewee.PeeweeException, CounterfoilError)), snapshot(database.url, clock) as tx:
        tx.run("insert into stores (store) values ('eu1')")
    with database.transaction() as tx:
        assert tx.all("select store from stores") == []


def test_facts_come_a_group_at_a_time_by_their_orders_names(intake: Intake, database: Database, clock: FakeClock):
    intake.send(*(incoming(f"{number}", number, 1000 + number) for number in (3, 1, 5, 2, 4)))
    intake.send(incoming("again", 6, 1002, "12.00"))
    with snapshot(database.url, clock) as tx:
        groups = list(groups_since(tx, clock.now() - timedelta(days=1), "eu1", 2))
    assert named(groups) == [["1001", "1002"], ["1003", "1004"], ["1005"]]
    with database.transaction() as tx:
        assert [facts for group in groups for facts in group] == facts_of_group(
            tx, [("eu1", str(order)) for order in range(1001, 1006)]
        )


def test_what_came_before_or_of_another_store_is_left_out(intake: Intake, database: Database, clock: FakeClock):
    intake.send(incoming("a", 1, 1001))
    clock.pass_time(60)
    noon = intake_time(database)
    intake.send(incoming("b", 2, 1002))
    with snapshot(database.url, clock) as tx:
        assert named(groups_since(tx, noon, None, 10)) == [["1002"]]
        assert named(groups_since(tx, noon, "us1", 10)) == []


def intake_time(database: Database):
    with database.transaction() as tx:
        return tx.now()


def test_a_file_that_is_not_there_is_told_and_not_made(tmp_path: Path, clock: FakeClock):
    with pytest.raises(CounterfoilError, match="can't be read"), snapshot(f"sqlite:///{tmp_path}/none.sqlite", clock):
        pass
    assert list(tmp_path.iterdir()) == []


def test_another_programs_file_is_told(tmp_path: Path, clock: FakeClock):
    sqlite3.connect(tmp_path / "other.sqlite").execute("create table t (a)").connection.close()
    with pytest.raises(CounterfoilError, match="no engine's"), snapshot(f"sqlite:///{tmp_path}/other.sqlite", clock):
        pass


def test_a_database_of_an_older_engine_is_told(database: Database, clock: FakeClock):
    with database.transaction() as tx:
        (row,) = tx.all("select * from migrations order by name desc limit 1")
        tx.run("delete from migrations where name = %s", row["name"])
    try:
        with pytest.raises(CounterfoilError, match="older version"), snapshot(database.url, clock):
            pass
    finally:
        with database.transaction() as tx:
            tx.run("insert into migrations (name, applied_at) values (%s, %s)", row["name"], row["applied_at"])
