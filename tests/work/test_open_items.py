"""What stands on a clearing and no report has settled, as the records know it, on both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from counterfoil_engine.domain.settlement.open_items import OpenItem
from counterfoil_engine.records import open_items, party_facts, payouts
from counterfoil_engine.work.payouts import Payouts
from domain.settlement.reports import stripe_row
from fakes.party_facts import captured, judged, payout
from work.test_payouts import a_report, money


@pytest.fixture
def takes(world):
    return Payouts(world.records, payouts, world.book, party_facts)


def items(world) -> list[OpenItem]:
    with world.database.transaction() as tx:
        return open_items.of_entity(tx, "DE01")


def told(world) -> list[tuple[str, int, bool]]:
    return [(item.slot, item.amount_minor, item.is_claim) for item in items(world)]


def hear(world, *facts) -> None:
    with world.database.transaction() as tx:
        party_facts.take(tx, [judged(fact) for fact in facts])
        party_facts.keep_cursor(tx, "gateway", "stripe", "1", True)


def test_a_charge_and_its_fee_are_open_until_their_report_settles_both(world, takes):
    world.due("1001", money("payment", 11900, "ch_1"), money("fee", 225, "ch_1"))
    world.run()
    assert told(world) == [("eu1/1001/fee/ch_1", -225, True), ("eu1/1001/payment/ch_1", 11900, True)]
    takes.take("stripe", a_report(), "november.csv", "anna")
    world.run()
    assert told(world) == []


def test_what_a_later_report_settled_was_open_at_the_end_of_the_month_before(world, takes):
    world.due("1001", money("payment", 11900, "ch_1"), money("fee", 225, "ch_1"))
    world.run()
    takes.take("stripe", a_report(), "november.csv", "anna")  # paid on the 20th
    world.run()
    with world.database.transaction() as tx:
        by_day = {day: len(open_items.of_entity(tx, "DE01", date(2026, 11, day))) for day in (17, 19, 20)}
    assert by_day == {17: 0, 19: 2, 20: 0}


def test_what_was_undone_later_was_open_at_the_end_of_the_month_before(world):
    world.due("1001", money("payment", 11900, "ch_1"), money("fee", 225, "ch_1"))
    world.run()
    world.due("1001")  # on the 23rd nothing of it is due any more
    world.run()
    with world.database.transaction() as tx:
        by_day = {day: open_items.of_entity(tx, "DE01", date(2026, 11, day)) for day in (17, 22, 23)}
    assert {day: sum(item.amount_minor for item in of_day) for day, of_day in by_day.items()} == {
        17: 0,
        22: 11675,
        23: 0,
    }
    assert items(world) == []


def test_what_was_posted_anew_later_stood_as_it_was_at_the_end_of_the_month_before(world):
    world.due("1001", money("payment", 11900, "ch_1"))
    world.run()
    world.due("1001", replace(money("payment", 10000, "ch_1"), day=date(2026, 11, 23)))
    world.run()
    with world.database.transaction() as tx:
        by_day = {day: open_items.of_entity(tx, "DE01", date(2026, 11, day)) for day in (22, 23)}
    assert {day: [item.amount_minor for item in of_day] for day, of_day in by_day.items()} == {22: [11900], 23: [10000]}


def test_a_fee_of_an_open_charge_stays_open_though_a_refund_of_it_is_settled(world, takes):
    world.due("1001", money("payment", 11900, "ch_9"), money("fee", 225, "ch_9"))
    back = money("refund_payment", 1900, "re_1", refund="5001", claim=False, carried_book_minor=1900)
    world.due("1002", back, money("payment", 11900, "ch_1"))
    world.run()
    refund = stripe_row("-19.00", "0.00", "-19.00", "refund", "r").replace("ch_r", "re_1")
    report = a_report(stripe_row("119.00", "2.25", "116.75"), refund, net="97.75")
    takes.take("stripe", report, "november.csv", "anna")
    world.run()
    assert told(world) == [("eu1/1001/fee/ch_9", -225, True), ("eu1/1001/payment/ch_9", 11900, True)]


def test_what_a_gateway_captured_is_no_claim_and_an_announced_payout_is_open_until_its_report(world):
    world.due("1001", money("payment", 11900, "ch_1"))
    world.run()
    hear(world, captured(), payout("po_7", amount_minor=500, paid_on="2026-11-20"))
    world.run()
    assert told(world)[0] == ("eu1/1001/payment/ch_1", 11900, False)
    assert [(item.kind, item.amount_minor) for item in items(world)][1:] == [("payout", -500)]


def test_a_gateway_whose_facts_are_all_read_was_heard_since_its_first_capture(world):
    hear(world, captured())
    with world.database.transaction() as tx:
        (heard,) = open_items.heard(tx)
        assert (heard.source, heard.currency, open_items.held(tx)) == ("stripe", None, {})
    assert heard.first <= heard.last
