"""Whether a store's orders are all here with their amounts: totals, days, orders, and the second snapshot."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from counterfoil_engine.domain.breaks import Found, InFlight
from counterfoil_engine.domain.order_sweep import (
    Control,
    Total,
    confirmed,
    control_of,
    control_told,
    days_that_differ,
    days_to_look_at,
    judge_day,
    signature,
    total_told,
    totals_of,
)

DAY = date(2026, 11, 23)


def order(**more: Any) -> dict[str, Any]:
    plain = {"status": "processing", "currency": "EUR", "total": "119.00", "total_tax": "19.00", "refunds": []}
    return {"date_created_gmt": "2026-11-23T23:59:59", **plain, **more}


def one(order_id: str = "1001", total: int | None = 11900, is_there: bool = True, currency: str = "EUR") -> Control:
    return Control(order_id, currency, total, 0, 1900, is_there)


def test_an_order_counts_on_its_utc_day_with_total_refunds_and_tax() -> None:
    said = control_of("1001", order(refunds=[{"total": "-20.00"}, {"total": "-1.50"}]))
    assert said is not None and said.day == "2026-11-23"
    assert said.control == Control("1001", "EUR", 11900, 2150, 1900, True)


@pytest.mark.parametrize(
    ("more", "control"),
    [
        ({"status": "trash"}, Control("1001", "EUR", 11900, 0, 1900, False)),
        ({"status": "checkout-draft"}, Control("1001", "EUR", 11900, 0, 1900, False)),
        ({"status": "cancelled"}, Control("1001", "EUR", 11900, 0, 1900, True)),
        ({"currency": "JPY", "total": "1785.00", "total_tax": "0"}, Control("1001", "JPY", 1785, 0, 0, True)),
        ({"total": "12,00"}, Control("1001", "EUR", None, None, None, True)),
        ({"currency": "ABC"}, Control("1001", "ABC", None, None, None, True)),
        ({"refunds": ["?"]}, Control("1001", "EUR", None, None, None, True)),
    ],
)
def test_what_an_order_counts_for(more: dict[str, Any], control: Control) -> None:
    said = control_of("1001", order(**more))
    assert said is not None and said.control == control


@pytest.mark.parametrize("created", [None, 5, "", "yesterday", "2026-13-01T00:00:00"])
def test_an_order_without_a_day_counts_nowhere(created: object) -> None:
    assert control_of("1001", order(date_created_gmt=created)) is None


def test_amounts_of_a_database_bear_more_zeros_than_those_of_an_order() -> None:
    assert total_told("EUR", 2, "238.00000000", "0", "38.0") == Total(2, 23800, 0, 3800)
    assert control_told("7", "KWD", "14.700", "0.00", "0", True) == Control("7", "KWD", 14700, 0, 0, True)


def test_days_of_which_any_currency_differs_are_looked_at() -> None:
    ours = totals_of([("2026-11-22", one("1")), ("2026-11-23", one("2")), ("2026-11-23", one("3", currency="USD"))])
    same = Total(1, 11900, 0, 1900)
    theirs = {("2026-11-22", "EUR"): same, ("2026-11-23", "EUR"): same, ("2026-11-24", "EUR"): same}
    assert days_that_differ(ours, theirs) == ["2026-11-23", "2026-11-24"]


@pytest.mark.parametrize(
    ("ours", "theirs", "kind", "amount_minor"),
    [
        (None, one(), "missed", 11900),
        (one(is_there=False), one(), "missed", 11900),
        (one(), None, "unknown", -11900),
        (one(), one(is_there=False), "unknown", -11900),
        (one(), one(total=12000), "amount", 100),
        (one(), one(currency="USD"), "amount", None),
        (one(), one(), None, None),
        (one(total=None), one(), None, None),
        (one(is_there=False), None, None, None),
        (None, one(is_there=False), None, None),
    ],
)
def test_what_a_differing_order_means(
    ours: Control | None, theirs: Control | None, kind: str | None, amount_minor: int | None
) -> None:
    mine, told = [each for each in [ours] if each], [each for each in [theirs] if each]
    found = judge_day("eu1", DAY, mine, told, ())
    if kind is None:
        assert found == []
        return
    (first,) = found
    assert isinstance(first, Found) and (first.kind, first.amount_minor) == (kind, amount_minor)
    assert first.subject == "order eu1/1001"
    assert judge_day("eu1", DAY, mine, told, {"1001"}) == [InFlight("order eu1/1001", "on its way")]


def test_only_what_differs_in_the_same_way_in_a_second_snapshot_is_a_break() -> None:
    def found(*theirs: Control) -> list[Found]:
        return [each for each in judge_day("eu1", DAY, [one("2")], theirs, ()) if isinstance(each, Found)]

    first = found(one("1"), one("2", total=12000), one("3"))
    suspected = {each.subject: signature(each) for each in first}
    second = found(one("1"), one("2", total=12500), one("4"))
    twice, once = confirmed(suspected, second)
    assert [(each.subject, each.day) for each in twice] == [("order eu1/1", DAY)]
    assert [each.subject for each in once] == ["order eu1/2", "order eu1/4"], "they are on their way"


@pytest.mark.parametrize(
    ("start", "days"),
    [
        (date(2020, 1, 1), (date(2026, 11, 22), date(2026, 11, 24))),
        (date(2026, 11, 23), (date(2026, 11, 23), date(2026, 11, 24))),
        (date(2026, 11, 25), None),
    ],
)
def test_days_before_the_stores_start_line_are_not_looked_at(start: date, days: tuple[date, date] | None) -> None:
    assert days_to_look_at(date(2026, 11, 24), 3, start) == days
