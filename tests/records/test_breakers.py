"""Breakers: an outage is counted once, however many lanes it meets, and ends by itself (K7)."""

from __future__ import annotations

from counterfoil_engine.records import breakers
from counterfoil_engine.records.database import Database
from fakes.clock import FakeClock

ERP = ("erp", "DE01")


def trip(database: Database, asked_s: float | None = None) -> None:
    with database.transaction() as tx:
        breakers.trip(tx, *ERP, "It answers 503.", 0.0, asked_s)


def allowance(database: Database) -> int:
    with database.transaction() as tx:
        return breakers.allowance(tx, *ERP)


def pauses(database: Database) -> list[tuple[int, float]]:
    with database.transaction() as tx:
        rows = breakers.shown(tx)
        now = tx.now()
        return [(row["failures"], round((breakers.as_time(row["until"]) - now).total_seconds())) for row in rows]  # type: ignore[operator]


def test_eight_lanes_that_fail_at_one_moment_are_one_outage(database: Database) -> None:
    for _ in range(8):
        trip(database)
    assert pauses(database) == [(1, 2)]


def test_an_outage_that_lasts_is_asked_after_more_and_more_seldom(database: Database, clock: FakeClock) -> None:
    told = []
    for _ in range(4):
        trip(database)
        told += pauses(database)
        with database.transaction() as tx:  # its moment has come
            tx.run("update breakers set until = %s", tx.now())
    assert told == [(1, 2), (2, 4), (3, 8), (4, 16)]


def test_a_pause_that_is_asked_for_is_kept_whichever_lane_hears_it(database: Database) -> None:
    trip(database)
    trip(database, asked_s=40)
    assert pauses(database) == [(1, 40)]


def test_while_it_is_open_nothing_is_sent_and_then_one_a_lane(database: Database) -> None:
    trip(database)
    assert allowance(database) == 0
    with database.transaction() as tx:
        tx.run("update breakers set until = %s", tx.now())
    assert allowance(database) == 1
