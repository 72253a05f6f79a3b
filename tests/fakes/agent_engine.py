"""An engine of a few lines for the agent's tests: epochs, verdicts, watermark and holes; in memory or over HTTP.

It judges nothing but ids and hashes. `facts` is what it holds: {id: (subject, body)} in the order of arrival.
"""

from __future__ import annotations

import gzip
import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
from counterfoil_agent.errors import Denied, OtherEpoch
from counterfoil_agent.ports import Answer, Through, Update, UpdatePage, UpdateResult, Verdict, Welcome


class _Sent(msgspec.Struct):
    id: str
    type: str
    subject: str
    epoch: int
    n: int
    occurredon: str
    data: msgspec.Raw


@dataclass
class FakeEngine:
    """installation: who holds the store. fail: called with each call's name, before and after it was carried out."""

    installation: str | None = None
    epoch: int = 0
    numbers: dict[tuple[int, int], str] = field(default_factory=dict)
    facts: dict[str, tuple[str, str, bytes]] = field(default_factory=dict)
    conflicts: list[str] = field(default_factory=list)
    invalid: set[str] = field(default_factory=set)  # subjects whose events are called invalid
    refused: set[str] = field(default_factory=set)
    beats: list[dict[str, Any]] = field(default_factory=list)
    before: Callable[[str], None] = lambda what: None
    after: Callable[[str], None] = lambda what: None
    judge: Callable[[bytes, bool], None] = lambda batch, wrapped: None
    clock_offset_s: float | None = 0.0
    calls: list[str] = field(default_factory=list)
    contracts: dict[str, int] = field(default_factory=dict)
    waiting: dict[str, Update] = field(default_factory=dict)  # what its orders are to be told, until a result comes
    results: list[UpdateResult] = field(default_factory=list)

    def through(self) -> Through:
        n = 0
        while (self.epoch, n + 1) in self.numbers:
            n += 1
        return Through(n, self.numbers.get((self.epoch, n)))

    def holes(self) -> list[tuple[int, int]]:
        held = sorted(n for epoch, n in self.numbers if epoch == self.epoch)
        return [(a + 1, b - 1) for a, b in zip([0, *held], held, strict=False) if b > a + 1]

    # -- the port

    def hello(self, body: Mapping[str, Any]) -> Welcome:
        self._begin("hello")
        if self.installation is None:
            self.installation, self.epoch = body["installation"], 1
        if self.installation != body["installation"]:
            raise Denied("Another agent serves this store.", "Hand over.", slug="other-installation")
        return self._end("hello", Welcome(self.epoch, self.through(), 604_800, self.contracts))

    def new_epoch(self, body: Mapping[str, Any]) -> Welcome:
        self._begin("epoch")
        empty = not any(epoch == self.epoch for epoch, _ in self.numbers)
        if body["epoch"] == self.epoch:
            self.epoch += 1
        elif not (body["epoch"] == self.epoch - 1 and empty):
            raise OtherEpoch("Another epoch.", "Say hello.")
        return self._end("epoch", Welcome(self.epoch, self.through()))

    def events(self, batch: bytes, wrapped: bool = False) -> Answer:
        self._begin("events")
        self.judge(batch, wrapped)
        verdicts = []
        for sent in msgspec.json.decode(batch, type=list[_Sent]):
            if sent.epoch != self.epoch:
                raise OtherEpoch("Another epoch.", "Say hello.")
            verdicts.append(self._take(sent))
        return self._end("events", Answer(verdicts, self.through(), self.holes()))

    def _take(self, sent: _Sent) -> Verdict:
        body = bytes(sent.data)
        if sent.subject in self.refused and not sent.type.startswith("counterfoil.tombstone"):
            return Verdict(sent.n, sent.id, "refused", "refused by the test")
        known = self.facts.get(sent.id)
        if known is not None and known[2] != body:
            self.conflicts.append(sent.id)
        self.numbers[sent.epoch, sent.n] = sent.id
        if known is not None:
            return Verdict(sent.n, sent.id, "duplicate")
        self.facts[sent.id] = (sent.subject, sent.type, body)
        return Verdict(sent.n, sent.id, "kept-invalid" if sent.subject in self.invalid else "stored")

    def reaches(self) -> bool:
        self._begin("reaches")
        try:
            self.judge(b"[]", False)
        except Exception:
            return False
        return True

    def heartbeat(self, event: bytes) -> Through | None:
        self._begin("heartbeat")
        self.beats.append(json.loads(event))
        return self._end("heartbeat", self.through())

    def updates(self, results: Sequence[UpdateResult], limit: int) -> UpdatePage:
        """Hands out all that has no result, each time: more often than the engine does."""
        self._begin("updates")
        for result in results:
            if self.waiting.pop(result.key, None) is not None:
                self.results.append(result)
        handed = list(self.waiting.values())[:limit]
        return self._end("updates", UpdatePage(handed))

    def _begin(self, what: str) -> None:
        self.calls.append(what)
        self.before(what)

    def _end(self, what: str, answer: Any) -> Any:
        self.after(what)
        return answer

    # -- for the tests

    def latest(self, subject: str) -> dict[str, Any] | None:
        """The last body of a subject in the order of (epoch, n), as the facts are read."""
        placed = [self.facts[event_id] for _, event_id in sorted(self.numbers.items())]
        bodies = [body for held, _, body in placed if held == subject]
        return json.loads(bodies[-1]) if bodies else None

    def copy(self) -> dict[str, Any]:
        """A backup."""
        return {"epoch": self.epoch, "numbers": dict(self.numbers), "facts": dict(self.facts)}

    def restore(self, backup: dict[str, Any]) -> None:
        self.epoch, self.numbers, self.facts = backup["epoch"], dict(backup["numbers"]), dict(backup["facts"])


class _Handler(BaseHTTPRequestHandler):
    engine: FakeEngine
    secret: bytes
    clock: Any
    answer_instead: list[tuple[int, dict[str, str], bytes]]
    seen: list[dict[str, str]]

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append(dict(self.headers))
        if self.answer_instead:
            self._answer(*self.answer_instead.pop(0))
            return
        signed_at = self.headers["Counterfoil-Timestamp"]
        message = f"POST\n{self.path}\n{signed_at}\n".encode() + raw
        expected = "v1=" + hmac.new(self.secret, message, hashlib.sha256).hexdigest()
        if self.headers["Counterfoil-Signature"] != expected:
            self._problem(401, "signature")
            return
        if abs(int(signed_at) - self.clock.now().timestamp()) > 300:
            self._problem(401, "clock")
            return
        body = gzip.decompress(raw) if self.headers.get("Content-Encoding") == "gzip" else raw
        try:
            self._answer(200, {}, msgspec.json.encode(self._said(body)))
        except OtherEpoch:
            self._problem(409, "epoch")
        except Denied as error:
            self._problem(409, error.slug)

    def _said(self, body: bytes) -> Any:
        if self.path == "/v1/heartbeat":
            return {"stored_through": self.engine.heartbeat(body)}
        if self.path == "/v1/events":
            return self.engine.events(body)
        told = json.loads(body)
        return self.engine.hello(told) if self.path == "/v1/hello" else self.engine.new_epoch(told)

    def _problem(self, status: int, slug: str) -> None:
        body = {
            "type": f"/problems/{slug}",
            "title": "No",
            "status": status,
            "detail": "The cause.",
            "remedy": "A remedy.",
        }
        self._answer(status, {"Content-Type": "application/problem+json"}, json.dumps(body).encode())

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in {"Date": format_datetime(self.clock.now(), usegmt=True), **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@dataclass
class Served:
    url: str
    answers: list[tuple[int, dict[str, str], bytes]]
    seen: list[dict[str, str]]


@contextmanager
def serving(engine: FakeEngine, clock: Any, secret: str = "s3cret") -> Iterator[Served]:
    served = Served("", [], [])
    attributes = {
        "engine": engine,
        "secret": secret.encode(),
        "clock": clock,
        "answer_instead": served.answers,
        "seen": served.seen,
    }
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), attributes))
    served.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
