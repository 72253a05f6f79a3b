"""The database's planner is told what a burst has changed, before PostgreSQL's own autovacuum comes by."""

from __future__ import annotations

from counterfoil_engine.records import statistics
from counterfoil_engine.records.database import Database


def marked(database: Database, first: int, many: int) -> None:
    with database.transaction() as tx:
        for number in range(first, first + many):
            tx.run(
                "insert into work (subject, gen, class, due_at, marked_at) values (%s, 1, 'live', %s, %s)",
                f"order eu1/{number}",
                tx.now(),
                tx.now(),
            )


def refreshed(database: Database) -> list[str]:
    if not database.is_sqlite:
        with database.transaction() as tx:
            tx.all("select pg_stat_force_next_flush()")
    with database.transaction() as tx:
        return [name.rpartition(".")[2] for name in statistics.refresh(tx)]


def test_a_table_that_a_burst_has_filled_is_counted_anew_and_then_left_alone(database: Database) -> None:
    marked(database, 1, statistics.CHANGED_ROWS + 1)
    assert refreshed(database) == ([] if database.is_sqlite else ["work"])
    assert refreshed(database) == []
    if not database.is_sqlite:
        with database.transaction() as tx:
            row = tx.one("select reltuples as known from pg_class where relname = 'work'")
            assert row is not None and row["known"] == statistics.CHANGED_ROWS + 1


def test_a_few_rows_are_not_worth_it(database: Database) -> None:
    marked(database, 1, 20)
    assert refreshed(database) == []
