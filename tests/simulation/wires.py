"""The lines between the parts, without sockets: requests' own sessions, whose adapters call the other side in process.

All is as over the line: the same bytes, headers, credentials and errors. A wire passes two gates around each call, and
may lose, double, delay or refuse it.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from email.utils import format_datetime
from io import BytesIO
from typing import Any, Protocol
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import requests
import urllib3
import woocommerce.api
from counterfoil_sandbox.shop_auth import Keys, Unauthorised
from counterfoil_sandbox.shop_orders import Shop
from counterfoil_sandbox.shop_rest import Rest, unknown_order
from counterfoil_sandbox.shop_web import PAGES
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict

from simulation.gates import Crash, Gates

Send = Callable[[requests.PreparedRequest, Any], requests.Response]
"""request, timeout → answer; raises what requests would"""


class Weather(Protocol):
    """What goes wrong with a call now, one of FAULTS, or None. later: keeps a late call until its time has come; twice:
    is told of a call that came twice, and whose answers are lost."""

    def fault(self, gate: str) -> str | None: ...
    def later(self, carry: Callable[[], object]) -> None: ...
    def twice(self, request: requests.PreparedRequest) -> None: ...


# Faults of a line. What "blocked" stands for is a firewall; 429 and 503 ask for a pause of two seconds.
LOST, CUT, DOUBLED, LATE, BUSY, AWAY, BLOCKED = "lost", "cut", "doubled", "late", "429", "503", "blocked"
DOUBLED_CUT = "doubled and cut"
FAULTS = (LOST, CUT, DOUBLED, LATE, BUSY, AWAY)


class Wire(HTTPAdapter):
    """One line. name: of its gates; send: carries a call to the other side. died: called where the other side did."""

    def __init__(
        self, name: Callable[[str, str], str], send: Send, gates: Gates, weather: Weather, died: Callable[[Crash], None]
    ) -> None:
        super().__init__()
        self._name, self._send, self._gates, self._weather, self._died = name, send, gates, weather, died

    def send(self, request: Any, stream: bool = False, timeout: Any = None, *_: Any, **__: Any) -> requests.Response:
        gate = self._name(request.method, urlsplit(request.url).path)
        self._gates(f"{gate}.before")
        answer = self._through(gate, request, timeout)
        self._gates(f"{gate}.after")
        return answer

    def _through(self, gate: str, request: requests.PreparedRequest, timeout: Any) -> requests.Response:
        fault = self._weather.fault(gate)
        if fault == LOST:
            raise refused(request)
        if fault in (BUSY, AWAY):
            return answer_of(request, int(fault), {"Retry-After": "2"}, b"A pause, please.")
        if fault == BLOCKED:
            return answer_of(request, 403, {"Content-Type": "text/html"}, b"<html>Access denied.</html>")
        if fault == LATE:
            self._weather.later(lambda: self._carry(request, timeout))
            raise requests.ReadTimeout("No answer came in time.", request=request)
        answer = self._carry(request, timeout)
        if fault in (DOUBLED, DOUBLED_CUT):
            answer = self._carry(request, timeout)
        if fault == DOUBLED_CUT:
            self._weather.twice(request)
        if fault in (CUT, DOUBLED_CUT):
            raise requests.ConnectionError("The line was cut.", request=request)
        return answer

    def _carry(self, request: requests.PreparedRequest, timeout: Any) -> requests.Response:
        try:
            return self._send(request, timeout)
        except Crash as crash:
            self._died(crash)
            raise requests.ConnectionError("The other side died.", request=request) from None


def refused(request: requests.PreparedRequest) -> requests.ConnectionError:
    """Nobody was there to take the call."""
    return requests.ConnectionError(urllib3.exceptions.NewConnectionError(None, "refused"), request=request)  # type: ignore[arg-type]


def answer_of(
    request: requests.PreparedRequest, status: int, headers: dict[str, str], body: bytes
) -> requests.Response:
    raw = urllib3.HTTPResponse(body=BytesIO(body), status=status, headers=headers, preload_content=False)
    return HTTPAdapter().build_response(request, raw)


def unpacked(request: requests.PreparedRequest) -> bytes:
    """The body as it was before it was packed."""
    body = request.body if isinstance(request.body, bytes) else (request.body or "").encode()
    return gzip.decompress(body) if request.headers.get("Content-Encoding") == "gzip" else body


def session_over(wire: Wire) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.mount("http://", wire)
    session.mount("https://", wire)
    return session


# Names of gates.


def line_gate(method: str, path: str) -> str:
    return "line." + path.rpartition("/")[2]


def shop_gate(method: str, path: str) -> str:
    parts = path.partition("/wc/v3/")[2].split("/")
    return "shop." + ("orders" if len(parts) == 1 else "order" if len(parts) == 2 else "refunds")


def erp_gate(method: str, path: str) -> str:
    if path == "/v1/documents":
        return "erp.post" if method == "POST" else "erp.list"
    return "erp." + path.rpartition("/")[2]


# The shop: its REST API as the web application calls it, behind its keys.


class ShopFront:
    """mode: one of the sandbox shop's bad days, "up" on a good one. spoilt: by order, what a plugin makes of it."""

    def __init__(self, shop: Shop, keys: dict[str, tuple[str, str]]) -> None:
        self.shop, self.keys, self.mode = shop, Keys(keys, shop.clock), "up"
        self.spoilt: dict[int, Callable[[dict[str, Any]], bytes]] = {}
        self._rest = Rest(shop)

    def send(self, request: requests.PreparedRequest, timeout: Any) -> requests.Response:
        status, headers, body = self._answer(request)
        date = format_datetime(self.shop.now(), usegmt=True)
        return answer_of(request, status, {"Date": date, **headers}, body)

    def _answer(self, request: requests.PreparedRequest) -> tuple[int, dict[str, str], bytes]:
        if self.mode in PAGES:
            status, text, headers = PAGES[self.mode]
            kind = "application/json" if text.startswith("{") else "text/html; charset=UTF-8"
            return status, {"Content-Type": kind, **headers}, text.encode()
        address = urlsplit(request.url or "")
        query = dict(parse_qsl(address.query, keep_blank_values=True))
        path = unquote(address.path).partition("/wc/v3")[2]
        kind = {"Content-Type": "application/json; charset=UTF-8"}
        try:
            url = f"{address.scheme}://{address.netloc}{address.path}"
            self.keys.check(request.method or "GET", url, query, request.headers.get("Authorization"), True)
        except Unauthorised as refused:
            body = {"code": refused.code, "message": str(refused), "data": {"status": 401}}
            return 401, kind, json.dumps(body).encode()
        if self.mode == "orders_404" and path.startswith("/orders/"):
            return 404, kind, json.dumps(unknown_order().answer.body).encode()
        answer = self._rest.answer(request.method or "GET", path, query)
        return answer.status, {**kind, **answer.headers}, self._written(answer.body)

    def _written(self, body: Any) -> bytes:
        """As JSON, but for whole orders that a plugin has spoilt."""
        if not self.spoilt:
            return json.dumps(body).encode()
        if isinstance(body, list):
            return b"[" + b",".join(map(self._written, body)) + b"]"
        is_order = isinstance(body, dict) and "line_items" in body and "order_key" in body
        spoil = self.spoilt.get(body["id"]) if is_order else None
        return spoil(body) if spoil else json.dumps(body).encode()


_SHOPS: dict[str, Wire] = {}
_real_request = woocommerce.api.request


def open_shop(host: str, wire: Wire) -> None:
    """The `woocommerce` package opens a session of its own for each call: let those to this host go over this wire."""
    _SHOPS[host] = wire
    woocommerce.api.request = _request


def _request(method: str, url: str, **given: Any) -> requests.Response:
    wire = _SHOPS.get(urlsplit(url).hostname or "")
    if wire is None:
        return _real_request(method, url, **given)
    request = requests.PreparedRequest()
    request.method, request.url = method, f"{url}?{urlencode(given['params'])}" if given["params"] else url
    request.headers = CaseInsensitiveDict(given["headers"])
    given["auth"](request)
    return wire.send(request, timeout=given["timeout"])
