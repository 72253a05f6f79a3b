"""The work list: subjects, not messages."""

from __future__ import annotations

from datetime import timedelta

from counterfoil_engine.records.database import Database, as_time
from counterfoil_engine.records.work import mark_due


def _row(database: Database, subject: str):
    with database.transaction() as tx:
        return tx.one("select * from work where subject = %s", subject)


def _mark(database: Database, *args, **kwargs) -> None:
    with database.transaction() as tx:
        mark_due(tx, *args, **kwargs)


def test_a_thousand_marks_of_one_order_are_one_row(database: Database):
    for _ in range(10):
        _mark(database, ["order eu1/1001"] * 100)
    with database.transaction() as tx:
        assert tx.all("select subject, class from work") == [{"subject": "order eu1/1001", "class": "live"}]


def test_the_generation_never_repeats_even_where_the_row_was_deleted(database: Database):
    seen = set()
    for _ in range(5):
        _mark(database, ["order eu1/1001", "order eu1/1002"])
        seen |= {_row(database, "order eu1/1001")["gen"], _row(database, "order eu1/1002")["gen"]}
        with database.transaction() as tx:
            tx.run("delete from work")
    assert len(seen) == 10


def test_the_more_urgent_class_wins(database: Database):
    for first, second, expected in [
        ("history", "live", "live"),
        ("live", "history", "live"),
        ("history", "repair", "repair"),
        ("repair", "history", "repair"),
        ("history", "history", "history"),
    ]:
        subject = f"order eu1/{first}-{second}"
        _mark(database, [subject], first)
        _mark(database, [subject], second)
        assert _row(database, subject)["class"] == expected


def test_an_event_brings_forward_what_was_due_later_and_never_puts_it_off(database: Database):
    with database.transaction() as tx:
        now = tx.now()
    _mark(database, ["order eu1/1"], due_at=now + timedelta(days=30))
    _mark(database, ["order eu1/1"], due_at=now)
    _mark(database, ["order eu1/1"], due_at=now + timedelta(days=1))
    assert as_time(_row(database, "order eu1/1")["due_at"]) == now


def test_a_mark_keeps_the_claim_count(database: Database):
    _mark(database, ["order eu1/1"])
    with database.transaction() as tx:
        tx.run("update work set claims = 3")
    _mark(database, ["order eu1/1"])
    assert _row(database, "order eu1/1")["claims"] == 3


def test_nothing_to_mark_is_nothing_marked(database: Database):
    _mark(database, [])
    with database.transaction() as tx:
        assert tx.all("select * from work") == []


def test_a_mark_rolled_back_leaves_no_row(database: Database):
    try:
        with database.transaction() as tx:
            mark_due(tx, ["order eu1/1"])
            raise RuntimeError
    except RuntimeError:
        pass
    assert _row(database, "order eu1/1") is None
