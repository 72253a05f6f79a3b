"""A store whose orders are in the books: a whole engine in one process, the sandbox ERP, and an accountant's hands.

with booked_store(tmp_path) as shop:
    shop.by_hand.delete(shop.key("invoice", 1001))
    shop.sweep("erp")           # begun and carried out: the run as people see it
    shop.breaks()               # {subject: (store, class, units, amount_minor, state)}
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from builders import a_line, an_order
from counterfoil_agent.snapshot import order_event
from counterfoil_engine.domain.breaks import Sweep
from counterfoil_engine.ports import Caller
from counterfoil_engine.records import journal
from counterfoil_engine.rehearsal.chain import Chain
from counterfoil_sandbox.erp_by_hand import ByHand
from counterfoil_sandbox.erp_journal import Line

RULES = (Path(__file__).parent.parent / "cli" / "rules.yaml").read_text("utf-8")
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ANNA = Caller("anna", "admin")


class Booked:
    """chain: its parts. by_hand: what an accountant does in the ERP. entity: of the rules."""

    def __init__(self, chain: Chain) -> None:
        self.chain, self.by_hand = chain, ByHand(chain.books)
        self.sweeping = chain.engine.sweeping()
        self.entity = "DE01"

    @property
    def erp(self) -> Any:
        return self.chain.erp_service

    def arrives(self, *orders: Mapping[str, Any]) -> None:
        self.chain.append([order_event(json.dumps(order).encode(), []) for order in orders])
        self.flow()

    def flow(self) -> None:
        self.chain.clock.sleep(2)
        self.chain.flow()

    # The ERP

    def rows(self) -> list[Any]:
        return sorted(self.chain.books.newest(None, 1_000), key=lambda row: row["id"])

    def posted(self) -> list[str]:
        return [row["key"] for row in self.rows()]

    def key(self, kind: str, order: int | None) -> str:
        """The first document of a kind, of an order."""
        part = f"/{order or '-'}/{kind}/"
        return next(key for key in self.posted() if part in key or (order is None and f"/{kind}/" in key))

    def body(self, key: str) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(next(row["body"] for row in self.rows() if row["key"] == key))
        return body

    def manual_journal(self, amount: int, debit: str, credit: str, day: date = NOW.date()) -> str:
        lines = [Line(debit, amount, 0, amount, 0), Line(credit, 0, amount, 0, amount)]
        return self.by_hand.book(self.entity, day, "EUR", "EUR", lines)

    def between_readings(self, act: Callable[[], object], each: bool = False) -> None:
        """Something happens in the ERP after its ledger was read; each: after every reading."""
        erp, entries, left = self.chain.erp, self.chain.erp.entries, [1]

        def read(*which: Any) -> Iterator[Any]:
            yield from entries(*which)
            if each or left.pop():
                act()

        erp.entries = read  # type: ignore[method-assign]

    def pages_shift(self) -> None:
        """Pages move under the first reading: a document is on two of them, and another on none."""
        erp, entries, left = self.chain.erp, self.chain.erp.entries, [True]

        def read(*which: Any) -> Iterator[Any]:
            documents = list(entries(*which))
            yield from [*documents[:2], *documents[:1], *documents[3:]] if left else documents
            left.clear()

        erp.entries = read  # type: ignore[method-assign]

    def twisted(self, twist: Callable[[Any], Any]) -> None:
        entries = self.chain.erp.entries
        self.chain.erp.entries = lambda *which: map(twist, entries(*which))  # type: ignore[method-assign]

    # The engine

    def rules(self, table: str, *rows: Mapping[str, Any]) -> None:
        text = RULES.replace("rules: one", f"rules: {table}") + f"{table}: {json.dumps(rows)}\n"
        self.chain.engine.load_rules(text, "anna")

    def sweep(self, kind: Sweep, dry_run: bool = False) -> Mapping[str, Any]:
        self.chain.clock.sleep(1)
        number = self.sweeping.sweeps.start(kind, "eu1", "anna", dry_run)
        while self.chain.engine.step_books():
            pass
        return self.sweeping.sweeps.show(number)

    def listed(self) -> list[Mapping[str, Any]]:
        rows: list[Mapping[str, Any]] = self.sweeping.desk.listed(None, None, True, 1_000)["breaks"]
        return rows

    def breaks(self) -> dict[str, tuple[str, str, int | None, int | None, str]]:
        names = ("store", "class", "units", "amount_minor", "state")
        return {row["subject"]: tuple(row[name] for name in names) for row in self.listed()}  # type: ignore[misc]

    def heal(self, subject: str) -> None:
        (number,) = (row["id"] for row in self.listed() if row["subject"] == subject)
        self.sweeping.desk.settle(number, "heal", "", ANNA)

    def journal(self) -> list[Any]:
        with self.chain.database.transaction() as tx:
            return [dict(row) for row in journal.balances(tx)]


def orders() -> list[dict[str, Any]]:
    return [an_order(a_line("MUG", 2, "9.90"), id=1001), an_order(a_line("CUP"), id=1002)]


@contextmanager
def booked_store(folder: Path) -> Iterator[Booked]:
    chain = Chain(folder / "engine", "eu1", RULES, NOW)
    try:
        shop = Booked(chain)
        shop.arrives(*orders())
        yield shop
    finally:
        chain.close()
