"""The whole chain in one process: the agent's outbox and pump, intake, looks, posters, the ERP adapter, a sandbox ERP.

Every part is the shipped one. Only the line between agent and engine is a call instead of HTTP, and time is told.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from counterfoil_agent.config import EngineSettings, OutboxSettings
from counterfoil_agent.outbox import Outbox, Row
from counterfoil_agent.ports import Answer, Through, Verdict, Welcome
from counterfoil_agent.pump import Pump
from counterfoil_agent.snapshot import Event
from counterfoil_sandbox.books import Books
from counterfoil_sandbox.erp import create_erp
from counterfoil_sandbox.erp_in_process import in_process_session

from counterfoil_engine.adapters.erp.http import HttpErp
from counterfoil_engine.bootstrap import Engine, PartyLine, build
from counterfoil_engine.records import journal
from counterfoil_engine.records.database import Database
from counterfoil_engine.rehearsal.report import Balances
from counterfoil_engine.work.look import LookSettings
from counterfoil_engine.work.receive import Receiver

# A rehearsal runs months of edits in a minute: the brakes that ask a person in live work would only stop it.
UNBRAKED = LookSettings(
    group=200, revisions_a_day=10_000, reversals_an_hour=10**9, reversed_book_minor_an_hour=2**62, rest_s=1.0
)
STEPS_MAX = 10_000_000


class ToldClock:
    """Time that passes only when something waits."""

    def __init__(self, start: datetime) -> None:
        self._now = start

    def now(self) -> datetime:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)


class Line:
    """The agent's port to the engine, as calls into intake."""

    clock_offset_s: float | None = 0.0

    def __init__(self, receiver: Receiver, store: str) -> None:
        self._receiver, self._store = receiver, store

    def hello(self, body: Mapping[str, Any]) -> Welcome:
        return self._welcome(self._receiver.hello(self._store, json.dumps(body).encode()))

    def new_epoch(self, body: Mapping[str, Any]) -> Welcome:
        return self._welcome(self._receiver.new_epoch(self._store, json.dumps(body).encode()))

    def events(self, batch: bytes, wrapped: bool = False) -> Answer:
        said = self._receiver.events(self._store, batch)
        verdicts = [Verdict(each["n"], each["id"], each["verdict"], each["reason"]) for each in said["verdicts"]]
        return Answer(verdicts, self._through(said), [(first, last) for first, last in said["holes"]])

    def reaches(self) -> bool:
        return True

    def heartbeat(self, event: bytes) -> Through | None:
        return self._through(self._receiver.heartbeat(self._store, event))

    @staticmethod
    def _through(said: Mapping[str, Any]) -> Through:
        return Through(said["stored_through"]["n"], said["stored_through"]["id"])

    def _welcome(self, said: Mapping[str, Any]) -> Welcome:
        return Welcome(said["epoch"], self._through(said), said.get("retain_s"))


class Agent:
    """A store's agent without its shop: the outbox, and the pump that empties it into intake."""

    def __init__(self, folder: Path, store: str, receiver: Receiver, clock: ToldClock) -> None:
        path = folder / f"outbox-{store}.sqlite"
        self.outbox, self._clock = Outbox.open(path, Random(0)), clock  # noqa: S311 (ids of a rehearsal)
        self._pump = Pump(
            Line(receiver, store),
            self.outbox,
            clock,
            Random(0),  # noqa: S311
            store,
            EngineSettings(url="http://engine"),
            OutboxSettings(path=path),
            lambda: 10**12,
        )

    def append(self, events: Iterable[Event]) -> None:
        """Put snapshots into the outbox, durably; one that says what the order's latest said stays out."""
        with self.outbox.writing():
            for event in events:
                self.outbox.append(event, self._clock.now())

    def send(self) -> None:
        """Empty the outbox into the engine."""
        while self._pump.step() == 0.0:
            pass


class Chain:
    """One store, one agent's outbox, one engine, one sandbox ERP, in a folder of their own. parties: beside the ERP.
    erps: by entity, in place of the sandbox."""

    def __init__(
        self,
        folder: Path,
        store: str,
        rules_text: str,
        start: datetime,
        parties: Sequence[PartyLine] = (),
        erps: Mapping[str, Any] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.store, self.clock = store, ToldClock(start)
        self.books = Books(now=self.clock.now)
        self.erp_service = create_erp(self.books, "rehearsal", now=self.clock.now, sleep=self.clock.sleep)
        self.erp = HttpErp("http://erp", "rehearsal", in_process_session(self.erp_service, self.clock.now))
        self.database = Database(f"sqlite:///{folder / 'engine.sqlite'}", self.clock)
        self.database.migrate()
        self.erps: dict[str, Any] = {}
        self.engine: Engine = build(
            self.database, self.clock, self.erps, settings=UNBRAKED, jitter=lambda: 0.0, parties=parties
        )
        self.engine.load_rules(rules_text, "rehearsal")
        with self.engine.records.transaction() as tx:
            self.erps |= erps or dict.fromkeys(self.engine.book.current(tx).entities, self.erp)
        self.receiver = self.engine.receiver()
        self._folder, self._agents = folder, [Agent(folder, store, self.receiver, self.clock)]
        self.outbox = self._agents[0].outbox

    def join(self, store: str) -> Agent:
        """Another store of the same engine."""
        self._agents.append(Agent(self._folder, store, self.receiver, self.clock))
        return self._agents[-1]

    def append(self, events: Iterable[Event]) -> None:
        """Put snapshots of the first store into its outbox."""
        self._agents[0].append(events)

    def flow(self) -> None:
        """Let everything travel until nothing moves: outbox to engine, looks, postings, results, looks again."""
        self.send()
        for _ in range(STEPS_MAX):
            if self.engine.step_look() or self.engine.step_post():
                continue
            self.clock.sleep(2.0)  # longer than a subject rests between two looks
            if not (self.engine.step_look() or self.engine.step_post()):
                return
        raise RuntimeError("The chain doesn't come to rest.")

    def send(self) -> None:
        """Empty the outboxes into the engine, and hear what other parties say."""
        for agent in self._agents:
            agent.send()
        while self.engine.step_facts():
            pass

    def send_all_again(self) -> list[Row]:
        """Every row once more, as after a restore: all of it has to be a duplicate. Returns the rows, in order."""
        self.outbox.unacknowledge(None)
        rows = self.outbox.batch(2**31, 2**62, self.clock.now())
        self.send()
        return rows

    def look_at_all_again(self) -> None:
        with self.database.transaction() as tx:
            subjects = [row["subject"] for row in tx.all("select subject from subjects order by subject")]
            self.engine.records.work.mark_due(tx, subjects, "history")
        self.flow()

    def intents(self) -> list[tuple[str, str]]:
        """Every intent's key and state."""
        with self.database.transaction() as tx:
            return [(row["key"], row["state"]) for row in tx.all("select key, state from intents order by id")]

    def engine_balances(self) -> Balances:
        """The engine's journal by entity, role and currency, as debits less credits."""
        with self.database.transaction() as tx:
            rows = journal.balances(tx)
        return _standing(
            {
                (row["entity"], row["role"], row["currency"]): (
                    int(row["debit_minor"]) - int(row["credit_minor"]),
                    int(row["book_debit_minor"]) - int(row["book_credit_minor"]),
                )
                for row in rows
            }
        )

    def balances_by_order(self) -> dict[tuple[str, str], int]:
        """(subject, role) → debits less credits in the order's currency, roles at zero left out."""
        with self.database.transaction() as tx:
            rows = tx.all(
                "select about, role, sum(debit_minor) - sum(credit_minor) as amount from journal group by about, role"
            )
        return {(row["about"], row["role"]): int(row["amount"]) for row in rows if row["amount"]}

    def erp_balances(self) -> Balances:
        """The ERP's own ledger, the same way."""
        return _standing(
            {
                key: (held.debit_minor - held.credit_minor, held.book_debit_minor - held.book_credit_minor)
                for key, held in self.books.balances().items()
            }
        )

    def close(self) -> None:
        self.engine.give_back()
        for agent in self._agents:
            agent.outbox.close()
        self.database.close()


def _standing(balances: Balances) -> Balances:
    """Without the roles that stand at nothing."""
    return {key: amounts for key, amounts in balances.items() if any(amounts)}
