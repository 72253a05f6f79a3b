"""When to try again: pure, seeded by whoever calls, so that a simulation repeats itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

FIRST_S = 1.0
LONGEST_S = 300.0


def delay_s(attempt: int, random: Random, first_s: float = FIRST_S, longest_s: float = LONGEST_S) -> float:
    """Seconds to wait after the attempt-th failure in a row (1, 2, …): doubled each time, up to longest_s.

    Jitter takes up to half of it away, so that a thousand agents don't come back at the same moment.
    """
    # Bounded before it is raised: 2.0 ** 1024 overflows.
    full_s = min(longest_s, first_s * 2.0 ** min(attempt - 1, 30))
    return full_s * (0.5 + random.random() / 2)


@dataclass
class Pause:
    """Failures in a row of one party, and until when it is left alone."""

    random: Random
    longest_s: float = LONGEST_S
    attempts: int = 0
    until: datetime | None = None

    def failed(self, now: datetime, at_least_s: float | None = None) -> float:
        """Note a failure; returns the seconds until the next attempt, at_least_s where the party asked for that."""
        self.attempts += 1
        wait_s = max(delay_s(self.attempts, self.random, longest_s=self.longest_s), at_least_s or 0.0)
        self.until = now + timedelta(seconds=wait_s)
        return wait_s

    def worked(self) -> None:
        self.attempts, self.until = 0, None

    def left_s(self, now: datetime) -> float:
        """Seconds still to wait; 0: go on. A clock set back can't prolong the wait beyond its length."""
        if self.until is None:
            return 0.0
        left = (self.until - now).total_seconds()
        if left > max(self.longest_s, 3600.0):
            self.until = now + timedelta(seconds=self.longest_s)
            return self.longest_s
        return max(0.0, left)


@dataclass
class Every:
    """Something that is due each every_s seconds; at once, the first time."""

    every_s: float
    last: datetime | None = None

    def left_s(self, now: datetime) -> float:
        if self.last is None:
            return 0.0
        passed = (now - self.last).total_seconds()
        # A clock that was set back must not stop the work until it has caught up.
        return 0.0 if passed < 0 else max(0.0, self.every_s - passed)

    def done(self, now: datetime) -> None:
        self.last = now
