"""Periods: calendar months, and the first day that both the engine and the ERP have open."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from counterfoil_engine.domain.periods import Period, first_open_day
from hypothesis import given
from hypothesis import strategies as st


def test_a_period_is_a_calendar_month():
    october = Period.named("2026-10")
    assert (october.first_day, october.last_day) == (date(2026, 10, 1), date(2026, 10, 31))
    assert str(Period.named("2026-12").after) == "2027-01"
    assert Period.named("2028-02").last_day == date(2028, 2, 29)


@pytest.mark.parametrize("name", ["2026-13", "2026-00", "2026-1", "202610", "", "9999-12", "0000-01", "2026-10-01"])
def test_what_is_no_month_is_no_period(name):
    with pytest.raises(ValueError, match="is no period"):
        Period.named(name)


def test_a_day_of_a_locked_period_gives_way_to_the_first_day_after_it():
    assert first_open_day(date(2026, 10, 31), {"2026-10"}, lambda day: day) == date(2026, 11, 1)
    assert first_open_day(date(2026, 10, 31), {"2026-10", "2026-11"}, lambda day: day) == date(2026, 12, 1)
    assert first_open_day(date(2026, 9, 30), {"2026-10"}, lambda day: day) == date(2026, 9, 30)


def test_the_later_of_both_locks_counts():
    theirs_until = lambda last: lambda day: max(day, last + timedelta(days=1))  # noqa: E731
    assert first_open_day(date(2026, 10, 5), {"2026-10"}, theirs_until(date(2026, 11, 15))) == date(2026, 11, 16)
    assert first_open_day(date(2026, 9, 5), {"2026-10"}, theirs_until(date(2026, 9, 30))) == date(2026, 11, 1)


@given(st.dates(date(2026, 1, 1), date(2027, 12, 31)), st.sets(st.integers(1, 24)), st.integers(0, 400))
def test_the_day_found_is_open_on_both_sides_and_never_before_the_event(day, months, closed_days):
    locked = {str(Period(2026 + (month - 1) // 12, (month - 1) % 12 + 1)) for month in months}
    theirs = lambda on: max(on, date(2026, 1, 1) + timedelta(days=closed_days))  # noqa: E731
    found = first_open_day(day, locked, theirs)
    assert found >= day and theirs(found) == found and str(Period.of(found)) not in locked
