"""The engine's API over HTTPS: signed, packed, bounded; the engine's own answers told apart from all others.

Each request is signed with HMAC-SHA256 over method, path, time and the body as sent. The time is the agent's, corrected
by what the engine's `Date` said last; an engine that calls it wrong all the same is asked once more with the new
correction. The engine's own errors are problem details (RFC 9457). Anything else comes from what stands in between.
"""

from __future__ import annotations

import gzip
import hashlib
import hmac
import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
import requests

from counterfoil_agent import __version__
from counterfoil_agent.answers import moment_said, whole
from counterfoil_agent.errors import (
    Blocked,
    CounterfoilError,
    Denied,
    OtherEpoch,
    RateLimited,
    TooLarge,
    Unavailable,
)
from counterfoil_agent.ports import Answer, Clock, Through, Update, UpdatePage, UpdateResult, Verdict, Welcome
from counterfoil_agent.snapshot import LARGEST_ID

LARGEST_ANSWER_BYTES = 4_000_000
SMALLEST_PACKED_BYTES = 500


class _Through(msgspec.Struct):
    n: int
    id: str | None = None


_OrderId = Annotated[int, msgspec.Meta(ge=1, le=LARGEST_ID)]


class _Welcome(msgspec.Struct):
    epoch: int
    stored_through: _Through
    retain_s: float | None = None
    contracts: dict[str, int] = {}
    feed_url: str | None = None
    orders: Annotated[list[_OrderId], msgspec.Meta(max_length=10_000)] = []


class _Verdict(msgspec.Struct):
    n: int
    id: str
    verdict: Literal["stored", "duplicate", "kept-invalid", "refused"]
    reason: str | None = None


class _Answer(msgspec.Struct):
    verdicts: list[_Verdict]
    stored_through: _Through | None = None
    holes: list[tuple[int, int]] = []


class _Beat(msgspec.Struct):
    stored_through: _Through | None = None


class _Update(msgspec.Struct):
    key: str
    hash: str
    order: _OrderId
    status: str | None = None
    tracking: str | None = None
    carrier: str | None = None
    note: str | None = None
    reverses: str | None = None


class _Updates(msgspec.Struct):
    updates: list[_Update]
    more: bool = False


class _Problem(msgspec.Struct):
    """RFC 9457; type is /problems/<slug>."""

    type: str
    title: str = ""
    detail: str | None = None
    remedy: str | None = None

    @property
    def slug(self) -> str:
        return self.type.rpartition("/")[2]


class Uplink:
    """The engine, as one store's agent reaches it."""

    def __init__(self, url: str, store: str, secret: str, clock: Clock, timeout_s: float = 30.0) -> None:
        self._url, self._store, self._secret, self._clock = url.rstrip("/"), store, secret.encode(), clock
        self._timeout = (min(10.0, timeout_s), timeout_s)
        self._session = requests.Session()
        self.clock_offset_s: float | None = None

    def hello(self, body: Mapping[str, Any]) -> Welcome:
        return _welcome(self.post("/v1/hello", msgspec.json.encode(body), _Welcome))

    def new_epoch(self, body: Mapping[str, Any]) -> Welcome:
        return _welcome(self.post("/v1/epoch", msgspec.json.encode(body), _Welcome))

    def events(self, batch: bytes, wrapped: bool = False) -> Answer:
        answer = self.post("/v1/events", batch, _Answer, wrapped)
        verdicts = [Verdict(each.n, each.id, each.verdict, each.reason) for each in answer.verdicts]
        return Answer(verdicts, _through(answer.stored_through), answer.holes)

    def reaches(self) -> bool:
        try:
            self.post("/v1/events", b"[]", _Answer)
        except (Blocked, TooLarge) as error:
            return error.category == "engine"
        return True

    def heartbeat(self, event: bytes) -> Through | None:
        return _through(self.post("/v1/heartbeat", event, _Beat).stored_through)

    def updates(self, results: Sequence[UpdateResult], limit: int) -> UpdatePage:
        told: _Updates = self.post("/v1/updates", msgspec.json.encode({"results": results, "limit": limit}), _Updates)
        updates = [
            Update(each.key, each.hash, each.order, each.status, each.tracking, each.carrier, each.note, each.reverses)
            for each in told.updates
        ]
        return UpdatePage(updates, told.more)

    def post(self, path: str, body: bytes, kind: type[Any], wrapped: bool = False, wait_s: float = 0.0) -> Any:
        """One signed request, its answer as this kind. wait_s: how long the engine may take longer than it would."""
        headers = {"Content-Type": "application/json"}
        if wrapped:
            # Firewalls look into forms and plain JSON; a name in an order may look like SQL to them. The engine takes
            # this form as well.
            headers["Content-Type"] = "application/cloudevents-batch+json"
        if wrapped or len(body) >= SMALLEST_PACKED_BYTES:
            headers["Content-Encoding"] = "gzip"
            body = gzip.compress(body, 1, mtime=0)
        status, answer_headers, answer = self._exchange(path, body, headers, wait_s)
        if status == 401 and (problem := _problem(answer_headers, answer)) and problem.slug == "clock":
            status, answer_headers, answer = self._exchange(path, body, headers, wait_s)
        if status != 200:
            raise self._refusal(status, answer_headers, answer)
        try:
            return msgspec.json.decode(answer, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise Unavailable(
                f"What answered at {self._url}{path} is not the engine.",
                "Set engine.url to the engine's address; a proxy or sign-in page may stand before it.",
                status=status,
            ) from None

    def _exchange(
        self, path: str, body: bytes, headers: dict[str, str], wait_s: float
    ) -> tuple[int, Mapping[str, str], bytes]:
        """One request and its answer, whatever its status; the clock's offset is learnt from each."""
        signed_at = str(int(self._clock.now().timestamp() + (self.clock_offset_s or 0.0)))
        began_s = time.monotonic()
        try:
            with self._session.post(
                self._url + path,
                data=body,
                headers={**headers, **self._signed(path, signed_at, body)},
                timeout=(self._timeout[0], self._timeout[1] + wait_s),
                stream=True,
                allow_redirects=False,
            ) as response:
                answer = whole(response, LARGEST_ANSWER_BYTES, began_s + 3 * self._timeout[1] + wait_s)
                self._learn_clock(response.headers.get("Date"))
                return response.status_code, response.headers, answer
        except (requests.RequestException, ValueError) as error:
            raise Unavailable(
                f"The engine at {self._url} can't be reached ({type(error).__name__}).",
                "See whether it is up and its address and certificate are right; it is tried again by itself.",
            ) from None

    def _signed(self, path: str, signed_at: str, body: bytes) -> dict[str, str]:
        message = f"POST\n{path}\n{signed_at}\n".encode() + body
        return {
            "User-Agent": f"counterfoil-agent/{__version__}",
            "Counterfoil-Store": self._store,
            "Counterfoil-Timestamp": signed_at,
            "Counterfoil-Signature": f"v1={hmac.new(self._secret, message, hashlib.sha256).hexdigest()}",
        }

    def _learn_clock(self, said: str | None) -> None:
        if (moment := moment_said(said)) is not None:
            offset_s = (moment - self._clock.now()).total_seconds()
            # `Date` has whole seconds: less than that is no difference.
            self.clock_offset_s = 0.0 if abs(offset_s) < 1.5 else round(offset_s, 1)

    def _refusal(self, status: int, headers: Mapping[str, str], answer: bytes) -> CounterfoilError:
        problem = _problem(headers, answer)
        if problem is not None:
            return _said_no(status, problem, headers)
        if status == 413:
            return TooLarge("A proxy before the engine takes no request of this size.", "Raise its limit.")
        if status == 429 or (status == 503 and headers.get("Retry-After")):
            pause_s = _seconds(headers.get("Retry-After"))
            return RateLimited(f"The engine asks for a pause ({status}).", "Nothing to do.", retry_after_s=pause_s)
        if status in (400, 403, 405, 406, 415, 418):
            return Blocked(
                f"Something between agent and engine blocks the request (status {status}, not the engine's answer).",
                "Let the firewall pass the agent's requests to /v1/.",
            )
        return Unavailable(
            f"The engine's address answered with status {status}, and not as the engine does.",
            "Set engine.url to the engine's address, and see whether the engine is up behind its proxy.",
            status=status,
        )


def _said_no(status: int, problem: _Problem, headers: Mapping[str, str]) -> CounterfoilError:
    """What the engine itself says, in its words."""
    cause = (problem.detail or problem.title or f"The engine answered with status {status}.")[:500]
    remedy = (problem.remedy or "Look into the engine's log.")[:500]
    if problem.slug == "epoch":
        return OtherEpoch(cause, remedy)
    if status == 413:
        return TooLarge(cause, remedy, "engine")
    if status == 429 or (status == 503 and headers.get("Retry-After")):
        return RateLimited(cause, remedy, retry_after_s=_seconds(headers.get("Retry-After")))
    if status in (401, 403, 404, 409):
        return Denied(cause, remedy, slug=problem.slug)
    if 400 <= status < 500:
        return Blocked(cause, remedy, "engine")
    return Unavailable(cause, remedy, status=status)


def _problem(headers: Mapping[str, str], answer: bytes) -> _Problem | None:
    if not headers.get("Content-Type", "").startswith("application/problem+json"):
        return None
    try:
        return msgspec.json.decode(answer, type=_Problem)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _welcome(answer: _Welcome) -> Welcome:
    through = _through(answer.stored_through)
    assert through is not None
    return Welcome(answer.epoch, through, answer.retain_s, answer.contracts, answer.feed_url, answer.orders)


def _through(said: _Through | None) -> Through | None:
    return None if said is None else Through(said.n, said.id)


def _seconds(text: str | None) -> float:
    return float(min(int(text), 3600)) if text and text.isascii() and text.isdigit() and len(text) < 10 else 30.0


def batch_of(events: Sequence[bytes]) -> bytes:
    """The JSON array of events already encoded."""
    return b"[" + b",".join(events) + b"]"
