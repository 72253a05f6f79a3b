"""Sweeps as people run them, with real processes: stock edited past every hook, an order whose fact is lost, a forgery.

Shop with plugin, agent, engine and ERP are processes of their own; what is broken is broken in their files.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from counterfoil_engine.demo import Child, answers, free_port, script
from counterfoil_sandbox.shop_stock import PER_UNIT
from simulation.rules import rules_text
from woocommerce import API

TOKEN, SECRET, KEY = "a-token-of-both-parties-for-tests", "the secret of the store eu1, for tests", "k" * 40
API_TOKEN = "t" * 40


class Town:
    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self.stack = folder, stack
        self.shop_url = self._sandbox("shop", "shop: listening on ", {"SHOP_PLUGIN_KEY": KEY})
        self.erp = self._sandbox("erp", "sandbox ERP: ", {"COUNTERFOIL_ERP_TOKEN": TOKEN})
        self._engine()
        self._child("agent", [script("counterfoil-agent"), "run", "--config", self._agent_settings()], {
            "COUNTERFOIL_SHOP_KEY": "ck_sandbox",
            "COUNTERFOIL_SHOP_SECRET": "cs_sandbox",
            "COUNTERFOIL_PLUGIN_KEY": KEY,
            "COUNTERFOIL_ENGINE_SECRET": SECRET,
        })  # fmt: skip

    def _child(self, name: str, command: list[str], environment: dict[str, str]) -> Child:
        child = Child(name, command, environment, self.folder / f"{name}.log")
        child.start()
        self.stack.callback(child.stop)
        return child

    def _sandbox(self, name: str, says: str, environment: dict[str, str], as_name: str = "") -> str:
        database = ("--database", str(self.folder / f"{as_name or name}.sqlite"))
        command = [sys.executable, "-m", f"counterfoil_sandbox.{name}", "--listen", "127.0.0.1:0", *database]
        child = self._child(as_name or name, command, environment)
        return str(until(lambda: child.said(says), f"the {name} is up")).rstrip("/")

    def _engine(self) -> None:
        rules = json.loads(rules_text())
        rules["stores"][0] |= {"pool": "eu"}
        rules |= {
            "warehouses": [{"id": "BER", "owner": "erp", "entity": "DE01"}],
            "pools": [{"id": "eu", "warehouses": ["BER"]}],
            "sweeps": [
                {"store": "*", "sweep": "*", "every_hours": "0", "longest_request_s": "1", "from": "2020-01-01"}
            ],
        }
        (self.folder / "rules.json").write_text(json.dumps(rules))
        listen, feed = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
        self.engine_url = f"http://{listen}"
        (self.folder / "engine.toml").write_text(
            f'[engine]\ndatabase = "sqlite:///{self.folder}/engine.sqlite"\nlisten = "{listen}"\n'
            f'rules = "{self.folder}/rules.json"\n\n[feed]\nlisten = "{feed}"\nurl = "http://{feed}"\n\n'
            f'[erp.DE01]\nadapter = "http"\nurl = "{self.erp}"\ntoken_env = "COUNTERFOIL_ERP_TOKEN"\n'
            + self.more_settings()
        )
        environment = {
            "COUNTERFOIL_ERP_TOKEN": TOKEN,
            "COUNTERFOIL_API_TOKEN": API_TOKEN,
            "COUNTERFOIL_STORE_SECRET_EU1": SECRET,
        }
        self._child("engine", [script("counterfoil"), "serve", "--config", f"{self.folder}/engine.toml"], environment)
        until(lambda: answers(self.engine_url) or None, "the engine is up", 60)

    def more_settings(self) -> str:
        """What the engine's settings say beside; asked before it starts."""
        return ""

    def _agent_settings(self) -> str:
        path = self.folder / "agent.toml"
        path.write_text(
            f'store = "eu1"\n\n[shop]\nurl = "{self.shop_url}"\npoll_s = 1\n\n'
            f'[engine]\nurl = "{self.engine_url}"\nsweeps_s = 1\nlongest_pause_s = 2\n\n'
            '[plugin]\nkey_env = "COUNTERFOIL_PLUGIN_KEY"\nnudge_listen = ""\npoll_s = 1\nsafety_poll_s = 3600\n\n'
            f'[outbox]\npath = "{self.folder}/outbox.sqlite"\ndisk_free_bytes = 0\n\n'
            '[stock]\nswitch = "on"\nidle_s = 1\nsweep_h = 24\naccept_when = {most_changes_share = 1.0}\n'
        )
        return str(path)

    def sells(self, sku: str, units: int) -> None:
        """The shop has a product of which the warehouse has so many."""
        product = {"name": sku, "sku": sku, "regular_price": "10", "manage_stock": True, "stock_quantity": 1}
        shop = API(self.shop_url, "ck_sandbox", "cs_sandbox", version="wc/v3", timeout=10)
        shop.post("products", product).raise_for_status()
        row = {"warehouse": "BER", "sku": sku, "on_hand": str(units)}
        asked = {"Authorization": f"Bearer {TOKEN}"}
        requests.post(
            f"{self.erp}/sandbox/positions", json={"rows": [row]}, headers=asked, timeout=10
        ).raise_for_status()

    def stock(self, sku: str) -> int:
        (row,) = self.rows("shop", f"select stock from products where sku = '{sku}'")
        return int(row[0]) // PER_UNIT

    def rows(self, name: str, sql: str) -> list[Any]:
        with closing(sqlite3.connect(f"file:{self.folder}/{name}.sqlite?mode=ro", uri=True, timeout=10)) as connection:
            return connection.execute(sql).fetchall()

    def breaks_in(self, name: str, sql: str) -> None:
        """Somebody changes a party's database by hand."""
        with closing(sqlite3.connect(self.folder / f"{name}.sqlite", timeout=10)) as connection:
            connection.execute(sql)
            connection.commit()

    def counterfoil(self, *words: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "COUNTERFOIL_URL": self.engine_url, "COUNTERFOIL_API_TOKEN": API_TOKEN}
        command = [str(script("counterfoil")), *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def until(found: Callable[[], Any], what: str, timeout_s: float = 40.0) -> Any:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if (value := found()) is not None:
            return value
        time.sleep(0.1)
    pytest.fail(f"It never came to pass that {what}.")


@contextmanager
def a_town(folder: Path) -> Iterator[Town]:
    with ExitStack() as stack:
        yield Town(folder, stack)


def test_what_is_broken_by_hand_is_found_by_the_next_sweep_named_sized_and_healed(tmp_path: Path) -> None:
    with a_town(tmp_path) as town:
        town.sells("MUG", 40)
        town.sells("CUP", 6)
        until(lambda: town.stock("MUG") == 40 or None, "the shop has the warehouse's number", 60)
        requests.post(
            f"{town.shop_url}/sandbox/orders", json={"recording": "order_simple_paid"}, timeout=10
        ).raise_for_status()
        (order_id,) = until(
            lambda: (
                [row[0] for row in town.rows("engine", "select subject from events where type like '%order%'")][:1]
                or None
            ),
            "the order is told",
        )
        agrees = town.counterfoil("sweep", "--store", "eu1")
        assert agrees.returncode == 0, agrees.stdout + agrees.stderr
        assert re.search(r"stock of eu1 agrees: 2 SKUs", agrees.stdout), agrees.stdout

        town.breaks_in("shop", f"update products set stock = {55 * PER_UNIT} where sku = 'MUG'")
        town.breaks_in("engine", f"delete from events where subject = '{order_id}'")
        swept = town.counterfoil("sweep", "--store", "eu1")
        assert "1 manual_edit_store (15 units) of 2 SKUs" in swept.stdout, swept.stdout + swept.stderr
        assert "1 missed" in swept.stdout and order_id in swept.stdout
        assert swept.returncode == 0, "all of it is being healed"

        until(lambda: town.stock("MUG") == 40 or None, "the number is written again")
        until(
            lambda: town.rows("engine", f"select 1 from events where subject = '{order_id}'") or None,
            "the order is read again",
        )
        again = town.counterfoil("sweep", "--store", "eu1", "--json")
        found = {run["sweep"]: run["found"] for run in json.loads(again.stdout)["sweeps"]}
        assert found == {"stock": {}, "orders": {}, "erp": {}, "money": {}}
        assert "No break stands." in town.counterfoil("breaks").stdout
        settled = json.loads(town.counterfoil("breaks", "--settled", "--json").stdout)["breaks"]
        assert {(one["subject"], one["class"], one["state"]) for one in settled} == {
            ("stock eu/mug", "manual_edit_store", "healed"),
            (order_id, "missed", "healed"),
        }


def test_a_document_deleted_in_the_erp_is_found_posted_again_after_a_yes_and_proven(tmp_path: Path) -> None:
    with a_town(tmp_path) as town:
        requests.post(
            f"{town.shop_url}/sandbox/orders", json={"recording": "order_simple_paid"}, timeout=10
        ).raise_for_status()
        invoices = "from documents where kind = 'invoice'"
        (key,) = until(lambda: next(iter(town.rows("erp", f"select key {invoices}")), None), "the invoice is posted")
        until(
            lambda: town.rows("engine", f"select 1 from intents where key = '{key}' and state = 'done'") or None, "so"
        )
        agrees = town.counterfoil("sweep", "erp", "money", "--store", "eu1")
        assert agrees.returncode == 0 and "erp of DE01 agrees" in agrees.stdout, agrees.stdout + agrees.stderr

        town.breaks_in("erp", f"delete from journal where document in (select id {invoices})")
        town.breaks_in("erp", f"delete {invoices}")
        swept = town.counterfoil("sweep", "erp", "--store", "eu1")
        assert swept.returncode == 1 and "1 missed (1 units, " in swept.stdout, swept.stdout + swept.stderr
        status = json.loads(town.counterfoil("status", "--json").stdout)
        (line,) = [one for one in status["agreement"] if one["store"] == "eu1" and one["sweep"] == "erp"]
        assert (line["breaks"], line["waiting"]) == (1, 1)

        (row,) = json.loads(town.counterfoil("breaks", "--json").stdout)["breaks"]
        assert row["subject"] == f"document {key}" and row["runbook"] == "docs/runbooks/breaks.md#missed"
        assert "has begun" in town.counterfoil("breaks", "heal", str(row["id"])).stdout
        until(lambda: town.rows("erp", f"select 1 {invoices} and key = '{key}'") or None, "it is posted again")
        proven = town.counterfoil("sweep", "erp", "--store", "eu1", "--json")
        assert [run["found"] for run in json.loads(proven.stdout)["sweeps"]] == [{}], proven.stdout
        assert "No break stands." in town.counterfoil("breaks").stdout
