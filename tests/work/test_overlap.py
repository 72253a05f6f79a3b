"""Looks and what comes in meanwhile touch the same rows: neither waits for the other while the other waits for it."""

import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest
from counterfoil_engine.records.events import StoredEvents
from counterfoil_engine.records.waits import wake
from fakes.databases import open_database
from fakes.engine import a_document, a_world
from fakes.events import incoming

ORDERS = ["1001", "1002", "1003"]


@pytest.fixture
def world(tmp_path, clock):
    with open_database("postgresql", tmp_path, clock) as database:
        yield a_world(database, clock)


def deadlocks(world):
    with world.database.transaction() as tx:
        tx.one("select pg_stat_force_next_flush()")
    return world.one("select deadlocks from pg_stat_database where datname = current_database()")


@pytest.mark.postgresql
@pytest.mark.parametrize("at", ["record", "save_readings"])
def test_a_group_of_looks_and_events_on_the_same_orders_do_not_block_each_other(world, at):
    """The looks wait for the store's watermark, which the events raise: both need the epoch's row and the work list."""
    events = StoredEvents(world.database, wake)
    events.greet("eu1", "1" * 32, "1", {"order": [1]})
    world.proven, world.more = False, {"waits": ("watermark eu1",)}
    for order in ORDERS:
        world.due(order, a_document("payment", 11900, order=order))
    with world.database.transaction() as tx:
        tx.run("update events set n = n + 10")

    def append():
        came.extend(events.append("eu1", [incoming(f"x{n}", n, int(ORDERS[-n])) for n in (1, 2, 3)]).verdicts)

    came, meanwhile = [], threading.Thread(target=append)

    def overlapping(*given):
        meanwhile.start()
        meanwhile.join(timeout=2)  # where it has to wait for this transaction, it goes on after it
        return getattr(world.records.looks, at)(*given)

    looker = world.looker()
    looker._records = replace(world.records, looks=SimpleNamespace(**{**vars(world.records.looks), at: overlapping}))
    assert looker.step()
    meanwhile.join(timeout=20)

    assert [verdict.verdict for verdict in came] == ["stored"] * 3
    assert deadlocks(world) == 0
    assert world.looked == ORDERS  # at once, all of them
    assert world.work() == [f"order eu1/{order}" for order in ORDERS]  # still due: facts came while they were looked at
