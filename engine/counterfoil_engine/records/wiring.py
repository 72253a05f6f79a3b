"""The records over one database, as looks and posting ask for them."""

from __future__ import annotations

from counterfoil_engine.ports import Records
from counterfoil_engine.records import (
    audit,
    breakers,
    cases,
    claims,
    identity,
    intents,
    journal,
    looks,
    periods,
    proposals,
    restatements,
    rules_store,
    users,
    waits,
    work,
)
from counterfoil_engine.records.database import Database


def records_over(database: Database) -> Records:
    """Each module of `records/` fulfils the protocol of its name in `ports.py`."""
    return Records(
        database,
        claims,
        work,
        waits,
        intents,
        cases,
        looks,
        restatements,
        breakers,
        journal,
        rules_store,
        identity,
        users,
        audit,
        proposals,
        periods,
    )
