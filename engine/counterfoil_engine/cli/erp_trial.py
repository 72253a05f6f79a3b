"""What `counterfoil erp check` runs on: a settings file with the way to an ERP and its company for trials, or a
sandbox.

[erp]                                   # as [erp.<entity>] of the engine's settings, without `adapter`
url = "https://erp.example.com/trials"
token_env = "COUNTERFOIL_ERP_TOKEN"

[company]                               # what is set up there: `conformance/company.py` says what may stand here
entity = "TRIAL"
closed_day = 2020-01-15
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import secrets
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import requests

from counterfoil_engine import config
from counterfoil_engine.bootstrap import SystemClock, erps_of
from counterfoil_engine.conformance.company import Company, company_of
from counterfoil_engine.conformance.refusals import WRONG_TOKEN
from counterfoil_engine.conformance.trial import Levers, Trial
from counterfoil_engine.domain.errors import CounterfoilError
from counterfoil_engine.ports import Erp, Posting

TOKEN = "COUNTERFOIL_ERP_TOKEN"  # noqa: S105 - the name of a variable
NOWHERE = "http://127.0.0.1:9"  # discard: nobody listens there
START_S = 30.0
ON_SHELF = {"warehouse": "BER", "sku": "CHECK-1", "on_hand": "12", "allocated": "2", "damaged": "1", "quarantined": "3"}
INBOUND = [{"expected_on": "2099-01-31", "quantity": "40"}]


@dataclass(frozen=True)
class Place:
    """An ERP and its company. table: its settings; secret: the token that its token_env names."""

    adapter: str
    company: Company
    table: Mapping[str, Any]
    secret: str = field(repr=False)

    @property
    def url(self) -> str:
        return str(self.table.get("url", ""))

    def connect(self, url: str | None = None, token: str | None = None) -> Erp:
        """A port of one's own. Raises CounterfoilError where the settings are wrong."""
        entity = self.company.entity
        table = {**self.table, "adapter": self.adapter, "url": url or self.url, "token_env": TOKEN}
        return erps_of(config.settings({"erp": {entity: table}}, {TOKEN: token or self.secret}))[entity]

    def trial(self) -> Trial:
        """A run on it, with keys of its own."""
        levers = Levers(
            die=self.die, astray=lambda: self.connect(url=NOWHERE), stranger=lambda: self.connect(token=WRONG_TOKEN)
        )
        return Trial(self.connect(), self.company, secrets.token_hex(4), SystemClock(), levers)

    def die(self, postings: Sequence[Posting], after_s: float) -> None:
        """Post from a process that is killed (kill -9) so long after it began its call."""
        told = {"adapter": self.adapter, "entity": self.company.entity, "table": dict(self.table)}
        told["postings"] = [[each.key, each.content_hash, each.document] for each in postings]
        caller = subprocess.Popen(
            [sys.executable, "-m", "counterfoil_engine.cli.erp_caller"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, TOKEN: self.secret},
        )
        assert caller.stdin is not None and caller.stdout is not None
        with caller:
            caller.stdin.write(json.dumps(told).encode() + b"\n")
            caller.stdin.flush()
            began = caller.stdout.readline()
            if began:
                time.sleep(after_s)
            caller.kill()
        if not began:
            raise CounterfoilError("The caller that was to be killed never began its call.", "Try it again.", "outage")


def place_of(adapter: str, path: Path | None) -> Place:
    """What the settings file says; without one, a sandbox ERP on this machine as it starts by default."""
    table = _table(path) if path else {}
    for name in table:
        if name not in ("erp", "company") or not isinstance(table[name], dict):
            raise CounterfoilError(
                f"{path}: the top has no table {name!r}.", "It may have [erp] and [company].", "contract"
            )
    erp = {"url": "http://127.0.0.1:8070", **table.get("erp", {})}
    variable = str(erp.pop("token_env", TOKEN))
    place = Place(adapter, company_of(table.get("company", {})), erp, os.environ.get(variable, ""))
    if not place.secret:
        raise CounterfoilError(
            f"The environment's {variable} is not set.", "Set it to the token of the ERP.", "contract"
        )
    return place


def _table(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        raise CounterfoilError(
            f"The file {path} can't be read: {error.strerror}.", "Check its name and rights."
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CounterfoilError(f"The file {path} is no TOML: {error}.", "Correct it there.", "contract") from None


@contextlib.contextmanager
def sandbox() -> Iterator[Place]:
    """A sandbox ERP in a process of its own, set up for trials."""
    secret = secrets.token_hex(16)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "counterfoil_sandbox.erp", "--listen", "127.0.0.1:0"]
        command += [
            "--database",
            str(Path(folder) / "erp.sqlite3"),
            "--rate",
            "USD/EUR=1.0837",
            "--rate",
            "JPY/EUR=161.37",
        ]
        environment = {**os.environ, TOKEN: secret}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
            try:
                url = _said(process).rpartition(" ")[2].strip().rstrip("/")
                company = set_up_sandbox(url, secret)
                yield Place("http", company, {"url": url}, secret)
            finally:
                process.terminate()


def _said(process: subprocess.Popen[str]) -> str:
    """Its first line, waited for."""
    lines: queue.Queue[str] = queue.Queue()
    assert process.stdout is not None
    threading.Thread(target=lambda: lines.put(process.stdout.readline()), daemon=True).start()  # type: ignore[union-attr]
    with contextlib.suppress(queue.Empty):
        if line := lines.get(timeout=START_S):
            return line
    raise CounterfoilError("The sandbox ERP didn't start.", "Look at what it said above.", "outage")


def set_up_sandbox(url: str, secret: str, company: Company | None = None) -> Company:
    """Set a running sandbox ERP up for trials: its item, accounts for the roles, a closed January 2020, some stock."""
    company = company or Company()
    company = replace(company, closed_day=date(2020, 1, 15), stock=({**ON_SHELF, "inbound": INBOUND},))
    wanted: dict[str, Mapping[str, Any]] = {
        "items": {"items": [company.item], "accept_all": False},
        "accounts": {"roles": company.roles()},
        "periods": {"entity": company.entity, "first_day": "2020-01-01", "last_day": "2020-01-31"},
        "positions": {"rows": [*company.stock, {**ON_SHELF, "warehouse": "HAM", "on_hand": "-1"}]},
    }
    for name, body in wanted.items():
        headers = {"Authorization": f"Bearer {secret}"}
        requests.post(f"{url}/sandbox/{name}", json=body, headers=headers, timeout=10).raise_for_status()
    return company
