"""The feed as people start it: beside the API in one process on SQLite, and as a process of its own on PostgreSQL."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from counterfoil_engine.api.requests import signature
from counterfoil_engine.bootstrap import SystemClock
from counterfoil_engine.domain.stock import Position, read_position
from counterfoil_engine.records import positions
from counterfoil_engine.records.database import Database
from fakes.databases import database_url
from fakes.stock import RULES, said

SECRET = "the secret of the store eu1, for tests"
COUNTERFOIL = Path(sys.executable).with_name("counterfoil")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@contextlib.contextmanager
def _process(*words: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of the engine, which has to end by itself and well when it is told to."""
    with subprocess.Popen([COUNTERFOIL, *words], env=os.environ | environment, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            _, told = process.communicate(timeout=40)
            assert process.returncode == 0, told.decode()


def _post(port: int, path: str, body: Any) -> requests.Response:
    raw, at = json.dumps(body).encode(), str(int(datetime.now(UTC).timestamp()))
    headers = {
        "Content-Type": "application/json",
        "Counterfoil-Store": "eu1",
        "Counterfoil-Timestamp": at,
        "Counterfoil-Signature": signature(SECRET, "POST", path, at, raw),
    }
    return requests.post(f"http://127.0.0.1:{port}{path}", raw, headers=headers, timeout=70)


def _ask(port: int, version: int, wait_s: float) -> dict[str, Any]:
    answer = _post(port, "/v1/feed", {"version": version, "engine_epoch": None, "wait_s": wait_s, "limit": 100})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def _until_it_answers(port: int) -> None:
    for _ in range(300):
        with contextlib.suppress(requests.ConnectionError):
            if requests.get(f"http://127.0.0.1:{port}/v1/health", timeout=5).ok:
                return
        time.sleep(0.1)
    pytest.fail("nothing answered within 30 s")


def _environment(url: str, rules: Path, feed: int, api: int) -> dict[str, str]:
    rules.write_text(json.dumps(RULES))
    return {
        "COUNTERFOIL_DATABASE": url,
        "COUNTERFOIL_RULES": str(rules),
        "COUNTERFOIL_LISTEN": f"127.0.0.1:{api}",
        "COUNTERFOIL_FEED_LISTEN": f"127.0.0.1:{feed}",
        "COUNTERFOIL_FEED_URL": f"http://127.0.0.1:{feed}",
        "COUNTERFOIL_STORE_SECRET_EU1": SECRET,
    }


def test_serve_feeds_beside_the_api_and_tells_agents_where(tmp_path: Path) -> None:
    feed, api = _free_port(), _free_port()
    with ThreadPoolExecutor(1) as other, database_url("sqlite", tmp_path) as url:
        with _process("serve", **_environment(url, tmp_path / "r.json", feed, api)):
            _until_it_answers(api)
            _until_it_answers(feed)
            hello = {"store": "eu1", "installation": "1" * 32, "agent_version": "1", "contracts": {"order": [1]}}
            assert _post(api, "/v1/hello", hello).json()["feed_url"] == f"http://127.0.0.1:{feed}"
            assert _ask(feed, 0, 0)["pool"] == "eu"
            waiting = other.submit(_ask, feed, 0, 50)
            time.sleep(0.5)
            began = time.monotonic()
        assert waiting.result()["rows"] == []
        assert time.monotonic() - began < 30, "who waits doesn't hold up the end"


def test_an_engine_whose_feed_has_no_address_serves_all_the_rest(tmp_path: Path) -> None:
    api = _free_port()
    with socket.create_server(("127.0.0.1", 0)) as taken, database_url("sqlite", tmp_path) as url:
        port = int(taken.getsockname()[1])
        with _process("serve", **_environment(url, tmp_path / "r.json", port, api)):
            _until_it_answers(api)


@pytest.mark.postgresql
def test_a_feed_of_its_own_whose_address_is_taken_says_so(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, database_url("postgresql", tmp_path) as url:
        port = int(taken.getsockname()[1])
        asked = [COUNTERFOIL, "feed"]
        environment = os.environ | _environment(url, tmp_path / "r.json", port, 1)
        ended = subprocess.run(asked, env=environment, capture_output=True, text=True, timeout=60)
        assert ended.returncode == 1
        assert f"The feed can't listen on 127.0.0.1:{port}" in ended.stderr and "Traceback" not in ended.stderr


@pytest.mark.postgresql
def test_a_position_that_changes_is_told_to_who_waits(tmp_path: Path) -> None:
    feed = _free_port()
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(database_url("postgresql", tmp_path))
        environment = _environment(url, tmp_path / "r.json", feed, 1)
        for words in (["feed"], ["serve", "--role", "worker"]):
            stack.enter_context(_process(*words, **environment))
        _until_it_answers(feed)
        held = _ask(feed, 0, 0)["version"]
        other = stack.enter_context(ThreadPoolExecutor(1))
        waiting = other.submit(_ask, feed, held, 50)
        time.sleep(0.5)
        database = Database(url, SystemClock())
        position = read_position(said("MUG", 7), datetime.now(UTC))[0]
        assert isinstance(position, Position)
        with database.transaction() as tx:
            positions.apply(tx, [position])
        database.close()
        assert [(row["sku"], row["number"]) for row in waiting.result(timeout=30)["rows"]] == [("MUG", 7)]
