"""The API behind the real server, over HTTP on the loopback."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
from counterfoil_engine.api.requests import signature
from counterfoil_engine.api.worker import REQUEST_S
from fakes.databases import database_url
from fakes.events import cloud_event
from fakes.store_agent import INSTALLATION, SECRET

PROGRAM = """
import os, sys, time
from datetime import UTC, datetime
from counterfoil_engine.api.app import Engine, create_app
from counterfoil_engine.api.server import Server
from counterfoil_engine.config import settings
from counterfoil_engine.records.database import Database
from counterfoil_engine.records.events import StoredEvents
from counterfoil_engine.work.receive import Receiver

class Clock:
    def now(self): return datetime.now(UTC)
    def sleep(self, seconds): time.sleep(seconds)

def make_app():
    database = Database(sys.argv[1], Clock())
    receiver = Receiver(StoredEvents(database, lambda tx, key: None), Clock())
    return create_app(Engine(receiver, None, lambda: None, Clock(), settings({}, os.environ)))

Server(make_app, bind=sys.argv[2], workers=1, loglevel="error").run()
"""


@pytest.fixture
def address(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with database_url("sqlite", tmp_path) as url:
        server = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, url, f"127.0.0.1:{port}"],
            env=os.environ | {"COUNTERFOIL_STORE_SECRET_EU1": SECRET},
        )
        try:
            _wait_until_it_answers(f"http://127.0.0.1:{port}", server)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.send_signal(signal.SIGTERM)
            assert server.wait(timeout=20) == 0


def _wait_until_it_answers(address: str, server: subprocess.Popen) -> None:
    for _ in range(200):
        assert server.poll() is None, "the server ended at once"
        try:
            if requests.get(f"{address}/v1/health", timeout=5).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.1)
    pytest.fail("the server didn't answer within 20 s")


def _post(session: requests.Session, address: str, path: str, body: object, chunked: bool = False) -> requests.Response:
    raw = json.dumps(body).encode()
    at = str(int(datetime.now(UTC).timestamp()))
    headers = {
        "Content-Type": "application/json",
        "Counterfoil-Store": "eu1",
        "Counterfoil-Timestamp": at,
        "Counterfoil-Signature": signature(SECRET, "POST", path, at, raw),
    }
    return session.post(address + path, data=iter([raw]) if chunked else raw, headers=headers, timeout=20)


def test_an_agent_is_served_over_one_connection_and_hostile_requests_are_answered(address):
    with requests.Session() as session:
        hello = {"store": "eu1", "installation": INSTALLATION, "agent_version": "0.1.0", "contracts": {"order": [1]}}
        assert _post(session, address, "/v1/hello", hello).json()["epoch"] == 1
        sent = _post(session, address, "/v1/events", [cloud_event(1)])
        assert sent.json()["verdicts"][0]["verdict"] == "stored"
        assert abs((datetime.now(UTC) - datetime.fromisoformat(sent.json()["server_time"])).total_seconds()) < 60
        assert _post(session, address, "/v1/events", [cloud_event(1)], chunked=True).json()["verdicts"][0] == {
            "n": 1,
            "id": cloud_event(1)["id"],
            "verdict": "duplicate",
            "reason": None,
        }
        assert "Connection" not in sent.headers or sent.headers["Connection"] == "keep-alive"
    too_large = _post(requests.Session(), address, "/v1/events", ["x" * 9_000_000])
    assert (too_large.status_code, too_large.json()["type"]) == (413, "/problems/too-large")
    assert requests.get(f"{address}/" + "x" * 5000, timeout=20).status_code in (400, 414)
    assert requests.get(f"{address}/v1/status", timeout=20).status_code == 403
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as line:
        line.sendall(b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n")
        assert line.recv(100).startswith(b"HTTP/1.1 400")
    assert requests.get(f"{address}/v1/health", timeout=20).ok


def _raw(address: str, sent: bytes) -> bytes:
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as line:
        line.sendall(sent)
        line.shutdown(socket.SHUT_WR)
        return line.makefile("rb").read()


def test_what_is_no_request_is_answered_4xx_and_not_repeated(address, capfd):
    head = b"POST /v1/events HTTP/1.1\r\nHost: x\r\n"
    for line in (
        b"Transfer-Encoding: Erika\r\n",
        b"Erika\r\n",
        b"Erika : x\r\n",
        b"Expect: Erika\r\n",
        b"Content-Length: Erika\r\n",
        b"X: " + b"Erika" * 2000 + b"\r\n",
    ):
        answer = _raw(address, head + line + b"\r\n")
        assert answer.startswith(b"HTTP/1.1 4"), answer
        assert b"application/problem+json" in answer
        assert b"Erika" not in answer
    assert _raw(address, b"Erika\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert "Erika" not in "".join(capfd.readouterr())


@pytest.mark.slow
def test_half_requests_that_stay_open_hold_nobody_up_for_long(address):
    """More of them than the server has threads: without a limit, nobody else would ever be served."""
    host, port = address.removeprefix("http://").split(":")
    lines = [socket.create_connection((host, int(port))) for _ in range(20)]
    try:
        for place, line in enumerate(lines):
            line.sendall(
                b"POST /v1/events HTTP/1.1\r\nHost: x\r\n" + (b"Content-Length: 9\r\n\r\n{" if place % 2 else b"")
            )
        time.sleep(0.5)
        assert requests.get(f"{address}/v1/health", timeout=REQUEST_S + 20).ok
    finally:
        for line in lines:
            line.close()


def test_who_is_refused_and_keeps_the_line_open_holds_nobody_up(address):
    host, port = address.removeprefix("http://").split(":")
    lines = [socket.create_connection((host, int(port))) for _ in range(12)]
    try:
        for line in lines:
            line.sendall(b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n")
        for line in lines:
            assert line.recv(100).startswith(b"HTTP/1.1 400")
        began_s = time.monotonic()
        assert requests.get(f"{address}/v1/health", timeout=20).ok
        assert time.monotonic() - began_s < 5
    finally:
        for line in lines:
            line.close()
