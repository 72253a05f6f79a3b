"""The services that benchmarks start as processes: the sandbox ERP, and the roles of the engine."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import requests
from counterfoil_engine import demo
from measure import rules_text

ERP_TOKEN = "the-sandbox-erp-s-token-for-benchmarks"


@contextlib.contextmanager
def process(command: Sequence[str], environment: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A service that is ended at the end."""
    with log.open("ab") as file:
        started = subprocess.Popen(command, env=os.environ | environment, stdout=file, stderr=file)
    try:
        yield started
    finally:
        started.send_signal(signal.SIGTERM)
        try:
            started.wait(timeout=40)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


@contextlib.contextmanager
def sandbox_erp(folder: Path) -> Iterator[SandboxErp]:
    port = free_port()
    command = [sys.executable, "-m", "counterfoil_sandbox.erp", "--listen", f"127.0.0.1:{port}"]
    rates = [f"--rate={currency}/EUR={rate}" for currency, rate in demo.RATES.items()]
    environment = {"COUNTERFOIL_ERP_TOKEN": ERP_TOKEN}
    with process([*command, *rates], environment, folder / "erp.log"):
        wait_for(port)
        yield SandboxErp(f"http://127.0.0.1:{port}")


class SandboxErp:
    """The sandbox ERP's address, and its switches."""

    def __init__(self, url: str) -> None:
        self.url = url

    def be(self, **modes: Any) -> None:
        """Turn switches: slow_call_ms, slow_document_ms, …"""
        headers = {"Authorization": f"Bearer {ERP_TOKEN}"}
        requests.post(f"{self.url}/sandbox/modes", json=modes, headers=headers, timeout=10).raise_for_status()


@contextlib.contextmanager
def served(folder: Path, database: str, erp_url: str, secrets: Mapping[str, str]) -> Iterator[int]:
    """The engine's roles, each a process, as they are served on PostgreSQL; the port of its API."""
    port = free_port()
    (folder / "rules.yaml").write_text(rules_text())
    (folder / "engine.toml").write_text(
        f'[engine]\nlisten = "127.0.0.1:{port}"\nrules = "{folder}/rules.yaml"\n\n'
        f'[erp.{demo.ENTITY}]\nadapter = "http"\nurl = "{erp_url}"\ntoken_env = "COUNTERFOIL_ERP_TOKEN"\n'
    )
    environment = {
        "COUNTERFOIL_DATABASE": database,
        "COUNTERFOIL_ERP_TOKEN": ERP_TOKEN,
        "COUNTERFOIL_API_TOKEN": "the-operators-token-for-benchmarks",
        **{f"COUNTERFOIL_STORE_SECRET_{store.upper()}": secret for store, secret in secrets.items()},
    }
    with contextlib.ExitStack() as stack:
        for role in ("api", "worker", "poster", "scheduler"):
            command = [str(Path(sys.executable).parent / "counterfoil"), "serve", "--role", role]
            command += ["--config", f"{folder}/engine.toml"]
            stack.enter_context(process(command, environment, folder / f"{role}.log"))
            if role == "api":
                wait_for(port)
        yield port


def wait_for(port: int, timeout_s: float = 90.0) -> None:
    ends = time.monotonic() + timeout_s
    while time.monotonic() < ends:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
            return
        time.sleep(0.1)
    raise TimeoutError(f"nothing listens on port {port}")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
