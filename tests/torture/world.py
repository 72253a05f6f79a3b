"""The world under torture: every party a process of its own, in one temporary folder, on free ports of 127.0.0.1."""

from __future__ import annotations

import json
import random
import secrets
import socket
import sqlite3
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psycopg
import requests
from counterfoil_engine import demo
from counterfoil_engine.demo.processes import answers
from torture.cluster import Cluster
from torture.load import Load
from torture.processes import Crew

STORE, ENTITY = demo.STORE, demo.ENTITY
START_TIMEOUT_S = 120.0
LATE_COMMIT_S, LATE_LAG_S = (
    8.0,
    16.0,
)  # longer than another poster takes to take over; the lag allows for a busy machine

Row = dict[str, Any]


class TooLong(Exception):
    """Something did not happen in time."""


class World:
    """sqlite: `serve` in one process. postgresql: API, two workers, two posters and a scheduler over one cluster."""

    def __init__(self, folder: Path, kind: str, crew: Crew, randomly: random.Random, rate_s: float, is_long: bool):
        self.folder, self.kind, self.crew = folder, kind, crew
        self._random, self._is_long = randomly, is_long
        names = ("shop", "erp", "engine", "hook", "database")
        self._ports = dict(zip(names, free_ports(len(names)), strict=True))
        self.cluster = Cluster(folder, self._ports["database"]) if kind == "postgresql" else None
        self.shop_url, self.erp_url = self._url("shop"), self._url("erp")
        self._key, self._secret = f"ck_{secrets.token_hex(12)}", f"cs_{secrets.token_hex(12)}"
        self._token, self._hook_secret = secrets.token_hex(12), secrets.token_hex(16)
        self.load = Load(self.shop_url, self._key, self._secret, randomly, rate_s, deletes=is_long)
        self._late = False

    @property
    def engine_services(self) -> list[str]:
        return list(ENGINE[self.kind])

    @property
    def posters(self) -> list[str]:
        """The services that post: exchanged together with the ERP."""
        return [name for name in self.engine_services if name.startswith(("poster", "serve"))]

    def start(self) -> None:
        if self.cluster is not None:
            self.cluster.make()
        self._write_settings()
        self._add_services()
        self.crew.up("shop", "erp", *self.engine_services)
        self.until(lambda: answers(self.shop_url) and answers(self.erp_url), "shop and ERP to start")
        self.until(lambda: answers(self._url("engine")), "the engine to start")
        self.crew.up("agent")
        self.until(lambda: answers(self._url("hook")), "the agent to start")
        for topic in ("order.created", "order.updated", "order.deleted"):
            body = {"topic": topic, "delivery_url": f"{self._url('hook')}/", "secret": self._hook_secret}
            answer = requests.post(
                f"{self.shop_url}/wp-json/wc/v3/webhooks",
                json=body,
                auth=(self._key, self._secret),
                headers={"X-Forwarded-Proto": "https"},
                timeout=30,
            )
            answer.raise_for_status()

    def _add_services(self) -> None:
        shop = ("--listen", f"127.0.0.1:{self._ports['shop']}", "--database", self.path("shop.sqlite"))
        keys = {"SHOP_CONSUMER_KEY": self._key, "SHOP_CONSUMER_SECRET": self._secret}
        self.crew.add("shop", [sys.executable, "-m", "counterfoil_sandbox.shop", *shop], keys, "listening")
        self.crew.add("erp", self._erp_command(), {"COUNTERFOIL_ERP_TOKEN": self._token}, "sandbox ERP: ")
        secret = secrets.token_hex(24)
        environment = {
            "COUNTERFOIL_ERP_TOKEN": self._token,
            "COUNTERFOIL_API_TOKEN": secrets.token_hex(24),
            f"COUNTERFOIL_STORE_SECRET_{STORE.upper()}": secret,
            "COUNTERFOIL_WORKERS": "2",
        }
        for name, role in ENGINE[self.kind].items():
            command = [demo.script("counterfoil"), "serve", "--config", self.path("engine.toml"), "--role", role]
            self.crew.add(name, command, environment, "serving")
        agent = {
            "COUNTERFOIL_SHOP_KEY": self._key,
            "COUNTERFOIL_SHOP_SECRET": self._secret,
            "COUNTERFOIL_ENGINE_SECRET": secret,
            "COUNTERFOIL_WEBHOOK_SECRET": self._hook_secret,
        }
        command = [demo.script("counterfoil-agent"), "run", "--config", self.path("agent.toml")]
        self.crew.add("agent", command, agent, " started ")

    def _erp_command(self) -> list[str]:
        listen = ("--listen", f"127.0.0.1:{self._ports['erp']}", "--database", self.path("erp.sqlite"))
        rates = [f"--rate={currency}/EUR={rate}" for currency, rate in demo.RATES.items()]
        late = [f"--mode=commit_delay_s={LATE_COMMIT_S}", "--mode=unique_keys=false"] if self._late else []
        return [sys.executable, "-m", "counterfoil_sandbox.erp", *listen, *rates, *late]

    def _write_settings(self) -> None:
        database = f"sqlite:///{self.path('engine.sqlite')}" if self.cluster is None else self.cluster.url
        rules = self.folder / "rules.yaml"
        rules.write_text(json.dumps(demo.rules(), indent=1))
        options = f"options = {{ commit_lag_s = {LATE_LAG_S} }}\n" if self._late else ""
        lease_s = 30 if self._is_long else 15
        # A day of a shop that edits, refunds and cancels much is no accident here: the brake is wide open.
        (self.folder / "engine.toml").write_text(
            f'[engine]\ndatabase = "{database}"\nlisten = "127.0.0.1:{self._ports["engine"]}"\nrules = "{rules}"\n\n'
            f"[limits]\nreversals_an_hour = 1000000\nreversed_minor_an_hour = 1000000000000\nlease_s = {lease_s}\n\n"
            f'[erp.{ENTITY}]\nadapter = "http"\nurl = "{self.erp_url}"\ntoken_env = "COUNTERFOIL_ERP_TOKEN"\n{options}'
        )
        reread = (
            "reread_every_h = 0.05\nreread_page_s = 0.3"
            if self._is_long
            else "reread_every_h = 0.01\nreread_page_s = 0"
        )
        (self.folder / "agent.toml").write_text(
            f'store = "{STORE}"\n\n[shop]\nurl = "{self.shop_url}"\npoll_s = 1\noverlap_s = 5\n{reread}\n'
            f'deletions_an_hour = 1000000\n\n[engine]\nurl = "{self._url("engine")}"\nheartbeat_s = 5\n'
            f'longest_pause_s = 2\n\n[outbox]\npath = "{self.path("outbox.sqlite")}"\ndisk_free_bytes = 0\n\n'
            f'[webhook]\nlisten = "127.0.0.1:{self._ports["hook"]}"\n'
        )

    # Turning things

    def exchange_erp(self, late: bool) -> None:
        """Another ERP in its place: with unique keys, or without and with commits that come late. Its posters with it,
        since what an ERP declares of itself doesn't change under way."""
        self.crew.down("erp", *self.posters)
        self._late = late
        self._write_settings()
        self.crew.children["erp"].command = self._erp_command()
        self.crew.up("erp")
        self.until(lambda: answers(self.erp_url), "the other ERP to start")
        self.crew.up(*self.posters)

    def erp_fault(self, fault: str, times: int) -> None:
        """A bad moment of the ERP's. Where it is just down, it has one anyway."""
        with suppress(requests.RequestException):
            requests.post(
                f"{self.erp_url}/sandbox/modes",
                json={"fault": fault, "fault_times": times},
                headers={"Authorization": f"Bearer {self._token}"},
                timeout=10,
            )

    def shop_mode(self, mode: str) -> None:
        """Its REST API alone; shoppers and merchants go on."""
        requests.post(f"{self.shop_url}/sandbox/mode", json={"mode": mode}, timeout=30).raise_for_status()

    # Looking from outside

    def engine_rows(self, sql: str) -> list[Row]:
        """Out of the engine's database, read only. Raises OSError while it can't be asked."""
        try:
            if self.cluster is None:
                return sqlite_rows(self.folder / "engine.sqlite", sql)
            with psycopg.connect(self.cluster.url, connect_timeout=5, autocommit=True) as connection:
                cursor = connection.execute(sql)  # type: ignore[arg-type]
                names = [column.name for column in cursor.description or ()]
                return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        except (sqlite3.Error, psycopg.Error) as error:
            raise OSError(f"The engine's database: {error}") from error

    def engine_count(self, sql: str) -> int:
        return int(next(iter(self.engine_rows(f"select {sql} as n")))["n"] or 0)

    def shop_rows(self, sql: str) -> list[Row]:
        return sqlite_rows(self.folder / "shop.sqlite", sql)

    def erp_rows(self, sql: str) -> list[Row]:
        return sqlite_rows(self.folder / "erp.sqlite", sql)

    def agent_rows(self, sql: str) -> list[Row]:
        return sqlite_rows(self.folder / "outbox.sqlite", sql)

    def erp_balances(self) -> list[Row]:
        answer = requests.get(
            f"{self.erp_url}/v1/balances",
            params={"entity": ENTITY},
            headers={"Authorization": f"Bearer {self._token}"},
            timeout=30,
        )
        answer.raise_for_status()
        return list(answer.json()["balances"])

    def posted(self) -> int:
        return int(self.erp_rows("select count(*) as n from documents")[0]["n"])

    def outstanding(self) -> int:
        """How far behind the chain is: orders that were not looked at, subjects that are due, intents that wait."""
        return len(self.orders() - self.looked_at()) + self.engine_count(
            "(select count(*) from work) + (select count(*) from intents where state in ('ready', 'sent'))"
        )

    def orders(self) -> set[str]:
        """The ids of all orders that the shop has."""
        return {str(row["id"]) for row in self.shop_rows("select id from orders")}

    def looked_at(self) -> set[str]:
        """The orders that the engine has read, by the shop's ids."""
        return {row["subject"].rpartition("/")[2] for row in self.engine_rows("select subject from subjects")}

    def memory_kb(self) -> dict[str, int]:
        return {name: child.rss_kb() for name, child in self.crew.children.items() if child.wanted}

    def until(
        self, ready: Callable[[], Any], what: str, timeout_s: float = START_TIMEOUT_S, every_s: float = 0.2
    ) -> Any:
        """Wait until something is true, and return it; what can't be asked at the moment isn't."""
        end_s = time.monotonic() + timeout_s
        while time.monotonic() < end_s:
            with suppress(OSError, sqlite3.Error):
                if value := ready():
                    return value
            time.sleep(every_s)
        raise TooLong(f"Waited {timeout_s:.0f} s in vain for {what}.")

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def _url(self, name: str) -> str:
        return f"http://127.0.0.1:{self._ports[name]}"


ENGINE = {
    "sqlite": {"serve": "all"},
    "postgresql": {
        "api": "api",
        "worker-1": "worker",
        "worker-2": "worker",
        "poster-1": "poster",
        "poster-2": "poster",
        "scheduler": "scheduler",
    },
}


def sqlite_rows(file: Path, sql: str, values: Sequence[Any] = ()) -> list[Row]:
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=30)) as connection:
        cursor = connection.execute(sql, values)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def free_ports(count: int) -> list[int]:
    """All bound at once, so that they differ."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()
