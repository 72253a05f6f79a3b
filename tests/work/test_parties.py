"""Planned pauses: a party that is held gets nothing and is asked nothing; what is due waits, and goes once released."""

from __future__ import annotations

from datetime import timedelta

import pytest
from counterfoil_engine.ports import Caller, Rejected
from counterfoil_engine.records import breakers, holds
from counterfoil_engine.work.parties import Parties
from fakes.clock import FakeClock
from fakes.databases import DIALECTS, open_database
from fakes.engine import World, a_document, a_world

OLGA = Caller("olga", "operator")


@pytest.fixture(params=DIALECTS)
def world(request, tmp_path):
    clock = FakeClock()
    with open_database(request.param, tmp_path, clock) as database:
        yield a_world(database, clock)


def parties(world: World) -> Parties:
    return Parties(world.records, holds, breakers, [("erp", "DE01")])


def line(world: World) -> dict:
    return parties(world).show()["parties"][0]


def test_what_is_due_for_a_held_party_waits_and_goes_in_its_order_once_released(world):
    parties(world).hold("erp", "DE01", "its upgrade", None, OLGA)
    world.due("1001", a_document("sales_order", 11900), a_document("invoice", 11900, after=["sales_order/x"]))
    world.run()
    assert world.states() == {"sales_order/x/r1": "ready", "invoice/x/r1": "ready"}
    assert (line(world)["waiting"], line(world)["held"]["by"]) == (2, "olga")
    assert parties(world).release("erp", "DE01", OLGA)["waiting"] == 2
    world.run()
    assert world.states() == {"sales_order/x/r1": "done", "invoice/x/r1": "done"}
    assert (line(world)["waiting"], line(world)["held"]) == (0, None)
    assert line(world)["last_pause"]["released_by"] == "olga"


def test_a_pause_that_has_an_end_ends_by_itself(world):
    parties(world).hold("erp", "DE01", "its upgrade", world.clock.now() + timedelta(hours=1), OLGA)
    world.due("1001", a_document("sales_order", 11900))
    world.run()
    assert world.states() == {"sales_order/x/r1": "ready"}
    world.clock.pass_time(3_600)
    world.run()
    assert world.states() == {"sales_order/x/r1": "done"}


def test_a_held_party_opens_no_breaker_and_no_case(world):
    parties(world).hold("erp", "DE01", "its upgrade", None, OLGA)
    world.erp.faults = lambda *_: 1 / 0  # whoever calls it fails
    world.due("1001", a_document("sales_order", 11900))
    world.run()
    assert world.open_cases() == []
    assert line(world)["breaker"] == "closed"


def test_who_held_and_released_it_stands_in_the_audit_log(world):
    parties(world).hold("erp", "DE01", "its upgrade", None, OLGA)
    parties(world).release("erp", "DE01", OLGA)
    with world.database.transaction() as tx:
        said = [(row["who"], row["what"]) for row in tx.all("select who, what from audit order by id")]
    assert said[-2:] == [("olga", "hold party"), ("olga", "release party")]


def test_a_party_that_there_is_not_is_not_held(world):
    with pytest.raises(Rejected, match="There is no erp of 'FR01'"):
        parties(world).hold("erp", "FR01", "", None, OLGA)


def test_what_is_not_held_is_not_released(world):
    with pytest.raises(Rejected, match="is not held"):
        parties(world).release("erp", "DE01", OLGA)


@pytest.mark.parametrize("hours", [-1, 24 * 8])
def test_a_pause_ends_within_a_week_and_not_before_it_began(world, hours):
    with pytest.raises(Rejected, match="within seven days"):
        parties(world).hold("erp", "DE01", "", world.clock.now() + timedelta(hours=hours), OLGA)


def test_how_quickly_a_party_answers_is_measured_over_its_latest_results(world):
    world.due("1001", a_document("sales_order", 11900), a_document("invoice", 11900))
    world.run()
    assert line(world)["taken_lately"] == 2
    world.clock.pass_time(16 * 60)
    assert (line(world)["taken_lately"], line(world)["median_s"]) == (0, None)
