"""The lock between who locks a period and who sends documents into it."""

from __future__ import annotations

import threading

import pytest
from counterfoil_engine.records import periods
from counterfoil_engine.records.database import Database


def test_who_locks_a_period_waits_for_those_who_mark_documents_as_sent(database, clock):
    other = database if database.is_sqlite else Database(database.url, clock)
    order: list[str] = []

    def controller() -> None:
        with other.transaction() as tx:
            periods.alone(tx, "DE01")
            order.append("locked")
            periods.lock(tx, "DE01", "2026-10", "anna")

    thread = threading.Thread(target=controller)
    with database.transaction() as tx:
        periods.share(tx, "DE01")
        thread.start()
        thread.join(0.3)
        order.append("marked")
    thread.join()
    if other is not database:
        other.close()
    assert order == ["marked", "locked"]
    with database.transaction() as tx:
        assert periods.locked(tx, "DE01") == {"2026-10"}
        assert periods.locked(tx, "FR01") == frozenset()


def test_another_entitys_period_is_locked_without_waiting(database, clock):
    if database.is_sqlite:
        pytest.skip("SQLite has one writer at a time")
    other = Database(database.url, clock)
    with database.transaction() as tx:
        periods.share(tx, "DE01")
        with other.transaction() as theirs:
            periods.share(theirs, "DE01")
            periods.alone(theirs, "FR01")
    other.close()


def test_an_opened_period_is_open(database):
    with database.transaction() as tx:
        periods.lock(tx, "DE01", "2026-10", "anna")
        assert periods.unlock(tx, "DE01", "2026-10") is True
        assert periods.unlock(tx, "DE01", "2026-10") is False
        assert periods.read(tx, "DE01", "2026-10") is None
