"""Whatever happens to agent, engine and outbox, in whatever order: no event is lost, none is two."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import msgspec
from counterfoil_agent import snapshot
from counterfoil_agent.outbox import Outbox
from counterfoil_agent.ports import Through, Verdict, Welcome
from counterfoil_agent.pump import agree
from counterfoil_agent.snapshot import Event
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

START = datetime(2026, 11, 23, 9, tzinfo=UTC)


class OutboxMachine(RuleBasedStateMachine):
    """An engine as a dictionary beside a real outbox; `ever` holds what the shop said, which must all arrive."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "outbox.sqlite"
        self.random, self.now = Random(7), START
        self.outbox = Outbox.open(self.path, self.random)
        self.outbox.renumber(1)
        self.epoch, self.numbers, self.held = 1, {}, {}
        self.ever: dict[str, bytes] = {}

    def teardown(self) -> None:
        self.deliver_all()
        assert set(self.ever) <= set(self.held)
        assert all(self.held[event_id] == body for event_id, body in self.ever.items())
        self.outbox.close(clean=False)
        self.folder.cleanup()

    @rule(order_id=st.integers(1, 3), text=st.sampled_from("abc"))
    def append(self, order_id: int, text: str) -> None:
        self.now += timedelta(seconds=1)
        row = self.outbox.append(Event(snapshot.ORDER, order_id, f'{{"t":"{text}"}}'.encode()), self.now)
        if row is not None:
            self.ever[row.id] = row.body

    @rule()
    def undone(self) -> None:
        try:
            with self.outbox.writing():
                self.outbox.append(Event(snapshot.ORDER, 9, b'{"t":"never"}'), self.now)
                raise RuntimeError
        except RuntimeError:
            pass

    @rule(count=st.integers(1, 4), answered=st.booleans())
    def send(self, count: int, answered: bool) -> None:
        """answered: whether the engine's answer arrives."""
        rows = self.outbox.batch(count, 10**6, self.now)
        self.outbox.attempted(rows, self.now)
        verdicts = []
        for row in rows:
            assert row.epoch == self.epoch
            assert self.numbers.get((row.epoch, row.n), row.id) == row.id, "one number, two events"
            assert self.held.get(row.id, row.body) == row.body, "one id, two bodies"
            known = row.id in self.held
            self.numbers[row.epoch, row.n], self.held[row.id] = row.id, row.body
            verdicts.append(Verdict(row.n, row.id, "duplicate" if known else "stored"))
        if answered:
            self.outbox.acknowledge(verdicts, self.now)
            self.outbox.stored_through(self.through(), self.now)

    @rule()
    def crash(self) -> None:
        self.outbox.close(clean=False)
        self.outbox = Outbox.open(self.path, self.random)

    @rule()
    def new_epoch(self) -> None:
        self.epoch += 1
        self.outbox.renumber(self.epoch)

    @rule(kept=st.floats(0, 1))
    def engine_goes_back(self, kept: float) -> None:
        """It is restored from a backup of the same epoch: what came last is lost to it."""
        mine = sorted(n for epoch, n in self.numbers if epoch == self.epoch)
        for n in mine[int(len(mine) * kept) :]:
            self.held.pop(self.numbers.pop((self.epoch, n)), None)
        self.hello()

    def hello(self) -> None:
        position = self.outbox.position()
        agreed = agree(position, Welcome(self.epoch, self.through()), lambda n: self.outbox.id_of(self.epoch, n))
        if agreed.all_again or agreed.again is not None:
            self.outbox.unacknowledge(None if agreed.all_again else agreed.again)
        if agreed.new_epoch:
            self.new_epoch()

    @rule()
    def merge(self) -> None:
        before = {row.id: row.body for row in self.outbox.batch(10**6, 10**9, self.now)}
        assert self.outbox.merge(self.now) == 0, "these events say nothing about money, so each may matter"
        assert before == {row.id: row.body for row in self.outbox.batch(10**6, 10**9, self.now)}

    @rule(age_s=st.integers(0, 100))
    def prune(self, age_s: int) -> None:
        last = self.outbox.position().last
        self.outbox.prune(self.now, 10**9, 10**9)
        assert self.outbox.position().last == last

    def through(self) -> Through:
        n = 0
        while (self.epoch, n + 1) in self.numbers:
            n += 1
        return Through(n, self.numbers.get((self.epoch, n)))

    def deliver_all(self) -> None:
        self.hello()
        while self.outbox.batch(1, 10**6, self.now):
            self.send(100, True)

    @invariant()
    def numbers_have_no_hole(self) -> None:
        position = self.outbox.position()
        kept = [row.n for row in self.outbox.batch(10**6, 10**9, self.now) if row.epoch == position.epoch]
        stored = {n for epoch, n in self.numbers if epoch == position.epoch}
        assert set(kept) | stored == set(range(1, position.last.n + 1))


TestOutbox = OutboxMachine.TestCase
TestOutbox.settings = settings(max_examples=60, stateful_step_count=30, deadline=None, derandomize=True)


def test_events_are_json_whatever_the_store_is_called() -> None:
    assert msgspec.json.decode(
        snapshot.envelope("eu1", event_id="a", event_type=snapshot.VOID, time="t", traceparent="p", body=b"{}")
    )
