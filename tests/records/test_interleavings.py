"""Whatever way a store's events come in, the same facts stand at the end."""

from __future__ import annotations

import itertools

import pytest
from counterfoil_engine.ports import Incoming, Rejected, Watermark
from counterfoil_engine.records.database import Database
from counterfoil_engine.records.events import StoredEvents
from counterfoil_engine.records.facts import facts_of
from fakes.events import incoming
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

INSTALLATION = "1" * 32
STORES = (f"shop-{number}" for number in itertools.count())

# An outbox: each entry an order and its total. Few values, so that bodies repeat.
outboxes = st.lists(st.tuples(st.integers(1, 3), st.sampled_from(["1.00", "2.00"])), min_size=1, max_size=12)
# What happens on the way: a slice of the outbox is sent (perhaps backwards), or a new epoch is asked for.
journeys = st.lists(
    st.one_of(st.just("new epoch"), st.tuples(st.integers(0, 11), st.integers(1, 5), st.booleans())), max_size=12
)


class Agent:
    """Sends from its outbox in any order; renumbers what isn't acknowledged when it gets a new epoch."""

    def __init__(self, log: StoredEvents, store: str, outbox: list[tuple[int, str]]) -> None:
        self.log, self.store = log, store
        self.watermark = log.greet(store, INSTALLATION, "0.1.0", {})
        self.rows: list[Incoming] = [
            incoming(f"{store} {n}", n, order_id, total)._replace(subject=f"order {store}/{order_id}")
            for n, (order_id, total) in enumerate(outbox, start=1)
        ]

    def send(self, start: int, count: int, backwards: bool) -> None:
        part = [row for row in self.rows if row.epoch == self.watermark.epoch][start : start + count]
        self.watermark = self.log.append(self.store, part[::-1] if backwards else part).watermark

    def renumber(self) -> None:
        old = self.watermark
        self.watermark = self.log.grant_epoch(self.store, INSTALLATION, old.epoch, "a test")
        waiting = [row for row in self.rows if row.epoch == old.epoch and row.n > old.n]
        passed = [row for row in self.rows if row not in waiting]
        again = [row._replace(epoch=self.watermark.epoch, n=n) for n, row in enumerate(waiting, start=1)]
        self.rows = passed + again

    def finish(self) -> None:
        while part := [row for row in self.rows if row.epoch == self.watermark.epoch and row.n > self.watermark.n]:
            self.watermark = self.log.append(self.store, part[:2]).watermark


@given(outboxes, journeys)
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_interleaving_ends_with_the_same_facts_and_watermark(database: Database, outbox, journey):
    store = next(STORES)
    agent = Agent(StoredEvents(database, lambda tx, key: None), store, outbox)
    for step in journey:
        if step == "new epoch":
            agent.renumber()
        else:
            agent.send(*step)
    agent.finish()
    with database.transaction() as tx:
        for order_id in (1, 2, 3):
            snapshots = facts_of(tx, store, str(order_id)).snapshots
            assert [each.body["order"]["total"] for each in snapshots] == [t for o, t in outbox if o == order_id]
            assert all(each.proven for each in snapshots)
        kept = tx.one("select count(*) as events from events where store = %s", store)
    assert kept == {"events": len(outbox)}
    last = [row for row in agent.rows if row.epoch == agent.watermark.epoch]
    assert agent.watermark == Watermark(agent.watermark.epoch, len(last), last[-1].event_id if last else None)


@given(outboxes, journeys)
@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_proven_never_gets_a_predecessor(database: Database, outbox, journey):
    """Once a snapshot is proven, the snapshots before it are all there, in their order, and stay so."""
    store = next(STORES)
    agent = Agent(StoredEvents(database, lambda tx, key: None), store, outbox)
    for step in journey:
        if step == "new epoch":
            agent.renumber()
        else:
            agent.send(*step)
        with database.transaction() as tx:
            for order_id in (1, 2, 3):
                snapshots = facts_of(tx, store, str(order_id)).snapshots
                proven = max((index for index, each in enumerate(snapshots, start=1) if each.proven), default=0)
                before = [each.read_at for each in snapshots[:proven]]
                expected = [row.occurred_at for row in agent.rows if row.subject == f"order {store}/{order_id}"]
                assert before == expected[:proven]


def test_an_agent_that_counts_again_from_an_old_backup_is_told_before_anything_is_kept(database: Database):
    store = next(STORES)
    log = StoredEvents(database, lambda tx, key: None)
    Agent(log, store, [(1, "1.00"), (1, "2.00"), (2, "1.00")]).finish()
    restored = Agent(log, store, [(1, "1.00")])
    restored.rows.append(incoming("made after the restore", 2)._replace(subject=f"order {store}/9"))
    restored.watermark = Watermark(1, 1, None)
    with pytest.raises(Rejected) as rejected:
        restored.finish()
    assert rejected.value.slug == "epoch"
    with database.transaction() as tx:
        assert facts_of(tx, store, "9").snapshots == ()
