"""What sweeps of books read: at a cost that grows with the journal, not with its square."""

from __future__ import annotations

from counterfoil_engine.records import book_sweeps


def plan_of(database, asked) -> str:
    """How the database would go about the statements of this, where it has reason to use an index."""
    told = []
    with database.transaction() as tx:
        if not tx.is_sqlite:
            tx.run("set local enable_seqscan = off")
        explain, answer = "explain query plan " if tx.is_sqlite else "explain ", tx.all
        tx.all = lambda sql, *params: told.extend(answer(explain + sql, *params)) or []
        asked(tx)
    return "\n".join(str(value) for row in told for value in row.values())


def test_the_intent_of_each_line_of_the_journal_is_found_by_its_key(database):
    assert "intents_key" in plan_of(database, lambda tx: book_sweeps.balances(tx, "DE01"))
