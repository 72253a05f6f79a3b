"""People who command: each has a name for the audit log, a role, and a token that is shown once and can be replaced.

The engine keeps a token's SHA-256 alone. That is enough: a token is 256 random bits, so there is nothing to guess.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, get_args

from counterfoil_engine.domain.errors import CounterfoilError
from counterfoil_engine.domain.roles import Role, may
from counterfoil_engine.ports import Caller, Records, Rejected

BOOTSTRAP = Caller("operator", "admin", is_person=False)  # who bears the environment's COUNTERFOIL_API_TOKEN
RESERVED = {BOOTSTRAP.name, "settings", "engine"}  # what the audit log calls those who are no person
DAYS = 365  # how long a token holds, unless told otherwise

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_TOKEN = re.compile(r"cf_([0-9a-f]{16})_[A-Za-z0-9_-]{43}")
_NOBODY = hashlib.sha256(b"no token has this hash").hexdigest()


class Users:
    """new_token: a token's public part (16 hexadecimal digits) and its secret one (43 characters, 256 random bits)."""

    def __init__(self, records: Records, new_token: Callable[[], tuple[str, str]]) -> None:
        self._records, self._new_token = records, new_token

    def of_token(self, token: str) -> Caller | None:
        """Whose token this is; None: nobody's. Rejects (`token-expired`) what held once."""
        form = _TOKEN.fullmatch(token)
        if form is None:
            return None
        with self._records.transaction() as tx:
            row = self._records.users.by_token_id(tx, form[1])
            now = tx.now()
        if not hmac.compare_digest(_hash(token), row["token_hash"] if row else _NOBODY) or row is None:
            return None
        if _moment(row["expires_at"]) <= now:
            raise Rejected(
                f"The token of {row['name']} expired on {_moment(row['expires_at']).date()}.",
                f"An admin makes another: counterfoil users rotate {row['name']}.",
                slug="token-expired",
            )
        return Caller(row["name"], row["role"], token_by=row["token_by"])

    def is_anybody_there(self) -> bool:
        with self._records.transaction() as tx:
            return bool(self._records.users.standing(tx))

    def list(self) -> Mapping[str, Any]:
        with self._records.transaction() as tx:
            rows = self._records.users.all_of_them(tx)
        return {"users": [{name: _plain(value) for name, value in row.items()} for row in rows]}

    def add(self, name: str, role: Role, days: int, caller: Caller) -> Mapping[str, Any]:
        """A new person; the answer shows the token, once."""
        if not _NAME.fullmatch(name) or name in RESERVED:
            raise _refused(
                f"{name[:80]!r} can't be a user's name.",
                "Use small letters, digits, `.`, `_` and `-`; operator, settings and engine are taken.",
            )
        if role not in get_args(Role):
            raise _refused(f"There is no role {role!r}.", f"Use one of: {', '.join(get_args(Role))}.")
        with self._records.transaction() as tx:
            known = self._records.users.read(tx, name)
            if known and known["removed_at"] is None:
                raise _refused(
                    f"There is a user {name} already, with the role {known['role']}.",
                    f"For another role: counterfoil users remove {name}, then add anew; for another token: rotate.",
                )
            token, token_id, expires_at = self._token(tx.now(), days)
            self._records.users.save(tx, name, role, token_id, _hash(token), expires_at, caller.name)
            self._records.restatements.audit(tx, caller.name, "add user", name=name, role=role)
        return {"name": name, "role": role, "token": token, "expires_at": expires_at.isoformat()}

    def rotate(self, name: str | None, days: int, caller: Caller) -> Mapping[str, Any]:
        """Another token, one's own (None) or somebody's; the one before is worth nothing from now on."""
        name = name or caller.name
        if name == BOOTSTRAP.name:
            raise _refused(
                "The engine's own token is no user's, and isn't replaced by a command.",
                "Set another COUNTERFOIL_API_TOKEN where the engine runs; for somebody's token, name them.",
            )
        if name != caller.name and not may(caller.role, "add_user"):
            raise Rejected(
                f"{caller.name} has the role {caller.role}, and may only replace their own token.",
                "Ask an admin.",
                slug="role",
            )
        with self._records.transaction() as tx:
            token, token_id, expires_at = self._token(tx.now(), days)
            if not self._records.users.set_token(tx, name, token_id, _hash(token), expires_at, caller.name):
                raise _unknown(name)
            self._records.restatements.audit(tx, caller.name, "rotate token", name=name)
        return {"name": name, "token": token, "expires_at": expires_at.isoformat()}

    def remove(self, name: str, caller: Caller) -> Mapping[str, Any]:
        with self._records.transaction() as tx:
            if not self._records.users.remove(tx, name):
                raise _unknown(name)
            self._records.restatements.audit(tx, caller.name, "remove user", name=name)
        return {"name": name, "removed": True}

    def _token(self, now: datetime, days: int) -> tuple[str, str, datetime]:
        token_id, secret = self._new_token()
        return f"cf_{token_id}_{secret}", token_id, now + timedelta(days=days)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _moment(value: Any) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(value)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _unknown(name: str) -> CounterfoilError:
    return _refused(f"There is no user {name[:80]!r}.", "See who there is: counterfoil users list.")


def _refused(cause: str, remedy: str) -> Rejected:
    return Rejected(cause, remedy, slug="request")
