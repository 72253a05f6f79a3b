"""Closing a period: what is open is named, the lock holds, and opening it again takes two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from counterfoil_engine.domain.documents import JournalLine
from counterfoil_engine.domain.errors import CounterfoilError
from counterfoil_engine.domain.tie_out import Booked
from counterfoil_engine.ports import Caller, Rejected
from counterfoil_engine.records import close as close_records
from counterfoil_engine.records import periods
from counterfoil_engine.work.close import Close, UnlockPeriod
from counterfoil_engine.work.four_eyes import FourEyes
from counterfoil_engine.work.users import BOOTSTRAP
from fakes.control import the_users
from fakes.engine import a_document

OCTOBER = date(2026, 10, 20)


class Ledger:
    """An ERP's turnover and its documents, as somebody may have changed them by hand."""

    documents: Sequence[Booked] = ()

    def __init__(self, **balances: int) -> None:
        self.lines = {
            (role.replace("__", ":"), "EUR"): JournalLine(role, max(amount, 0), max(-amount, 0), 0, 0)
            for role, amount in balances.items()
        }

    def balances(self, entity: str) -> dict[tuple[str, str], JournalLine]:
        return self.lines

    def entries(self, entity: str, first: date, last: date) -> list[Booked]:
        return list(self.documents)


@pytest.fixture
def close(world):
    return Close(world.records, close_records, world.book)


def posted(world, order: str = "1001", amount_minor: int = 1000, day: date = OCTOBER) -> None:
    world.due(
        order,
        a_document("sales_order", amount_minor, "order", order=order, day=day),
        a_document("invoice", amount_minor, "a", order=order, day=day, after=["sales_order/order"]),
    )
    world.run()


def booked(world) -> list[Booked]:
    """Every document that was posted, as the ERP ought to have it."""
    with world.database.transaction() as tx:
        found = close_records.booked(tx, "DE01", date(2026, 1, 1), date(2026, 12, 31))
    return sorted((one for one in found if one.kind != "customer"), key=lambda one: one.kind, reverse=True)


def lines(close, name: str, period: str = "2026-10") -> list[tuple]:
    return [
        (line["detail"], line["ours"], line["erps"], line["difference"])
        for line in close.check("DE01", period)["lines"]
        if line["name"] == name
    ]


def test_a_settled_period_is_clean_and_ties_out_by_role(world, close):
    posted(world)
    told = close.check("DE01", "2026-10")
    assert (told["is_clean"], told["open"], told["locked_by"]) == (True, [], None)
    assert lines(close, "closing balance") == [
        ("receivable", 2000, None, None),
        ("revenue:goods", -2000, None, None),
    ]
    assert lines(close, "closing balance", "2026-09") == []


def test_a_balance_that_the_erp_has_otherwise_is_a_difference(world):
    posted(world)
    ledger = Ledger(receivable=1900, revenue__goods=-2000)
    ledger.documents = booked(world)
    close = Close(world.records, close_records, world.book, {"DE01": ledger})
    assert lines(close, "ledger to date") == [
        ("receivable", 2000, 1900, 100),
        ("revenue:goods", -2000, -2000, 0),
    ]
    assert close.check("DE01", "2026-10")["open"] == ["ledger to date (receivable): 2000 EUR, the ERP has 1900."]


def test_a_document_that_the_erp_lost_or_has_twice_is_named_with_its_order(world):
    posted(world)
    sales_order, invoice = booked(world)
    ledger = Ledger(receivable=4000, revenue__goods=-4000)
    ledger.documents = [invoice, replace(invoice, number="IN-9")]
    close = Close(world.records, close_records, world.book, {"DE01": ledger})
    assert lines(close, "documents in the ERP") == [("doubled", 0, 1, -1), ("missing", 0, 1, -1)]
    assert "documents in the ERP (missing): 0 documents, the ERP has 1." in close.check("DE01", "2026-10")["open"]
    named = [line["subjects"] for line in close.check("DE01", "2026-10")["lines"] if line["detail"] == "missing"]
    assert (named, sales_order.key) == ([["order eu1/1001"]], "eu1/1001/sales_order/order/r1")


def test_a_document_that_the_erp_has_on_another_day_is_no_break(world):
    posted(world)
    posted(world, "1002", day=date(2026, 11, 3))
    ledger = Ledger(receivable=4000, revenue__goods=-4000)
    ledger.documents = booked(world)
    close = Close(world.records, close_records, world.book, {"DE01": ledger})
    assert len(ledger.documents) == 4
    assert lines(close, "documents in the ERP") == []


def test_a_balance_that_only_the_erp_has_is_a_difference_too(world):
    close = Close(world.records, close_records, world.book, {"DE01": Ledger(suspense=5)})
    assert lines(close, "ledger to date") == [("suspense", 0, 5, -5)]


def test_an_order_that_is_not_in_the_erp_is_named(world, close):
    world.load_rules("v2", switch="preview")
    posted(world)
    told = close.check("DE01", "2026-10")
    assert told["open"][0] == "orders not in the ERP (posted): 1 orders."


def test_an_order_made_after_the_period_is_none_of_its_business(world, close, monkeypatch):
    world.load_rules("v2", switch="preview")
    posted(world)
    made = {"made_at": "2026-10-31T23:30:00"}  # in Berlin it is November
    rows = [{"subject": "order eu1/1001", "reading": "posted", **made}]
    monkeypatch.setattr(close_records, "not_in_erp", lambda tx, stores: rows)
    assert close.check("DE01", "2026-10")["is_clean"] is True
    assert close.check("DE01", "2026-11")["is_clean"] is False


def test_a_case_and_a_restatement_ought_to_be_settled(world, close):
    posted(world)
    dearer = lambda document: replace(  # noqa: E731
        document, amount_minor=document.amount_minor + 100, body={"amount": document.amount_minor + 100}
    )
    world.by_rules["v2"] = dearer
    world.load_rules("v2")
    with world.database.transaction() as tx:
        world.records.work.mark_due(tx, ["order eu1/1001"], "repair")
    world.clock.pass_time(2)
    world.run()
    assert lines(close, "restatements held") == [("v2", 2, None, None)]
    assert "restatements held (v2): 2 documents." in close.check("DE01", "2026-10")["open"]


def test_what_was_dated_later_than_it_happened_is_listed(world, close):
    world.erp.closed_until = date(2026, 10, 31)
    posted(world)
    assert lines(close, "late postings") == [("invoice", 1, None, None), ("sales_order", 1, None, None)]
    assert lines(close, "late postings", "2026-11") == lines(close, "late postings")
    assert lines(close, "late postings", "2026-09") == []


def test_what_is_owed_is_told_by_age(world, close):
    journal = (JournalLine("clearing:stripe:EUR", 500, 0, 500, 0), JournalLine("deposits", 0, 500, 0, 500))
    payment = replace(a_document("payment", 500, day=date(2026, 8, 1)), journal=journal)
    world.due("1001", payment)
    world.run()
    assert lines(close, "owed") == [("deposits, over 90 days", 500, None, None)]


# The lock.


def test_nothing_is_posted_into_a_locked_period_any_more(world, close):
    posted(world)
    close.lock("DE01", "2026-10", False, BOOTSTRAP)
    posted(world, "1002")
    dates = {intent.key: intent.posting_date for intent in world.intents("order eu1/1002")}
    assert set(dates.values()) == {date(2026, 11, 1)}
    assert lines(close, "closing balance")[0][:2] == ("receivable", 2000)


def test_of_the_engines_lock_and_the_erps_the_later_one_counts(world, close):
    world.erp.closed_until = date(2026, 11, 10)
    close.lock("DE01", "2026-10", False, BOOTSTRAP)
    posted(world)
    assert {intent.posting_date for intent in world.intents()} == {date(2026, 11, 11)}


def test_a_period_that_is_locked_between_choosing_the_date_and_sending_gets_nothing_more(world, close):
    """The poster chose October, and the controller locks it before the documents are marked."""
    world.due("1001", a_document("payment", 100, day=OCTOBER))
    world.looker().step()
    poster = world.poster()
    original = poster._mark

    def lock_first(batch):
        poster._mark = original
        close.lock("DE01", "2026-10", True, BOOTSTRAP)
        return original(batch)

    poster._mark = lock_first
    poster.step()
    assert world.erp.posted() == [] and set(world.states().values()) == {"ready"}
    world.run(poster=poster)
    assert {intent.posting_date for intent in world.intents()} == {date(2026, 11, 1)}


def test_who_locks_a_period_has_its_lock_alone(world, close, monkeypatch):
    """Else a poster could mark a document between the look for such documents and the lock."""
    taken: list[str] = []
    monkeypatch.setattr(periods, "alone", lambda tx, entity: taken.append(entity))
    close.lock("DE01", "2026-10", False, BOOTSTRAP)
    assert taken == ["DE01"]


def test_a_period_with_a_document_on_its_way_is_not_locked(world, close):
    world.erp.lose_calls = 1
    world.due("1001", a_document("payment", 100, day=OCTOBER))
    world.looker().step()
    world.poster().step()
    with pytest.raises(CounterfoilError, match="were sent and have no answer yet"):
        close.lock("DE01", "2026-10", True, BOOTSTRAP)


def test_a_month_that_is_not_over_in_the_entitys_zone_is_not_locked(world, close):
    with pytest.raises(CounterfoilError, match="2026-11 is not over"):
        close.lock("DE01", "2026-11", True, BOOTSTRAP)
    world.clock.pass_time((datetime(2026, 11, 30, 22, 59, tzinfo=UTC) - world.clock.now()).total_seconds())
    with pytest.raises(CounterfoilError, match="2026-11 is not over"):
        close.lock("DE01", "2026-11", True, BOOTSTRAP)
    world.clock.pass_time(61)  # midnight in Berlin
    assert close.lock("DE01", "2026-11", True, BOOTSTRAP)["locked_by"] == "operator"


def test_what_is_open_asks_for_a_yes(world, close):
    world.load_rules("v2", switch="preview")
    posted(world)
    with pytest.raises(CounterfoilError, match=r"is not settled: orders not in the ERP \(posted\): 1 orders"):
        close.lock("DE01", "2026-10", False, BOOTSTRAP)
    assert close.lock("DE01", "2026-10", True, BOOTSTRAP)["open"]
    with pytest.raises(CounterfoilError, match="was locked by operator already"):
        close.lock("DE01", "2026-10", True, BOOTSTRAP)


def test_an_entity_that_nobody_knows_has_no_period(close):
    with pytest.raises(Rejected, match="is not in the rules"):
        close.check("FR01", "2026-10")


def test_opening_a_period_again_takes_two(world, close):
    eyes = FourEyes(world.records, world.book, [UnlockPeriod(world.records)])
    users = the_users(world.database)
    for name in ("anna", "ben"):
        users.add(name, "controller", 300, BOOTSTRAP)
    close.lock("DE01", "2026-10", False, Caller("anna", "controller"))
    number = eyes.ask("unlock_period", {"entity": "DE01", "period": "2026-10"}, Caller("anna", "controller"))
    assert number["summary"] == "Open DE01 2026-10 again, which anna locked."
    posted(world)
    assert {intent.posting_date for intent in world.intents()} == {date(2026, 11, 1)}
    eyes.approve(number["proposal"], Caller("ben", "controller", token_by="operator"))
    posted(world, "1002")
    assert {intent.posting_date for intent in world.intents("order eu1/1002")} == {OCTOBER}
    with pytest.raises(CounterfoilError, match="is not locked"):
        eyes.ask("unlock_period", {"entity": "DE01", "period": "2026-10"}, Caller("anna", "controller"))
