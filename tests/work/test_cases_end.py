"""A case ends by itself when its cause goes, whoever opened it, and says why."""

from __future__ import annotations

from counterfoil_engine.work import unpark
from fakes.engine import World, a_document


def resolutions(world: World) -> list[str]:
    with world.database.transaction() as tx:
        return [row["resolution"] for row in tx.all("select resolution from cases order by id")]


def test_looks_that_failed_again_and_again_are_over_once_one_comes_to_an_end(world):
    def broken(facts, rules, as_of):
        raise RuntimeError("a defect")

    world.due("1001", a_document("payment", 1_000))
    looker = world.looker(dues=broken)
    for _ in range(12):
        looker.step()
        world.clock.pass_time(400)
    [cause] = world.open_cases()
    assert "came to no end" in cause
    world.due("1001", a_document("payment", 1_000))
    world.run()
    assert resolutions(world) == ["a look at it came to an end"]


def test_a_party_that_is_away_is_one_case_however_many_documents_wait(world):
    world.erp.down = True
    for order in ("1001", "1002", "1003"):
        world.due(order, a_document("payment", 1_000, order=order))
    world.run()
    assert world.open_cases() == ["The ERP can't be reached."]
    world.erp.down, world.erp.too_many = False, True
    world.clock.pass_time(400)
    world.run()
    assert world.open_cases() == ["The ERP asks for a pause."]
    world.erp.too_many = False
    world.clock.pass_time(400)
    world.run()
    assert resolutions(world) == ["it fails in another way now", "erp DE01 answers again"]
    assert len(world.erp.posted()) == 3


def test_a_party_that_nothing_waits_for_any_more_is_asked_whether_it_is_back(world):
    world.erp.down = True
    world.due("1001", a_document("payment", 1_000))
    world.run()
    world.due("1001")
    world.run()
    assert world.open_cases() == ["The ERP isn't back: down."]
    world.erp.down = False
    world.clock.pass_time(400)
    world.run()
    assert world.open_cases() == [] and world.erp.posted() == []


def test_a_retry_does_not_say_that_a_party_is_back(world):
    world.erp.down = True
    world.due("1001", a_document("payment", 1_000))
    world.run()
    unpark.retry(world.records, "erp DE01", "anna")
    assert world.open_cases() == ["The ERP can't be reached."]
