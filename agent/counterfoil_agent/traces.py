"""Spans of what the agent does with an order, told by OTLP over HTTP in JSON, in a thread of their own.

    hook ──▶ capture (from the shop's word, or its log's row, to the outbox)
                └──▶ deliver (from the outbox to the engine's verdict)

The span `capture` bears the ids of the event's `traceparent`, so what engine and ERP say of it joins below. No library:
it would cost more memory than the rest of the agent's work. What can't be told is dropped: traces are no proof.
Source of the form: OpenTelemetry Protocol 1.x, JSON encoding; ids are hexadecimal, times text of nanoseconds.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any

import msgspec
import requests
from loguru import logger

from counterfoil_agent.outbox import Row

MOST_WAITING, MOST_HEARD = 1_000, 1_000
AT_ONCE = 200
PAUSE_S, TIMEOUT_S = 2.0, 5.0
LONGEST = timedelta(minutes=10)  # between a hook and its order's row: older ones are another change's


class Spans:
    """heard and sent may be called from any thread. tell: sends a body to the collector; raises what requests does."""

    def __init__(self, store: str, tell: Callable[[bytes], None], random: Random) -> None:
        self._store, self._tell, self._random = store, tell, random
        self._heard: OrderedDict[int, datetime] = OrderedDict()
        self._waiting: deque[dict[str, Any]] = deque(maxlen=MOST_WAITING)
        self._lock = threading.Lock()
        self._is_away = False

    def heard(self, order_id: int, at: datetime) -> None:
        """The shop said that this order changed; the first word counts, until the order is sent."""
        if at.tzinfo is None:
            return
        with self._lock:
            self._heard.setdefault(order_id, at)
            while len(self._heard) > MOST_HEARD:
                self._heard.popitem(last=False)

    def sent(self, rows: Sequence[Row], now: datetime) -> None:
        """The engine holds these rows."""
        with self._lock:
            for row in rows:
                self._waiting.extend(self._of(row, self._heard.pop(row.order_id, None), now))

    def flush(self) -> int:
        """Tell what waits, at most so many at once; how many spans were told or dropped."""
        with self._lock:
            spans = [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]
        if not spans:
            return 0
        about = {"attributes": [_said("service.name", "counterfoil-agent"), _said("counterfoil.store", self._store)]}
        scoped = {"scope": {"name": "counterfoil"}, "spans": spans}
        try:
            self._tell(msgspec.json.encode({"resourceSpans": [{"resource": about, "scopeSpans": [scoped]}]}))
            self._is_away = False
        except requests.RequestException as error:
            if not self._is_away:
                logger.warning("traces dropped", spans=len(spans), error=type(error).__name__)
            self._is_away = True
        return len(spans)

    def run(self, stopping: threading.Event) -> None:
        """Until stopping is set, and what waits then."""
        while not stopping.is_set():
            if not self.flush():
                stopping.wait(PAUSE_S)
        self.flush()

    def _of(self, row: Row, heard: datetime | None, now: datetime) -> list[dict[str, Any]]:
        _, trace, span, _ = row.traceparent.split("-")
        kept = datetime.fromisoformat(row.time)
        began = heard if heard is not None and kept - LONGEST < heard <= kept else kept
        attributes = [
            _said("counterfoil.subject", f"order {self._store}/{row.order_id}"),
            _said("counterfoil.event", row.type),
            _said("counterfoil.n", str(row.n)),
        ]
        capture = {"traceId": trace, "spanId": span, "name": "capture", "kind": 1}
        deliver = {"traceId": trace, "spanId": f"{self._random.getrandbits(64) | 1:016x}", "parentSpanId": span}
        return [
            {**capture, **_between(began, kept), "attributes": attributes},
            {**deliver, "name": "deliver", "kind": 3, **_between(kept, now), "attributes": attributes},
        ]


def teller(url: str, session: requests.Session | None = None) -> Callable[[bytes], None]:
    """What sends bodies to a collector at this address (…/v1/traces)."""
    line = session or requests.Session()

    def tell(body: bytes) -> None:
        headers = {"Content-Type": "application/json"}
        with line.post(url, body, headers=headers, timeout=TIMEOUT_S, allow_redirects=False, stream=True) as answer:
            answer.raise_for_status()

    return tell


def _said(name: str, value: str) -> dict[str, Any]:
    return {"key": name, "value": {"stringValue": value}}


def _between(began: datetime, ended: datetime) -> dict[str, str]:
    last = max(began, ended)
    return {"startTimeUnixNano": _nanoseconds(began), "endTimeUnixNano": _nanoseconds(last)}


def _nanoseconds(moment: datetime) -> str:
    return str(round(moment.timestamp() * 1_000_000) * 1_000)
