"""When a store is swept by itself: so many hours after the last time, and never in its quiet hours. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, time, timedelta, tzinfo
from typing import Any

from counterfoil_engine.domain.breaks import Sweep

EVERY_HOURS: Mapping[Sweep, int] = {"stock": 1, "orders": 6, "erp": 6, "money": 24}


def is_due(sweep: Sweep, settings: Mapping[str, Any], last: datetime | None, now: datetime, zone: tzinfo) -> bool:
    """settings: the row of `sweeps` in force. last: when it was begun the last time."""
    every_hours = int(settings.get("every_hours", EVERY_HOURS.get(sweep, 0)))
    if not every_hours or (last is not None and now < last + timedelta(hours=every_hours)):
        return False
    return not is_quiet(settings, now.astimezone(zone).time())


def is_quiet(settings: Mapping[str, Any], at: time) -> bool:
    """Whether this time of the day lies in the quiet hours, which may go over midnight."""
    begin, end = settings.get("quiet_from"), settings.get("quiet_until")
    if begin is None or end is None:
        return False
    first, last = time.fromisoformat(begin), time.fromisoformat(end)
    return first <= at < last if first <= last else at >= first or at < last
