"""Who sends a command, and whether their role may: each token is somebody's, each command has a least role."""

from __future__ import annotations

import hmac
from typing import Protocol

from flask import Request, g

from counterfoil_engine.domain.roles import least_role, may
from counterfoil_engine.ports import Caller, Rejected
from counterfoil_engine.work.users import BOOTSTRAP


class Callers(Protocol):
    """People with tokens of their own, as `work.users.Users` knows them."""

    def of_token(self, token: str) -> Caller | None: ...

    def is_anybody_there(self) -> bool: ...


class Access:
    """token: the environment's, which is nobody's own; empty: there is none. callers: None: nobody has their own."""

    def __init__(self, token: str, callers: Callers | None = None) -> None:
        self._token, self._callers = token, callers

    def admit(self, request: Request) -> None:
        """Let a request pass under its caller's name (`g.caller`), or reject it."""
        caller = self._caller(request.headers.get("Authorization", ""))
        command = (request.endpoint or "").rpartition(".")[2]
        if not may(caller.role, command):
            raise Rejected(
                f"{caller.name} has the role {caller.role}; this takes at least {least_role(command)}.",
                "Ask somebody who may, or an admin for another role (counterfoil users list).",
                slug="role",
            )
        g.caller = caller

    def _caller(self, given: str) -> Caller:
        if self._token and hmac.compare_digest(given.encode("utf-8", "replace"), f"Bearer {self._token}".encode()):
            return BOOTSTRAP
        caller = self._callers.of_token(given.removeprefix("Bearer ")) if self._callers else None
        if caller is not None:
            return caller
        if not self._token and not (self._callers and self._callers.is_anybody_there()):
            raise Rejected(
                "This engine has no token for commands.",
                "Set COUNTERFOIL_API_TOKEN for the engine and for who calls it.",
                slug="token-not-set",
            )
        raise Rejected(
            "The token is missing or wrong.",
            "Send your token as Bearer token: the one that `counterfoil users add` showed, or the engine's"
            " COUNTERFOIL_API_TOKEN.",
            slug="token",
        )


def caller_of_request() -> Caller:
    """Who sent the request that is being answered."""
    caller: Caller = g.caller
    return caller
