"""The parties as real processes in a temporary folder, on free ports of 127.0.0.1: shop, agent, engine, ERP.

Three stores: `shop` has the real agent behind a sandbox shop; `good` is played here, bad events between its good ones;
`hostile` is an agent gone bad, which has its own secret and nothing else.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import requests
from counterfoil_engine import demo
from counterfoil_engine.demo.processes import answers
from fuzz.attacks import HOSTILE, Keys, set_rules
from torture.processes import Crew
from torture.world import free_ports, sqlite_rows

STORES = ("shop", "good", HOSTILE)
START_TIMEOUT_S = 90.0

# The sandboxes take a thread for each connection; with a heap for each of these, what one large body took is kept many
# times over. The engine sees to that itself.
FEW_HEAPS = {"MALLOC_ARENA_MAX": "2", "MALLOC_MMAP_THRESHOLD_": "262144"}


class World:
    def __init__(self, folder: Path, crew: Crew) -> None:
        self.folder, self.crew = folder, crew
        self.ports = dict(zip(("shop", "erp", "engine", "webhook"), free_ports(4), strict=True))
        letters = "bcdfghjklmnpqrstvwxz"
        mark = "zq" + "".join(secrets.choice(letters) for _ in range(10))
        names = ("api", "erp", "hook", "shop key", "shop secret", *STORES)
        self.keys = Keys({name: secrets.token_hex(20) for name in names}, mark)
        self.session = requests.Session()

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.ports[name]}"

    def start(self) -> None:
        self._write_settings()
        self._add_services()
        self.crew.up("shop", "erp", "engine")
        self.until(lambda: answers(self.url("shop")) and answers(self.url("erp")), "shop and ERP to start")
        self.until(lambda: answers(self.url("engine") + "/v1/health"), "the engine to start")
        self.crew.up("agent")
        self.until(lambda: answers(self.url("webhook") + "/health"), "the agent to start")
        for topic in ("order.created", "order.updated", "order.deleted"):
            body = {"topic": topic, "delivery_url": f"{self.url('webhook')}/", "secret": self.keys["hook"]}
            self.session.post(
                f"{self.url('shop')}/wp-json/wc/v3/webhooks",
                json=body,
                auth=(self.keys["shop key"], self.keys["shop secret"]),
                headers={"X-Forwarded-Proto": "https"},
                timeout=30,
            ).raise_for_status()

    def _add_services(self) -> None:
        keys, python = self.keys, [sys.executable, "-m"]
        shop = ["--listen", f"127.0.0.1:{self.ports['shop']}", "--database", self.path("shop.sqlite")]
        shop_keys = {"SHOP_CONSUMER_KEY": keys["shop key"], "SHOP_CONSUMER_SECRET": keys["shop secret"]}
        self.crew.add(
            "shop", [*python, "counterfoil_sandbox.shop", *shop], {**shop_keys, **FEW_HEAPS}, "shop: listening"
        )
        erp = ["--listen", f"127.0.0.1:{self.ports['erp']}", "--database", self.path("erp.sqlite")]
        rates = [f"--rate={currency}/EUR={rate}" for currency, rate in demo.RATES.items()]
        erp_token = {"COUNTERFOIL_ERP_TOKEN": keys["erp"]}
        self.crew.add(
            "erp", [*python, "counterfoil_sandbox.erp", *erp, *rates], {**erp_token, **FEW_HEAPS}, "sandbox ERP: "
        )
        engine = {f"COUNTERFOIL_STORE_SECRET_{store.upper()}": keys[store] for store in STORES}
        engine |= {"COUNTERFOIL_API_TOKEN": keys["api"], **erp_token}
        serve = [demo.script("counterfoil"), "serve", "--config", self.path("engine.toml")]
        self.crew.add("engine", serve, engine, "serving")
        agent = {
            "COUNTERFOIL_SHOP_KEY": keys["shop key"],
            "COUNTERFOIL_SHOP_SECRET": keys["shop secret"],
            "COUNTERFOIL_ENGINE_SECRET": keys["shop"],
            "COUNTERFOIL_WEBHOOK_SECRET": keys["hook"],
        }
        run = [demo.script("counterfoil-agent"), "run", "--config", self.path("agent.toml")]
        self.crew.add("agent", run, agent, "started")

    def _write_settings(self) -> None:
        rules = demo.rules()
        rules["stores"] = [{**rules["stores"][0], "id": store, "pool": store} for store in STORES]
        rules["pools"] = [{**rules["pools"][0], "id": store} for store in STORES]
        set_rules(rules)
        (self.folder / "rules.yaml").write_text(json.dumps(rules, indent=1))
        # What a hostile store edits and cancels must not be what stops the good ones: the brake is wide open.
        (self.folder / "engine.toml").write_text(
            f'[engine]\ndatabase = "sqlite:///{self.path("engine.sqlite")}"\nrules = "{self.path("rules.yaml")}"\n'
            f'listen = "127.0.0.1:{self.ports["engine"]}"\n\n'
            "[limits]\nreversals_an_hour = 1000000\nreversed_minor_an_hour = 1000000000000\n\n"
            f'[erp.{demo.ENTITY}]\nadapter = "http"\nurl = "{self.url("erp")}"\ntoken_env = "COUNTERFOIL_ERP_TOKEN"\n'
        )
        (self.folder / "agent.toml").write_text(
            f'store = "shop"\nlog_level = "DEBUG"\n\n[shop]\nurl = "{self.url("shop")}"\npoll_s = 20\n\n'
            f'[engine]\nurl = "{self.url("engine")}"\nheartbeat_s = 5\nlongest_pause_s = 2\n\n'
            f'[outbox]\npath = "{self.path("outbox.sqlite")}"\ndisk_free_bytes = 0\n\n'
            f'[webhook]\nlisten = "127.0.0.1:{self.ports["webhook"]}"\n'
        )

    # Looking from outside

    def stored(self) -> set[str]:
        """Subjects that have a stored fact in the engine."""
        sql = "select distinct subject from events where verdict = 'stored' and subject is not null"
        return {row["subject"] for row in sqlite_rows(self.folder / "engine.sqlite", sql)}

    def posted(self) -> set[str]:
        """Slots of documents in the ERP."""
        return {row["slot"] for row in sqlite_rows(self.folder / "erp.sqlite", "select slot from documents")}

    def webhooks_off(self) -> int:
        told = self.session.get(f"{self.url('shop')}/sandbox/webhooks", timeout=30).json()
        return sum(each["status"] != "active" for each in told["webhooks"])

    def memory_kb(self) -> dict[str, int]:
        return {name: child.rss_kb() for name, child in self.crew.children.items()}

    def until(self, ready: Callable[[], Any], what: str, timeout_s: float = START_TIMEOUT_S) -> Any:
        end_s = time.monotonic() + timeout_s
        while time.monotonic() < end_s:
            with suppress(OSError, sqlite3.Error):
                if value := ready():
                    return value
            time.sleep(0.2)
        raise TimeoutError(f"Waited {timeout_s:.0f} s in vain for {what}.")

    def path(self, name: str) -> str:
        return str(self.folder / name)
