"""Whether a store has its numbers: buckets that differ, and what each differing SKU means."""

from __future__ import annotations

from typing import Any

import pytest
from counterfoil_engine.domain.breaks import Found, InFlight
from counterfoil_engine.domain.stock_sweep import (
    Bucket,
    Expected,
    Held,
    bucket_of,
    buckets_of,
    differing,
    digest_of,
    judge,
    next_asks,
    whole_units,
)
from hypothesis import given
from hypothesis import strategies as st

V = 1 << 40


def held(number: str | None = "7", **more: Any) -> Held:
    given = {"written": 7, "version": V + 3, "known": V + 3, "waits": False, **more}
    return Held("mug", number, **given)


OURS = Expected("mug", 7, V + 3)


@pytest.mark.parametrize(
    ("ours", "theirs", "more", "what"),
    [
        (OURS, held(), {}, None),
        (OURS, held("12"), {}, ("manual_edit_store", 5)),
        (OURS, held("2"), {}, ("manual_edit_store", -5)),
        (OURS, held("6.500"), {}, ("manual_edit_store", -1)),
        (OURS, held("12"), {"is_dirty": True}, "about to be published"),
        (OURS, held("12", waits=True), {}, "waits to be written"),
        (OURS, held("12", version=V + 2, known=V + 2), {"fed_through": V + 2}, "not read by the agent yet"),
        (OURS, held("12", version=V + 2), {}, ("missed", 5)),
        (OURS, held("12", version=None, written=None), {}, ("missed", 5)),
        (OURS, held("9", written=9), {}, ("unknown", 2)),
        (OURS, held(None), {}, None),
        (OURS, None, {"fed_through": V + 2}, "not read by the agent yet"),
        (OURS, None, {}, ("missed", None)),
        (None, held("7"), {}, ("mapping", 7)),
        (None, held(None, written=None), {}, None),
        (OURS, held("5", sold=10), {"sold_now": 12}, "sold since it was written"),
        (OURS, held("4", sold=10), {"sold_now": 12}, ("manual_edit_store", -3)),
        (OURS, held("8", sold=10), {"sold_now": 12}, ("manual_edit_store", 1)),
    ],
)
def test_what_a_differing_sku_means(
    ours: Expected | None, theirs: Held | None, more: dict[str, Any], what: str | tuple[str, int | None] | None
) -> None:
    given = {"fed_through": V + 3, "is_dirty": False, **more}
    found = judge("eu1", "eu", ours, theirs, **given)
    if isinstance(what, str):
        assert isinstance(found, InFlight) and found.why == what
    elif what is None:
        assert found is None
    else:
        assert isinstance(found, Found) and (found.kind, found.units) == what
        assert found.subject == "stock eu/mug" and found.cause.endswith(".") and found.remedy.endswith(".")


def test_only_a_repair_that_empties_a_shelf_counts_for_the_brake() -> None:
    def to_zero(number: int, found: str) -> bool:
        one = judge("eu1", "eu", Expected("mug", number, V), held(found, version=V, known=V, written=number), V, False)
        assert isinstance(one, Found)
        return one.to_zero

    assert [to_zero(0, "5"), to_zero(1, "5"), to_zero(0, "-2")] == [True, False, False]


@pytest.mark.parametrize(("number", "units"), [("7", 7), ("7.999", 7), ("-3", -3), ("-0.5", -1), ("0.000", 0)])
def test_a_part_of_a_unit_is_none_that_could_be_sold(number: str, units: int) -> None:
    assert whole_units(number) == units


def _digests(numbers: dict[str, int]) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for key, number in numbers.items():
        count, digest = found.get(bucket_of(key), (0, 0))
        found[bucket_of(key)] = (count + 1, digest ^ digest_of(key, number))
    return found


@given(st.dictionaries(st.text(min_size=1, max_size=8), st.integers(0, 50), min_size=1, max_size=60), st.data())
def test_whatever_differs_is_reached_through_buckets_and_nothing_else_is_opened(
    ours: dict[str, int], data: st.DataObject
) -> None:
    edited = data.draw(st.sets(st.sampled_from(sorted(ours)), max_size=5))
    theirs = {key: number + (key in edited) for key, number in ours.items()}
    mine, other = _digests(ours), _digests(theirs)
    prefixes, listed = [""], list[str]()
    while prefixes:
        a, b = buckets_of(mine, prefixes), buckets_of(other, prefixes)
        asks = next_asks(differing(a, b.values()), len(a))
        listed += [prefix for ask in asks.listed for prefix in ask]
        prefixes = [prefix for ask in asks.open for prefix in ask]
    assert {key for key in edited if not bucket_of(key).startswith(tuple(listed or ["-"]))} == set()
    assert len(listed) <= len(edited)


def test_a_sku_that_one_side_alone_has_shows() -> None:
    assert differing({"00": Bucket("00", 1, 5)}, []) == [("00", 1)]
    assert differing({}, [Bucket("ff", 2, 5)]) == [("ff", 2)]
    assert differing({"00": Bucket("00", 1, 5)}, [Bucket("00", 1, 5)]) == []


def test_where_most_of_many_buckets_differ_their_skus_are_listed_at_once() -> None:
    names = [f"{place:03x}" for place in range(4096)]
    asks = next_asks([(name, 24) for name in names[:3000]], 4096)
    assert asks.open == [] and sum(map(len, asks.listed)) == 3000
    assert all(len(ask) * 24 <= 1_500 for ask in asks.listed)
    few = next_asks([(name, 24) for name in names[:900]], 4096)
    assert few.listed == [] and [len(ask) for ask in few.open] == [64] * 14 + [4]
