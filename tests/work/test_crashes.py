"""I8 for the engine: dying at any durable or network step changes nothing in the end.

One scenario (an order, its edit, a refund of part; another order, cancelled) is run once undisturbed, then once for
each of its steps, dying there and starting anew; the ERP's books, the ledger and the journal have to come out the same.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from builders import START, a_line, a_refunded_line, an_order, the_rules
from builders import a_refund as the_refund
from counterfoil_engine.bootstrap import Engine, build
from counterfoil_engine.domain.rules import Rules
from counterfoil_engine.records.database import Database
from fakes.clock import FakeClock
from fakes.databases import DIALECTS, database_url
from fakes.erp import FakeErp
from fakes.events import incoming
from fakes.faults import Crash, CrashingErp, Faults, crashing
from loguru import logger

INSTALLATION = "a" * 32
# Every step on SQLite; on PostgreSQL, where each run needs a database of its own, and with an ERP that commits late, so
# many-th ones.
EVERY = {("sqlite", True): 1, ("sqlite", False): 4, ("postgresql", True): 15, ("postgresql", False): 20}


def rules_with_the_switch_on() -> Rules:
    rules = the_rules()
    return replace(rules, stores={name: replace(store, switches={"erp": "on"}) for name, store in rules.stores.items()})


def snapshots() -> list[dict[str, Any]]:
    first = an_order(a_line(quantity=2))
    edited = an_order(a_line(quantity=3), modified=START + timedelta(minutes=9))
    refund = the_refund("11.90", a_refunded_line(1, "10.00", {1: "1.90"}, 1))
    refunded = an_order(a_line(quantity=3), modified=START + timedelta(minutes=19), refunds=[refund])
    second = an_order(a_line(), id=1002, transaction_id="ch_2")
    cancelled = {**second, "status": "cancelled", "date_modified_gmt": "2026-11-23T10:00:00"}
    return [
        {"order": first, "refunds": []},
        {"order": edited, "refunds": []},
        {"order": second, "refunds": []},
        {"order": refunded, "refunds": [refund]},
        {"order": cancelled, "refunds": []},
    ]


class Run:
    """One run of the scenario, over one database and one ERP, through as many lives of the engine as it takes."""

    def __init__(self, url: str, unique_keys: bool, crash_at: int = 0) -> None:
        self.url, self.clock, self.faults = url, FakeClock(), Faults(crash_at)
        self.erp = FakeErp(self.clock)
        if not unique_keys:
            self.erp.unique_keys, self.erp.commits_after_s, self.erp.commit_lag_s = False, 3.0, 4.0
        self.rules = rules_with_the_switch_on()
        self.lives = 0
        self.database: Database | None = None
        self.engine = self.alive()

    def alive(self) -> Engine:
        """The engine, started as often as it takes."""
        while True:
            try:
                return self.start()
            except Crash:
                continue

    def start(self) -> Engine:
        """A new life: its own connections and memory, the same database and ERP."""
        self.lives += 1
        if self.database is None or not self.database.is_sqlite:
            if self.database is not None:
                self.database.close()  # the session dies with the process, and its locks with it
            self.database = Database(self.url, self.clock)
            self.database.now = self.clock.now  # type: ignore[method-assign]
            if self.database.is_sqlite:
                self.database.migrate()
            crashing(self.database, self.faults)
        names = iter(range(10_000))
        engine = build(
            self.database,
            self.clock,
            {"DE01": CrashingErp(self.erp, self.faults)},
            parse=lambda text, version: self.rules,
            jitter=lambda: 0.0,
            new_id=lambda: f"life {self.lives} {next(names)}",
        )
        engine.load_rules("the rules")
        engine.events.greet("eu1", INSTALLATION, "1", {"order": [1]})
        return engine

    def surviving(self, act: Any) -> Any:
        """Do this, however often the process has to be started again for it."""
        while True:
            try:
                return act()
            except Crash:
                self.engine = self.alive()

    def to_the_end(self) -> Run:
        for n, data in enumerate(snapshots(), start=1):
            event = incoming(f"event {n}", n, data["order"]["id"], body=json.dumps(data).encode())
            self.surviving(lambda event=event: self.engine.events.append("eu1", [event]))
            self.come_to_rest()
        return self

    def come_to_rest(self) -> None:
        idle = 0
        while idle < 4:
            did = self.surviving(lambda: self.engine.step_look())
            did = self.surviving(lambda: self.engine.step_post()) or did
            idle = 0 if did else idle + 1
            if not did:
                self.clock.pass_time(30)  # a dead worker's lease runs out after a minute

    def books(self) -> dict[str, Any]:
        """All that has to come out the same, whatever died on the way."""
        assert self.database is not None
        with Database.transaction(self.database) as tx:
            intents = tx.all("select key, state, content_hash from intents where state <> 'withdrawn' order by key")
            journal = tx.all(
                "select role, sum(debit_minor) as debit, sum(credit_minor) as credit from journal"
                " group by role order by role"
            )
            return {
                "erp": sorted(
                    (one.posting.key, one.posting.content_hash, one.posting.document["amount_minor"])
                    for one in self.erp.documents
                ),
                "intents": [tuple(row.values()) for row in intents],
                "journal": [(row["role"], int(row["debit"]), int(row["credit"])) for row in journal],
                "cases": [row["cause"] for row in tx.all("select cause from cases where resolved_at is null")],
                "left": [row["subject"] for row in tx.all("select subject from work")],
                "waits": tx.all("select * from waits"),
            }


def run(dialect: str, tmp_path: Any, unique_keys: bool, crash_at: int = 0) -> tuple[Run, dict[str, Any]]:
    if dialect == "sqlite":
        done = Run("sqlite:///:memory:", unique_keys, crash_at).to_the_end()
        return done, done.books()
    with database_url(dialect, tmp_path) as url:
        done = Run(url, unique_keys, crash_at).to_the_end()
        books = done.books()
        done.database.close()  # type: ignore[union-attr]
        return done, books


@pytest.fixture(autouse=True)
def _quiet():
    logger.disable("counterfoil_engine")
    yield
    logger.enable("counterfoil_engine")


@pytest.mark.slow
@pytest.mark.parametrize("unique_keys", [True, False], ids=["unique", "late"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_dying_at_any_step_changes_nothing_in_the_end(dialect, unique_keys, tmp_path, capsys):
    """unique: the ERP keeps keys unique. late: it doesn't, and commits three seconds after its client died."""
    undisturbed, books = run(dialect, tmp_path, unique_keys)
    steps = undisturbed.faults.passed
    assert books["cases"] == [] and books["left"] == [] and books["waits"] == []
    assert {state for _, state, _ in books["intents"]} == {"done"}
    assert steps >= 40
    for step in range(1, steps + 1, EVERY[dialect, unique_keys]):
        died, other = run(dialect, tmp_path, unique_keys, step)
        assert died.lives > 1
        assert other == books, f"dying at step {step} of {steps} ({died.faults.names[step - 1]}) left other books"
    with capsys.disabled():
        keys, every = "unique" if unique_keys else "late", EVERY[dialect, unique_keys]
        print(f"\n{dialect}, {keys} keys: {steps} steps, died at every {every}.")
