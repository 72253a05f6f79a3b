"""How old numbers are when a store confirms them: from the change at the owner of the stock to the store's answer."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

# Upper bounds of the buckets, in seconds; what is older than the last is in a bucket of its own.
BOUNDS_S = (1, 2, 5, 10, 30, 60, 300, 3_600, 86_400)
BUCKETS = len(BOUNDS_S) + 1


def bucket_of(age_s: float) -> int:
    """The bucket of an age; ages below 0, which clocks that disagree make, are in the first."""
    return bisect_left(BOUNDS_S, age_s)


def at_most_s(writes: Sequence[int], percent: int) -> int | None:
    """The bound below which so many percent of the numbers are; writes: how many are in each bucket. None: above all
    bounds, or there are none."""
    total, seen = sum(writes), 0
    for bound_s, count in zip(BOUNDS_S, writes, strict=False):
        seen += count
        if count and seen * 100 >= total * percent:
            return bound_s
    return None
