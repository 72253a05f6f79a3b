"""What every sandbox party shares: documents over HTTP, and its bad days on switches.

A party is a WSGI application over a store of its own (`books.py`, `party.py`); `/sandbox/…` turns the switches.
"""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import socket
import sqlite3
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import counterfoil_contracts
from flask import Flask, Response, jsonify, redirect, request
from werkzeug.exceptions import HTTPException
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from counterfoil_sandbox.erp_journal import Refusal
from counterfoil_sandbox.erp_modes import Modes

LANES = 8
BATCH_SIZE = 100
MOST_DOCUMENTS = 500
MOST_KEYS = 1_000
PAGE_SIZE = 500
MOST_BYTES = 16 * 1024 * 1024

Outcome = dict[str, Any]


class Store(Protocol):
    """What a party keeps its documents in (`document_store.py`)."""

    def find(self, keys: list[str]) -> list[dict[str, str]]: ...
    def since(self, moment: datetime, after: int, limit: int) -> tuple[list[dict[str, str]], int | None]: ...
    def count(self) -> int: ...
    def close(self) -> None: ...


class LineCut(ConnectionAbortedError):
    """The line is closed without an answer; the server in front lets it go."""


@dataclass
class _Pending:
    due_at: datetime
    documents: list[Any]
    modes: Modes
    outcomes: list[Outcome] | None = None


class Service:
    """A party as a WSGI application. name: what it is called: "ERP", "WMS".

    modes: what is wrong with it now; set it at any time.
    """

    def __init__(
        self,
        name: str,
        token: str,
        modes: Modes,
        now: Callable[[], datetime],
        sleep: Callable[[float], None],
    ) -> None:
        self.name, self.modes, self.token = name, modes, token
        self.form_token = secrets.token_hex(16)  # what a page's own buttons send
        self._now, self._sleep = now, sleep
        self._pending: list[_Pending] = []
        self._lock = threading.RLock()
        self.flask = _application(self)

    @property
    def store(self) -> Store:
        """Where its documents are."""
        raise NotImplementedError

    def __call__(self, environ: Any, start_response: Any) -> Any:
        return self.flask(environ, start_response)

    def change_modes(self, values: Mapping[str, Any]) -> Modes:
        """Turn switches; raises Refusal where a name or value is none of a mode."""
        with self._lock:
            self.modes = self.modes.changed(values)
            return self.modes

    def settle(self, until: datetime | None = None) -> None:
        """Commit what has become due. Every call does it first: nobody can tell it from a commit at its own moment."""
        with self._lock:
            until = until or self._now()
            due = sorted((each for each in self._pending if each.due_at <= until), key=lambda each: each.due_at)
            for each in due:
                self._pending.remove(each)
                each.outcomes = self._commit(each.documents, each.modes, each.due_at)

    def begin_call(self, *, is_post: bool) -> str | None:
        """What goes wrong with this call: the fault in force, counted down; raises its answer where nothing is done."""
        with self._lock:
            modes = self.modes
            fault = modes.fault
            is_hit = is_post or modes.fault_on == "all" or fault in ("down", "rate_limit")
            if not is_hit or modes.fault_times == 0:
                fault = None
            if fault is not None and modes.fault_times is not None:
                left = modes.fault_times - 1
                self.modes = replace(modes, fault_times=left or None, fault=fault if left else None)
        if fault == "down":
            cause = f"The {self.name} is down for maintenance."
            raise Problem(503, "down", cause, "Try again later.", modes.retry_after_s)
        if fault == "rate_limit":
            raise Problem(429, "rate-limit", "Too many calls.", "Wait as Retry-After says.", modes.retry_after_s)
        self._sleep_ms(modes.slow_call_ms)
        if fault in ("fail_before_commit", "cut_before_commit") or (fault is not None and not is_post):
            _break(fault)
        return fault

    def post(self, documents: list[Any]) -> list[Outcome]:
        """A post with all that may go wrong around it."""
        fault, modes = self.begin_call(is_post=True), self.modes
        self._sleep_ms(modes.slow_document_ms * len(documents))
        if fault == "fail_halfway":
            documents = documents[: len(documents) // 2]
        if fault == "cut_then_commit" or modes.commit_delay_s:
            outcomes = self._commit_later(documents, modes, hang_up=fault == "cut_then_commit")
        else:
            outcomes = self._commit(documents, modes, self._now())
        if fault is not None:
            _break(fault)
        return outcomes

    def _commit_later(self, documents: list[Any], modes: Modes, *, hang_up: bool) -> list[Outcome]:
        pending = _Pending(self._now() + timedelta(seconds=modes.commit_delay_s), documents, modes)
        with self._lock:
            self._pending.append(pending)
        if hang_up:
            raise LineCut
        self._sleep(modes.commit_delay_s)
        self.settle(max(pending.due_at, self._now()))
        return pending.outcomes or []

    def _commit(self, documents: list[Any], modes: Modes, at: datetime) -> list[Outcome]:
        """Take the documents into the store; an outcome each."""
        raise NotImplementedError

    def _sleep_ms(self, duration_ms: int) -> None:
        if duration_ms:
            self._sleep(duration_ms / 1000)


def _break(fault: str) -> None:
    if fault.startswith("cut"):
        raise LineCut
    raise Problem(500, "failure", "It failed in the middle of the call.", "Look up what became of it.")


class Problem(Exception):
    """An answer that is no success, as RFC 9457 wants it."""

    def __init__(self, status: int, slug: str, detail: str, remedy: str, retry_after_s: int | None = None) -> None:
        super().__init__(detail)
        self.status, self.slug, self.detail, self.remedy, self.retry_after_s = (
            status,
            slug,
            detail,
            remedy,
            retry_after_s,
        )

    def response(self) -> Response:
        body = {
            "type": f"/problems/{self.slug}",
            "title": self.slug.replace("-", " ").capitalize(),
            "status": self.status,
            "detail": self.detail,
            "remedy": self.remedy,
            "instance": request.path[:300],
        }
        answer = jsonify(body)
        answer.status_code, answer.mimetype = self.status, "application/problem+json"
        if self.retry_after_s is not None:
            answer.headers["Retry-After"] = str(self.retry_after_s)
        return answer


# HTTP: read strictly, do one thing, answer.


def _application(service: Service) -> Flask:
    app = Flask("counterfoil_sandbox", static_folder=None)
    app.config.update(MAX_CONTENT_LENGTH=MOST_BYTES, PROPAGATE_EXCEPTIONS=True, MAX_FORM_MEMORY_SIZE=100_000)
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.before_request(lambda: _admit(service))
    app.register_error_handler(Exception, lambda error: _problem_of(service, error))
    _document_routes(app, service)
    _mode_routes(app, service)
    return app


def _admit(service: Service) -> None:
    service.settle()
    if request.path.startswith(("/v1/", "/sandbox/")) and not _is_known(service):
        raise Problem(
            401,
            "token",
            f"The bearer token is missing or not this {service.name}'s.",
            "Send the token it was started with.",
        )


def _is_known(service: Service) -> bool:
    sent = request.headers.get("Authorization", "")
    if secrets.compare_digest(sent.encode("utf-8", "replace"), f"Bearer {service.token}".encode()):
        return True
    is_form = request.path.startswith("/sandbox/") and request.mimetype == "application/x-www-form-urlencoded"
    return is_form and secrets.compare_digest(
        request.form.get("form_token", "").encode("utf-8", "replace"), service.form_token.encode()
    )


def _problem_of(service: Service, error: Exception) -> Response:
    if isinstance(error, LineCut):
        raise error
    if isinstance(error, Problem):
        return error.response()
    if isinstance(error, Refusal):
        return Problem(400, error.category.replace("_", "-"), error.cause, error.remedy).response()
    if isinstance(error, HTTPException):
        status = error.code or 500
        slug = "-".join((error.name or "error").lower().split())
        remedy = f"Send at most {MOST_BYTES} bytes." if status == 413 else "See the OpenAPI description."
        answer = Problem(status, slug, f"{error.name}.", remedy).response()
        if allow := [value for name, value in error.get_headers() if name == "Allow"]:
            answer.headers["Allow"] = allow[0]
        return answer
    print(f"sandbox {service.name}: {type(error).__name__} at {request.path}", file=sys.stderr)
    cause = f"The sandbox {service.name} has a defect."
    return Problem(500, "defect", cause, "Report it with what was sent.").response()


def _document_routes(app: Flask, service: Service) -> None:
    @app.post("/v1/documents")
    def post_documents() -> Any:
        documents = list_of(body_of_request(), "documents", MOST_DOCUMENTS)
        return jsonify(outcomes=service.post(documents))

    @app.post("/v1/documents/find")
    def find_documents() -> Any:
        keys = list_of(body_of_request(), "keys", MOST_KEYS)
        if not all(isinstance(key, str) and len(key) <= 300 and "\x00" not in key for key in keys):
            raise malformed("A key is not a text of at most 300 characters.")
        service.begin_call(is_post=False)
        return jsonify(found=service.store.find([key for key in keys if _is_encodable(key)]))

    @app.get("/v1/documents")
    def list_documents() -> Any:
        since, cursor = moment_of("since"), cursor_from("0")
        service.begin_call(is_post=False)
        found, following = service.store.since(since, int(cursor), PAGE_SIZE)
        return jsonify(found=found, next=str(following) if following else None)

    @app.get("/v1/health")
    def health() -> Any:
        service.begin_call(is_post=False)
        return jsonify(
            ok=True,
            detail=f"The sandbox {service.name} keeps {service.store.count()} documents.",
            lanes=LANES,
            batch_size=BATCH_SIZE,
            commit_lag_s=service.modes.commit_lag_s(BATCH_SIZE),
        )


def _mode_routes(app: Flask, service: Service) -> None:
    @app.get("/sandbox/modes")
    def show_modes() -> Any:
        return jsonify(service.modes.as_json())

    @app.post("/sandbox/modes")
    def change_modes() -> Any:
        values = dict(switches())
        if values.pop("reset", False):
            service.modes = type(service.modes)()
        return done(service.change_modes(values).as_json())


def switches() -> Mapping[str, Any]:
    """The body of a switch: JSON, or the page's form with its numbers read."""
    if request.mimetype == "application/x-www-form-urlencoded":
        values = {name: _from_form(value) for name, value in request.form.items() if name != "form_token"}
        return {name: value for name, value in values.items() if value != ""}
    return body_of_request()


def _from_form(value: str) -> Any:
    words = {"true": True, "false": False, "null": None}
    if value in words:
        return words[value]
    if value.lstrip("-").isdecimal() and value.isascii() and len(value) <= 18:
        return int(value)
    return value


def done(answer: Mapping[str, Any]) -> Any:
    is_form = request.mimetype == "application/x-www-form-urlencoded"
    return redirect("/", 303) if is_form else jsonify(answer)


def body_of_request() -> Mapping[str, Any]:
    try:
        body = counterfoil_contracts.parse(request.get_data())
    except ValueError as error:
        raise malformed(str(error)) from None
    if not isinstance(body, dict):
        raise malformed("The body is not a JSON object.")
    return body


def list_of(body: Mapping[str, Any], name: str, most: int) -> list[Any]:
    rows = body.get(name)
    if not isinstance(rows, list) or not rows:
        raise malformed(f"`{name}` is not a list of at least one.")
    if len(rows) > most:
        raise Problem(413, "too-many", f"`{name}` has {len(rows)} rows.", f"Send at most {most} in one call.")
    return rows


def malformed(detail: str) -> Problem:
    return Problem(400, "malformed", detail, "Send it as the OpenAPI description says.")


def cursor_from(first: str) -> str:
    """The cursor that a page is asked for by; first: where it begins."""
    cursor = request.args.get("cursor", first)
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 18):
        raise malformed("The cursor is not one that was given here.")
    return cursor


def moment_of(name: str) -> datetime:
    try:
        moment = datetime.fromisoformat(request.args.get(name, ""))
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise malformed(f"`{name}` is not a moment with its offset (2026-11-23T09:10:39Z).")


def _is_encodable(text: str) -> bool:
    # Half a surrogate pair can be in no document's key, and no database takes it.
    return not any("\ud800" <= character <= "\udfff" for character in text)


# A process of its own.


class _Handler(WSGIRequestHandler):
    timeout = 60  # seconds for a request to arrive

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing: the books are the record."""

    def log_error(self, format: str, *args: Any) -> None:
        """Nothing either: it would repeat what was sent, whatever that was."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What is no request at all is the sender's fault, also where http.server says 501 or 505."""
        super().send_error(code if code < 500 else 400, "That is no request.")

    def connection_dropped(self, error: BaseException, environ: Any = None) -> None:
        self.close_connection = True


def serve(service: Service, host: str = "127.0.0.1", port: int = 0) -> BaseWSGIServer:
    """A server that is bound already (port 0: a free one, see its `port`); run its `serve_forever()`."""
    # Bound here, since the server would end the process where the address is taken.
    with socket.create_server((host, port), backlog=128) as bound:
        server = make_server(host, port, service, threaded=True, request_handler=_Handler, fd=bound.fileno())
    server.daemon_threads = True  # type: ignore[attr-defined]
    return server


def run(make: Callable[[], Service], listen: str, name: str) -> int:
    """Serve a party until SIGINT or SIGTERM. make: what it raises of Refusal, OSError and SQLite's errors is told."""
    try:
        service = make()
        host, _, port = listen.rpartition(":")
        if not port.isascii() or not port.isdigit() or int(port[:6]) > 65_535:
            raise Refusal("data", f"{listen!r} is no HOST:PORT.", "Name a port from 0 to 65535.")
        server = serve(service, host or "127.0.0.1", int(port))
    except Refusal as error:
        print(error, file=sys.stderr)
        return 2
    except (OSError, UnicodeError, sqlite3.Error) as error:
        told = f"The sandbox {name} can't start: {error}. Correct the option that it names (see --help)."
        print(told, file=sys.stderr)
        return 2
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"sandbox {name}: http://{server.host}:{server.port}/", flush=True)
    server.serve_forever()
    server.server_close()
    service.store.close()
    return 0


def token_from(variable: str) -> str | None:
    """The bearer token to accept; None, and said, where the environment has none."""
    token = os.environ.get(variable, "")
    if not token:
        print(f"The variable {variable} is not set. Set it to the bearer token to accept.", file=sys.stderr)
    return token or None


def add_options(parser: argparse.ArgumentParser, listen: str) -> None:
    """The options that every party has."""
    parser.add_argument("--database", metavar="FILE", default=":memory:", help="SQLite file (default: in memory)")
    parser.add_argument("--listen", metavar="HOST:PORT", default=listen, help="port 0 takes a free one")
    parser.add_argument("--mode", metavar="NAME=VALUE", action="append", default=[], help="turn a switch at the start")


def modes_of(texts: list[str]) -> dict[str, Any]:
    """The switches of the command line."""
    return dict(_mode(text) for text in texts)


def _mode(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    try:
        return name, counterfoil_contracts.parse(value.encode())
    except ValueError:
        return name, value
