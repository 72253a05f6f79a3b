"""gunicorn's threads, with three promises more: who sends slowly holds a thread for so long and no longer, what is no
HTTP request is answered 4xx and never repeated in the log, and processes share the lines that stay open."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from typing import Any

import msgspec
from gunicorn import util  # type: ignore[import-untyped]
from gunicorn.http import errors  # type: ignore[import-untyped]
from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]
from loguru import logger

# For a request to arrive whole. An agent's batch, packed, takes less on a line of 200 kbit/s.
REQUEST_S = 10.0
# For the sender to read the answer to what was refused unread, before the line is closed on it.
LINGER_S = 0.5

# All processes are woken for a new line, and who is quickest would take them all: agents keep theirs open for long. So
# who has more of them already is so much later, up to a bound.
YIELD_S = 0.00025
MOST_YIELDED = 8

_STATUS_OF = {
    errors.LimitRequestLine: (414, "URI Too Long"),
    errors.LimitRequestHeaders: (431, "Request Header Fields Too Large"),
    errors.ExpectationFailed: (417, "Expectation Failed"),
}


class Worker(ThreadWorker):  # type: ignore[misc]
    """gunicorn.workers.gthread reads a request in one of its few threads, and waits for it as long as it takes: as many
    half requests as there are threads, and nobody else is served. It also closes lines in its loop, and waits there for
    a sender who doesn't."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._since_s: dict[Any, float] = {}

    def accept(self, listener: Any) -> None:
        if self.cfg.workers > 1:
            time.sleep(min(self.nr_conns, MOST_YIELDED) * YIELD_S)
        super().accept(listener)

    def enqueue_req(self, conn: Any) -> None:
        self._since_s[conn] = time.monotonic()
        super().enqueue_req(conn)

    def handle(self, conn: Any) -> Any:
        stays = super().handle(conn)
        if stays is False:
            # gunicorn would linger in its loop, two seconds for each, and meanwhile neither accept nor serve anybody.
            util.close_graceful(conn.sock, LINGER_S)
            conn.close = lambda graceful=False: None
        return stays

    def finish_request(self, conn: Any, fs: Any) -> None:
        self._since_s.pop(conn, None)
        super().finish_request(conn, fs)

    def notify(self) -> None:
        """Called at least once a second by the loop, which also calls the two above."""
        super().notify()
        late_s = time.monotonic() - REQUEST_S
        for conn in [conn for conn, since_s in self._since_s.items() if since_s < late_s]:
            # What has arrived is still read; what hasn't, isn't waited for. An answer can still be written.
            del self._since_s[conn]
            with suppress(OSError):
                conn.sock.shutdown(socket.SHUT_RD)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """What failed outside the application. What it says may repeat what was sent, so only its kind is logged."""
        kind = type(exc).__name__
        if isinstance(exc, errors.ParseException) and not isinstance(exc, errors.ConfigurationProblem):
            status, reason = _STATUS_OF.get(type(exc), (400, "Bad Request"))
            logger.bind(error=kind).info("rejected: no request")
        else:
            status, reason = 500, "Internal Server Error"
            logger.bind(error=kind).error("failed")
        with suppress(OSError):
            util.write_nonblock(client, _problem(status, reason, kind))


def _problem(status: int, reason: str, kind: str) -> bytes:
    body = {
        "type": "/problems/request" if status < 500 else "/problems/failed",
        "title": reason,
        "status": status,
        "detail": f"The server can't read this as a request ({kind})." if status < 500 else "The server failed.",
        "remedy": "Send a request as HTTP/1.1 describes it (RFC 9112).",
    }
    text = msgspec.json.encode(body)
    head = f"HTTP/1.1 {status} {reason}\r\nConnection: close\r\nContent-Type: application/problem+json\r\n"
    return f"{head}Content-Length: {len(text)}\r\n\r\n".encode() + text
