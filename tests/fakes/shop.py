"""A shop, its engine over a real database, and a sandbox ERP in this process, on one clock."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from builders import START, a_line, an_order
from counterfoil_engine.adapters.erp.http import HttpErp
from counterfoil_engine.bootstrap import Engine, build
from counterfoil_engine.ports import Wanted
from counterfoil_engine.records.database import Database
from counterfoil_sandbox.books import Books
from counterfoil_sandbox.erp import SandboxErp, create_erp
from counterfoil_sandbox.erp_in_process import in_process_session
from fakes.clock import FakeClock
from fakes.events import incoming

RULES = (Path(__file__).parents[1] / "cli/rules.yaml").read_text("utf-8")


@dataclass
class Shop:
    """What happens in it, and what there is to see."""

    engine: Engine
    clock: Any
    books: Books
    erp: SandboxErp
    seen: int = 0

    def says(self, *, order: int = 1001, **fields: Any) -> None:
        """The store says how an order is now."""
        self.seen += 1
        parts = fields.pop("parts", (a_line("MUG", 2, "10.00"),))
        modified = START + timedelta(minutes=self.seen)
        said = {"order": an_order(*parts, id=order, modified=modified, **fields), "refunds": []}
        self._append(order, json.dumps(said).encode())

    def says_again(self, body: bytes, order: int = 1001) -> None:
        """The very same, as after an agent has lost what it sent."""
        self.seen += 1
        self._append(order, body)

    def _append(self, order: int, body: bytes) -> None:
        self.engine.events.append("eu1", [incoming(f"event {self.seen}", self.seen, order, body=body)])

    def run(self, until: Callable[[], bool] = lambda: False) -> None:
        """Look and post, until this is so, or nothing is left to do."""
        idle = 0
        for _ in range(400):
            if until():
                return
            did = self.engine.step_look()
            did = (not until() and self.engine.step_post()) or did
            idle = 0 if did else idle + 1
            if not did:
                self.clock.pass_time(1.5)
            if idle == 4:
                return
        raise AssertionError("it never comes to rest")

    def goes_wrong(self, **modes: Any) -> None:
        self.erp.modes = self.erp.modes.changed(modes)

    def open_cases(self) -> list[dict[str, Any]]:
        return self.engine.case_desk().inbox.list(Wanted())["cases"]

    def rows(self, sql: str, *params: Any) -> list[Any]:
        with self.engine.records.transaction() as tx:
            return tx.all(sql, *params)

    def load(self, text: str) -> None:
        self.engine.load_rules(text, "anna")


def a_shop(database: Database, clock: FakeClock) -> Iterator[Shop]:
    database.now = clock.now  # type: ignore[method-assign]
    books = Books(now=clock.now)
    erp = create_erp(books, "t", now=clock.now, sleep=clock.sleep)
    session = in_process_session(erp, clock.now)
    engine = build(database, clock, {"DE01": HttpErp("http://erp", "t", session)}, jitter=lambda: 0.0)
    engine.load_rules(RULES)
    engine.events.greet("eu1", "a" * 32, "1", {"order": [1]})
    yield Shop(engine, clock, books, erp)
    engine.give_back()
