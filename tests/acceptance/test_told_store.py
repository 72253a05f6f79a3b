"""From the click to the store's own note of the shipment, with real processes: shop, agent, engine, ERP and WMS.

The agent is killed between the note and the meta data that marks it, the one moment at which an order is half told.
"""

from __future__ import annotations

import http.client
import json
import re
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from counterfoil_engine.demo import Child, answers, free_port, script
from simulation.rules import rules_text

TOKEN, SECRET = "a-token-of-both-parties-for-tests", "the secret of the store eu1, for tests"
SHIPS = {"store": "eu1", "order": "1001", "warehouse": "BER", "tracking": "JD014600"}


class Between(ThreadingHTTPServer):
    """Passes on what the agent asks of the shop. armed: done instead of passing on the next change of an order."""

    daemon_threads = True
    armed: Callable[[], None] | None = None

    def __init__(self, shop: str) -> None:
        super().__init__(("127.0.0.1", 0), _Pass)
        self.shop = urlsplit(shop).netloc
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()


class _Pass(BaseHTTPRequestHandler):
    server: Between

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = urlsplit(self.path).path
        if self.command == "POST" and re.fullmatch(r"/wp-json/wc/v3/orders/\d+", path) and self.server.armed:
            strike, self.server.armed = self.server.armed, None
            strike()
            self.close_connection = True
            return
        there = http.client.HTTPConnection(self.server.shop, timeout=20)
        there.request(self.command, self.path, body or None, dict(self.headers))
        answer = there.getresponse()
        said = answer.read()
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)
        there.close()

    do_GET = do_POST = _pass

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


class Town:
    """All of them, each a process of its own."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self.stack = folder, stack
        self.shop_url = self._sandbox("shop", "shop: listening on ", {})
        self.between = Between(self.shop_url)
        stack.callback(self.between.shutdown)
        erp = self._sandbox("erp", "sandbox ERP: ", {"COUNTERFOIL_ERP_TOKEN": TOKEN})
        self.wms = self._sandbox("wms", "sandbox WMS: ", {"COUNTERFOIL_WMS_TOKEN": TOKEN}, "--source", "hub")
        self._engine(erp)
        self.agent = self._child("agent", [script("counterfoil-agent"), "run", "--config", self._agent_settings()], {
            "COUNTERFOIL_SHOP_KEY": "ck_sandbox",
            "COUNTERFOIL_SHOP_SECRET": "cs_sandbox",
            "COUNTERFOIL_ENGINE_SECRET": SECRET,
        })  # fmt: skip

    def _child(self, name: str, command: list[str], environment: dict[str, str]) -> Child:
        child = Child(name, command, environment, self.folder / f"{name}.log")
        child.start()
        self.stack.callback(child.stop)
        return child

    def _sandbox(self, name: str, says: str, environment: dict[str, str], *more: str) -> str:
        database = ("--database", str(self.folder / f"{name}.sqlite"))
        command = [sys.executable, "-m", f"counterfoil_sandbox.{name}", "--listen", "127.0.0.1:0", *database, *more]
        child = self._child(name, command, environment)
        return until(lambda: child.said(says), f"the {name} is up").rstrip("/")

    def _engine(self, erp: str) -> None:
        rules = json.loads(rules_text())
        rules["stores"][0]["switches"] = {"erp": "on", "wms": "on", "store": "on"}
        rules["sequence"][0] |= {"wms": "hub", "invoice_on": "shipment", "store_update": True}
        (self.folder / "rules.json").write_text(json.dumps(rules))
        listen, feed = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
        self.engine_url = f"http://{listen}"
        (self.folder / "engine.toml").write_text(
            f'[engine]\ndatabase = "sqlite:///{self.folder}/engine.sqlite"\nlisten = "{listen}"\n'
            f'rules = "{self.folder}/rules.json"\n\n[feed]\nlisten = "{feed}"\n\n'
            f'[erp.DE01]\nadapter = "http"\nurl = "{erp}"\ntoken_env = "COUNTERFOIL_ERP_TOKEN"\n\n'
            f'[party.hub]\nkind = "wms"\nadapter = "http"\nurl = "{self.wms}"\ntoken_env = "COUNTERFOIL_WMS_TOKEN"\n'
            'entities = ["DE01"]\n'
        )
        environment = {
            "COUNTERFOIL_ERP_TOKEN": TOKEN,
            "COUNTERFOIL_WMS_TOKEN": TOKEN,
            "COUNTERFOIL_API_TOKEN": "t" * 40,
            "COUNTERFOIL_STORE_SECRET_EU1": SECRET,
        }
        self._child("engine", [script("counterfoil"), "serve", "--config", f"{self.folder}/engine.toml"], environment)
        until(lambda: answers(self.engine_url) or None, "the engine is up", 60)

    def _agent_settings(self) -> str:
        path = self.folder / "agent.toml"
        path.write_text(
            f'store = "eu1"\n\n[shop]\nurl = "{self.between.url}"\npoll_s = 1\noverlap_s = 5\ntimeout_s = 2\n\n'
            f'[engine]\nurl = "{self.engine_url}"\nupdates_s = 1\nlongest_pause_s = 2\n\n'
            f'[outbox]\npath = "{self.folder}/outbox.sqlite"\ndisk_free_bytes = 0\n\n[stock]\nswitch = "off"\n'
        )
        return str(path)

    def place(self) -> None:
        requests.post(
            f"{self.shop_url}/sandbox/orders", json={"recording": "order_simple_paid"}, timeout=10
        ).raise_for_status()

    def ship(self) -> None:
        """As soon as the WMS was asked to."""

        def shipped() -> bool | None:
            asked = {"Authorization": f"Bearer {TOKEN}"}
            said = requests.post(f"{self.wms}/sandbox/commands/ship", json=SHIPS, headers=asked, timeout=10)
            return said.ok or None

        until(shipped, "the WMS has the order and ships it", 60)

    def notes(self) -> list[str]:
        return [text for (text,) in self._rows("shop", "select note from notes order by id")]

    def order(self) -> dict[str, Any]:
        ((body,),) = self._rows("shop", "select body from orders")
        found: dict[str, Any] = json.loads(body)
        return found

    def told(self) -> list[str]:
        meta = {each["key"]: each["value"] for each in self.order()["meta_data"]}
        return [line.split(" ")[0].split("/", 3)[-1] for line in meta.get("_counterfoil_updates", [])]

    def intents(self) -> dict[str, str]:
        rows = self._rows("engine", "select key, state from intents where party = 'store' and state <> 'withdrawn'")
        return {key.split("/", 3)[-1]: state for key, state in rows}

    def events(self) -> int:
        ((count,),) = self._rows("engine", "select count(*) from events")
        return int(count)

    def _rows(self, name: str, sql: str) -> list[Any]:
        connection = sqlite3.connect(f"file:{self.folder}/{name}.sqlite?mode=ro", uri=True, timeout=10)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()


def until(found: Callable[[], Any], what: str, timeout_s: float = 30.0) -> Any:
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


def test_an_agent_killed_between_note_and_mark_tells_the_order_once(tmp_path: Path) -> None:
    with a_town(tmp_path) as town:
        town.place()
        town.between.armed = town.agent.kill
        town.ship()
        until(lambda: True if not town.agent.is_up() else None, "the agent is killed", 60)
        (note,) = town.notes()
        assert note.startswith("Shipped from BER by DHL, tracking JD014600. [Counterfoil ") and note.endswith("/r1]")
        assert town.told() == [], "half told: the note is there, the mark isn't"
        town.agent.start()
        until(lambda: True if town.order()["status"] == "completed" else None, "the order is completed", 60)
        until(lambda: True if set(town.intents().values()) == {"done"} else None, "the engine knows", 60)
        assert town.notes().count(note) == 1
        assert sorted(town.told()) == sorted(town.intents()) and len(town.told()) == 2
        until(lambda: settled(town), "nothing echoes any more", 60)
        assert set(town.intents().values()) == {"done"} and len(town.intents()) == 2
        assert len([text for text in town.notes() if "Counterfoil" in text]) == 1


def settled(town: Town) -> bool | None:
    """Whether within some polls of the shop no event more came."""
    before = town.events()
    time.sleep(5)
    return True if town.events() == before else None
