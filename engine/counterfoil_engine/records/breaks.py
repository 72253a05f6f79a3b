"""Breaks as kept: one row for each place where two sides disagreed, and a history that only grows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import Any

import msgspec

from counterfoil_engine.domain.breaks import STANDING, Found, Kept, Scope, State
from counterfoil_engine.records.database import Row, Transaction

_AT_ONCE = 1_000  # rows of one statement: SQLite takes 32,766 parameters
_COLUMNS = (
    "sweep, store, subject, class, units, amount_minor, currency, to_zero, cause, remedy, detail, state, policy,"
    " recurring, day, found_at, seen_at, changed_at"
)
_UPSERT = (
    f"insert into breaks ({_COLUMNS}) values ({', '.join(['%s'] * 18)})"
    " on conflict (sweep, store, subject, class) do update set units = excluded.units,"
    " amount_minor = excluded.amount_minor, currency = excluded.currency, to_zero = excluded.to_zero,"
    " cause = excluded.cause, remedy = excluded.remedy, detail = excluded.detail,"
    " recurring = breaks.recurring or excluded.recurring, policy = excluded.policy, seen_at = excluded.seen_at,"
    " day = excluded.day,"
    " found_at = case when breaks.state = 'healed' then excluded.found_at else breaks.found_at end,"
    " changed_at = case when breaks.state = excluded.state then breaks.changed_at else excluded.changed_at end,"
    " state = excluded.state"
)


def known(tx: Transaction, sweep: str, store: str, subjects: Sequence[str]) -> dict[tuple[str, str], tuple[Kept, Row]]:
    """(subject, class) → the break that was found there once, and its row."""
    found: dict[tuple[str, str], tuple[Kept, Row]] = {}
    wanted = sorted(set(subjects))
    for first in range(0, len(wanted), _AT_ONCE):
        which, params = tx.among("subject", wanted[first : first + _AT_ONCE])
        for row in tx.all(f"select * from breaks where sweep = %s and store = %s and {which}", sweep, store, *params):
            found[row["subject"], row["class"]] = (_kept(row), row)
    return found


def keep(tx: Transaction, found: Sequence[tuple[Found, State, str]], came_back: frozenset[str] = frozenset()) -> None:
    """Write each with its state and its policy, in the order of subjects, so that two sweeps don't deadlock.

    came_back: subjects that had been healed."""
    now = tx.now()
    tx.run_many(
        _UPSERT,
        [
            (
                *(one.sweep, one.store, one.subject, one.kind, *one.size, one.to_zero, one.cause, one.remedy),
                *(msgspec.json.encode(one.detail).decode(), state, policy),
                *(one.subject in came_back, one.day.isoformat() if one.day else None, now, now, now),
            )
            for one, state, policy in sorted(found, key=lambda each: (each[0].subject, each[0].kind))
        ],
    )


def ids_of(tx: Transaction, sweep: str, store: str, subjects: Sequence[str]) -> dict[tuple[str, str], int]:
    return {place: kept.id for place, (kept, _) in known(tx, sweep, store, subjects).items()}


def tell(tx: Transaction, said: Sequence[tuple[int, str, State, int | None, int | None]], who: str) -> None:
    """(break, what happened, its state from now on, units, amount_minor): into the history."""
    tx.run_many(
        "insert into break_history (break_id, at, who, what, state, units, amount_minor)"
        " values (%s, %s, %s, %s, %s, %s, %s)",
        [(one[0], tx.now(), who, *one[1:]) for one in said],
    )


def set_state(tx: Transaction, ids: Sequence[int], state: State, what: str, who: str) -> None:
    """Move breaks on, and say so in their history."""
    for first in range(0, len(ids), _AT_ONCE):
        part = sorted(ids)[first : first + _AT_ONCE]
        which, params = tx.among("id", part, "bigint")
        tx.run(f"update breaks set state = %s, changed_at = %s where {which}", state, tx.now(), *params)
        rows = tx.all(f"select id, units, amount_minor from breaks where {which} order by id", *params)
        tell(tx, [(row["id"], what, state, row["units"], row["amount_minor"]) for row in rows], who)


def unseen(tx: Transaction, sweep: str, store: str, since: datetime, scope: Scope) -> list[int]:
    """Breaks that stand, or were accepted, and were not seen since a sweep began that looked at them."""
    which, params = tx.among("state", (*STANDING, "accepted"))
    older, days = tx.among("day", [day.isoformat() for day in scope.older])
    but = scope.but or ""
    rows = tx.all(
        f"select id from breaks where sweep = %s and store = %s and {which} and seen_at < %s"
        f" and (day is null or day >= %s or {older}) and (%s = '' or substr(subject, 1, %s) <> %s) order by id",
        *(sweep, store, *params, since),
        *(scope.first.isoformat() if scope.first else "", *days, but, len(but), but),
    )
    return [row["id"] for row in rows]


def stand_on(tx: Transaction, sweep: str, stores: Sequence[str], subjects: Collection[str], since: datetime) -> None:
    """Breaks of these subjects count as seen: nobody can say that they agree. since: what was seen since is that."""
    which, params = tx.among("state", (*STANDING, "accepted"))
    whose, named = tx.among("store", stores)
    rows = tx.all(
        f"select id, subject from breaks where sweep = %s and {whose} and {which} and seen_at < %s order by id",
        *(sweep, *named, *params, since),
    )
    kept = [row["id"] for row in rows if row["subject"] in subjects]
    for first in range(0, len(kept), _AT_ONCE):
        which, params = tx.among("id", kept[first : first + _AT_ONCE], "bigint")
        tx.run(f"update breaks set seen_at = %s where {which}", tx.now(), *params)


def days_of(
    tx: Transaction, sweep: str, stores: Sequence[str], states: Sequence[str], before: date, limit: int
) -> list[date]:
    """Days before this one on which there are breaks in these states, the oldest first, so many at most."""
    which, params = tx.among("state", states)
    whose, named = tx.among("store", stores)
    rows = tx.all(
        f"select distinct day from breaks where sweep = %s and {whose} and {which} and day < %s order by day limit %s",
        *(sweep, *named, *params, before.isoformat(), limit),
    )
    return [date.fromisoformat(row["day"]) for row in rows]


def seen_since(tx: Transaction, sweep: str, store: str, since: datetime, state: State) -> list[Row]:
    """Breaks in a state that were seen since then."""
    return tx.all(
        "select * from breaks where sweep = %s and store = %s and state = %s and seen_at >= %s order by id",
        sweep,
        store,
        state,
        since,
    )


def any_healing(tx: Transaction, sweep: str, store: str) -> bool:
    sql = "select 1 as one from breaks where sweep = %s and store = %s and state = 'healing' limit 1"
    return tx.one(sql, sweep, store) is not None


def read(tx: Transaction, break_id: int) -> Row | None:
    return tx.one("select * from breaks where id = %s", break_id)


def history(tx: Transaction, break_id: int) -> list[Row]:
    return tx.all("select * from break_history where break_id = %s order by id", break_id)


def listed(
    tx: Transaction, sweep: str | None, store: str | None, states: Sequence[str], limit: int
) -> tuple[list[Row], int]:
    """Breaks, the oldest first, so many at most; and how many there are."""
    which, params = tx.among("state", states)
    where = f"where {which} and (cast(%s as text) is null or sweep = %s) and (cast(%s as text) is null or store = %s)"
    given: list[Any] = [*params, sweep, sweep, store, store]
    count = tx.one(f"select count(*) as many from breaks {where}", *given)
    rows = tx.all(f"select * from breaks {where} order by found_at, id limit %s", *given, limit)
    return rows, int(count["many"]) if count else 0


def _kept(row: Row) -> Kept:
    return Kept(row["id"], row["state"], row["units"], row["amount_minor"], row["currency"])
