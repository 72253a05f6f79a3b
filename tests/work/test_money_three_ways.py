"""Books and money as the records know them, on both databases: an ERP that lost something, a gateway that lacks it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import pytest
from counterfoil_engine.domain.documents import JournalLine
from counterfoil_engine.domain.tie_out import Booked, added
from counterfoil_engine.records import book_sweeps, breaks, close, open_items, party_facts, payouts, sweeps
from counterfoil_engine.work.breaks import Breaks
from counterfoil_engine.work.payouts import Payouts
from counterfoil_engine.work.sweep import Sweeps
from counterfoil_engine.work.sweep_books import BookSweeps, repair_books
from fakes.party_facts import captured
from work.test_open_items import hear
from work.test_payouts import a_report, money

Row = dict[str, Any]


class Ledger:
    """An ERP's ledger: what was posted, less what somebody deleted. lacks: keys."""

    def __init__(self, world: Any) -> None:
        self._world, self.lacks = world, set[str]()

    def entries(self, entity: str, first: date, last: date) -> Iterator[Booked]:
        with self._world.database.transaction() as tx:
            found = close.booked(tx, entity, first, last)
        return (one for one in found if one.key not in self.lacks)

    def balances(self, entity: str) -> dict[tuple[str, str], JournalLine]:
        net = added(one.net for one in self.entries(entity, date(2020, 1, 1), date(2030, 1, 1)))
        return {
            place: JournalLine(place[0], max(amount, 0), max(-amount, 0), max(book, 0), max(-book, 0))
            for place, (amount, book) in net.items()
        }

    def find(self, keys: list[str]) -> dict[str, Any]:
        return self._world.erp.find([key for key in keys if key not in self.lacks])


class Books:
    def __init__(self, world: Any) -> None:
        self.world, self.ledger = world, Ledger(world)
        repairs = {"erp": repair_books(world.records, book_sweeps, world.book.current)}
        self.breaks = Breaks(breaks, world.book, repairs, lambda tx, sweep, store: book_sweeps.posted(tx, store))
        self.sweeps = Sweeps(world.records, sweeps, world.book, self.breaks, {}, ["DE01"])  # type: ignore[arg-type]
        self.runs = BookSweeps(
            world.records, self.sweeps, book_sweeps, close, open_items, breaks, {"DE01": self.ledger}
        )

    def sweep(self, kind: Any) -> Any:
        self.world.clock.pass_time(5)
        number = self.sweeps.start(kind, "eu1", "anna")
        assert self.runs.step() and not self.runs.step()
        return self.sweeps.show(number)

    def rows(self, kind: str) -> list[Row]:
        with self.world.database.transaction() as tx:
            return breaks.listed(tx, kind, None, ["open", "proposed", "healing", "healed"], 100)[0]  # type: ignore[return-value]


@pytest.fixture
def books(world: Any) -> Books:
    return Books(world)


@pytest.fixture
def paid(world: Any) -> Callable[..., None]:
    def paid(transaction: str = "ch_1", **more: Any) -> None:
        world.due("1001", money("payment", 11900, transaction, **more))
        world.run()

    return paid


def test_a_lost_document_is_found_looked_up_and_done_again_once_it_is_there(books: Books, paid: Any) -> None:
    paid()
    (key,) = [intent.key for intent in books.world.intents() if intent.kind == "payment"]
    books.ledger.lacks.add(key)
    assert books.sweep("erp")["found"] == {"missed": {"breaks": 1, "units": 1, "amounts": {"EUR": 11900}}}
    (row,) = books.rows("erp")
    with books.world.database.transaction() as tx:
        books.breaks.heal_one(tx, row, "anna")
    assert [one.state for one in books.world.intents() if one.key == key] == ["sent"]
    books.ledger.lacks.clear()
    journal = books.world.one("select count(*) from journal")
    books.world.run()
    assert [one.state for one in books.world.intents() if one.key == key] == ["done"]
    assert books.world.one("select count(*) from journal") == journal
    assert books.sweep("erp")["found"] == {} and [row["state"] for row in books.rows("erp")] == ["healed"]


def test_books_that_agree_say_nothing_and_know_when_they_last_did(books: Books, paid: Any) -> None:
    paid()
    first = books.sweep("erp")
    assert (first["found"], first["compared"]) == ({}, 1)
    with books.world.database.transaction() as tx:
        assert book_sweeps.last_agreed(tx, "erp", "DE01", first["id"]) is None
        assert book_sweeps.last_agreed(tx, "erp", "DE01", first["id"] + 1).isoformat() == first["started_at"]


def test_a_payment_that_waits_for_its_report_is_on_its_way(books: Books, paid: Any) -> None:
    paid()
    run = books.sweep("money")
    assert (run["found"], run["in_flight"]) == ({}, {"waits for its gateway's report": 1})


def test_a_payment_that_the_gateway_never_had_is_missed_on_its_day_with_its_order(books: Books, paid: Any) -> None:
    paid()
    hear(books.world, captured(transaction="ch_0", at="2026-11-10T09:00:00Z"))
    run = books.sweep("money")
    assert run["found"] == {"missed": {"breaks": 1, "units": 0, "amounts": {"EUR": 11900}}}
    (row,) = books.rows("money")
    assert row["subject"] == "payments DE01/stripe/EUR 2026-11-18" and row["amount_minor"] == -11900
    assert "order eu1/1001" in row["detail"]


def test_money_that_no_order_knows_is_a_break_once_it_is_some_days_old(books: Books) -> None:
    Payouts(books.world.records, payouts, books.world.book, party_facts).take(
        "stripe", a_report(), "november.csv", "anna"
    )
    books.world.run()
    assert books.sweep("money")["found"]["unknown"]["amounts"] == {"EUR": 11900}
    (row,) = books.rows("money")
    assert row["subject"].startswith("unapplied DE01/stripe/EUR ")


def test_a_payment_that_the_erp_lost_is_a_break_of_its_gateways_day(books: Books, paid: Any) -> None:
    paid()
    books.ledger.lacks |= {one.key for one in books.world.intents() if one.kind == "payment"}
    assert books.sweep("money")["found"] == {"missed": {"breaks": 1, "units": 0, "amounts": {"EUR": 11900}}}
    (row,) = books.rows("money")
    assert row["subject"].startswith("clearing DE01/stripe/EUR ")
    assert '"erp_minor":0' in row["detail"] and '"orders_minor":11900' in row["detail"]
    books.ledger.lacks.clear()
    assert books.sweep("money")["found"] == {} and books.rows("money")[0]["state"] == "healed"
