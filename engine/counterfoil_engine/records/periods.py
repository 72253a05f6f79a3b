"""Locked periods: nothing is posted into them any more.

A poster marks intents sent under a lock that many may share; who locks a period has that lock alone. So a document is
either marked before, and seen on its way, or gets a later date.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import date
from typing import Any

from counterfoil_engine.records.database import Transaction


def locked(tx: Transaction, entity: str) -> frozenset[str]:
    """The locked periods of an entity, by name."""
    return frozenset(row["period"] for row in tx.all("select period from period_locks where entity = %s", entity))


def share(tx: Transaction, entity: str) -> None:
    """Until the transaction ends nobody locks a period of this entity."""
    if not tx.is_sqlite:
        tx.run("select pg_advisory_xact_lock_shared(%s)", _number(entity))


def alone(tx: Transaction, entity: str) -> None:
    """Until the transaction ends nothing of this entity is marked as sent."""
    if not tx.is_sqlite:
        tx.run("select pg_advisory_xact_lock(%s)", _number(entity))


def read(tx: Transaction, entity: str, period: str) -> Mapping[str, Any] | None:
    return tx.one("select * from period_locks where entity = %s and period = %s", entity, period)


def lock(tx: Transaction, entity: str, period: str, who: str) -> None:
    tx.run(
        "insert into period_locks (entity, period, locked_at, locked_by) values (%s, %s, %s, %s)",
        entity,
        period,
        tx.now(),
        who,
    )


def unlock(tx: Transaction, entity: str, period: str) -> bool:
    """False where it was not locked."""
    return bool(tx.run("delete from period_locks where entity = %s and period = %s", entity, period))


def on_their_way(tx: Transaction, entity: str, first: date, last: date) -> int:
    """Documents dated into these days that were sent and have no result yet."""
    row = tx.one(
        "select count(*) as sent from intents where state = 'sent' and entity = %s and party = 'erp'"
        " and posting_date between %s and %s",
        entity,
        first.isoformat(),
        last.isoformat(),
    )
    return int(row["sent"]) if row else 0


def _number(entity: str) -> int:
    digest = hashlib.sha256(f"counterfoil period {entity}".encode()).digest()
    return int.from_bytes(digest[:8], signed=True)
