"""A clock that tests own: time passes only when told to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class FakeClock:
    """Starts on Monday 23 November 2026, 09:00 UTC; sleeping lets time pass at once."""

    def __init__(self, start: datetime | None = None) -> None:
        self._start = start or datetime(2026, 11, 23, 9, tzinfo=UTC)
        self._now = self._start

    def start_anew(self) -> None:
        self._now = self._start

    def now(self) -> datetime:
        return self._now

    def sleep(self, seconds: float) -> None:
        self.pass_time(seconds)

    def pass_time(self, seconds: float) -> None:
        """Let so many seconds pass."""
        self._now += timedelta(seconds=seconds)
