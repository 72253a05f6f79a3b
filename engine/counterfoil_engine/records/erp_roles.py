"""Which ERP counts for an entity and which one runs beside it, by time; and what the one beside was given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from counterfoil_engine.domain.errors import Case
from counterfoil_engine.ports import Intent
from counterfoil_engine.records.database import Transaction, as_time
from counterfoil_engine.records.intents import as_intent

RETRY_S, LONGEST_RETRY_S = 5, 300

_STANDS = "party = 'erp' and entity = %s and state = 'done' and origin <> 'taken_over'"
_GIVEN = "select 1 from mirrored m where m.entity = intents.entity and m.erp = %s and m.key = intents.key"


def read(tx: Transaction, entity: str) -> Mapping[str, Any] | None:
    """counts, beside, is_handing_over, since, who."""
    row = tx.one("select * from erp_roles where entity = %s order by n desc limit 1", entity)
    return row and {**row, "is_handing_over": bool(row["is_handing_over"]), "since": as_time(row["since"])}


def write(tx: Transaction, entity: str, counts: str, beside: str | None, is_handing_over: bool, who: str) -> None:
    """From now on; what was before stays."""
    tx.run(
        "insert into erp_roles (entity, n, counts, beside, is_handing_over, since, who)"
        " select %s, coalesce(max(n), 0) + 1, %s, %s, %s, %s, %s from erp_roles where entity = %s",
        *(entity, counts, beside, int(is_handing_over), tx.now(), who, entity),
    )


def left(tx: Transaction, entity: str, erp: str, limit: int) -> list[Intent]:
    """What stands in the ERP that counts, and the one beside may be given now: in the order of results, so that what a
    document rests on comes before it."""
    rows = tx.all(
        f"select * from intents where {_STANDS} and document is not null"
        f" and not exists ({_GIVEN} and (m.state = 'done' or m.due_at > %s)) order by result_at, id limit %s",
        *(entity, erp, tx.now(), limit),
    )
    return [as_intent(row) for row in rows]


def mark(tx: Transaction, entity: str, erp: str, keys: Sequence[str], pause_s: float) -> None:
    """They are about to be posted there; where no answer comes they are looked up after pause_s at the earliest."""
    due_at = tx.now() + timedelta(seconds=RETRY_S + pause_s)
    tx.run_many(
        "insert into mirrored (entity, erp, key, state, attempts, due_at) values (%s, %s, %s, 'sent', 1, %s)"
        " on conflict (entity, erp, key) do update set state = 'sent', attempts = mirrored.attempts + 1,"
        " due_at = excluded.due_at",
        [(entity, erp, key, due_at) for key in keys],
    )


def done(tx: Transaction, entity: str, erp: str, numbers: Mapping[str, str]) -> None:
    tx.run_many(
        "update mirrored set state = 'done', number = %s, category = null, cause = null, remedy = null"
        " where entity = %s and erp = %s and key = %s",
        [(number, entity, erp, key) for key, number in numbers.items()],
    )


def refused(tx: Transaction, entity: str, erp: str, key: str, case: Case) -> None:
    """It is tried again, later each time: what it lacks may be set up meanwhile."""
    row = tx.one("select attempts from mirrored where entity = %s and erp = %s and key = %s", entity, erp, key)
    pause_s = min(RETRY_S * 2 ** min(int(row["attempts"]) if row else 0, 10), LONGEST_RETRY_S)
    tx.run(
        "update mirrored set state = 'refused', category = %s, cause = %s, remedy = %s, due_at = %s"
        " where entity = %s and erp = %s and key = %s",
        *(case.category, case.cause, case.remedy, tx.now() + timedelta(seconds=pause_s), entity, erp, key),
    )


def counts(tx: Transaction, entity: str, erp: str) -> Mapping[str, int]:
    """done, refused: of what the one beside was given; behind: what it has no answer to; sent: what the one that counts
    has no answer to."""
    given = "(select count(*) from mirrored where entity = %s and erp = %s and state = '{}')"
    row = tx.one(
        f"select {given.format('done')} as done, {given.format('refused')} as refused,"
        f" (select count(*) from intents where {_STANDS} and not exists ({_GIVEN} and m.state <> 'sent')) as behind,"
        " (select count(*) from intents where party = 'erp' and entity = %s and state = 'sent') as sent",
        *(entity, erp, entity, erp, entity, erp, entity),
    )
    assert row is not None
    return {name: int(row[name]) for name in ("done", "refused", "behind", "sent")}


def refusals(tx: Transaction, entity: str, erp: str, limit: int) -> list[Mapping[str, Any]]:
    """What the one beside refused, by cause, the most frequent first: category, cause, remedy, documents, a key."""
    return tx.all(
        "select category, cause, remedy, count(*) as documents, min(key) as key from mirrored"
        " where entity = %s and erp = %s and state = 'refused' group by category, cause, remedy"
        " order by count(*) desc, cause limit %s",
        *(entity, erp, limit),
    )


def first_day(tx: Transaction, entity: str) -> str | None:
    """The earliest posting date of what stands."""
    row = tx.one(f"select min(posting_date) as day from intents where {_STANDS}", entity)
    return row["day"] if row else None
