"""Accounting periods: calendar months of an entity, and the first day that may still be posted to."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import date, timedelta

_NAME = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")


@dataclass(frozen=True, order=True)
class Period:
    """A calendar month; its name is `2026-10`."""

    year: int
    month: int

    @classmethod
    def named(cls, name: str) -> Period:
        """Raises ValueError where it is no month that has a month after it."""
        form = _NAME.fullmatch(name)
        if form is None or not 1 <= int(form[1]) < date.max.year:
            raise ValueError(f"{name!r} is no period, such as 2026-10")
        return cls(int(form[1]), int(form[2]))

    @classmethod
    def of(cls, day: date) -> Period:
        return cls(day.year, day.month)

    def __str__(self) -> str:
        return f"{self.year:04}-{self.month:02}"

    @property
    def first_day(self) -> date:
        return date(self.year, self.month, 1)

    @property
    def last_day(self) -> date:
        return self.after.first_day - timedelta(days=1)

    @property
    def after(self) -> Period:
        return Period(self.year + self.month // 12, self.month % 12 + 1)


def first_open_day(day: date, locked: Collection[str], theirs: Callable[[date], date]) -> date:
    """The first day from this one on that is in no locked period and that the party has open too.

    theirs: that day, or the party's first open one after it. It is asked again after each locked period, so that
    neither lock leads into the other."""
    while True:
        ours = day
        while str(Period.of(ours)) in locked:
            ours = Period.of(ours).after.first_day
        day = theirs(ours)
        if str(Period.of(day)) not in locked:
            return day
