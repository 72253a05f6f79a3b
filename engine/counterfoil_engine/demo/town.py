"""All processes of the demo: started together, asked, and ended without leaving anything behind.

The settings that it writes are an operator's own: files for the engine and each agent, secrets in the environment.
"""

from __future__ import annotations

import json
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import requests

from counterfoil_engine.demo.branches import BRANCHES, Branch
from counterfoil_engine.demo.places import NotThereYet, Place, Places, rows
from counterfoil_engine.demo.processes import Child, answers, failed, free_port, script
from counterfoil_engine.demo.proof import behind
from counterfoil_engine.demo.rules import RATES, town_rules
from counterfoil_engine.demo.shops import Erp, Shop
from counterfoil_engine.domain.errors import CounterfoilError

START_TIMEOUT_S = 180.0
REST_TIMEOUT_S = 180.0
SILENT_AFTER_S = 12
HOOKS = ("order.created", "order.updated", "order.deleted")


class Town:
    """From an empty folder to shops, ERPs, engine and agents that are up; as a context it leaves nothing behind.

    shops, erps: by store.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="counterfoil-demo-"))
        self.children: dict[str, Child] = {}
        self.shops: dict[str, Shop] = {}
        self.erps: dict[str, Erp] = {}
        self._keys = {branch.store: _Keys() for branch in BRANCHES}
        self.api_token = secrets.token_hex(24)

    def __enter__(self) -> Town:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        # A second Ctrl-C while ending must not leave a process behind.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for child in self.children.values():
            child.ask_to_stop()
        for child in self.children.values():
            child.stop()
        if kind is None or not issubclass(kind, CounterfoilError):
            shutil.rmtree(self.folder, ignore_errors=True)

    # Starting

    def start(self) -> None:
        """All of them; what needs nobody else at once."""
        for branch in BRANCHES:
            self._start_erp(branch)
            self._start_shop(branch)
        self._start_engine()
        for branch in BRANCHES:
            self._until_it_says(f"shop of {branch.store}", "shop: listening on ")
            self._until_it_says(f"ERP of {branch.entity}", "sandbox ERP: ")
        self._name_places()

    def _until_it_says(self, name: str, words: str) -> None:
        child = self.children[name]
        self.until(lambda: child.said(words), f"the {name} to start", START_TIMEOUT_S, child)

    def start_agents(self) -> None:
        hooks = {branch.store: self._start_agent(branch) for branch in BRANCHES}
        for store, hook in hooks.items():
            self._until_it_answers(f"agent of {store}", hook)
            for topic in HOOKS:
                body = {"topic": topic, "delivery_url": f"{hook}/", "secret": self._keys[store].hook}
                self.shops[store].rest.post("webhooks", body).raise_for_status()

    def engine_is_up(self) -> None:
        self._until_it_answers("engine", self.engine_url)

    def _until_it_answers(self, name: str, url: str) -> None:
        child = self.children[name]
        self.until(lambda: answers(url) or None, f"the {name} to start", START_TIMEOUT_S, child)

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def _child(self, name: str, command: list[str], environment: Mapping[str, str]) -> Child:
        child = Child(name, command, environment, self.folder / f"{name.replace(' ', '-')}.log")
        self.children[name] = child
        child.start()
        return child

    def _start_erp(self, branch: Branch) -> None:
        rates = [f"--rate={currency}/EUR={rate}" for currency, rate in RATES.items()]
        listen, token = f"127.0.0.1:{free_port()}", self._keys[branch.store].erp
        command = [sys.executable, "-m", "counterfoil_sandbox.erp", "--listen", listen, *rates]
        database = ["--database", self.path(f"erp-{branch.store}.sqlite")]
        self._child(f"ERP of {branch.entity}", [*command, *database], {"COUNTERFOIL_ERP_TOKEN": token})
        self.erps[branch.store] = Erp(f"http://{listen}", token)

    def _start_shop(self, branch: Branch) -> None:
        keys, listen = self._keys[branch.store], f"127.0.0.1:{free_port()}"
        environment = {
            "SHOP_CONSUMER_KEY": keys.consumer,
            "SHOP_CONSUMER_SECRET": keys.secret,
            "SHOP_PLUGIN_KEY": keys.plugin,
        }
        command = [sys.executable, "-m", "counterfoil_sandbox.shop", "--listen", listen]
        database = ["--database", self.path(f"shop-{branch.store}.sqlite")]
        self._child(f"shop of {branch.store}", [*command, *database], environment)
        file = self.folder / f"shop-{branch.store}.sqlite"
        self.shops[branch.store] = Shop(branch, f"http://{listen}", keys.consumer, keys.secret, file)

    def _start_engine(self) -> None:
        listen, feed = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
        self.engine_url = f"http://{listen}"
        Path(self.path("rules.yaml")).write_text(json.dumps(town_rules(), indent=1))
        Path(self.path("payouts"), "stripe").mkdir(parents=True)
        erps = "".join(
            f'[erp.{branch.entity}]\nadapter = "http"\nurl = "{self.erps[branch.store].url}"\n'
            f'token_env = "{_token_of(branch)}"\n\n'
            for branch in BRANCHES
        )
        Path(self.path("engine.toml")).write_text(
            f'[engine]\ndatabase = "sqlite:///{self.path("engine.sqlite")}"\nlisten = "{listen}"\n'
            f'rules = "{self.path("rules.yaml")}"\n\n[feed]\nlisten = "{feed}"\nurl = "http://{feed}"\n\n'
            f"[limits]\nsilent_after_s = {SILENT_AFTER_S}\n\n"
            f'[payouts]\nfolder = "{self.path("payouts")}"\n\n{erps}'
        )
        self.engine_environment = {
            "COUNTERFOIL_API_TOKEN": self.api_token,
            **{_token_of(branch): self._keys[branch.store].erp for branch in BRANCHES},
            **{f"COUNTERFOIL_STORE_SECRET_{b.store.upper()}": self._keys[b.store].engine for b in BRANCHES},
        }
        command = [script("counterfoil"), "serve", "--config", self.path("engine.toml")]
        self._child("engine", command, self.engine_environment)

    def _start_agent(self, branch: Branch) -> str:
        """Returns where it takes the shop's webhooks."""
        store, keys, hook = branch.store, self._keys[branch.store], f"127.0.0.1:{free_port()}"
        Path(self.path(f"agent-{store}.toml")).write_text(
            f'store = "{store}"\n\n[shop]\nurl = "{self.shops[store].url}"\npoll_s = 1\noverlap_s = 5\n'
            f'reread_every_h = 0.01\nreread_page_s = 0\n\n[engine]\nurl = "{self.engine_url}"\nheartbeat_s = 2\n'
            f'sweeps_s = 1\nlongest_pause_s = 2\n\n[outbox]\npath = "{self.path(f"outbox-{store}.sqlite")}"\n'
            f'disk_free_bytes = 0\n\n[webhook]\nlisten = "{hook}"\n\n'
            '[plugin]\nkey_env = "COUNTERFOIL_PLUGIN_KEY"\nnudge_listen = ""\npoll_s = 1\nsafety_poll_s = 1\n\n'
            '[stock]\nswitch = "on"\naccept_when = { most_changes_share = 1.0 }\nidle_s = 0.5\nwait_s = 1\n'
        )
        environment = {
            "COUNTERFOIL_SHOP_KEY": keys.consumer,
            "COUNTERFOIL_SHOP_SECRET": keys.secret,
            "COUNTERFOIL_ENGINE_SECRET": keys.engine,
            "COUNTERFOIL_WEBHOOK_SECRET": keys.hook,
            "COUNTERFOIL_PLUGIN_KEY": keys.plugin,
        }
        command = [script("counterfoil-agent"), "run", "--config", self.path(f"agent-{store}.toml")]
        self._child(f"agent of {store}", command, environment)
        return f"http://{hook}"

    def _name_places(self) -> None:
        stores = [self._place(branch) for branch in BRANCHES]
        self.places = Places(self.folder / "engine.sqlite", tuple(stores))
        self.places.write(self.folder)

    def _place(self, branch: Branch) -> Place:
        store, keys = branch.store, self._keys[branch.store]
        erp_file = self.folder / f"erp-{store}.sqlite"
        shop_url, erp_url = self.shops[store].url, self.erps[store].url
        return Place(branch, shop_url, keys.consumer, keys.secret, erp_url, keys.erp, erp_file)

    # Asking and telling

    def command(self, *path: str, **body: Any) -> dict[str, Any]:
        """One of the engine's own commands, over its API."""
        return self._call("POST", path, json=body)

    def ask(self, *path: str, **query: Any) -> dict[str, Any]:
        return self._call("GET", path, params=query)

    def _call(self, method: str, path: tuple[str, ...], **options: Any) -> dict[str, Any]:
        url, headers = "/".join([self.engine_url, "v1", *path]), {"Authorization": f"Bearer {self.api_token}"}
        answer = requests.request(method, url, headers=headers, timeout=60, **options)
        if answer.status_code >= 400:
            raise CounterfoilError(f"The engine refused {url}: {answer.text[:400]}", "See the engine's log.", "outage")
        return dict(answer.json())

    def count(self, query: str, *values: Any) -> int:
        """A number out of the engine's database."""
        return int(next(rows(self.places.engine_file, query, values))[0])

    def posted(self, kind: str = "%") -> int:
        """Documents in the ERPs."""
        query = "select count(*) from documents where kind like ?"
        return sum(int(next(rows(file, query, (kind,)))[0]) for file in self.places.erp_files)

    def due(self) -> int:
        return self.count("select count(*) from intents where state in ('ready', 'sent')")

    def knows(self, store: str, order_id: int) -> bool:
        return self.count("select count(*) from subjects where subject = ?", f"order {store}/{order_id}") > 0

    def cases(self) -> int:
        return self.count("select count(*) from cases where resolved_at is null")

    def breaker(self, entity: str) -> str | None:
        query = "select reason from breakers where state <> 'closed' and entity = ?"
        row = next(rows(self.places.engine_file, query, (entity,)), None)
        return None if row is None else str(row[0]).rstrip(".")

    def at_rest(self) -> bool | None:
        """Nothing on its way: the engine's newest fact of each order is what its shop shows, looked at and posted."""
        busy = self.due() + self.count("select count(*) from work")
        busy += sum(shop.state("webhooks")["waiting"] for shop in self.shops.values())
        return True if not busy and not behind(self.places) else None

    def until(
        self, ready: Callable[[], Any], what: str, timeout_s: float = REST_TIMEOUT_S, child: Child | None = None
    ) -> Any:
        """Wait until something is true (not None), and return it; too long, or a process gone, ends the demo."""
        end_s = time.monotonic() + timeout_s
        while time.monotonic() < end_s:
            with suppress(NotThereYet):
                if (value := ready()) is not None:
                    return value
            self.all_up(f"while waiting for {what}")
            time.sleep(0.1)
        raise failed(f"Waited {timeout_s:.0f} s in vain for {what}.", child or self.children["engine"])

    def all_up(self, when: str) -> None:
        """Raises where a process is gone that was not sent away."""
        for each in self.children.values():
            if each.process is not None and not each.is_up():
                raise failed(f"The {each.name} ended {when}.", each)

    def send_away(self, name: str) -> None:
        """End a process that the town goes on without."""
        self.children[name].stop()
        self.children[name].process = None


class _Keys:
    """The secrets of a store, new for each demo."""

    def __init__(self) -> None:
        self.consumer, self.secret = f"ck_{secrets.token_hex(12)}", f"cs_{secrets.token_hex(12)}"
        self.plugin, self.engine, self.hook, self.erp = (secrets.token_hex(16) for _ in range(4))


def _token_of(branch: Branch) -> str:
    """The environment's name for the token of its ERP."""
    return f"COUNTERFOIL_ERP_TOKEN_{branch.entity}"
