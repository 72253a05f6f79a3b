"""People who command, and the hashes of their tokens. A row is never deleted: a name stays the same person."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from counterfoil_engine.records.database import Transaction


def read(tx: Transaction, name: str) -> Mapping[str, Any] | None:
    return tx.one("select * from users where name = %s", name)


def by_token_id(tx: Transaction, token_id: str) -> Mapping[str, Any] | None:
    """Whose token this is, unless that person was removed."""
    return tx.one("select * from users where token_id = %s and removed_at is null", token_id)


def all_of_them(tx: Transaction) -> list[Mapping[str, Any]]:
    """Everybody who may command now, without what a token is known by."""
    return tx.all(
        "select name, role, added_at, added_by, token_at, token_by, expires_at from users"
        " where removed_at is null order by name"
    )


def standing(tx: Transaction) -> int:
    """How many may command now."""
    row = tx.one("select count(*) as users from users where removed_at is null")
    return int(row["users"]) if row else 0


def save(tx: Transaction, name: str, role: str, token_id: str, token_hash: str, expires_at: datetime, who: str) -> None:
    """A new person, or one who comes back under the same name. The second one at a time brings four eyes into force."""
    if not tx.is_sqlite:
        tx.run("select pg_advisory_xact_lock(7037)")  # of two who are added at once the later counts both
    tx.run(
        "insert into users (name, role, token_id, token_hash, token_by, token_at, expires_at, added_at, added_by)"
        " values (%s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict (name) do update set role = excluded.role,"
        " token_id = excluded.token_id, token_hash = excluded.token_hash, token_by = excluded.token_by,"
        " token_at = excluded.token_at, expires_at = excluded.expires_at, added_at = excluded.added_at,"
        " added_by = excluded.added_by, removed_at = null",
        name,
        role,
        token_id,
        token_hash,
        who,
        tx.now(),
        expires_at,
        tx.now(),
        who,
    )
    if standing(tx) >= 2:
        tx.run("insert into four_eyes (one, since) values (1, %s) on conflict (one) do nothing", tx.now())


def set_token(tx: Transaction, name: str, token_id: str, token_hash: str, expires_at: datetime, who: str) -> bool:
    """Another token in place of the one before; False where nobody of that name may command."""
    return bool(
        tx.run(
            "update users set token_id = %s, token_hash = %s, token_by = %s, token_at = %s, expires_at = %s"
            " where name = %s and removed_at is null",
            token_id,
            token_hash,
            who,
            tx.now(),
            expires_at,
            name,
        )
    )


def remove(tx: Transaction, name: str) -> bool:
    """Token, password and sessions are worth nothing from now on; False where nobody of that name may command."""
    tx.run("delete from sessions where name = %s", name)
    tx.run("delete from passwords where name = %s", name)
    return bool(tx.run("update users set removed_at = %s where name = %s and removed_at is null", tx.now(), name))


def four_eyes_since(tx: Transaction) -> datetime | str | None:
    """Since when what needs a second person waits for one; None: not in force."""
    row = tx.one("select since from four_eyes")
    return row["since"] if row else None
