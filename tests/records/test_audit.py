"""The audit log as it is kept: one chain, however many write at a time, and nothing that takes an entry back."""

from __future__ import annotations

import threading

import peewee
import pytest
from counterfoil_engine.domain.audit import verify
from counterfoil_engine.records import audit
from counterfoil_engine.records.database import Database


def decide(database: Database, *whats: str) -> None:
    for what in whats:
        with database.transaction() as tx:
            audit.append(tx, "anna", what, {"store": "eu1", "n": 7, "name": "Käthe"})


def read(database: Database):
    with database.transaction() as tx:
        return audit.entries(tx)


def test_entries_form_a_chain_that_can_be_recomputed(database):
    decide(database, "switch", "load rules", "confirm")
    entries = read(database)
    assert [(entry.n, entry.who, entry.what) for entry in entries] == [
        (1, "anna", "switch"),
        (2, "anna", "load rules"),
        (3, "anna", "confirm"),
    ]
    assert entries[0].detail == {"store": "eu1", "n": 7, "name": "Käthe"}
    assert verify(entries, {}).faults == []
    with database.transaction() as tx:
        assert audit.head(tx) == (3, entries[-1].hash)


def test_what_was_kept_before_the_chain_gets_its_place_first(database):
    with database.transaction() as tx:
        for what in ("switch", "retry"):
            tx.run("insert into audit (at, who, what, detail) values (%s, 'ops', %s, '{}')", tx.now(), what)
    decide(database, "confirm")
    entries = read(database)
    assert [entry.what for entry in entries] == ["switch", "retry", "confirm"]
    assert verify(entries, {}).faults == []


def test_a_log_that_nobody_appends_to_is_chained_when_it_is_read(database):
    with database.transaction() as tx:
        tx.run("insert into audit (at, who, what, detail) values (%s, 'ops', 'switch', '{}')", tx.now())
    [entry] = read(database)
    assert verify([entry], {}).faults == [] and len(entry.hash) == 64


def test_an_entry_that_is_undone_with_its_transaction_leaves_no_gap(database):
    decide(database, "switch")
    with pytest.raises(ZeroDivisionError), database.transaction() as tx:
        audit.append(tx, "anna", "never", {})
        raise ZeroDivisionError
    decide(database, "confirm")
    assert [(entry.n, entry.what) for entry in read(database)] == [(1, "switch"), (2, "confirm")]
    assert verify(read(database), {}).faults == []


def test_many_who_write_at_once_make_one_chain(database, clock):
    def writer(number: int) -> None:
        own = database if database.is_sqlite else Database(database.url, clock)
        decide(own, *[f"what {number}"] * 10)
        if own is not database:
            own.close()

    threads = [threading.Thread(target=writer, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    entries = read(database)
    assert [entry.n for entry in entries] == list(range(1, 41))
    assert verify(entries, {}).faults == []


@pytest.mark.parametrize(
    "statement",
    ["update audit set who = 'ben'", "delete from audit", "truncate audit", "update audit set hash = null"],
)
def test_postgresql_refuses_whoever_would_change_the_log(database, statement):
    if database.is_sqlite:
        pytest.skip("SQLite has no users to keep apart: what changes its file is found by the chain")
    decide(database, "switch")
    with pytest.raises(peewee.PeeweeException, match="audit log only grows"), database.transaction() as tx:
        tx.run(statement)
    assert [entry.who for entry in read(database)] == ["anna"]


def test_a_page_begins_after_a_place_or_at_a_moment(database, clock):
    database.now = clock.now
    decide(database, "switch")
    clock.pass_time(3600)
    middle = clock.now()
    decide(database, "retry", "confirm")
    with database.transaction() as tx:
        assert [entry.what for entry in audit.entries(tx, after=1, limit=1)] == ["retry"]
        assert [entry.what for entry in audit.entries(tx, since=middle)] == ["retry", "confirm"]
    del database.now
