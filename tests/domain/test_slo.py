"""Budgets and burn rates, in figures that a person can check."""

from __future__ import annotations

from decimal import Decimal

import pytest
from counterfoil_engine.domain.errors import CounterfoilError
from counterfoil_engine.domain.slo import (
    Burn,
    Changes,
    Count,
    Objective,
    Wanted,
    budget_left,
    burn_rate,
    changes,
    firing,
)
from counterfoil_engine.work.slo_file import own_objectives, parse_slos
from hypothesis import given
from hypothesis import strategies as st

PAGE = Burn("page", long_s=3600, short_s=300, rate=Decimal("13.44"), at_least=3)
TICKET = Burn("ticket", long_s=259_200, short_s=21_600, rate=Decimal("0.93"), at_least=3)
NINETY_NINE = Objective("orders", "", "orders_carried", 300, Decimal(99), 28, "engine.md", (TICKET, PAGE))
QUIET = {window: Count(1000, 1000) for window in NINETY_NINE.windows_s}


def test_one_late_order_in_a_hundred_spends_the_whole_budget_of_99_percent() -> None:
    assert budget_left(NINETY_NINE, Count(good=99, total=100)) == pytest.approx(0)


def test_half_a_percent_of_late_orders_leaves_half_of_it() -> None:
    assert budget_left(NINETY_NINE, Count(good=199, total=200)) == pytest.approx(0.5)


def test_with_nothing_judged_the_budget_is_whole_and_nothing_burns() -> None:
    assert (budget_left(NINETY_NINE, Count(0, 0)), burn_rate(NINETY_NINE, Count(0, 0))) == (1, 0)


def test_an_outage_that_goes_on_pages() -> None:
    assert firing(NINETY_NINE, QUIET | {3600: Count(80, 100), 300: Count(0, 10)}) == PAGE


def test_an_outage_that_is_over_pages_nobody() -> None:
    assert firing(NINETY_NINE, QUIET | {3600: Count(80, 100), 300: Count(10, 10)}) is None


def test_a_single_late_order_of_a_quiet_night_pages_nobody() -> None:
    assert firing(NINETY_NINE, QUIET | {3600: Count(0, 1), 300: Count(0, 1)}) is None


def test_a_slow_leak_is_a_ticket() -> None:
    assert firing(NINETY_NINE, QUIET | {259_200: Count(980, 1000), 21_600: Count(98, 100)}) == TICKET


def test_where_both_hold_the_graver_one_counts() -> None:
    bad = {window: Count(0, 100) for window in NINETY_NINE.windows_s}
    assert firing(NINETY_NINE, bad) == PAGE


@given(good=st.integers(0, 10**6), bad=st.integers(0, 10**6), more=st.integers(1, 1000))
def test_what_goes_wrong_never_gives_budget_back(good: int, bad: int, more: int) -> None:
    before, after = Count(good, good + bad), Count(good, good + bad + more)
    assert budget_left(NINETY_NINE, after) <= budget_left(NINETY_NINE, before)


def test_an_alert_opens_once_changes_its_severity_and_ends() -> None:
    page, ticket = Wanted("orders", "page", "", ""), Wanted("orders", "ticket", "", "")
    assert changes([page], {}) == Changes([page], [])
    assert changes([page], {"orders": "page"}) == Changes([], [])
    assert changes([ticket], {"orders": "page"}) == Changes([ticket], ["orders"])
    assert changes([], {"orders": "ticket"}) == Changes([], ["orders"])


def test_what_the_engine_promises_by_itself_keeps_to_the_contract() -> None:
    assert [objective.name for objective in own_objectives()] == [
        "order_latency",
        "documents",
        "refund_completion",
        "stock_freshness",
        "custody",
        "time_to_resolve",
    ]


ONE = """
objectives:
  - {name: orders, says: Soon., indicator: orders_carried, within_s: 300, percent: 99.5, window_days: 28, runbook: a.md}
burns:
  - {severity: page, long_s: 3600, short_s: 300, rate: 13.44, at_least: 3}
"""


@pytest.mark.parametrize(
    ("said", "instead", "told"),
    [
        ("percent: 99.5", "percent: 100", "line 3"),
        ("percent: 99.5", "percent: nan", "line 3"),
        ("runbook: a.md", "runbook: ../x.md", "line 3"),
        ("within_s: 300, ", "", "line 3"),
        ("short_s: 300", "short_s: 7200", "the short one has"),
        ("long_s: 3600", "long_s: 900000", "the short one has"),
        ("indicator: orders_carried", "indicator: shoppers_happy", "line 3"),
        ("objectives:", "objectives: &a", "Anchors"),
        ("objectives:", "objectivs:", "objectivs"),
    ],
)
def test_a_file_with_a_fault_is_refused_with_its_line(said: str, instead: str, told: str) -> None:
    assert parse_slos(ONE)[0].percent == Decimal("99.5")
    with pytest.raises(CounterfoilError, match=told):
        parse_slos(ONE.replace(said, instead))


@pytest.mark.parametrize(
    "text", ["", "\x00", "[" * 5000, "a: b\n---\nc: d", "x" * 100_001, "objectives: []\nburns: []"]
)
def test_what_is_no_file_of_objectives_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(CounterfoilError) as told:
        parse_slos(text)
    assert told.value.cause.endswith((".", "…")) and told.value.remedy


def test_an_objective_that_stands_twice_is_refused() -> None:
    twice = ONE.replace("burns:", ONE.splitlines()[2] + "\nburns:")
    with pytest.raises(CounterfoilError, match="stands twice"):
        parse_slos(twice)
