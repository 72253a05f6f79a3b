"""When a store is swept by itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from counterfoil_engine.domain.sweep_times import is_due

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = {"quiet_from": "22:00", "quiet_until": "06:00"}


@pytest.mark.parametrize(
    ("settings", "last_hours", "at", "due"),
    [
        ({}, None, NOON, True),
        ({}, 0.99, NOON, False),
        ({}, 1, NOON, True),
        ({"every_hours": "6"}, 5, NOON, False),
        ({"every_hours": "0"}, None, NOON, False),
        (NIGHT, None, NOON, True),
        (NIGHT, None, NOON + timedelta(hours=8, minutes=59), True),
        (NIGHT, None, NOON + timedelta(hours=9), False),
        (NIGHT, None, NOON + timedelta(hours=16, minutes=59), False),
        (NIGHT, None, NOON + timedelta(hours=17), True),
        ({"quiet_from": "12:00", "quiet_until": "14:00"}, None, NOON, False),
        ({"quiet_from": "12:00", "quiet_until": "14:00"}, None, NOON + timedelta(hours=1), True),
    ],
)
def test_a_store_is_swept_so_long_after_the_last_time_and_never_in_its_quiet_hours(
    settings: dict[str, Any], last_hours: float | None, at: datetime, due: bool
) -> None:
    last = None if last_hours is None else at - timedelta(hours=last_hours)
    assert is_due("stock", settings, last, at, BERLIN) is due


def test_orders_and_the_erp_are_swept_each_six_hours_money_each_day() -> None:
    assert is_due("orders", {}, NOON - timedelta(hours=5), NOON, UTC) is False
    assert is_due("orders", {}, NOON - timedelta(hours=6), NOON, UTC) is True
    assert is_due("erp", {}, NOON - timedelta(hours=6), NOON, UTC) is True
    assert is_due("money", {}, NOON - timedelta(hours=23), NOON, UTC) is False
    assert is_due("money", {}, NOON - timedelta(hours=24), NOON, UTC) is True
