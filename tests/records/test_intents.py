"""The ledger of intents: moves by compare-and-set alone, one key once, and writers that meet (K2, L1, L6)."""

import contextlib
import threading
from dataclasses import replace

import pytest
from counterfoil_engine.ports import NewIntent
from counterfoil_engine.records import claims, intents, work
from counterfoil_engine.work.look import LookSettings
from fakes.clock import FakeClock
from fakes.databases import DIALECTS, open_database
from fakes.engine import DAY, a_document, a_world


@pytest.fixture(params=DIALECTS)
def world(request, tmp_path):
    clock = FakeClock()
    with open_database(request.param, tmp_path, clock) as database:
        yield a_world(database, clock)


def an_intent(key="eu1/1001/payment/x/r1", **more):
    document = a_document("payment", 100)
    return NewIntent(key, document, "order eu1/1001", "eu1", "live", DAY, (), "v1", 1, **more)


def added(world, **more):
    with world.database.transaction() as tx:
        intents.add(tx, [an_intent(**more)])
        found = intents.by_key(tx, "erp", "DE01", "eu1/1001/payment/x/r1")
    assert found is not None
    return found


def test_one_key_stands_once_until_it_is_withdrawn(world):
    first = added(world)
    with world.database.transaction() as tx:
        assert intents.add(tx, [an_intent()]) == {}
        assert intents.withdraw(tx, first)
        assert len(intents.add(tx, [an_intent()])) == 1


def test_only_ready_is_withdrawn_and_only_sent_has_a_result(world):
    intent = added(world)
    with world.database.transaction() as tx:
        assert not intents.done(tx, [(intent, "E1")])
        assert intents.mark_sent(tx, [intent]) == [intent.id]
        assert not intents.withdraw(tx, intent)
        assert intents.done(tx, [(replace(intent, posting_date=DAY), "E1")]) == {intent.id}
        assert not intents.done(tx, [(intent, "E2")])
        assert not intents.refuse(tx, intent)
        assert intents.mark_sent(tx, [intent]) == []


def test_a_refused_posting_is_not_offered_again_but_a_refused_reversal_is(world):
    posting = added(world)
    with world.database.transaction() as tx:
        intents.add(tx, [an_intent("eu1/1001/payment/x/r1/reversal", reverses="eu1/1001/payment/x/r1")])
        reversal = intents.by_key(tx, "erp", "DE01", "eu1/1001/payment/x/r1/reversal")
        for intent in (posting, reversal):
            intents.mark_sent(tx, [intent])
            intents.refuse(tx, intent)
        assert not intents.offer_again(tx, posting)
        assert intents.offer_again(tx, reversal)


def test_a_document_comes_back_from_the_ledger_as_it_went_in(world):
    document = replace(a_document("invoice", 11900, after=["sales_order/order"]), number="2026-77")
    with world.database.transaction() as tx:
        intents.add(tx, [replace(an_intent(), document=document)])
        found = intents.by_key(tx, "erp", "DE01", "eu1/1001/payment/x/r1")
    assert found.document == document and found.content_hash == document.content_hash


def test_two_workers_never_claim_one_subject(world):
    with world.database.transaction() as tx:
        work.mark_due(tx, [f"order eu1/{number}" for number in range(40)])
    taken, meet = [], threading.Barrier(2)

    def claim(token):
        for _ in range(4):
            with contextlib.suppress(threading.BrokenBarrierError):
                meet.wait(1)
            with world.database.transaction() as tx:
                taken.extend(one.subject for one in claims.claim(tx, ["live"], 5, 60, 0, token))
        world.database.close() if not world.database.is_sqlite else None

    threads = [threading.Thread(target=claim, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == len(set(taken)) == 40


def test_two_looks_that_need_one_customer_at_the_same_moment_make_one(world):
    """Two first orders of one customer make two."""
    meet = threading.Barrier(2)
    for order in ("1001", "1002"):
        customer = a_document("customer", 0, slot="DE01/-/customer/eu1-2", subject="customer DE01/eu1-2")
        world.due(order, customer, a_document("sales_order", 1, "order", order, after=["DE01/-/customer/eu1-2"]))

    def dues(facts, rules, as_of):
        with contextlib.suppress(threading.BrokenBarrierError):
            meet.wait(0.5)  # on PostgreSQL both are inside their transactions here
        return world.dues(facts, rules, as_of)

    def look():
        world.looker(dues=dues, settings=LookSettings(group=1)).step()
        world.database.close() if not world.database.is_sqlite else None

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    world.run()
    assert sorted(world.erp.posted()) == [
        "DE01/-/customer/eu1-2/r1",
        "eu1/1001/sales_order/order/r1",
        "eu1/1002/sales_order/order/r1",
    ]


def test_a_result_that_comes_while_a_look_writes_its_wait_wakes_it(world):
    """A wake-up lost between looking and waiting."""
    world.due("1001", a_document("sales_order", 1, "order"))
    world.looker().step()
    world.due("1001", a_document("sales_order", 1, "order"), a_document("invoice", 1, after=["sales_order/order"]))
    world.clock.pass_time(2)
    about_to_write, posted = threading.Event(), threading.Event()

    def dues(facts, rules, as_of):
        about_to_write.set()
        posted.wait(0.5 if world.database.is_sqlite else 5)
        return world.dues(facts, rules, as_of)

    def look():
        world.looker(dues=dues).step()
        world.database.close() if not world.database.is_sqlite else None

    looking = threading.Thread(target=look)
    looking.start()
    about_to_write.wait(5)
    poster = world.poster()
    poster.step()
    posted.set()
    looking.join()
    with world.database.transaction() as tx:
        assert world.records.waits.check_again(tx) == []
    world.clock.pass_time(10)
    world.run(poster=poster)
    assert world.erp.posted() == ["eu1/1001/sales_order/order/r1", "eu1/1001/invoice/x/r1"]
