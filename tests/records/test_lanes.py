"""Lanes on PostgreSQL: a lock that dies with its session, and a mark that only that session can make (K4)."""

import pytest
from counterfoil_engine.records.database import Database
from counterfoil_engine.records.lanes import refuse_poolers
from fakes.clock import FakeClock
from fakes.databases import open_database
from fakes.engine import a_document, a_world

pytestmark = pytest.mark.postgresql


@pytest.fixture
def world(tmp_path):
    clock = FakeClock()
    with open_database("postgresql", tmp_path, clock) as database:
        yield a_world(database, clock)


def test_sent_is_marked_over_the_connection_that_holds_the_lane(world):
    world.due("1001", a_document("payment", 100))
    world.looker().step()
    poster = world.poster()
    poster._hold.take(poster._lane.buckets, 0)
    world.database.close()  # the session is gone and its locks with it; the next statement opens another
    assert poster.step() is False
    assert world.erp.posted() == []
    assert poster.step()  # it has taken the lane anew
    assert world.erp.posted() == ["eu1/1001/payment/x/r1"]


def test_a_direct_connection_is_no_pooler(world):
    other = Database(world.database.url, world.clock)
    try:
        refuse_poolers(world.database, other)
    finally:
        other.close()
