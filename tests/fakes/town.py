"""A town of real processes for tests that use all of it as people do: a shop with plugin, its agent, engine and ERP.

Its shell is an operator's: `counterfoil` and `counterfoil-agent` by name, addresses and tokens in the environment.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shlex
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import requests
from click.testing import CliRunner
from counterfoil_agent.cli import main as agent_main
from counterfoil_engine.cli.commands import counterfoil
from counterfoil_engine.demo import Child, answers, free_port, script
from simulation.rules import rules_text

TOKEN, SECRET, KEY = "a-token-of-both-parties-for-tests", "the secret of the store eu1, for tests", "k" * 40
API_TOKEN, METRICS_TOKEN = "t" * 40, "m" * 40


def until(found: Callable[[], Any], what: str, timeout_s: float = 60.0) -> Any:
    """What `found` returns once that is something."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if (value := found()) is not None:
            return value
        time.sleep(0.1)
    pytest.fail(f"It never came to pass that {what}.")


class Town:
    """All of them in a folder of their own. settings: more tables of the engine's file. environment: more of it."""

    def __init__(
        self,
        folder: Path,
        stack: ExitStack,
        settings: str = "",
        environment: Mapping[str, str] = {},
        agent: str = "",
        erp: str | None = None,
        rules: Callable[[dict[str, Any]], object] = lambda rules: None,
    ) -> None:
        """agent: more of its [engine] table. erp: where one is; None: the sandbox's, a process. rules: changes them."""
        self.folder, self._stack, self.children = folder, stack, dict[str, Child]()
        self.shop_url = self._sandbox("shop", "shop: listening on ", {"SHOP_PLUGIN_KEY": KEY})
        self.erp_url = erp or self._sandbox("erp", "sandbox ERP: ", {"COUNTERFOIL_ERP_TOKEN": TOKEN})
        self._write_rules(rules)
        self._start_engine(settings, environment)
        self._start_agent(agent)

    def _child(self, name: str, command: list[str], environment: Mapping[str, str]) -> Child:
        child = self.children[name] = Child(name, command, environment, self.folder / f"{name}.log")
        child.start()
        self._stack.callback(child.stop)
        return child

    def _sandbox(self, name: str, says: str, environment: dict[str, str]) -> str:
        port, database = free_port(), str(self.folder / f"{name}.sqlite")
        command = [sys.executable, "-m", f"counterfoil_sandbox.{name}", "--listen", f"127.0.0.1:{port}"]
        child = self._child(name, [*command, "--database", database], environment)
        return str(until(lambda: child.said(says), f"the {name} is up")).rstrip("/")

    def _write_rules(self, change: Callable[[dict[str, Any]], object]) -> None:
        rules = json.loads(rules_text())
        rules["stores"][0] |= {"pool": "eu"}
        rules |= {
            "warehouses": [{"id": "BER", "owner": "erp", "entity": "DE01"}],
            "pools": [{"id": "eu", "warehouses": ["BER"]}],
        }
        change(rules)
        (self.folder / "rules.json").write_text(json.dumps(rules))

    def _start_engine(self, settings: str, environment: Mapping[str, str]) -> None:
        listen, feed = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
        self.engine_url, self.engine_settings = f"http://{listen}", self.folder / "engine.toml"
        self.engine_settings.write_text(
            f'[engine]\ndatabase = "sqlite:///{self.folder}/engine.sqlite"\nlisten = "{listen}"\n'
            f'rules = "{self.folder}/rules.json"\n\n[feed]\nlisten = "{feed}"\nurl = "http://{feed}"\n\n'
            f'[erp.DE01]\nadapter = "http"\nurl = "{self.erp_url}"\ntoken_env = "COUNTERFOIL_ERP_TOKEN"\n'
            f"options = {{ timeout_s = 5 }}\n\n{settings}"
        )
        self.engine_environment = {
            "COUNTERFOIL_ERP_TOKEN": TOKEN,
            "COUNTERFOIL_API_TOKEN": API_TOKEN,
            "COUNTERFOIL_METRICS_TOKEN": METRICS_TOKEN,
            "COUNTERFOIL_STORE_SECRET_EU1": SECRET,
            **environment,
        }
        command = [script("counterfoil"), "serve", "--config", str(self.engine_settings)]
        self._child("engine", command, self.engine_environment)
        self.until_engine_answers()

    def until_engine_answers(self) -> None:
        until(lambda: answers(self.engine_url) or None, "the engine is up")

    def _start_agent(self, more: str) -> None:
        self.agent_settings = self.folder / "agent.toml"
        self.agent_settings.write_text(
            f'store = "eu1"\n\n[shop]\nurl = "{self.shop_url}"\npoll_s = 1\n\n'
            f'[engine]\nurl = "{self.engine_url}"\nheartbeat_s = 1\nsweeps_s = 1\nlongest_pause_s = 2\n{more}\n\n'
            '[plugin]\nkey_env = "COUNTERFOIL_PLUGIN_KEY"\nnudge_listen = ""\npoll_s = 1\nsafety_poll_s = 3600\n\n'
            f'[outbox]\npath = "{self.folder}/outbox.sqlite"\ndisk_free_bytes = 0\n\n'
            '[stock]\nswitch = "on"\nidle_s = 1\nsweep_h = 24\naccept_when = {most_changes_share = 1.0}\n'
        )
        self.agent_environment = {
            "COUNTERFOIL_SHOP_KEY": "ck_sandbox",
            "COUNTERFOIL_SHOP_SECRET": "cs_sandbox",
            "COUNTERFOIL_PLUGIN_KEY": KEY,
            "COUNTERFOIL_ENGINE_SECRET": SECRET,
        }
        self._child(
            "agent", [script("counterfoil-agent"), "run", "--config", str(self.agent_settings)], self.agent_environment
        )

    # What happens in it

    def order(self, recording: str = "order_simple_paid") -> None:
        """Somebody buys."""
        asked = {"recording": recording}
        requests.post(f"{self.shop_url}/sandbox/orders", json=asked, timeout=10).raise_for_status()

    def erp(self, path: str, **body: Any) -> None:
        """Something is done to the ERP at its back door."""
        asked = {"Authorization": f"Bearer {TOKEN}"}
        requests.post(f"{self.erp_url}{path}", json=body, headers=asked, timeout=10).raise_for_status()

    def rows(self, name: str, sql: str) -> list[Any]:
        with closing(sqlite3.connect(f"file:{self.folder}/{name}.sqlite?mode=ro", uri=True, timeout=10)) as connection:
            return connection.execute(sql).fetchall()

    def shell(self, command: str, **more: str) -> subprocess.CompletedProcess[str]:
        """A command as an operator types it, in the town's folder. Ours are called here: a new interpreter for each
        costs more than all that they do."""
        environment = {
            **os.environ,
            "COUNTERFOIL_URL": self.engine_url,
            "COUNTERFOIL_AGENT_CONFIG": str(self.agent_settings),
            **self.agent_environment,
            **self.engine_environment,
            **more,
        }
        words = shlex.split(command)
        if words[0] == "counterfoil":
            done = CliRunner().invoke(counterfoil, words[1:], env=environment, prog_name="counterfoil")
            return subprocess.CompletedProcess(words, done.exit_code, done.stdout, done.stderr)
        if words[0] == "counterfoil-agent":
            return self._agent_says(words, environment)
        return subprocess.run(
            command, shell=True, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=120
        )

    def _agent_says(self, words: list[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        out, err = io.StringIO(), io.StringIO()
        inside = contextlib.chdir(self.folder)
        with mock.patch.dict(os.environ, environment), redirect_stdout(out), redirect_stderr(err), inside:
            try:
                status = agent_main(words[1:])
            except SystemExit as left:
                status = int(left.code or 0)
        return subprocess.CompletedProcess(words, status, out.getvalue(), err.getvalue())

    def status(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.shell("counterfoil status --json").stdout)
        return told

    def documents(self, state: str) -> int:
        """How many documents for the ERP are in a state."""
        return sum(party.get(state, 0) for party in self.status()["parties"] if party["party"] == "erp")
