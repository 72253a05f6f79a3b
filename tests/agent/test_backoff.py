"""Waiting: longer each time, never for ever, and not all at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

from counterfoil_agent.backoff import Every, Pause, delay_s
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)


@given(st.integers(1, 10**9), st.integers())
def test_a_delay_is_at_least_half_and_at_most_the_whole(attempt: int, seed: int) -> None:
    full_s = min(300.0, 2.0 ** min(attempt - 1, 30))
    assert full_s / 2 <= delay_s(attempt, Random(seed)) <= full_s


def test_agents_dont_come_back_at_the_same_moment() -> None:
    assert len({delay_s(5, Random(seed)) for seed in range(100)}) > 90


def test_a_pause_is_at_least_as_long_as_asked_for_and_ends_with_success() -> None:
    pause = Pause(Random(1))
    assert pause.failed(NOW, at_least_s=40) == 40
    assert pause.left_s(NOW + timedelta(seconds=30)) == 10
    pause.worked()
    assert pause.left_s(NOW) == 0


def test_a_clock_that_is_set_back_prolongs_neither_pause_nor_period() -> None:
    pause, every = Pause(Random(1)), Every(60)
    pause.failed(NOW)
    every.done(NOW)
    earlier = NOW - timedelta(days=3)
    assert pause.left_s(earlier) <= 300
    assert pause.left_s(earlier + timedelta(seconds=301)) == 0
    assert every.left_s(earlier) == 0
