"""Requests as bytes on a socket, also such as no library would send, and what comes back."""

from __future__ import annotations

import http.client
import random
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

TIMEOUT_S = 10.0
MOST_ANSWER_BYTES = 4_000_000

Headers = list[tuple[str, str]]


@dataclass
class Attempt:
    """One request. raw: all bytes of it, sent as they are; else it is built from the other fields.

    framing: how the body's length is told: length, chunked, none, more, less. may_drop: whether the other side may
    close the line without an answer. slow_s: a pause between pieces."""

    target: str
    what: str
    method: str = "POST"
    path: str = "/"
    headers: Headers = field(default_factory=list)
    body: bytes = b""
    framing: str = "length"
    raw: bytes | None = None
    may_drop: bool = False
    slow_s: float = 0.0

    @property
    def is_framed(self) -> bool:
        return self.raw is None and self.framing == "length" and not self.slow_s

    def to_bytes(self) -> bytes:
        if self.raw is not None:
            return self.raw
        lines = [f"{self.method} {self.path} HTTP/1.1", "Host: 127.0.0.1"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        body = self.body
        if self.framing == "chunked":
            lines.append("Transfer-Encoding: chunked")
            body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in _parts(body)) + b"0\r\n\r\n"
        elif self.framing != "none":
            wrong = {"more": 10, "less": -(len(body) // 2)}.get(self.framing, 0)
            lines.append(f"Content-Length: {len(body) + wrong}")
        return "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + body

    def shortened(self) -> str:
        text = self.to_bytes()
        return f"{text[:900]!r}" + (f" … {len(text)} bytes" if len(text) > 900 else "")


@dataclass(frozen=True)
class Answer:
    """status None: the line was closed without one."""

    status: int | None
    headers: str = ""
    body: bytes = b""


class Hang(Exception):
    """No answer in time."""


class Line:
    """Connections to the targets, one kept for each where the framing allows."""

    def __init__(self, ports: dict[str, int]) -> None:
        self._ports = ports
        self._kept: dict[str, socket.socket] = {}

    def send(self, attempt: Attempt, timeout_s: float = TIMEOUT_S) -> Answer:
        """Raises Hang. A kept connection that was closed meanwhile is opened anew."""
        kept = self._kept.pop(attempt.target, None) if attempt.is_framed else None
        if kept is not None:
            answer, again = self._over(kept, attempt, timeout_s), False
            if answer.status is not None:
                return answer
        again = attempt.is_framed
        return self._over(self._connected(attempt.target, timeout_s), attempt, timeout_s, keep=again)

    def _connected(self, target: str, timeout_s: float) -> socket.socket:
        try:
            return socket.create_connection(("127.0.0.1", self._ports[target]), timeout=timeout_s)
        except TimeoutError:
            raise Hang("it takes no connection") from None

    def _over(self, line: socket.socket, attempt: Attempt, timeout_s: float, keep: bool = True) -> Answer:
        line.settimeout(timeout_s)
        keeps = False
        try:
            self._put(line, attempt)
            answer, keeps = read_answer(line, attempt.method, time.monotonic() + timeout_s)
            return answer
        except TimeoutError:
            raise Hang(f"no answer within {timeout_s:.0f} s") from None
        except (OSError, http.client.HTTPException):
            return Answer(None)
        finally:
            if keeps and keep and attempt.is_framed:
                self._kept[attempt.target] = line
            else:
                line.close()

    def _put(self, line: socket.socket, attempt: Attempt) -> None:
        whole = attempt.to_bytes()
        pieces = [whole]
        if attempt.slow_s:
            size = max(1, len(whole) // 8)
            pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
        # Who refuses early may close before all is sent; what it said then is still to be read.
        with suppress(BrokenPipeError, ConnectionResetError):
            for piece in pieces:
                line.sendall(piece)
                if attempt.slow_s:
                    time.sleep(attempt.slow_s)
            if not attempt.is_framed:
                line.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        for line in self._kept.values():
            line.close()


def read_answer(line: socket.socket, method: str, end_s: float) -> tuple[Answer, bool]:
    """The first answer that isn't an interim one, and whether the connection stays open."""
    response = http.client.HTTPResponse(line, method=method)
    try:
        while True:
            response.begin()
            if response.status >= 200:
                break
        body = response.read(MOST_ANSWER_BYTES)
        if time.monotonic() > end_s:
            raise TimeoutError
        keeps = not response.will_close and response.isclosed()
        return Answer(response.status, str(response.headers), body), keeps
    finally:
        response.close()


def _parts(body: bytes) -> Sequence[bytes]:
    return [body[at : at + 1000] for at in range(0, len(body), 1000)]


def garbage(randomly: random.Random, target: str, path: str, mark: str) -> Attempt:
    """What is hardly HTTP at all. mark: stands where a logger might repeat it."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nX-Note: {mark}\r\n".encode()
    word = mark.encode()
    raw = randomly.choice(
        (
            lambda: randomly.randbytes(randomly.choice((1, 40, 3_000))),
            lambda: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + randomly.randbytes(200),
            lambda: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + randomly.randbytes(60),
            lambda: b"GET /" + word + b"\r\n\r\n",
            lambda: b"GET /" + word + b" HTTP/9.9\r\n\r\n",
            lambda: b"GET /%s?%s HTTP/1.1\r\nHost: x\r\n\r\n" % (word, b"a" * 70_000),
            lambda: b"G@T /%s HTTP/1.1\r\nHost: x\r\n\r\n" % word,
            lambda: b"GET http://%s@x/ HTTP/1.1\r\n\r\n" % word,
            lambda: b"GET /%ff%fe%00 HTTP/1.1\r\nHost: x\r\n\r\n",
            lambda: b"GET /\xff\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
            lambda: head + b"Content-Length: -5\r\n\r\n",
            lambda: head + b"Content-Length: many\r\n\r\n",
            lambda: head + b"Content-Length: 99999999999999999999999\r\n\r\n{}",
            lambda: head + b"Content-Length: 2\r\nContent-Length: 7\r\n\r\n{}",
            lambda: head + b"Content-Length: \xd9\xa3\r\n\r\n{}",
            lambda: head + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            lambda: head + b"Transfer-Encoding: " + word + b"\r\n\r\n",
            lambda: head + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            lambda: head + b"Transfer-Encoding: chunked\r\n\r\n" + word + b"\r\n{}\r\n0\r\n\r\n",
            lambda: head + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{}\r\n",
            lambda: head + b"Transfer-Encoding: chunked\r\n\r\n2;" + b"a" * 9_000 + b"\r\n{}\r\n0\r\n\r\n",
            lambda: head + b"Content-Length: 5000\r\n\r\n{",
            lambda: head[:-2],
            lambda: head[: randomly.randrange(len(head))],
            lambda: head + b"X-Long: " + b"a" * 90_000 + b"\r\n\r\n",
            lambda: head + b"".join(b"X-%d: 1\r\n" % n for n in range(5_000)) + b"\r\n",
            lambda: head + b"Secret\x00: " + word + b"\r\n\r\n",
            lambda: head + word + b"\r\n\r\n",
            lambda: head + b"Authorization " + word + b": x\r\n\r\n",
            lambda: head + b"Authorization: a\r\n " + word + b"\r\n\r\n",
            lambda: head + b"Expect: " + word + b"\r\nContent-Length: 2\r\n\r\n{}",
            lambda: head + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
            lambda: head + b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
            lambda: head.replace(b"\r\n", b"\n") + b"\n",
            lambda: (head + b"Content-Length: 2\r\n\r\n{}") * randomly.choice((2, 5, 30)),
            lambda: (head + b"Content-Length: 2\r\n\r\n{}") + b"GET /" + word,
            lambda: b"\r\n" * 500 + head + b"\r\n",
            lambda: b"PROXY TCP4 1.2.3.4 1.2.3.4 1 1\r\n" + head + b"\r\n",
        )
    )()
    slow_s = 0.15 if randomly.random() < 0.01 else 0.0
    return Attempt(target, "garbage", raw=raw, may_drop=True, slow_s=slow_s)
