"""What rules or code alone would change about standing documents, held until approved; the brake on reversals (R2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from counterfoil_engine.ports import Restated
from counterfoil_engine.records.audit import append
from counterfoil_engine.records.database import Transaction, as_time


def hold(tx: Transaction, held: Mapping[str, tuple[str, Sequence[Restated]]]) -> None:
    """What is held of subjects now: the version that moved it, and the slots; an empty sequence: nothing."""
    table, params = tx.given([[subject] for subject in sorted(held)], of_subject="text")
    tx.run(f"delete from restatements where subject in (select of_subject from {table})", *params)
    for subject, (version, restated) in sorted(held.items()):
        for row in restated:
            tx.run(
                "insert into restatements (subject, slot, version, moved, entity, currency, standing_minor, due_minor,"
                " since) values (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
                subject,
                row.slot,
                version,
                row.moved,
                row.entity,
                row.currency,
                row.standing_minor,
                row.due_minor,
                tx.now(),
            )


def totals(tx: Transaction) -> list[Mapping[str, Any]]:
    """One break per version: subjects, slots and money, by entity and currency."""
    return tx.all(
        "select version, moved, entity, currency, count(distinct subject) as subjects, count(*) as slots,"
        " sum(standing_minor) as standing_minor, sum(due_minor) as due_minor, min(since) as since"
        " from restatements group by version, moved, entity, currency order by version, entity, currency"
    )


def held(tx: Transaction, version: str) -> list[Mapping[str, Any]]:
    return tx.all("select * from restatements where version = %s order by subject, slot", version)


def approve(tx: Transaction, version: str, who: str) -> list[str]:
    """Approve a version; the subjects it held."""
    tx.run(
        "insert into approvals (version, approved_at, approved_by) values (%s, %s, %s) on conflict do nothing",
        version,
        tx.now(),
        who,
    )
    rows = tx.all("select distinct subject from restatements where version = %s order by subject", version)
    return [row["subject"] for row in rows]


def is_approved(tx: Transaction, version: str) -> bool:
    return tx.one("select version from approvals where version = %s", version) is not None


# The brake.


def brake(tx: Transaction, entity: str) -> tuple[bool, datetime | None]:
    """Whether the entity's brake is on, and when it was last released; locks it until the transaction ends."""
    tx.run(
        "insert into brakes (entity, reason) values (%s, '') on conflict (entity) do update set reason = brakes.reason",
        entity,
    )
    row = tx.one("select tripped_at, released_at from brakes where entity = %s", entity)
    assert row is not None
    return row["tripped_at"] is not None, as_time(row["released_at"])


def trip_brake(tx: Transaction, entity: str, reason: str) -> None:
    tx.run(
        "update brakes set tripped_at = %s, reason = %s where entity = %s and tripped_at is null",
        tx.now(),
        reason,
        entity,
    )


def release_brake(tx: Transaction, entity: str) -> bool:
    """Let reversals go on; counting begins anew. False where the brake was not on."""
    return bool(
        tx.run(
            "update brakes set tripped_at = null, released_at = %s where entity = %s and tripped_at is not null",
            tx.now(),
            entity,
        )
    )


def brakes(tx: Transaction) -> list[Mapping[str, Any]]:
    return tx.all("select * from brakes where tripped_at is not null order by entity")


def audit(tx: Transaction, who: str, what: str, **detail: Any) -> None:
    """Keep what a person decided. Last in a transaction: see `records/audit.py`."""
    append(tx, who, what, detail)
