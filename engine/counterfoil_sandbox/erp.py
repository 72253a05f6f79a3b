"""The sandbox ERP: any ERP as `erp.openapi.yaml` describes it, over books of its own, with its bad days on switches.

    python -m counterfoil_sandbox.erp --database erp.sqlite3 --listen 127.0.0.1:8070

`create_erp` makes the WSGI application for tests; `/` shows the books, `/sandbox/…` turns the switches.
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
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import counterfoil_contracts
from flask import Flask, Response, jsonify, redirect, request
from werkzeug.exceptions import HTTPException
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from counterfoil_sandbox import erp_journal as journal
from counterfoil_sandbox import erp_page
from counterfoil_sandbox.books import Books, Outcome, Settings
from counterfoil_sandbox.erp_journal import Refusal
from counterfoil_sandbox.erp_modes import Modes
from counterfoil_sandbox.erp_stock import Forgotten, Stock

LANES = 8
BATCH_SIZE = 100
MOST_DOCUMENTS = 500
MOST_KEYS = 1_000
PAGE_SIZE = 500
MOST_BYTES = 16 * 1024 * 1024
TOKEN_VARIABLE = "COUNTERFOIL_ERP_TOKEN"  # noqa: S105 - the name of a variable


class LineCut(ConnectionAbortedError):
    """The line is closed without an answer; the server in front lets it go."""


@dataclass
class _Pending:
    due_at: datetime
    documents: list[Any]
    modes: Modes
    outcomes: list[Outcome] | None = None


class SandboxErp:
    """The ERP as a WSGI application.

    modes: what is wrong with it now; set it at any time. `books` are its books, for those in the same process.
    """

    def __init__(
        self,
        books: Books,
        token: str,
        modes: Modes | None = None,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], None] = time.sleep,
        stock: Stock | None = None,
    ) -> None:
        self.books, self.modes, self.token = books, modes or Modes(), token
        self.stock = stock or Stock(now=now)
        self.form_token = secrets.token_hex(16)  # what the page's own buttons send
        self._now, self._sleep = now, sleep
        self._pending: list[_Pending] = []
        self._lock = threading.RLock()
        self.flask = _routes(self)

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
            raise Problem(503, "down", "The ERP is down for maintenance.", "Try again later.", modes.retry_after_s)
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
        return self.books.post(documents, unique_keys=modes.unique_keys, plant=modes.wrong_role, at=at)

    def _sleep_ms(self, duration_ms: int) -> None:
        if duration_ms:
            self._sleep(duration_ms / 1000)


def create_erp(
    books: Books,
    token: str,
    modes: Modes | None = None,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    sleep: Callable[[float], None] = time.sleep,
    stock: Stock | None = None,
) -> SandboxErp:
    """The ERP over these books, reached with this bearer token. now, sleep: its clock, a simulated one perhaps.

    stock: its positions (default: none, in memory)."""
    return SandboxErp(books, token, modes, now=now, sleep=sleep, stock=stock)


def _break(fault: str) -> None:
    if fault.startswith("cut"):
        raise LineCut
    raise Problem(500, "failure", "The ERP failed in the middle of the call.", "Look up what became of it.")


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


def _routes(erp: SandboxErp) -> Flask:
    app = Flask("counterfoil_sandbox", static_folder=None)
    app.config.update(MAX_CONTENT_LENGTH=MOST_BYTES, PROPAGATE_EXCEPTIONS=True, MAX_FORM_MEMORY_SIZE=100_000)
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.before_request(lambda: _admit(erp))
    app.register_error_handler(Exception, _problem_of)
    _contract_routes(app, erp)
    _switch_routes(app, erp)
    erp_page.add_routes(app, erp)
    return app


def _admit(erp: SandboxErp) -> None:
    erp.settle()
    if request.path.startswith(("/v1/", "/sandbox/")) and not _is_known(erp):
        raise Problem(
            401, "token", "The bearer token is missing or not this ERP's.", "Send the token it was started with."
        )


def _is_known(erp: SandboxErp) -> bool:
    sent = request.headers.get("Authorization", "")
    if secrets.compare_digest(sent.encode("utf-8", "replace"), f"Bearer {erp.token}".encode()):
        return True
    is_form = request.path.startswith("/sandbox/") and request.mimetype == "application/x-www-form-urlencoded"
    return is_form and secrets.compare_digest(
        request.form.get("form_token", "").encode("utf-8", "replace"), erp.form_token.encode()
    )


def _problem_of(error: Exception) -> Response:
    if isinstance(error, LineCut):
        raise error
    if isinstance(error, Problem):
        return error.response()
    if isinstance(error, Refusal):
        return Problem(400, error.category.replace("_", "-"), error.cause, error.remedy).response()
    if isinstance(error, HTTPException):
        status = error.code or 500
        slug = "-".join((error.name or "error").lower().split())
        remedy = f"Send at most {MOST_BYTES} bytes." if status == 413 else "See the ERP's OpenAPI description."
        answer = Problem(status, slug, f"{error.name}.", remedy).response()
        if allow := [value for name, value in error.get_headers() if name == "Allow"]:
            answer.headers["Allow"] = allow[0]
        return answer
    print(f"sandbox ERP: {type(error).__name__} at {request.path}", file=sys.stderr)
    return Problem(500, "defect", "The sandbox ERP has a defect.", "Report it with what was sent.").response()


def _contract_routes(app: Flask, erp: SandboxErp) -> None:
    @app.post("/v1/documents")
    def post_documents() -> Any:
        documents = _list(_body(), "documents", MOST_DOCUMENTS)
        return jsonify(outcomes=erp.post(documents))

    @app.post("/v1/documents/find")
    def find_documents() -> Any:
        keys = _list(_body(), "keys", MOST_KEYS)
        if not all(isinstance(key, str) and len(key) <= 300 and "\x00" not in key for key in keys):
            raise _malformed("A key is not a text of at most 300 characters.")
        erp.begin_call(is_post=False)
        return jsonify(found=erp.books.find([key for key in keys if _is_encodable(key)]))

    @app.get("/v1/documents")
    def list_documents() -> Any:
        since, cursor = _moment("since"), request.args.get("cursor", "0")
        if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 18):
            raise _malformed("The cursor is not one that this ERP gave.")
        erp.begin_call(is_post=False)
        found, following = erp.books.since(since, int(cursor), PAGE_SIZE)
        return jsonify(found=found, next=str(following) if following else None)

    @app.get("/v1/rates")
    def rate() -> Any:
        currency, book, on = _currency("currency"), _currency("book"), _day("on")
        erp.begin_call(is_post=False)
        return jsonify(rate=erp.books.rate(currency, book, on))

    @app.get("/v1/periods")
    def period() -> Any:
        entity, on = _argument("entity"), _day("on")
        erp.begin_call(is_post=False)
        return jsonify(open_day=erp.books.open_day(entity, on).isoformat())

    @app.get("/v1/balances")
    def balances() -> Any:
        entity = _argument("entity")
        erp.begin_call(is_post=False)
        return jsonify(
            balances=[
                {"role": role, "currency": currency, **vars(balance)}
                for (_, role, currency), balance in erp.books.balances(entity).items()
            ]
        )

    @app.get("/v1/positions")
    def positions() -> Any:
        since, cursor = request.args.get("since"), request.args.get("cursor")
        erp.begin_call(is_post=False)
        try:
            return jsonify(erp.stock.page(since, cursor))
        except Forgotten:
            raise Problem(410, "token", "The token is of other stock than this.", "Read all positions anew.") from None

    @app.get("/v1/health")
    def health() -> Any:
        erp.begin_call(is_post=False)
        return jsonify(
            ok=True,
            detail=f"The sandbox ERP keeps {erp.books.count()} documents.",
            lanes=LANES,
            batch_size=BATCH_SIZE,
            commit_lag_s=erp.modes.commit_lag_s(BATCH_SIZE),
        )


def _switch_routes(app: Flask, erp: SandboxErp) -> None:
    """What no real ERP has: its bad days, and what an accountant would do in it by hand."""

    @app.get("/sandbox/modes")
    def show_modes() -> Any:
        return jsonify(erp.modes.as_json())

    @app.post("/sandbox/modes")
    def change_modes() -> Any:
        values = dict(_switches())
        if values.pop("reset", False):
            erp.modes = Modes()
        return _done(erp.change_modes(values).as_json())

    @app.post("/sandbox/tamper")
    def tamper() -> Any:
        values = _switches()
        key, amount_minor = journal.text_of(values, "key"), journal.amount_of(values, "amount_minor")
        return _done({"number": erp.books.tamper(key, amount_minor)})

    @app.post("/sandbox/periods")
    def close_period() -> Any:
        values = _switches()
        entity = journal.text_of(values, "entity", 64)
        if values.get("open") is True:
            erp.books.open_all_periods(entity)
        else:
            first_day, last_day = journal.day_of(values, "first_day"), journal.day_of(values, "last_day")
            erp.books.close_period(entity, first_day, last_day)
        return _done({"entity": entity})

    @app.post("/sandbox/rates")
    def set_rate() -> Any:
        values = _switches()
        currency, book = journal.currency_of(values, "currency"), journal.currency_of(values, "book")
        erp.books.set_rate(currency, book, journal.day_of(values, "from"), journal.text_of(values, "rate"))
        return _done({"currency": currency, "book": book})

    @app.post("/sandbox/items")
    def set_items() -> Any:
        values = _switches()
        items, accept_all = values.get("items", []), values.get("accept_all")
        if not isinstance(accept_all, bool) or not isinstance(items, list):
            raise _malformed("`accept_all` is not true or false, or `items` is no list.")
        erp.books.set_items([journal.text_of({"item": item}, "item") for item in items], accept_all=accept_all)
        return _done({"items": len(items), "accept_all": accept_all})

    @app.post("/sandbox/positions")
    def put_positions() -> Any:
        values = _switches()
        rows, removed = values.get("rows", []), values.get("removed", [])
        if not isinstance(rows, list) or not isinstance(removed, list):
            raise _malformed("`rows` or `removed` is no list.")
        for row in removed:
            erp.stock.remove(journal.text_of(row, "warehouse"), journal.text_of(row, "sku"))
        return _done({"rows": erp.stock.put(rows)})


def _switches() -> Mapping[str, Any]:
    """The body of a switch: JSON, or the page's form with its numbers read."""
    if request.mimetype == "application/x-www-form-urlencoded":
        values = {name: _from_form(value) for name, value in request.form.items() if name != "form_token"}
        return {name: value for name, value in values.items() if value != ""}
    return _body()


def _from_form(value: str) -> Any:
    words = {"true": True, "false": False, "null": None}
    if value in words:
        return words[value]
    if value.lstrip("-").isdecimal() and value.isascii() and len(value) <= 18:
        return int(value)
    return value


def _done(answer: Mapping[str, Any]) -> Any:
    is_form = request.mimetype == "application/x-www-form-urlencoded"
    return redirect("/", 303) if is_form else jsonify(answer)


def _body() -> Mapping[str, Any]:
    try:
        body = counterfoil_contracts.parse(request.get_data())
    except ValueError as error:
        raise _malformed(str(error)) from None
    if not isinstance(body, dict):
        raise _malformed("The body is not a JSON object.")
    return body


def _list(body: Mapping[str, Any], name: str, most: int) -> list[Any]:
    rows = body.get(name)
    if not isinstance(rows, list) or not rows:
        raise _malformed(f"`{name}` is not a list of at least one.")
    if len(rows) > most:
        raise Problem(413, "too-many", f"`{name}` has {len(rows)} rows.", f"Send at most {most} in one call.")
    return rows


def _malformed(detail: str) -> Problem:
    return Problem(400, "malformed", detail, "Send it as the ERP's OpenAPI description says.")


def _argument(name: str, at_most: int = 64) -> str:
    return journal.text_of({name: request.args.get(name)}, name, at_most)


def _currency(name: str) -> str:
    return journal.currency_of({name: request.args.get(name)}, name)


def _day(name: str) -> date:
    return journal.day_of({name: request.args.get(name)}, name)


def _moment(name: str) -> datetime:
    try:
        moment = datetime.fromisoformat(request.args.get(name, ""))
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise _malformed(f"`{name}` is not a moment with its offset (2026-11-23T09:10:39Z).")


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


def serve_erp(erp: SandboxErp, host: str = "127.0.0.1", port: int = 0) -> BaseWSGIServer:
    """A server that is bound already (port 0: a free one, see its `port`); run its `serve_forever()`."""
    # Bound here, since the server would end the process where the address is taken.
    with socket.create_server((host, port), backlog=128) as bound:
        server = make_server(host, port, erp, threaded=True, request_handler=_Handler, fd=bound.fileno())
    server.daemon_threads = True  # type: ignore[attr-defined]
    return server


def main(arguments: list[str] | None = None) -> int:
    """Run the sandbox ERP until SIGINT or SIGTERM."""
    options = _options().parse_args(arguments)
    token = os.environ.get(TOKEN_VARIABLE, "")
    if not token:
        print(f"The variable {TOKEN_VARIABLE} is not set. Set it to the bearer token to accept.", file=sys.stderr)
        return 2
    try:
        modes = Modes().changed(dict(_mode(text) for text in options.mode))
        erp = create_erp(_books(options), token, modes, stock=Stock(options.database))
        host, _, port = options.listen.rpartition(":")
        if not port.isascii() or not port.isdigit() or int(port[:6]) > 65_535:
            raise Refusal("data", f"{options.listen!r} is no HOST:PORT.", "Name a port from 0 to 65535.")
        server = serve_erp(erp, host or "127.0.0.1", int(port))
    except Refusal as error:
        print(error, file=sys.stderr)
        return 2
    except (OSError, UnicodeError, sqlite3.Error) as error:
        print(f"The sandbox ERP can't start: {error}. Correct the option that it names (see --help).", file=sys.stderr)
        return 2
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"sandbox ERP: http://{server.host}:{server.port}/", flush=True)
    server.serve_forever()
    server.server_close()
    erp.books.close()
    erp.stock.close()
    return 0


def _books(options: argparse.Namespace) -> Books:
    items = _items(options.items) if options.items else []
    books = Books(options.database, settings=Settings(references="any" if options.taken_over else "strict"))
    books.set_items(items, accept_all=not options.items)
    for text in options.rate:
        pair, _, rate = text.partition("=")
        currency, _, book = pair.partition("/")
        books.set_rate(currency, book, date(2000, 1, 1), rate)
    return books


def _items(path: str) -> list[str]:
    with open(path, encoding="utf-8") as lines:
        return [line.strip() for line in lines if line.strip()]


def _mode(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    try:
        return name, counterfoil_contracts.parse(value.encode())
    except ValueError:
        return name, value


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m counterfoil_sandbox.erp",
        description=f"A sandbox ERP with books of its own. The bearer token comes from {TOKEN_VARIABLE}.",
        epilog="Example: python -m counterfoil_sandbox.erp --database erp.sqlite3 --rate USD/EUR=1.25"
        " --mode fault=down --mode fault_times=3",
    )
    parser.add_argument("--database", metavar="FILE", default=":memory:", help="SQLite file (default: in memory)")
    parser.add_argument("--listen", metavar="HOST:PORT", default="127.0.0.1:8070", help="port 0 takes a free one")
    parser.add_argument("--mode", metavar="NAME=VALUE", action="append", default=[], help="turn a switch at the start")
    parser.add_argument("--items", metavar="FILE", help="item master, one item a line (default: any item is accepted)")
    parser.add_argument("--rate", metavar="USD/EUR=1.25", action="append", default=[], help="USD for one EUR")
    parser.add_argument("--taken-over", action="store_true", help="accept references to documents that are not here")
    return parser


if __name__ == "__main__":
    sys.exit(main())
