"""A gateway's clearing rolls forward by day, with every figure named and what is unexplained in the open."""

from __future__ import annotations

from datetime import date
from itertools import pairwise

import pytest
from counterfoil_engine.domain.settlement.lines import Report
from counterfoil_engine.domain.settlement.roll_forward import (
    FIGURES,
    Movement,
    RollForward,
    line_movements,
    roll_forward,
)
from domain.settlement.reports import NAMES, read
from hypothesis import given
from hypothesis import strategies as st

MONDAY, TUESDAY = date(2026, 11, 23), date(2026, 11, 24)


def a_movement(figure: str, amount_minor: int, day: date = MONDAY, currency: str = "EUR") -> Movement:
    return Movement("stripe", currency, day, figure, amount_minor)


def test_a_day_opens_with_the_day_before_and_names_every_figure() -> None:
    moved = [
        a_movement("captures", 10000),
        a_movement("fees", -300),
        a_movement("refunds", -1000),
        a_movement("disputes", -2000),
        a_movement("reserves", -500),
        a_movement("adjustments", 40, TUESDAY),
        a_movement("conversions", -60, TUESDAY),
        a_movement("payouts", -7000, TUESDAY),
    ]
    stated = {("stripe", "EUR", MONDAY): 7200, ("stripe", "EUR", TUESDAY): 175}
    monday, tuesday = roll_forward(moved, {("stripe", "EUR"): 1000}, stated)
    assert (monday.opening_minor, monday.closing_minor, monday.unexplained_minor) == (1000, 7200, 0)
    assert monday.figures == {
        **{"captures": 10000, "refunds": 1000, "fees": 300, "disputes": 2000, "reserves": -500},
        **{"adjustments": 0, "conversions": 0, "payouts": 0},
    }
    assert (tuesday.opening_minor, tuesday.closing_minor, tuesday.unexplained_minor) == (7200, 180, -5)
    assert tuesday.figures["payouts"] == 7000


def test_a_balance_that_nobody_stated_is_not_called_explained() -> None:
    (day,) = roll_forward([a_movement("captures", 1)], {}, {})
    assert day.unexplained_minor is None


def test_a_balance_is_held_against_a_day_on_which_nothing_moved() -> None:
    (day,) = roll_forward([], {}, {("stripe", "EUR", MONDAY): 12})
    assert (day.closing_minor, day.unexplained_minor) == (0, 12)


def test_currencies_never_mix() -> None:
    moved = [a_movement("captures", 100), a_movement("captures", 7, currency="USD")]
    assert [(day.currency, day.closing_minor) for day in roll_forward(moved, {}, {})] == [("EUR", 100), ("USD", 7)]


@pytest.mark.parametrize("name", NAMES)
def test_a_payout_s_lines_leave_in_the_clearing_what_the_gateway_still_owes(name: str) -> None:
    for report in read(name):
        days = roll_forward(line_movements(report.lines), {(name, report.currency): report.opening_minor}, {})
        assert days[-1].closing_minor == report.closing_minor + still_owed(report)


def still_owed(report: Report) -> int:
    """What a payout that isn't among its own lines leaves."""
    return 0 if any(line.kind == "payout" for line in report.lines) else report.net_minor


MOVEMENTS = st.lists(
    st.builds(
        Movement,
        st.sampled_from(["stripe", "adyen"]),
        st.sampled_from(["EUR", "JPY"]),
        st.dates(date(2026, 1, 1), date(2026, 1, 9)),
        st.sampled_from(FIGURES),
        st.integers(-(10**9), 10**9),
    )
)


@given(MOVEMENTS, st.integers(-(10**9), 10**9))
def test_no_movement_is_ever_lost_or_counted_twice(moved: list[Movement], opening: int) -> None:
    key = ("stripe", "EUR")
    days = [day for day in roll_forward(moved, {key: opening}, {}) if (day.gateway, day.currency) == key]
    own = [movement.amount_minor for movement in moved if (movement.gateway, movement.currency) == key]
    assert (days[-1].closing_minor if days else opening) == opening + sum(own)
    for before, after in pairwise(days):
        assert before.closing_minor == after.opening_minor
    for day in days:
        assert day.closing_minor == day.opening_minor + signed(day)


def signed(day: RollForward) -> int:
    """The equation as the specification writes it."""
    f = day.figures
    return (
        f["captures"]
        - f["refunds"]
        - f["fees"]
        - f["disputes"]
        + f["reserves"]
        + f["adjustments"]
        + f["conversions"]
        - f["payouts"]
    )
