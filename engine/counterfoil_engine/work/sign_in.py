"""Signing in: a name and a password, or an identity provider's word; then a session of limited length.

A try is noted before the password is looked at, so that guesses side by side count as well. A session's secret is 256
random bits that only the browser has; it is made anew at every sign-in. Roles are read at every request: who is removed
or given another role feels it at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from counterfoil_engine.domain.roles import may
from counterfoil_engine.ports import Caller, Records, Rejected
from counterfoil_engine.work import passwords
from counterfoil_engine.work.passwords import Scrypt

LIFE = timedelta(hours=12)  # of a session, however much it is used
IDLE = timedelta(hours=2)
TRIES_WITHIN = timedelta(minutes=15)
TRIES_OF_A_NAME, TRIES_FROM_AN_ADDRESS = 10, 100
ELSEWHERE_FOR = timedelta(minutes=10)  # how long a person may take at the identity provider
_SEEN_ANEW = timedelta(minutes=1)


class SignInRecords(Protocol):
    """Passwords, sessions, tries (`records/sign_ins.py`)."""

    def password_of(self, tx: Any, name: str) -> str | None: ...
    def set_password(self, tx: Any, name: str, password_hash: str, who: str) -> bool: ...
    def begin(self, tx: Any, id_hash: str, name: str, csrf: str, how: str, expires_at: datetime) -> None: ...
    def session(self, tx: Any, id_hash: str, idle_since: datetime) -> Mapping[str, Any] | None: ...
    def seen(self, tx: Any, id_hash: str) -> None: ...
    def tell(self, tx: Any, id_hash: str, notice: str) -> None: ...
    def end(self, tx: Any, id_hash: str) -> None: ...
    def note_try(self, tx: Any, who: str, since: datetime) -> int: ...
    def forget_tries(self, tx: Any, who: str) -> None: ...
    def begin_elsewhere(
        self, tx: Any, state_hash: str, nonce: str, verifier: str, wanted: str, until: datetime
    ) -> None: ...
    def came_back(self, tx: Any, state_hash: str) -> Mapping[str, Any] | None: ...


class IdentityProvider(Protocol):
    """Who vouches for people besides their passwords. Each may raise Unavailable, or reject."""

    def way(self, state: str, nonce: str, verifier: str) -> str:
        """The address to send a person to."""

    def name_of(self, code: str, nonce: str, verifier: str) -> str:
        """The name of whom it vouches for, by the code that came back."""


@dataclass(frozen=True)
class Session:
    """Who is signed in. csrf: what each of their forms has to bear. notice: what the page says first, once."""

    caller: Caller
    csrf: str
    how: str
    notice: str


class SignIn:
    """draw: a fresh secret of 256 random bits, as text that a URL can bear; salt: 16 random bytes."""

    def __init__(
        self,
        records: Records,
        sign_ins: SignInRecords,
        draw: Callable[[], str],
        salt: Callable[[], bytes],
        scrypt: Scrypt | None = None,
    ) -> None:
        self._records, self._sign_ins, self._draw, self._salt = records, sign_ins, draw, salt
        self._scrypt = scrypt or Scrypt()

    def with_password(self, name: str, password: str, address: str) -> str:
        """A new session's secret; rejects a name or password that is wrong, and who tries too often."""
        with self._records.transaction() as tx:
            since = tx.now() - TRIES_WITHIN
            of_name = self._sign_ins.note_try(tx, f"name {name}", since)
            from_there = self._sign_ins.note_try(tx, f"from {address}", since)
            kept = self._sign_ins.password_of(tx, name)
        if of_name > TRIES_OF_A_NAME or from_there > TRIES_FROM_AN_ADDRESS:
            raise Rejected(
                "There were too many tries to sign in.",
                f"Wait {TRIES_WITHIN.seconds // 60} minutes, or let an admin set another password"
                " (counterfoil users password).",
                slug="too-often",
            )
        right = passwords.is_right(password, kept or self._scrypt.nobody())
        if not right or kept is None:
            raise Rejected(
                "Name and password don't fit together.",
                "Try again; who has none yet gets one from an admin (counterfoil users password).",
                slug="signature",
            )
        with self._records.transaction() as tx:
            if self._sign_ins.password_of(tx, name) != kept:
                raise Rejected("The password was changed meanwhile.", "Sign in with the new one.", slug="signature")
            self._sign_ins.forget_tries(tx, f"name {name}")
            return self._begin(tx, name, "password")

    def named_elsewhere(self, name: str) -> str:
        """A new session's secret for a person whom the identity provider vouches for; rejects whom nobody added."""
        with self._records.transaction() as tx:
            user = self._records.users.read(tx, name)
            if user is None or user["removed_at"] is not None:
                raise Rejected(
                    "The identity provider knows you, but nobody of that name may use this engine.",
                    "Ask an admin: counterfoil users add, with the very name that the provider gives.",
                    slug="role",
                )
            return self._begin(tx, name, "identity provider")

    def session(self, secret: str) -> Session | None:
        """Whose session this is; None: it is over, or never was. Its notice is told once."""
        if not secret:
            return None
        id_hash = _hash(secret)
        with self._records.transaction() as tx:
            row = self._sign_ins.session(tx, id_hash, tx.now() - IDLE)
            if row is None:
                return None
            if _moment(row["seen_at"]) < tx.now() - _SEEN_ANEW:
                self._sign_ins.seen(tx, id_hash)
            return Session(
                Caller(row["name"], row["role"], token_by=row["set_by"]), row["csrf"], row["how"], row["notice"]
            )

    def tell(self, secret: str, notice: str) -> None:
        """What the next page says first; empty: it was said."""
        with self._records.transaction() as tx:
            self._sign_ins.tell(tx, _hash(secret), notice)

    def end(self, secret: str) -> None:
        with self._records.transaction() as tx:
            self._sign_ins.end(tx, _hash(secret))

    def set_password(self, name: str | None, password: str, caller: Caller) -> Mapping[str, Any]:
        """One's own password (None), or as an admin somebody's. All their sessions end."""
        name = name or caller.name
        if name != caller.name and not may(caller.role, "add_user"):
            raise Rejected(
                f"{caller.name} has the role {caller.role}, and may only set their own password.",
                "Ask an admin.",
                slug="role",
            )
        passwords.check(password, name)
        made = self._scrypt.hash(password, self._salt())
        with self._records.transaction() as tx:
            if not self._sign_ins.set_password(tx, name, made, caller.name):
                raise Rejected(
                    f"There is no user {name[:80]!r}.", "Add them first: counterfoil users add.", slug="request"
                )
            self._sign_ins.forget_tries(tx, f"name {name}")
            self._records.restatements.audit(tx, caller.name, "set password", name=name)
        return {"name": name, "set_by": caller.name}

    def change_password(self, before: str, after: str, caller: Caller, address: str) -> str:
        """One's own, by who knows the one before; the secret of a new session, since all others end."""
        self.end(self.with_password(caller.name, before, address))
        self.set_password(None, after, caller)
        with self._records.transaction() as tx:
            return self._begin(tx, caller.name, "password")

    def begin_elsewhere(self, wanted: str) -> tuple[str, str, str]:
        """State, nonce and verifier for a way to the identity provider and back. wanted: the page to come to."""
        state, nonce, verifier = self._draw(), self._draw(), self._draw()
        with self._records.transaction() as tx:
            self._sign_ins.begin_elsewhere(tx, _hash(state), nonce, verifier, wanted, tx.now() + ELSEWHERE_FOR)
        return state, nonce, verifier

    def came_back(self, state: str) -> Mapping[str, Any] | None:
        """nonce, verifier and wanted of a way that was begun and isn't over; each once."""
        with self._records.transaction() as tx:
            return self._sign_ins.came_back(tx, _hash(state))

    def _begin(self, tx: Any, name: str, how: str) -> str:
        secret = self._draw()
        self._sign_ins.begin(tx, _hash(secret), name, self._draw(), how, tx.now() + LIFE)
        self._records.restatements.audit(tx, name, "sign in", how=how)
        return secret


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _moment(value: Any) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(value)
