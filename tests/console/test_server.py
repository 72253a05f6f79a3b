"""The console in processes of its own: gunicorn over PostgreSQL, as `counterfoil console` starts it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner
from console.conftest import PASSWORD
from counterfoil_engine.bootstrap import build
from counterfoil_engine.cli.commands import counterfoil
from counterfoil_engine.ports import Caller
from counterfoil_engine.records.database import Database
from counterfoil_engine.work.users import BOOTSTRAP
from fakes.clock import FakeClock
from fakes.databases import database_url

COUNTERFOIL = Path(sys.executable).with_name("counterfoil")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def wait_until_it_answers(url: str, process: subprocess.Popen) -> None:
    for _ in range(300):
        assert process.poll() is None, "the console ended"
        try:
            if requests.get(f"{url}/v1/health", timeout=5).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.1)
    raise AssertionError("the console doesn't answer")


@pytest.mark.postgresql
def test_two_processes_of_a_console_know_the_same_sessions_and_end_in_peace(tmp_path: Path):
    with database_url("postgresql", tmp_path) as address:
        database = Database(address, FakeClock())
        control = build(database, FakeClock(), {}).control()
        control.users.add("vera", "viewer", 30, BOOTSTRAP)
        control.sign_in.set_password(None, PASSWORD, Caller("vera", "viewer"))
        database.close()
        port = free_port()
        settings = {"COUNTERFOIL_DATABASE": address, "COUNTERFOIL_CONSOLE_LISTEN": f"127.0.0.1:{port}"}
        process = subprocess.Popen(
            [COUNTERFOIL, "console"],
            env={**os.environ, **settings, "COUNTERFOIL_WORKERS": "2"},
            stderr=subprocess.DEVNULL,
        )
        url = f"http://127.0.0.1:{port}"
        try:
            wait_until_it_answers(url, process)
            line = requests.Session()
            token = re.search('name="csrf" value="([^"]+)"', line.get(f"{url}/", timeout=30).text)
            assert token
            fields = {"csrf": token[1], "name": "vera", "password": PASSWORD}
            assert "No store has said hello yet." in line.post(f"{url}/console/sign-in", fields, timeout=30).text
            for _ in range(8):  # each over a line of its own, so that both processes are asked
                kept = requests.get(f"{url}/console/", cookies=line.cookies.get_dict(), timeout=30)
                assert "vera" in kept.text
            assert line.get(f"{url}/v1/status", timeout=30).status_code == 404
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=40) == 0


def test_a_console_of_its_own_needs_postgresql(tmp_path: Path):
    (tmp_path / "engine.toml").write_text(f'[engine]\ndatabase = "sqlite:///{tmp_path}/x.sqlite"\n')
    said = CliRunner().invoke(counterfoil, ["console", "--config", str(tmp_path / "engine.toml")])
    assert said.exit_code == 1
    assert "A console of its own needs PostgreSQL" in said.stderr
