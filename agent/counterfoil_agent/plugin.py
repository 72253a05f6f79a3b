"""The plugin's routes in the store: signed with the key from pairing, bounded, each way to fail told apart.

Signed is HMAC-SHA256 over method, route with its parameters sorted, time, nonce and the body's hash, a line each. The
time is the agent's, corrected by what the store's `Date` said last; a store that calls it wrong all the same is asked
once more with the new correction. A nonce is drawn for each request, so nothing of a request can be used again.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
import requests

from counterfoil_agent import snapshot
from counterfoil_agent.answers import moment_said, whole
from counterfoil_agent.errors import CounterfoilError, Denied, NotThere, RateLimited, Unavailable
from counterfoil_agent.ports import (
    Bucket,
    Clock,
    Digested,
    Health,
    Item,
    LoggedMove,
    LogPage,
    LogRow,
    OrderTotals,
    StockAnswer,
    StockWrite,
)
from counterfoil_agent.rest import USER_AGENT, retry_after_s

SPACE = "/counterfoil/v1"
LARGEST_ANSWER_BYTES = 32_000_000  # the plugin stops at 4 MB of payloads, but one row may be larger
WORDS = {
    "signature": "Pair again (WooCommerce, Counterfoil) and set the key where plugin.key_env says.",
    "clock": "Let both hosts keep time (chrony, systemd-timesyncd).",
    "copy": "If it is the real store, pair it again in WooCommerce, Counterfoil; else stop this agent.",
}


class _Row(msgspec.Struct):
    id: int
    event_id: str
    object: str
    object_id: int
    kind: str
    at: str
    payload: msgspec.Raw = msgspec.Raw(b"null")


class _Move(msgspec.Struct):
    move_id: str
    row_id: int


class _Changes(msgspec.Struct):
    store_fingerprint: str
    head: int
    rows: list[_Row]
    moves: list[msgspec.Raw]


class _Items(msgspec.Struct):
    items: list[Item]
    more: bool


class _Result(msgspec.Struct):
    stock_id: int | None
    verdict: str
    stock: Decimal | None = None
    reason: str | None = ""


class _Results(msgspec.Struct):
    results: list[_Result]


class _Buckets(msgspec.Struct):
    buckets: list[Bucket]


class _Digested(msgspec.Struct):
    items: list[Digested]


class _Total(msgspec.Struct):
    day: str
    currency: str
    count: int
    total: str
    refunds: str
    tax: str


class _Open(msgspec.Struct):
    object: str
    object_id: int


class _Totals(msgspec.Struct):
    totals: list[_Total]
    open: list[_Open]


class _Health(msgspec.Struct):
    versions: dict[str, Any] = {}
    waiting_rows: int = 0
    newest_order_id: int | None = None
    missing_hooks: list[str] = []


class _Said(msgspec.Struct):
    code: str = ""
    message: str = ""


class SignedPlugin:
    """The plugin of one store over HTTP; for one thread."""

    def __init__(self, url: str, key: str, clock: Clock, timeout_s: float = 60.0) -> None:
        self._url, self._key, self._clock = url.rstrip("/"), key.encode(), clock
        self._timeout = (min(10.0, timeout_s), timeout_s)
        self._session = requests.Session()
        self._offset_s = 0.0
        self._has_permalinks = True

    def changes(self, limit: int) -> LogPage:
        told = self._ask("GET", "/changes", _Changes, query={"limit": limit})
        rows = [
            LogRow(each.id, each.event_id, each.object, each.object_id, each.kind, _payload(each.payload), each.at)
            for each in told.rows
        ]
        moves = []
        for raw in told.moves:
            move = _decoded(raw, _Move, "/changes")
            moves.append(LoggedMove(move.move_id, move.row_id, bytes(raw)))
        return LogPage(told.store_fingerprint, told.head, rows, moves)

    def ack(self, epoch: int, rows: Sequence[tuple[int, int]], moves: Sequence[tuple[str, int]]) -> None:
        body = {
            "epoch": epoch,
            "rows": [{"id": row_id, "n": n} for row_id, n in rows],
            "moves": [{"move_id": move_id, "n": n} for move_id, n in moves],
        }
        self._ask("POST", "/ack", dict[str, Any], body=body)

    def stock(self, writes: Sequence[StockWrite]) -> Sequence[StockAnswer]:
        told = self._ask("POST", "/stock", _Results, body={"items": [_written(each) for each in writes]})
        if len(told.results) != len(writes):
            raise _unlike("/stock")
        return [
            StockAnswer(write.stock_id, each.verdict, each.stock, each.reason or "")
            for write, each in zip(writes, told.results, strict=True)
        ]

    def items(self, after: int, limit: int) -> tuple[Sequence[Item], bool]:
        told: _Items = self._ask("GET", "/items", _Items, query={"after": after, "limit": limit})
        return told.items, told.more

    def buckets(self, prefix: str = "") -> Sequence[Bucket]:
        told: _Buckets = self._ask("GET", "/digest", _Buckets, query={"prefix": prefix} if prefix else {})
        return told.buckets

    def bucket(self, prefix: str) -> Sequence[Digested]:
        told: _Digested = self._ask("GET", "/digest", _Digested, query={"prefix": prefix})
        return told.items

    def totals(self, first: str, last: str) -> OrderTotals:
        told: _Totals = self._ask("GET", "/orders/totals", _Totals, query={"from": first, "to": last})
        rows = [(row.day, row.currency, row.count, row.total, row.refunds, row.tax) for row in told.totals]
        return OrderTotals(rows, [row.object_id for row in told.open if row.object == "order"])

    def store_now(self) -> datetime:
        return self._clock.now() + timedelta(seconds=self._offset_s)

    def health(self) -> Health:
        told = self._ask("GET", "/health", _Health)
        version = told.versions.get("plugin")
        return Health(
            version[:40] if isinstance(version, str) else None,
            max(0, told.waiting_rows),
            told.newest_order_id,
            [name[:200] for name in told.missing_hooks[:100]],
        )

    # -- one request

    def _ask(self, method: str, path: str, kind: Any, query: Mapping[str, Any] | None = None, body: Any = None) -> Any:
        raw = b"" if body is None else msgspec.json.encode(body)
        query = {name: str(value) for name, value in (query or {}).items()}
        for attempt in (1, 2, 3):
            status, headers, answer = self._exchange(method, path, query, raw)
            if status == 200:
                return _decoded(answer, kind, path)
            code = _said(answer).code
            if self._has_permalinks and status == 404 and not code:
                self._has_permalinks = False  # WordPress with plain permalinks, or a web server that knows none
            elif attempt == 3 or code not in ("counterfoil_clock", "counterfoil_replay"):
                break
        raise self._refusal(status, headers, answer, path)

    def _exchange(
        self, method: str, path: str, query: Mapping[str, str], raw: bytes
    ) -> tuple[int, Mapping[str, str], bytes]:
        began_s = time.monotonic()
        try:
            with self._session.request(
                method,
                self._address(path, query),
                data=raw,
                headers=self._signed(method, path, query, raw),
                timeout=self._timeout,
                stream=True,
                allow_redirects=False,
            ) as response:
                answer = whole(response, LARGEST_ANSWER_BYTES, began_s + 3 * self._timeout[1])
                self._learn_clock(response.headers.get("Date"))
                return response.status_code, response.headers, answer
        except (requests.RequestException, ValueError) as error:
            raise Unavailable(
                f"The shop at {self._url} can't be reached ({type(error).__name__}).",
                "See whether it is up and its certificate is valid; it is asked again by itself.",
            ) from None

    def _address(self, path: str, query: Mapping[str, str]) -> str:
        if self._has_permalinks:
            return f"{self._url}/wp-json{SPACE}{path}" + (f"?{_encoded(query)}" if query else "")
        return f"{self._url}/?" + urlencode({"rest_route": SPACE + path, **query})

    def _signed(self, method: str, path: str, query: Mapping[str, str], raw: bytes) -> dict[str, str]:
        signed_at = str(int(self._clock.now().timestamp() + self._offset_s))
        nonce = secrets.token_hex(16)
        route = SPACE + path + (f"?{_encoded(query)}" if query else "")
        message = "\n".join((method, route, signed_at, nonce, hashlib.sha256(raw).hexdigest()))
        return {
            "User-Agent": USER_AGENT,
            "Content-Type": "application/json",
            "Cache-Control": "no-cache",
            "X-Counterfoil-Timestamp": signed_at,
            "X-Counterfoil-Nonce": nonce,
            "X-Counterfoil-Signature": hmac.new(self._key, message.encode(), hashlib.sha256).hexdigest(),
        }

    def _learn_clock(self, said: str | None) -> None:
        if (moment := moment_said(said)) is not None:
            self._offset_s = (moment - self._clock.now()).total_seconds()

    def _refusal(self, status: int, headers: Mapping[str, str], answer: bytes, path: str) -> CounterfoilError:
        said = _said(answer)
        slug = said.code.removeprefix("counterfoil_")
        if status == 404 and said.code == "rest_no_route":
            return NotThere(
                f"The shop's plugin doesn't know {SPACE}{path}.",
                "Switch it on, or update it (WordPress, Plugins); until then the shop is read and written over REST.",
            )
        pause_s = retry_after_s(headers.get("Retry-After"))
        if status == 429 or (status == 503 and pause_s is not None):
            return RateLimited(
                f"The shop asks for a pause ({status}).", "Nothing to do.", retry_after_s=pause_s or 30.0
            )
        if status in (400, 401, 403, 409) and said.code.startswith("counterfoil_"):
            remedy = WORDS.get(slug, "Update the agent to a version that fits the plugin.")
            return Denied(f"The shop's plugin refuses: {said.message[:300]}", remedy, slug=slug)
        if status in (401, 403, 404, 405, 406):
            return Denied(
                f"Something before the shop blocks the agent (status {status}, not the plugin's own answer).",
                f"Allow the user agent {USER_AGENT!r} and the path /wp-json{SPACE}/ in the host's firewall or security"
                " plugin.",
            )
        return Unavailable(
            f"The shop's plugin answered {path} with status {status}{f' ({slug[:60]})' if slug else ''}.",
            "Look in the shop's log (WooCommerce, Status, Logs, source counterfoil); it is asked again by itself.",
            status=status,
        )


def _payload(raw: msgspec.Raw) -> bytes | None:
    payload = bytes(raw)
    return None if payload in (b"null", b"[]", b"") else payload


def _written(write: StockWrite) -> dict[str, Any]:
    epoch, n = write.basis or (0, 0)
    item: dict[str, Any] = {
        "stock_id": write.stock_id,
        "version": write.version,
        "number": write.number,
        "basis": {"epoch": epoch, "n": n},
    }
    if write.expires_at is not None:
        item["expires_at"] = write.expires_at
        item["silence_share"] = float(write.silence_share or 1)
    return item


def _encoded(query: Mapping[str, str]) -> str:
    return urlencode(sorted(query.items()), quote_via=quote, safe="")


def _decoded(raw: bytes | msgspec.Raw, kind: Any, path: str) -> Any:
    try:
        return msgspec.json.decode(snapshot.without_mark(bytes(raw)), type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ArithmeticError):
        raise _unlike(path) from None


def _unlike(path: str) -> Unavailable:
    return Unavailable(
        f"The shop's answer to {SPACE}{path} is not the plugin's.",
        "Look for a plugin or a cache that changes REST answers; it is asked again by itself.",
    )


def _said(answer: bytes) -> _Said:
    try:
        return msgspec.json.decode(snapshot.without_mark(answer), type=_Said)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _Said()
