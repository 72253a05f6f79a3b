"""Passwords, sessions and tries to sign in. Of a session and of a sign-in under way only the secret's hash is kept."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from counterfoil_engine.records.database import Transaction


def password_of(tx: Transaction, name: str) -> str | None:
    """The hash of a person's password, unless they were removed or have none."""
    row = tx.one(
        "select p.hash from passwords p join users u on u.name = p.name where p.name = %s and u.removed_at is null",
        name,
    )
    return row["hash"] if row else None


def set_password(tx: Transaction, name: str, password_hash: str, who: str) -> bool:
    """A person's password from now on, and the end of their sessions; False where nobody of that name may command."""
    if tx.one("select 1 as there from users where name = %s and removed_at is null", name) is None:
        return False
    tx.run(
        "insert into passwords (name, hash, set_by, set_at) values (%s, %s, %s, %s) on conflict (name) do update set"
        " hash = excluded.hash, set_by = excluded.set_by, set_at = excluded.set_at",
        name,
        password_hash,
        who,
        tx.now(),
    )
    tx.run("delete from sessions where name = %s", name)
    return True


def begin(tx: Transaction, id_hash: str, name: str, csrf: str, how: str, expires_at: datetime) -> None:
    """A new session; those that are over go."""
    tx.run("delete from sessions where expires_at <= %s", tx.now())
    tx.run(
        "insert into sessions (id_hash, name, csrf, how, notice, begun_at, seen_at, expires_at)"
        " values (%s, %s, %s, %s, '', %s, %s, %s)",
        id_hash,
        name,
        csrf,
        how,
        tx.now(),
        tx.now(),
        expires_at,
    )


def session(tx: Transaction, id_hash: str, idle_since: datetime) -> Mapping[str, Any] | None:
    """A session that holds and was used after idle_since, with its person's role and who chose their password."""
    return tx.one(
        "select s.*, u.role, coalesce(p.set_by, '') as set_by from sessions s join users u on u.name = s.name"
        " left join passwords p on p.name = s.name and s.how = 'password'"
        " where s.id_hash = %s and s.expires_at > %s and s.seen_at > %s and u.removed_at is null",
        id_hash,
        tx.now(),
        idle_since,
    )


def seen(tx: Transaction, id_hash: str) -> None:
    tx.run("update sessions set seen_at = %s where id_hash = %s", tx.now(), id_hash)


def tell(tx: Transaction, id_hash: str, notice: str) -> None:
    """What the session's next page says first; empty: nothing."""
    tx.run("update sessions set notice = %s where id_hash = %s", notice, id_hash)


def end(tx: Transaction, id_hash: str) -> None:
    tx.run("delete from sessions where id_hash = %s", id_hash)


def note_try(tx: Transaction, who: str, since: datetime) -> int:
    """Note a try; how many there were since, this one among them. Older ones go."""
    tx.run("delete from sign_in_tries where at <= %s", since)
    tx.run("insert into sign_in_tries (who, at) values (%s, %s)", who, tx.now())
    row = tx.one("select count(*) as tries from sign_in_tries where who = %s and at > %s", who, since)
    return int(row["tries"]) if row else 0


def forget_tries(tx: Transaction, who: str) -> None:
    tx.run("delete from sign_in_tries where who = %s", who)


def begin_elsewhere(tx: Transaction, state_hash: str, nonce: str, verifier: str, wanted: str, until: datetime) -> None:
    """Somebody was sent to the identity provider."""
    tx.run("delete from sign_in_states where until <= %s", tx.now())
    tx.run(
        "insert into sign_in_states (state_hash, nonce, verifier, wanted, until) values (%s, %s, %s, %s, %s)",
        state_hash,
        nonce,
        verifier,
        wanted,
        until,
    )


def came_back(tx: Transaction, state_hash: str) -> Mapping[str, Any] | None:
    """What was kept of a sign-in under way, once: it is gone afterwards."""
    row = tx.one("select * from sign_in_states where state_hash = %s and until > %s", state_hash, tx.now())
    tx.run("delete from sign_in_states where state_hash = %s", state_hash)
    return row
