"""Recordings of an agent's requests, as they came over the wire: read, made, and played into an engine.

A recording is made once for a version of the agent and then kept for ever, so that engines of all time to come are held
against what agents of that time really send:

    .venv/bin/python tests/contracts/traffic.py tests/recorded/traffic/agent-v1.jsonl

A line is one request: {"method", "path", "headers", "body" (base64, as sent), "status", "answer"}; answer is what
the engine said then, null where something on the way (a firewall) answered in its place.
"""

from __future__ import annotations

import base64
import gzip
import json
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from random import Random
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from counterfoil_agent import bootstrap
from counterfoil_agent.config import EngineSettings, OutboxSettings, Settings, ShopSettings
from counterfoil_agent.uplink import Uplink
from counterfoil_engine.api.app import Engine, create_app
from counterfoil_engine.config import settings as engine_settings
from counterfoil_engine.records.database import Database
from counterfoil_engine.records.events import StoredEvents
from counterfoil_engine.work.receive import Receiver
from fakes.agent_shop import FakeShop
from fakes.clock import FakeClock
from fakes.commands import FakeCommands
from fakes.databases import open_database
from fakes.store_agent import SECRET
from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

TRAFFIC = Path(__file__).parents[1] / "recorded" / "traffic"
ORDERS = Path(__file__).parents[1] / "recorded" / "woocommerce"
KEPT_HEADERS = ("Content-Type", "Content-Encoding", "User-Agent", "Counterfoil-Store", "Counterfoil-Timestamp", "Counterfoil-Signature")  # fmt: skip # noqa: E501


@dataclass(frozen=True)
class Request:
    """One recorded request; body as sent."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    status: int
    answer: Any

    @property
    def unpacked(self) -> bytes:
        return gzip.decompress(self.body) if self.headers.get("Content-Encoding") == "gzip" else self.body

    @property
    def at(self) -> datetime:
        """When it was signed."""
        return datetime.fromtimestamp(int(self.headers["Counterfoil-Timestamp"]), UTC)


def recording(name: str) -> list[Request]:
    """A recording by its file's name."""
    lines = [json.loads(line) for line in (TRAFFIC / name).read_text().splitlines()]
    return [Request(**{**line, "body": base64.b64decode(line["body"])}) for line in lines]


def engine_over(database: Database, clock: FakeClock) -> Flask:
    """The engine's API over a real database; what is due is nobody's business here."""
    return create_app(
        Engine(
            Receiver(StoredEvents(database, lambda tx, key: None), clock),
            FakeCommands(),
            lambda: None,
            clock,
            engine_settings({}, {"COUNTERFOIL_STORE_SECRET_EU1": SECRET}),
        )
    )


class _Wire:
    """Between agent and engine: writes down what passes. blocked: bytes that a firewall here doesn't let through."""

    def __init__(self, app: Flask) -> None:
        self.app, self.lines, self.blocked = app, list[dict[str, Any]](), b""

    def __call__(self, environ: Mapping[str, Any], start_response: Any) -> list[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        path = str(environ["PATH_INFO"])
        headers = {name: _header(environ, name) for name in KEPT_HEADERS}
        line = {
            "method": environ["REQUEST_METHOD"],
            "path": path,
            "headers": {name: value for name, value in headers.items() if value},
            "body": base64.b64encode(body).decode(),
        }
        plain = gzip.decompress(body) if headers["Content-Encoding"] == "gzip" else body
        if self.blocked and self.blocked in plain:
            self.lines.append({**line, "status": 403, "answer": None})
            start_response("403 Forbidden", [("Content-Type", "text/html")])
            return [b"<h1>Forbidden</h1>"]
        answer = self.app.test_client().open(path, method=line["method"], data=body, headers=line["headers"])
        self.lines.append({**line, "status": answer.status_code, "answer": answer.get_json()})
        start_response(answer.status, [each for each in answer.headers if each[0] != "Date"])  # the server says it
        return [answer.data]


def _header(environ: Mapping[str, Any], name: str) -> str:
    key = name.upper().replace("-", "_")
    return str(environ.get(key) or environ.get(f"HTTP_{key}") or "")


def _handler(clock: FakeClock) -> type[WSGIRequestHandler]:
    class Handler(WSGIRequestHandler):
        def date_time_string(self, timestamp: float | None = None) -> str:
            return format_datetime(clock.now(), usegmt=True)

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Nothing."""

    return Handler


@contextmanager
def _serving(wire: _Wire, clock: FakeClock) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, wire, request_handler=_handler(clock))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def record(path: Path) -> None:
    """An agent's day: a first reading, a refund, a cancelled and a deleted order, a firewall, a restored backup."""
    clock = FakeClock(datetime(2026, 11, 23, 10, tzinfo=UTC))
    shop = FakeShop(clock)
    with tempfile.TemporaryDirectory() as name, open_database("sqlite", Path(name), clock) as database:
        outbox, backup = Path(name) / "outbox.sqlite", Path(name) / "backup.sqlite"
        wire = _Wire(engine_over(database, clock))
        with _serving(wire, clock) as url:
            agent = _agent(url, outbox, shop, clock, 1)
            for file in ("order_simple_paid", "order_multiline_coupon_fee", "order_jpy", "order_kwd", "order_guest_fr"):
                _place(shop, _read(file))
            for file in ("order_before_edit", "order_compound_tax_canada", "order_gift_card_negative_fee"):
                _place(shop, _read(file))
            _run(agent, clock, 120)
            _place(shop, _read("order_after_partial_refund"), _read("refund_partial_line_restock"))
            _place(shop, _read("order_after_edit"))
            _place(shop, {**_read("order_usd"), "customer_note": "'; drop table orders; --"})
            wire.blocked = b"drop table"
            _run(agent, clock, 600)
            wire.blocked = b""
            agent.close()
            shutil.copy(outbox, backup)
            agent = _agent(url, outbox, shop, clock, 2)
            cancelled = {**_read("order_simple_paid"), "status": "cancelled"}
            _place(shop, cancelled)
            shop.delete(_read("order_jpy")["id"])
            agent.fetch(_read("order_jpy")["id"])
            _run(agent, clock, 300)
            agent.close()
            shutil.copy(backup, outbox)
            agent = _agent(url, outbox, shop, clock, 3)
            _place(shop, {**cancelled, "status": "processing"})
            _run(agent, clock, 300)
            agent.close()
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in wire.lines))
    print(f"{len(wire.lines)} requests written to {path}")


def _agent(url: str, outbox: Path, shop: FakeShop, clock: FakeClock, seed: int) -> Any:
    settings = Settings(
        "eu1",
        ShopSettings("http://shop", reread_days=0, poll_s=10),
        EngineSettings(url, batch_events=4, longest_pause_s=30),
        OutboxSettings(outbox),
    )
    engine = Uplink(url, "eu1", SECRET, clock)
    return bootstrap.agent(
        settings, store=shop, engine=engine, clock=clock, random=Random(seed), free_bytes=lambda: 10**12
    )


def _run(agent: Any, clock: FakeClock, seconds: float) -> None:
    while seconds > 0:
        wait_s = min(max(agent.step(), 0.5), seconds)
        clock.pass_time(wait_s)
        seconds -= wait_s


def _place(shop: FakeShop, order: dict[str, Any], *refunds: dict[str, Any]) -> None:
    """The order as recorded, changed now."""
    now = shop.clock.now().strftime("%Y-%m-%dT%H:%M:%S")
    shop.orders[order["id"]] = {**order, "date_modified_gmt": now}
    shop.refunds_of[order["id"]] = list(refunds)


def _read(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((ORDERS / f"{name}.json").read_bytes())
    return read


if __name__ == "__main__":
    record(Path(sys.argv[1]))
