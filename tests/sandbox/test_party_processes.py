"""WMS, gateway and tax service as processes of their own: they start, keep what they hold, and end when told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from sandbox.party_documents import a_fulfilment

TOKENS = {f"COUNTERFOIL_{party}_TOKEN": "t" for party in ("WMS", "GATEWAY", "TAX")}
AUTHORISED = {"Authorization": "Bearer t"}


@contextmanager
def running(module: str, *options: str) -> Iterator[str]:
    """The party's address."""
    command = [sys.executable, "-m", f"counterfoil_sandbox.{module}", "--listen", "127.0.0.1:0", *options]
    with subprocess.Popen(command, env={**os.environ, **TOKENS}, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split(" ")[-1].strip().rstrip("/")
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=20) == 0


@pytest.mark.parametrize("module", ["wms", "gateway", "tax"])
def test_each_answers_and_ends_when_told(module: str) -> None:
    with running(module) as url:
        assert requests.get(f"{url}/v1/health", headers=AUTHORISED, timeout=10).json()["ok"] is True
        assert requests.get(f"{url}/v1/facts", headers=AUTHORISED, timeout=10).json()["facts"] == []


def test_what_was_sent_outlives_the_process(tmp_path: Path) -> None:
    options = ("--database", str(tmp_path / "wms.sqlite3"), "--mode", "works_alone=true", "--source", "hub-paris")
    with running("wms", *options) as url:
        body = {"documents": [a_fulfilment("1")]}
        requests.post(f"{url}/v1/documents", json=body, headers=AUTHORISED, timeout=10)
        for _ in range(3):
            told = requests.get(f"{url}/v1/facts", headers=AUTHORISED, timeout=10).json()
    with running("wms", *options) as url:
        again = requests.get(f"{url}/v1/facts", headers=AUTHORISED, timeout=10).json()
    assert again == told
    assert [(fact["source"], fact["fact"].split(".")[1]) for fact in again["facts"]] == [
        ("hub-paris", "released"),
        ("hub-paris", "shipment"),
    ]


@pytest.mark.parametrize("options", [["--mode", "weather=bad"], ["--listen", "nowhere"], ["--database", "/nowhere/x"]])
def test_a_wrong_option_is_told_and_ends_it(options: list[str]) -> None:
    command = [sys.executable, "-m", "counterfoil_sandbox.gateway", "--listen", "127.0.0.1:0", *options]
    ended = subprocess.run(command, env={**os.environ, **TOKENS}, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 2 and ended.stderr.strip() and "Traceback" not in ended.stderr


def test_without_a_token_none_starts() -> None:
    environment = {name: value for name, value in os.environ.items() if name not in TOKENS}
    command = [sys.executable, "-m", "counterfoil_sandbox.tax", "--listen", "127.0.0.1:0"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 2 and "COUNTERFOIL_TAX_TOKEN" in ended.stderr
