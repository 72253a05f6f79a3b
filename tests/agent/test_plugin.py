"""The plugin's signed routes: what is signed, and what each answer that isn't the plugin's own is taken for."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from counterfoil_agent.errors import Denied, NotThere, RateLimited, Unavailable
from counterfoil_agent.plugin import SignedPlugin
from counterfoil_agent.ports import StockWrite
from fakes.clock import FakeClock

KEY = "k" * 64
HEALTH = {"versions": {"plugin": "0.1.0"}, "waiting_rows": 3, "newest_order_id": 7, "missing_hooks": []}
REFUSAL = {"code": "counterfoil_clock", "message": "The request's time is off.", "data": {"status": 401}}


class Shop:
    """Answers in turn what it is told to; keeps what it was asked."""

    def __init__(self, url: str) -> None:
        self.url, self.answers, self.asked = url, list[tuple[int, dict[str, str], bytes]](), list[Any]()

    def will(self, body: Any, status: int = 200, **headers: str) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.answers.append((status, {name.replace("_", "-"): value for name, value in headers.items()}, raw))


@pytest.fixture
def shop() -> Iterator[Shop]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            made.asked.append((self.command, self.path, self.headers, body))
            status, headers, raw = made.answers.pop(0)
            self.send_response_only(status)
            for name, value in {**headers, "Content-Length": str(len(raw))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(raw)

        do_POST = do_GET

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made = Shop(f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield made
    server.shutdown()
    server.server_close()


@pytest.fixture
def plugin(shop: Shop) -> SignedPlugin:
    return SignedPlugin(shop.url, KEY, FakeClock(), timeout_s=5)


def test_method_route_time_nonce_and_body_are_signed(shop: Shop, plugin: SignedPlugin) -> None:
    shop.will({"items": [], "more": False})
    plugin.items(5, 10)
    method, path, headers, body = shop.asked[0]
    assert (method, path) == ("GET", "/wp-json/counterfoil/v1/items?after=5&limit=10")
    text = "\n".join(
        (
            "GET",
            "/counterfoil/v1/items?after=5&limit=10",
            headers["X-Counterfoil-Timestamp"],
            headers["X-Counterfoil-Nonce"],
            hashlib.sha256(body).hexdigest(),
        )
    )
    assert headers["X-Counterfoil-Signature"] == hmac.new(KEY.encode(), text.encode(), hashlib.sha256).hexdigest()
    assert KEY not in str(headers)


def test_a_clock_that_is_off_is_corrected_by_the_shops_and_asked_once_more(shop: Shop, plugin: SignedPlugin) -> None:
    shops = FakeClock().now() + timedelta(hours=3)
    shop.will(REFUSAL, 401, Date=format_datetime(shops, usegmt=True))
    shop.will(HEALTH)
    assert plugin.health().version == "0.1.0"
    assert int(shop.asked[1][2]["X-Counterfoil-Timestamp"]) == int(shops.timestamp())
    assert shop.asked[0][2]["X-Counterfoil-Nonce"] != shop.asked[1][2]["X-Counterfoil-Nonce"]


def test_a_shop_that_calls_every_time_wrong_is_told_with_its_remedy(shop: Shop, plugin: SignedPlugin) -> None:
    for _ in range(3):
        shop.will(REFUSAL, 401)
    with pytest.raises(Denied, match="keep time") as refused:
        plugin.health()
    assert refused.value.slug == "clock"


def test_a_shop_with_plain_permalinks_is_asked_by_rest_route(shop: Shop, plugin: SignedPlugin) -> None:
    shop.will(b"<html>Not found</html>", 404)
    shop.will(HEALTH)
    shop.will({"buckets": []})
    plugin.health()
    plugin.buckets("0f")
    assert shop.asked[1][1] == "/?rest_route=%2Fcounterfoil%2Fv1%2Fhealth"
    assert shop.asked[2][1] == "/?rest_route=%2Fcounterfoil%2Fv1%2Fdigest&prefix=0f"


@pytest.mark.parametrize(
    ("status", "body", "headers", "error", "says"),
    [
        (404, {"code": "rest_no_route", "message": ""}, {}, NotThere, "Switch it on"),
        (409, {"code": "counterfoil_copy", "message": "This store is another."}, {}, Denied, "pair it again"),
        (401, {"code": "counterfoil_signature", "message": "It does not fit."}, {}, Denied, "Pair again"),
        (403, b"<html>Forbidden</html>", {}, Denied, "firewall"),
        (429, b"", {"Retry_After": "17"}, RateLimited, "pause"),
        (503, b"", {"Retry_After": "60"}, RateLimited, "pause"),
        (500, {"code": "counterfoil_failure", "message": "It failed."}, {}, Unavailable, "source counterfoil"),
        (200, b"<html>Maintenance</html>", {}, Unavailable, "not the plugin's"),
        (200, b'{"items":[{"id":"x"}],"more":false}', {}, Unavailable, "not the plugin's"),
    ],
)
def test_what_is_not_the_plugins_answer_is_told_for_what_it_is(
    shop: Shop, plugin: SignedPlugin, status: int, body: Any, headers: dict[str, str], error: type[Exception], says: str
) -> None:
    shop.will(body, status, **headers)
    with pytest.raises(error, match=says) as raised:
        plugin.items(0, 10)
    assert KEY not in str(raised.value)
    if isinstance(raised.value, RateLimited):
        assert raised.value.retry_after_s == float(headers["Retry_After"])


def test_an_answer_with_fewer_results_than_writes_is_none(shop: Shop, plugin: SignedPlugin) -> None:
    shop.will({"results": []})
    with pytest.raises(Unavailable):
        plugin.stock([StockWrite(1, 5, 3, (1, 2))])
    written = json.loads(shop.asked[0][3])
    assert written == {"items": [{"stock_id": 1, "version": 5, "number": 3, "basis": {"epoch": 1, "n": 2}}]}


def test_an_answer_without_end_is_cut_off(shop: Shop, plugin: SignedPlugin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("counterfoil_agent.plugin.LARGEST_ANSWER_BYTES", 1000)
    shop.will(b" " * 100_000)
    with pytest.raises(Unavailable, match="Timeout"):
        plugin.health()
