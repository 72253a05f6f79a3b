"""The mailbox's records on both databases: what is handed out is handed out once, also to two requests at once."""

import threading

import pytest
from counterfoil_engine.records.database import Database
from counterfoil_engine.work.updates import Updates
from fakes.clock import FakeClock
from fakes.databases import DIALECTS, open_database
from fakes.engine import a_document, a_world
from fakes.store_updates import Mailbox, an_update, look, result, switch


@pytest.fixture(params=DIALECTS)
def world(request, tmp_path):
    clock = FakeClock()
    with open_database(request.param, tmp_path, clock) as database:
        world = a_world(database, clock)
        switch(world, "on")
        yield world


def test_what_goes_to_other_parties_is_in_no_mailbox(world):
    world.due("1001", a_document("payment", 100), an_update())
    look(world)
    box = Mailbox(world)
    handed = box.fetch()
    assert [one["key"] for one in handed] == ["eu1/1001/store_update/ship-77/r1"]
    box.fetch([result({**handed[0], "key": "eu1/1001/payment/x/r1"})])
    assert world.states()["payment/x/r1"] == "ready"


def test_two_requests_at_once_do_not_hand_out_the_same_and_take_a_result_once(world):
    """An agent whose call timed out asks anew while the first call is still at work."""
    world.due("1001", *(an_update(f"ship-{n:02}") for n in range(40)))
    look(world)
    handed, failed, start = [], [], threading.Barrier(2)

    def ask():
        try:
            database = Database(world.database.url, world.clock) if not world.database.is_sqlite else world.database
            database.now = world.clock.now
            records = type(world.records)(database, *list(vars(world.records).values())[1:])
            box = Mailbox(world)
            box.updates = Updates(records, box.updates._mailbox, world.book)
            start.wait(10)
            for _ in range(5):
                handed.extend(one["key"] for one in box.fetch(limit=10))
            if database is not world.database:
                database.close()
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failed == []
    assert len(handed) == len(set(handed)) == 40


def test_the_mailbox_of_a_store_is_read_by_an_index_of_its_own(world):
    """Thousands of stores ask all the time, while the ledger grows."""
    with world.database.transaction() as tx:
        if world.database.is_sqlite:
            plan = tx.all(
                "explain query plan select * from intents where party = 'store' and store = %s and state = 'ready'"
                " and class = %s order by id",
                "eu1",
                "live",
            )
            assert "intents_mailbox" in plan[0]["detail"]
        else:
            tx.run("set local enable_seqscan = off")
            plan = tx.all(
                "explain select * from intents where party = 'store' and store = 'eu1' and state = 'ready'"
                " and class = 'live' order by id"
            )
            assert any("intents_mailbox" in row["QUERY PLAN"] for row in plan)
