"""Orders and histories of any shape, as files: every rehearsal of them holds, and its sums are the merchant's."""

from __future__ import annotations

import json
from typing import Any

from builders import GONE
from domain.strategies import Life, lives
from hypothesis import HealthCheck, Phase, given, seed, settings
from rehearsal.checks import by_order, check_against, minor, rehearsed, sums, written

COUNT = 40


def _some_lives(tame: bool, start: int) -> list[Life]:
    """Lives as hypothesis draws them, the same ones each time; a folder of them is rehearsed at once."""
    found: list[Life] = []

    @seed(start)
    @settings(
        max_examples=COUNT,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(lives(tame=tame))
    def collect(life: Life) -> None:
        found.append(life)

    collect()
    return found


def _file(life: Life, number: int) -> bytes:
    """A history's file; ids are made apart, and the year before keeps every date in the past."""

    def apart(refund: dict[str, Any]) -> dict[str, Any]:
        return {**refund, "id": refund["id"] + number * 100_000}

    snapshots: list[dict[str, Any]] = []
    for each in life.snapshots:
        if each == GONE:
            snapshots.append({"status": 404, "body": {"code": "woocommerce_rest_shop_order_invalid_id"}})
            continue
        order, refunds = each
        said = {**order, "id": 1000 + number, "refunds": [apart(refund) for refund in order["refunds"]]}
        snapshots.append({"order": said, "refunds": [apart(refund) for refund in refunds]})
    return json.dumps({"snapshots": snapshots}, default=float).replace('"2026-', '"2025-').encode()


def _folder(tmp_path, found: list[Life]):
    return written(tmp_path, {f"{number}.json": _file(life, number) for number, life in enumerate(found)})


def test_orders_that_need_no_person_end_right_by_the_rules_that_are_proposed(tmp_path):
    found = _some_lives(tame=True, start=3)
    report = rehearsed(_folder(tmp_path, found))
    orders = by_order(report)
    assert len(orders) == len(found)
    for number, life in enumerate(found):
        order = orders[str(1000 + number)]
        assert order["cases"] == [], (life.story, order["cases"])
        check_against(order, *life.snapshots[-1])
        if order["reading"] in ("posted", "closed", "cancelled"):
            assert sums(order).get("payment", 0) == minor(life.claimed, order["currency"]), life.story


def test_orders_whatever_happens_to_them_end_right_or_as_an_explained_case(tmp_path):
    found = _some_lives(tame=False, start=4)
    report = rehearsed(_folder(tmp_path, found))
    orders = by_order(report)
    assert len(orders) == len(found)
    for number, life in enumerate(found):
        last = next(each for each in reversed(life.snapshots) if each != GONE)
        check_against(orders[str(1000 + number)], *last)
