"""A running engine: API over HTTP, SQLite, an ERP, orders in it (two posted, two parked), and a shell to ask it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from builders import a_line, an_order
from click.testing import CliRunner, Result
from counterfoil_agent.snapshot import order_event
from counterfoil_engine import config
from counterfoil_engine.cli.commands import counterfoil
from counterfoil_engine.rehearsal.chain import Chain
from counterfoil_engine.rehearsal.run import datetime
from rehearsal.checks import Json
from werkzeug.serving import make_server

TOKEN = "a-token-of-this-test"
RULES = (Path(__file__).parent / "rules.yaml").read_text("utf-8")
WITH_KLARNA = RULES.replace("rules: one", "rules: two") + (
    '  - {store: "*", method: klarna, gateway: klarna, accept_unpaid: false, from: 2020-01-01}\n'
)


@dataclass
class Running:
    """An engine that answers at url; chain: its parts, to let things happen in it."""

    url: str
    chain: Chain

    def arrives(self, *orders: Json) -> None:
        self.chain.append([order_event(json.dumps(order).encode(), []) for order in orders])
        self.chain.flow()

    def written(self) -> dict[str, list[Any]]:
        """All rows that a look or a person may have written."""
        with self.chain.database.transaction() as tx:
            names = ("intents", "looks", "journal", "cases", "subjects", "work", "audit", "events")
            return {name: tx.all(f"select * from {name}") for name in names}


def orders() -> list[Json]:
    return [
        an_order(a_line("MUG", 2, "9.90"), id=1001),
        an_order(a_line("CUP"), id=1002),
        an_order(a_line("MUG"), id=1003, payment_method="klarna"),
        an_order(a_line("CUP"), id=1004, payment_method="klarna"),
    ]


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    monkeypatch.setenv("COUNTERFOIL_API_TOKEN", TOKEN)
    chain = Chain(tmp_path / "engine", "eu1", RULES, datetime.now().astimezone())
    app = chain.engine.app(config.settings({}, {"COUNTERFOIL_API_TOKEN": TOKEN}))
    server = make_server("127.0.0.1", 0, app)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    engine = Running(f"http://127.0.0.1:{server.server_port}", chain)
    engine.arrives(*orders())
    monkeypatch.setenv("COUNTERFOIL_URL", engine.url)
    yield engine
    server.shutdown()
    thread.join()
    server.server_close()
    chain.close()


@pytest.fixture
def shell() -> Callable[..., Result]:
    """counterfoil, as typed; the answer has exit_code, stdout and stderr."""

    def typed(*words: object) -> Result:
        result = CliRunner().invoke(counterfoil, [str(word) for word in words])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert "Traceback" not in result.output
        return result

    return typed
