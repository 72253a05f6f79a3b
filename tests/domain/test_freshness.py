"""How old numbers are when they are confirmed: counted in buckets, told as bounds."""

from __future__ import annotations

import pytest
from counterfoil_engine.domain.freshness import BOUNDS_S, BUCKETS, at_most_s, bucket_of
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("age_s", "bucket"), [(-3.0, 0), (0.0, 0), (1.0, 0), (1.001, 1), (5.0, 2), (86_400.0, 8), (86_401.0, 9)]
)
def test_an_age_falls_into_the_bucket_whose_bound_it_does_not_pass(age_s: float, bucket: int) -> None:
    assert bucket_of(age_s) == bucket


def test_nine_of_ten_within_two_seconds_and_one_after_an_hour() -> None:
    writes = [5, 4, 0, 0, 0, 0, 0, 1, 0, 0]
    assert (at_most_s(writes, 50), at_most_s(writes, 90), at_most_s(writes, 95)) == (1, 2, 3_600)


def test_nothing_confirmed_has_no_bound_nor_what_is_older_than_all() -> None:
    assert at_most_s([0] * BUCKETS, 50) is None
    assert at_most_s([0] * (BUCKETS - 1) + [7], 50) is None


@given(st.lists(st.floats(0, 80_000), min_size=1, max_size=200), st.integers(1, 100))
def test_a_bound_is_never_below_the_age_that_it_is_told_for(ages: list[float], percent: int) -> None:
    writes = [0] * BUCKETS
    for age in ages:
        writes[bucket_of(age)] += 1
    bound = at_most_s(writes, percent)
    assert bound in BOUNDS_S
    within = sum(age <= bound for age in ages)
    assert within * 100 >= len(ages) * percent
