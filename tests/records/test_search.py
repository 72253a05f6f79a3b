"""Orders by what they are searched by, on both databases: the newest first, page by page, each once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from counterfoil_engine.domain.search_terms import Term, term_of
from counterfoil_engine.ports import Rejected
from counterfoil_engine.records import search
from counterfoil_engine.records.wiring import records_over
from counterfoil_engine.work.search import PAGE, Search, hidden
from fakes.databases import DIALECTS, open_database

AT = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.fixture(params=DIALECTS)
def database(request, tmp_path):
    with open_database(request.param, tmp_path) as database:
        yield database


def keep(database, order: int, *terms: tuple[str, str], minutes: int = 0) -> None:
    at = AT + timedelta(minutes=minutes)
    with database.transaction() as tx:
        search.keep(tx, {f"order eu1/{order}": {Term(kind, term_of(kind, text), at) for kind, text in terms}})


def find(database, text: str, after: str = ""):
    return Search(records_over(database), search).find(text, after)


def orders(found) -> list[str]:
    return [row["order"] for row in found["orders"]]


def test_an_order_is_found_by_each_of_its_terms(database):
    keep(database, 1, ("order", "1"), ("e-mail", "e@example.com"), ("SKU", "MUG"), ("amount", "85.87"))
    keep(database, 2, ("order", "2"), ("e-mail", "f@example.com"), ("SKU", "CUP"), ("amount", "9.90"))
    for text in ("1", "E@example.com", hidden("e@example.com"), "mug", "85,87"):
        assert orders(find(database, text)) == ["1"], text
    assert orders(find(database, "nothing")) == []


def test_the_newest_come_first_page_by_page_and_each_once(database):
    for n in range(PAGE + 5):
        keep(database, n, ("SKU", "MUG"), ("amount", "5"), minutes=n)
    first = find(database, "MUG")
    second = find(database, "MUG", first["next"])
    assert orders(first) == [str(n) for n in range(PAGE + 4, 4, -1)]
    assert (orders(second), second["next"]) == (["4", "3", "2", "1", "0"], "")


def test_orders_of_one_moment_are_not_lost_between_two_pages(database):
    for n in range(PAGE + 5):
        keep(database, n, ("SKU", "MUG"))
    first = find(database, "MUG")
    assert sorted(orders(first) + orders(find(database, "MUG", first["next"]))) == sorted(map(str, range(PAGE + 5)))


def test_an_order_that_two_terms_find_is_one_line(database):
    keep(database, 7, ("order", "7"), ("amount", "7"), ("SKU", "7"))
    assert orders(find(database, "7")) == ["7"]


def test_terms_that_are_kept_again_change_nothing(database):
    for _ in range(2):
        keep(database, 1, ("SKU", "MUG"))
    with database.transaction() as tx:
        assert len(tx.all("select * from order_terms")) == 1


def test_an_address_stands_nowhere_in_what_is_kept_or_answered(database):
    keep(database, 1, ("e-mail", "e@example.com"))
    with database.transaction() as tx:
        assert "example" not in str(tx.all("select * from order_terms"))
    assert "example" not in str(find(database, "e@example.com"))


@pytest.mark.parametrize("text", ["", "   "])
def test_nothing_is_not_searched_for(database, text):
    with pytest.raises(Rejected, match="Nothing was asked for"):
        find(database, text)


@pytest.mark.parametrize(
    "text", ["'; drop table events; --", "%", "_", "\u0000x".replace("\u0000", "x"), "x" * 200, "\ud800@"]
)
def test_whatever_is_typed_is_searched_for_as_it_is(database, text):
    keep(database, 1, ("SKU", "MUG"))
    assert orders(find(database, text)) == []


@pytest.mark.parametrize("after", ["x", "2026-11-22", "2026-11-22T00:00:00+00:00", "x y", "9" * 200])
def test_a_page_that_there_is_not_is_refused(database, after):
    with pytest.raises(Rejected, match="no such page"):
        find(database, "MUG", after)
