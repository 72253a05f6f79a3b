"""Takes the shop's webhooks, which only make things quicker: what they say is a hint to read the order over REST.

A delivery's body is built when it is delivered, not when the thing happened, and may be an error document with a right
signature; so nothing of it is kept but the order's id. WooCommerce switches a webhook off after five answers in a row
that aren't 2xx, tells nobody, and never delivers again: whatever is signed rightly is answered 200.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
from loguru import logger

from counterfoil_agent import snapshot
from counterfoil_agent.errors import Stop
from counterfoil_agent.ports import Clock

LARGEST_BYTES = 2_000_000
TIMEOUT_S = 10  # for a delivery to arrive whole
MOST_AT_ONCE = 16
MOST_LINES = 200
_PING = re.compile(rb"webhook_id=[0-9]{1,20}")


class _Body(msgspec.Struct):
    id: Any = None


def signature_of(secret: str, body: bytes) -> str:
    """What WooCommerce puts into X-WC-Webhook-Signature: base64 of HMAC-SHA256 over the raw body."""
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()


class Deliveries:
    """Judges deliveries, whatever brings them here; `take` may be called from any thread."""

    def __init__(self, secret: str, hint: Callable[[int], None], clock: Clock) -> None:
        self._secret, self._hint, self._clock = secret, hint, clock
        self._lock = threading.Lock()
        self._counts = {"taken": 0, "pings": 0, "without_order": 0, "wrong_signature": 0}
        self._last: datetime | None = None

    def take(self, headers: Any, body: bytes) -> tuple[int, str]:
        """Status and a word for the answer. headers: a mapping that doesn't mind the case of names."""
        given = headers.get("X-WC-Webhook-Signature")
        if not given:
            kind = (headers.get("Content-Type") or "").partition(";")[0].strip().lower()
            if kind == "application/x-www-form-urlencoded" and _PING.fullmatch(body.strip()):
                # Sent when a webhook is saved, unsigned; it says nothing, so anyone may send it.
                self._count("pings")
                return 200, "ping"
            self._count("wrong_signature")
            return 401, "unsigned"
        expected = signature_of(self._secret, body).encode()
        if not hmac.compare_digest(expected, given.strip().encode("utf-8", "replace")):
            self._count("wrong_signature")
            return 401, "wrong signature"
        order_id = _order_id(headers, body)
        if order_id is None:
            self._count("without_order")
            return 200, "no order in it"
        self._hint(order_id)
        self._count("taken")
        return 200, "taken"

    def _count(self, what: str) -> None:
        with self._lock:
            self._counts[what] += 1
            self._last = self._clock.now()
        if what == "wrong_signature":
            logger.warning("webhook refused: its signature is missing or wrong")

    def status(self) -> dict[str, Any]:
        with self._lock:
            return {**self._counts, "last_at": snapshot.iso(self._last) if self._last else None}


def _order_id(headers: Any, body: bytes) -> int | None:
    if (headers.get("X-WC-Webhook-Resource") or "order").strip().lower() != "order":
        return None
    try:
        order_id = msgspec.json.decode(snapshot.without_mark(body), type=_Body).id
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return order_id if type(order_id) is int and 0 < order_id <= snapshot.LARGEST_ID else None


class _Handler(BaseHTTPRequestHandler):
    """One delivery on one connection. Never answers 5xx: what is wrong is wrong with the request."""

    deliveries: Deliveries
    slots: threading.BoundedSemaphore
    timeout = TIMEOUT_S
    server_version, sys_version = "counterfoil-agent", ""

    def do_POST(self) -> None:
        if not self.slots.acquire(blocking=False):
            self._answer(429, "busy")
            return
        try:
            length = self.headers.get("Content-Length") or ""
            if not (length.isascii() and length.isdigit() and len(length) < 12):
                self._answer(411, "length required")
            elif int(length) > LARGEST_BYTES:
                self._answer(413, "too large")
            else:
                body = self.rfile.read(int(length))
                if len(body) < int(length):
                    self._answer(400, "cut off")
                else:
                    self._answer(*self.deliveries.take(self.headers, body))
        except OSError:
            self.close_connection = True  # it dripped, or went away
        finally:
            self.slots.release()

    def do_GET(self) -> None:
        self._answer(200 if self.path == "/health" else 405, "POST webhooks here")

    do_HEAD = do_GET

    def _answer(self, status: int, word: str) -> None:
        body = word.encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.close_connection = True

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What http.server itself refuses; its 501 for an unknown method and 505 are the sender's fault."""
        self.command = self.command or "GET"
        self._answer(code if code < 500 else 405, "not taken")

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a request line may hold anything."""


class Listener:
    """The server for deliveries, in threads of its own between start and stop."""

    def __init__(self, address: tuple[str, int], deliveries: Deliveries) -> None:
        slots = threading.BoundedSemaphore(MOST_AT_ONCE)
        handler = type("Handler", (_Handler,), {"deliveries": deliveries, "slots": slots})
        try:
            self._server = _Server(address, handler)
        except OSError as error:
            raise Stop(
                f"The webhook listener can't use {address[0]}:{address[1]}: {error.strerror}.",
                "Choose another webhook.listen, or remove it: polling alone loses nothing.",
            ) from None
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.2,), name="webhook", daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(TIMEOUT_S)


class _Server(ThreadingHTTPServer):
    """A handler's own timeout is for each piece; here the whole has one, so that nobody who drips holds a slot."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, *args: Any) -> None:
        self._since_s: dict[socket.socket, float] = {}
        self._lock = threading.Lock()
        super().__init__(*args)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        with self._lock:
            self._since_s[request] = time.monotonic()
            return len(self._since_s) <= MOST_LINES

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._since_s.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Called by the loop all the time: what has not arrived by now is waited for no longer."""
        late_s = time.monotonic() - TIMEOUT_S
        with self._lock:
            for request in [line for line, since_s in self._since_s.items() if since_s < late_s]:
                with suppress(OSError):
                    request.shutdown(socket.SHUT_RD)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A sender that went away in mid-sentence is none of ours, and no trace goes to the log."""
        logger.debug("webhook connection failed")
