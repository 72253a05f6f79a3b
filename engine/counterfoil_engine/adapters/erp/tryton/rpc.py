"""Calls into a running Tryton over its JSON-RPC: one session, answers read strictly, and each failure told apart.

POST /<database>/rpc/ {"id": 1, "method": "model.sale.sale.create", "params": […, context]}. Decimals and dates
travel as objects with a `__class__`. Refusals come back with status 200.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests
from requests.auth import AuthBase

from counterfoil_engine.adapters.http.line import Answer, Line, Lost, NotSent
from counterfoil_engine.domain.errors import RateLimited, Unavailable

BUSY_TRIES = 6  # a lock that another user's posting holds: nothing was done, and Tryton itself has tried five times
BUSY_PAUSE_S = 0.2
WARNINGS_MAX = 50
# Questions to whoever posts, to which the engine's answer is yes: it has its reasons in its own facts.
WARNINGS = frozenset({"invoice_taxes", "invoice_date_future", "invoice_payment_term", "invoice_similar", "done"})
# A Python error that says that something beyond Tryton didn't answer.
_OUTSIDE = ("[Errno", "Connection", "Timeout", "timed out")


@dataclass
class Said(Exception):
    """Tryton's no: the kind of its exception, and its text."""

    kind: str
    text: str

    def __str__(self) -> str:
        return self.text


class _SessionToken(AuthBase):
    """Who calls, once logged in; as auth and not as a header, so that no .netrc entry replaces it."""

    value: str | None = None

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self.value:
            request.headers["Authorization"] = f"Session {self.value}"
        return request


class Tryton:
    """One user of one database. May be shared by threads; its calls go one after the other.

    url: with the database, such as https://erp.example.com/books. company: the id that all calls are about, once known.
    """

    def __init__(
        self,
        url: str,
        user: str,
        password: str,
        session: requests.Session | None = None,
        *,
        timeout_s: float = 120.0,
        connect_timeout_s: float = 5.0,
        most_answer_bytes: int = 256 * 1024 * 1024,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._user, self._password, self._sleep = user, password, sleep
        self._token, self._lock = _SessionToken(), threading.RLock()
        # Bodies of some size are compressed whatever is asked for, and labelled so only where it is accepted.
        place = urlsplit(url)
        before, _, self._database = place.path.rstrip("/").rpartition("/")
        server = urlunsplit(place._replace(path=before))
        self._line = Line(
            server,
            self._token,
            session or requests.Session(),
            timeout_s=timeout_s,
            connect_timeout_s=connect_timeout_s,
            most_bytes=most_answer_bytes,
            party="Tryton",
            encoding="gzip",
            monotonic=monotonic,
        )
        self.context: dict[str, Any] = {"language": "en"}

    def read(self, method: str, *params: Any, **context: Any) -> Any:
        """A call that changes nothing: whatever fails can be asked again. Raises Unavailable or RateLimited."""
        try:
            return self._call(method, params, context)
        except Lost as error:
            raise _unreachable(error) from error
        except Said as said:
            raise Unavailable(
                f"Tryton refuses to be read: {' '.join(said.text.split())[:300]}.",
                "Give the user the groups that `counterfoil erp setup tryton` lists.",
                category="contract",
            ) from said

    def write(self, method: str, *params: Any, **context: Any) -> Any:
        """A call that may have been carried out where it raises Lost; Said is Tryton's no. Else as `read`.

        Questions of Tryton to its user are answered yes where they are known ones."""
        for _ in range(WARNINGS_MAX):
            try:
                return self._call(method, params, context)
            except Said as said:
                name = said.text.partition("\n")[0]  # a hash of the records, a dot, and what is asked
                if said.kind != "UserWarning" or name.partition(".")[2] not in WARNINGS:
                    raise
                self._call("model.res.user.warning.skip", (name, False), {})
        raise Said("UserWarning", "Tryton asks its user more than can be answered.")

    def _call(self, method: str, params: tuple[Any, ...], context: Mapping[str, Any]) -> Any:
        with self._lock:
            if self._token.value is None:
                self._log_in()
            for attempt in range(BUSY_TRIES):
                try:
                    answer = self._sent(method, [*params, {**self.context, **context}])
                except NotSent as error:
                    raise _unreachable(error) from error
                if answer.status == HTTPStatus.UNAUTHORIZED:
                    self._log_in()  # the session went stale; nothing was done
                    continue
                if _is_busy(answer) and attempt < BUSY_TRIES - 1:
                    self._sleep(BUSY_PAUSE_S * 2**attempt)
                    continue
                return _result(answer)
            raise Unavailable("Tryton doesn't keep a session of this user.", _CHECK_USER, category="contract")

    def _sent(self, method: str, params: list[Any], path: str | None = None) -> Answer:
        body = json.dumps({"id": 1, "method": method, "params": params}, default=_encoded, allow_nan=False)
        return self._line.call("POST", path or f"/{self._database}/rpc/", body=body.encode())

    def _log_in(self) -> None:
        self._token.value = None
        try:
            answer = self._sent("common.db.login", [self._user, {"password": self._password}])
        except (NotSent, Lost) as error:
            raise _unreachable(error) from error
        if answer.status == HTTPStatus.UNAUTHORIZED:
            raise Unavailable("Tryton refuses the user or its password.", _CHECK_USER, category="contract")
        try:
            uid, token, *_ = _result(answer)
        except (Said, TypeError, ValueError) as error:
            raise Unavailable("Tryton refuses the user or its password.", _CHECK_USER, category="contract") from error
        self._token.value = base64.b64encode(f"{self._user}:{uid}:{token}".encode()).decode()

    def version(self) -> str:
        """Series of the server, such as 8.2. Raises Unavailable."""
        try:
            with self._lock:
                return str(_result(self._sent("common.server.version", [], "/rpc/")))
        except (NotSent, Lost) as error:
            raise _unreachable(error) from error
        except Said as said:
            raise Unavailable(
                f"Tryton doesn't say its version: {said.text}.", _CHECK_URL, category="contract"
            ) from said


_CHECK_USER = "Check user in the engine's settings and the password in its environment (token_env)."
_CHECK_URL = "Check url in the engine's settings: the server's address and the database, as in https://host/books."


def _is_busy(answer: Answer) -> bool:
    if answer.status == HTTPStatus.SERVICE_UNAVAILABLE:
        return True
    return answer.status == HTTPStatus.OK and b"ConcurrencyException" in answer.body[:200]


def _result(answer: Answer) -> Any:
    """What the call gave. Raises Said, Unavailable, RateLimited, or Lost where nobody knows what was done."""
    if answer.status == HTTPStatus.OK:
        return _unwrapped(answer.body)
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        raise RateLimited(
            "Tryton asks for a pause: too many failed logins.", _CHECK_USER, retry_after_s=answer.retry_after_s or 60.0
        )
    if answer.status == HTTPStatus.SERVICE_UNAVAILABLE:
        raise Unavailable(
            "Tryton is busy: another posting holds its sequences, or its database is away.",
            "Nothing was done; it is tried again by itself.",
            retry_after_s=answer.retry_after_s,
        )
    if answer.status == HTTPStatus.FORBIDDEN:
        raise Unavailable(
            "Tryton doesn't let this call be made from outside.",
            "Check that the server is Tryton 8.2 and that the modules sale and account_invoice are active.",
            category="contract",
        )
    if answer.status in (HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.METHOD_NOT_ALLOWED):
        raise Unavailable(f"Tryton answered {answer.status}: it has no such database.", _CHECK_URL, category="contract")
    if 300 <= answer.status < 500 and answer.status != HTTPStatus.REQUEST_TIMEOUT:
        raise Unavailable(f"What stands at Tryton's address answered {answer.status}.", _CHECK_URL, category="contract")
    raise Lost(f"It answered {answer.status}.")


def _unwrapped(body: bytes) -> Any:
    try:
        said = json.loads(body, object_hook=_decoded, parse_float=Decimal)
    except (ValueError, RecursionError, InvalidOperation, TypeError, KeyError) as error:
        raise Lost("Its answer is no JSON.") from error
    if not isinstance(said, dict) or ("result" not in said and "error" not in said):
        raise Lost("Its answer is none of JSON-RPC.")
    if "error" not in said:
        return said["result"]
    raise _said(said["error"])


def _said(error: Any) -> Exception:
    parts = error if isinstance(error, list) and error else [str(error)]
    kind = str(parts[0])
    if kind in ("UserError", "UserWarning", "ConcurrencyException", "LoginException", "RateLimitException"):
        told = parts[1] if len(parts) > 1 and isinstance(parts[1], list) else [str(part) for part in parts[1:2]]
        return Said(kind, "\n".join(str(part) for part in told[:2] if part))
    if any(mark in kind for mark in _OUTSIDE):
        return Unavailable("Something that Tryton needs doesn't answer it.", "Look at Tryton's log; it is tried again.")
    return Said("Error", kind[:300])


def _unreachable(error: Exception) -> Unavailable:
    return Unavailable(f"Tryton can't be reached. {error}", "Check that it runs and that the line to it is up.")


def _encoded(value: Any) -> Any:
    if isinstance(value, Decimal):
        return {"__class__": "Decimal", "decimal": str(value)}
    if isinstance(value, datetime):
        at = value.astimezone(UTC) if value.tzinfo else value
        names = ("year", "month", "day", "hour", "minute", "second", "microsecond")
        return {"__class__": "datetime", **{name: getattr(at, name) for name in names}}
    if isinstance(value, date):
        return {"__class__": "date", "year": value.year, "month": value.month, "day": value.day}
    raise TypeError(f"{type(value).__name__} doesn't travel")


def _decoded(value: dict[str, Any]) -> Any:
    match value.get("__class__"):
        case "Decimal":
            return Decimal(value["decimal"])
        case "date":
            return date(value["year"], value["month"], value["day"])
        case "datetime":
            day = (value["year"], value["month"], value["day"])
            return datetime(*day, value["hour"], value["minute"], value["second"], value["microsecond"], tzinfo=UTC)
        case _:
            return value
