"""One database behind one surface, whichever it is."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime
from pathlib import Path

import psycopg
import pytest
from counterfoil_engine.domain.errors import CounterfoilError, DatabaseUnavailable, Unavailable
from counterfoil_engine.records.database import Database, as_time, statements
from fakes.clock import FakeClock
from fakes.databases import SERVER, database_url


def test_a_transaction_is_all_or_nothing(database: Database):
    with pytest.raises(RuntimeError), database.transaction() as tx:
        tx.run("insert into stores (store) values (%s)", "eu1")
        raise RuntimeError
    with database.transaction() as tx:
        assert tx.all("select store from stores") == []


def test_times_days_bytes_and_truth_come_back_as_they_went_in(database: Database):
    moment = datetime(2026, 11, 23, 9, 10, 39, 123456, tzinfo=UTC)
    with database.transaction() as tx:
        tx.run("insert into stores (store, handover, hello_at) values (%s, %s, %s)", "eu1", True, moment)
        row = tx.one("select handover, hello_at from stores")
        assert (bool(row["handover"]), as_time(row["hello_at"])) == (True, moment)
        tx.run(
            "insert into events (store, event_id, occurred_on, epoch, n, type, arrival, received_at, body, body_hash,"
            " verdict) values (%s, %s, %s, 1, 1, 't', 1, %s, %s, '', 'stored')",
            "eu1",
            "e",
            date(2026, 11, 23),
            moment,
            b"\x00\xff",
        )
        row = tx.one("select occurred_on, body from events where body is not null")
        assert (str(row["occurred_on"]), bytes(row["body"])) == ("2026-11-23", b"\x00\xff")


def test_a_percent_sign_in_a_statement_is_written_twice(database: Database):
    with database.transaction() as tx:
        assert tx.one("select %s as word where 'abc' like 'a%%'", "x") == {"word": "x"}


def test_migrations_run_once(database: Database):
    assert database.migrate() == []
    with database.transaction() as tx:
        names = [row["name"] for row in tx.all("select name from migrations order by name")]
    assert names[0] == "0001_intake.sql"
    assert names == sorted(names)


def test_each_dialect_reads_its_own_part_of_a_migration():
    text = """
-- a word
create table a (at {time}, b {bytes});
-- only sqlite
one;
-- end
-- only postgresql
two;
-- end
three
"""
    assert statements(text, True) == ["create table a (at text, b blob)", "one", "three"]
    assert statements(text, False) == ["create table a (at timestamptz, b bytea)", "two", "three"]


def test_an_address_that_is_none_is_told_what_one_is():
    with pytest.raises(CounterfoilError) as refused:
        Database("mysql://root@localhost/shop", FakeClock())
    assert "postgresql://" in refused.value.remedy


def test_many_threads_write_without_loss(database: Database):
    def write(number: int) -> None:
        for index in range(10):
            with database.transaction() as tx:
                tx.run("insert into stores (store) values (%s)", f"store-{number}-{index}")
        if not database.is_sqlite:
            database.close()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.transaction() as tx:
        assert tx.one("select count(*) as stores from stores") == {"stores": 40}


@pytest.mark.postgresql
def test_a_connection_that_was_cut_is_made_anew(tmp_path: Path):
    with database_url("postgresql", tmp_path) as url:
        database = Database(url, FakeClock())
        with database.transaction() as tx:
            pid = tx.one("select pg_backend_pid() as pid")["pid"]
        with psycopg.connect(SERVER, autocommit=True) as other:
            other.execute("select pg_terminate_backend(%s)", (pid,))
        with pytest.raises(Unavailable), database.transaction() as tx:
            tx.one("select 1 as one")
        with database.transaction() as tx:
            assert tx.one("select 1 as one") == {"one": 1}
        database.close()


@pytest.mark.postgresql
def test_a_server_that_is_not_there_is_an_outage_and_no_defect():
    database = Database("postgresql://postgres@127.0.0.1:1/nothing", FakeClock())
    with pytest.raises(Unavailable), database.transaction():
        pass


def test_a_locked_file_is_an_outage_and_no_defect(tmp_path: Path):
    with database_url("sqlite", tmp_path) as url:
        first, second = Database(url, FakeClock()), Database(url, FakeClock())
        second.peewee.connect()
        second.peewee.execute_sql("pragma busy_timeout = 50")
        with first.transaction(), pytest.raises(Unavailable), second.transaction():
            pass
        with pytest.raises(Exception, match="no such table"), first.transaction() as tx:
            tx.all("select * from no_table")
        first.close()
        second.close()


def test_a_full_disk_passes_and_nothing_of_the_transaction_stays(tmp_path):
    """SQLite undoes the transaction by itself then; that is an outage that passes, not a defect."""
    database = Database(f"sqlite:///{tmp_path / 'engine.sqlite'}", FakeClock())
    database.migrate()
    with database.transaction() as tx:
        pages = tx.all("pragma page_count")[0]["page_count"]
        tx.all(f"pragma max_page_count = {pages}")
    with pytest.raises(DatabaseUnavailable), database.transaction() as tx:
        for n in range(2000):
            tx.run("insert into counters (name, value) values (%s, %s)", f"{n} {'x' * 500}", 1)
    with database.transaction() as tx:
        assert tx.all("select name from counters") == []
    database.close()
