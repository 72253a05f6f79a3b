"""Words that are told with a transaction: heard once it has committed, by whoever listens, in any process."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from counterfoil_engine.records import wakes
from counterfoil_engine.records.database import Database
from fakes.databases import open_database


@pytest.fixture
def ear(database: Database):
    ear = wakes.listen(database, "pool ")
    ear.hear(0)  # a new connection may have missed something, and says so by hearing nothing
    yield ear
    ear.close()


def test_a_word_is_heard_after_the_commit_and_once(database: Database, ear) -> None:
    with database.transaction() as tx:
        tx.tell("pool eu")
        tx.tell("pool us")
        assert ear.hear(0.05) == frozenset()
    assert ear.hear(5) == {"pool eu", "pool us"}
    assert ear.hear(0.05) == frozenset()


def test_a_transaction_that_failed_has_told_nothing(database: Database, ear) -> None:
    with pytest.raises(ZeroDivisionError), database.transaction() as tx:
        tx.tell("pool eu")
        1 / 0
    assert ear.hear(0.1) == frozenset()


def test_an_ear_hears_only_what_it_is_for(database: Database, ear) -> None:
    with database.transaction() as tx:
        tx.tell("stock")
    assert ear.hear(0.1) == frozenset()


def test_who_waits_is_woken_at_once(database: Database, ear) -> None:
    def tell() -> None:
        time.sleep(0.2)
        with database.transaction() as tx:
            tx.tell("pool eu")
        if not database.is_sqlite:
            database.close()

    teller = threading.Thread(target=tell)
    teller.start()
    began = time.monotonic()
    assert ear.hear(20) == {"pool eu"}
    assert time.monotonic() - began < 10
    teller.join()


@pytest.mark.postgresql
def test_an_ear_whose_connection_was_cut_listens_again(tmp_path: Path) -> None:
    with open_database("postgresql", tmp_path) as database:
        ear = wakes.listen(database, "pool ")
        ear.hear(0)
        with database.transaction() as tx:
            tx.all(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and query like 'listen %%'"
            )
        assert ear.hear(0.05) == frozenset()  # it is cut
        assert ear.hear(0.05) == frozenset()  # it is opened anew
        with database.transaction() as tx:
            tx.tell("pool eu")
        assert ear.hear(5) == {"pool eu"}
        ear.close()
