"""The whole way from the ERP to a real shop, each party a process: sandbox ERP, engine with its feed, the agent."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from services import ERP_TOKEN, SandboxErp, free_port, process, sandbox_erp, wait_for

STORE, ENTITY, POOL, WAREHOUSE = "shop", "DE01", "eu", "BER"
COMMANDS = Path(sys.executable).parent
SECRETS = {
    "COUNTERFOIL_STORE_SECRET_SHOP": "the-secret-of-the-shop-for-benchmarks",
    "COUNTERFOIL_ENGINE_SECRET": "the-secret-of-the-shop-for-benchmarks",
    "COUNTERFOIL_ERP_TOKEN": ERP_TOKEN,
    "COUNTERFOIL_API_TOKEN": "the-operators-token-for-benchmarks",
}
RULES = {
    "rules": "bench",
    "entities": [{"id": ENTITY, "book_currency": "EUR", "zone": "UTC", "country": "DE"}],
    "stores": [{"id": STORE, "entity": ENTITY, "pool": POOL, "start_line": "2026-01-01T00:00:00Z"}],
    "warehouses": [{"id": WAREHOUSE, "owner": "erp", "entity": ENTITY}],
    "pools": [{"id": POOL, "warehouses": [WAREHOUSE]}],
}


@dataclass(frozen=True)
class RealShop:
    """key, secret: of its REST API. plugin_key: from pairing. nudge: where its plugin says that something changed."""

    url: str
    key: str
    secret: str
    plugin_key: str
    nudge: str


@dataclass
class Chain:
    """What is up, and how to change a position."""

    erp: SandboxErp
    engine_port: int
    folder: Path

    def say(self, rows: Sequence[tuple[str, int]]) -> None:
        """Let the ERP have so many of these SKUs."""
        said = [{"warehouse": WAREHOUSE, "sku": sku, "on_hand": str(on_hand)} for sku, on_hand in rows]
        headers = {"Authorization": f"Bearer {ERP_TOKEN}"}
        answer = requests.post(f"{self.erp.url}/sandbox/positions", json={"rows": said}, headers=headers, timeout=30)
        answer.raise_for_status()


@contextlib.contextmanager
def chain(folder: Path, shop: RealShop) -> Iterator[Chain]:
    """ERP and engine; the agent is started by `agent`, after positions were said."""
    api, feed = free_port(), free_port()
    (folder / "rules.json").write_text(json.dumps(RULES))
    with sandbox_erp(folder) as erp:
        (folder / "engine.toml").write_text(
            f'[engine]\nlisten = "127.0.0.1:{api}"\nrules = "{folder}/rules.json"\n'
            f'database = "sqlite:///{folder}/engine.sqlite"\n\n'
            f'[feed]\nlisten = "127.0.0.1:{feed}"\nurl = "http://127.0.0.1:{feed}"\n\n'
            f'[erp.{ENTITY}]\nadapter = "http"\nurl = "{erp.url}"\ntoken_env = "COUNTERFOIL_ERP_TOKEN"\n'
        )
        command = [str(COMMANDS / "counterfoil"), "serve", "--config", f"{folder}/engine.toml"]
        with process(command, SECRETS, folder / "engine.log"):
            wait_for(api)
            wait_for(feed)
            yield Chain(erp, api, folder)


def agent_settings(folder: Path, shop: RealShop, engine_port: int, **stock: Any) -> Path:
    """The agent's file; stock: settings of its [stock]."""
    lines = "\n".join(f"{name} = {_toml(value)}" for name, value in stock.items())
    file = folder / "agent.toml"
    file.write_text(
        f'store = "{STORE}"\nlog_json = true\n\n[shop]\nurl = "{shop.url}"\n\n'
        f'[engine]\nurl = "http://127.0.0.1:{engine_port}"\n\n[outbox]\npath = "{folder}/outbox.sqlite"\n\n'
        f'[plugin]\nkey_env = "COUNTERFOIL_PLUGIN_KEY"\nnudge_listen = "{shop.nudge}"\n\n[stock]\n{lines}\n'
    )
    return file


@contextlib.contextmanager
def agent(folder: Path, shop: RealShop, settings: Path) -> Iterator[None]:
    """The shop's agent at work."""
    secrets = {
        **SECRETS,
        "COUNTERFOIL_SHOP_KEY": shop.key,
        "COUNTERFOIL_SHOP_SECRET": shop.secret,
        "COUNTERFOIL_PLUGIN_KEY": shop.plugin_key,
    }
    command = [str(COMMANDS / "counterfoil-agent"), "run", "--config", str(settings)]
    with process(command, secrets, folder / "agent.log"):
        yield


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {_toml(each)}" for name, each in value.items()) + " }"
    return json.dumps(value)
