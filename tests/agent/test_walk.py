"""Reading all orders page by page while they change: none that stood all along, or stands at the end, is missed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from counterfoil_agent import walk
from counterfoil_agent.ports import Ask, OrderNotSupported
from counterfoil_agent.walk import Walk
from fakes.agent_shop import FakeShop
from fakes.clock import FakeClock
from hypothesis import given, settings
from hypothesis import strategies as st

START = datetime(2026, 11, 23, 9, tzinfo=UTC)


def a_shop(times: list[int], sorts: bool = True) -> FakeShop:
    """Orders 1, 2, …, changed so many seconds after START."""
    shop = FakeShop(FakeClock(START + timedelta(hours=1)), sorts=sorts)
    for place, at_s in enumerate(times, 1):
        text = (START + timedelta(seconds=at_s)).strftime("%Y-%m-%dT%H:%M:%S")
        shop.orders[place] = {"id": place, "status": "x", "date_created_gmt": text, "date_modified_gmt": text}
    return shop


def one_pass(shop: FakeShop, at: Walk, size: int = 3, overlap_s: float = 0) -> tuple[Walk, list[int], int]:
    """Read until the pass has ended: where the walk stands, the ids in the order met, and the pages asked for."""
    at = walk.begin(at, overlap_s, shop.clock.now())
    met: list[int] = []
    for pages in range(1, 500):
        asked = walk.ask(at, "modified", "any", size)
        try:
            page = shop.page(asked)
        except OrderNotSupported:
            at = walk.by_windows(at, shop.clock.now())
            continue
        met += [row.order_id for row in page.rows]
        at = walk.decoded(walk.encoded(walk.after(at, asked, page)))
        if not at.under_way:
            return at, met, pages
    raise AssertionError("the walk doesn't end")


def test_a_quiet_shop_is_one_page() -> None:
    at, met, pages = one_pass(a_shop([0, 1]), Walk(START))
    assert (met, pages) == ([1, 2], 1)
    assert at.marker == START + timedelta(seconds=1)


def test_an_empty_shop_leaves_the_marker_where_it_was() -> None:
    at, met, _ = one_pass(a_shop([]), Walk(START))
    assert (at.marker, met) == (START, [])


def test_many_orders_in_one_second_are_all_met() -> None:
    _, met, _ = one_pass(a_shop([0, *[5] * 20, 9]), Walk(START))
    assert set(met) == set(range(1, 23))


def test_the_next_pass_starts_before_the_newest_time_seen() -> None:
    shop = a_shop([0, 100])
    at, _, _ = one_pass(shop, Walk(START))
    shop.orders[3] = {**shop.orders[1], "id": 3, "date_modified_gmt": "2026-11-23T09:01:00"}
    assert 3 in one_pass(shop, at, overlap_s=120)[1]


def test_a_time_in_the_future_never_becomes_the_marker() -> None:
    at, met, _ = one_pass(a_shop([0, 10**6]), Walk(START))
    assert met == [1, 2]
    assert at.marker == START + timedelta(hours=1)


def test_where_the_shops_clock_went_back_the_marker_goes_back_with_it() -> None:
    shop = a_shop([0])
    at, _, _ = one_pass(shop, Walk(START + timedelta(hours=2)))
    assert at.marker == START + timedelta(hours=1)


def test_a_shop_that_cant_sort_by_change_is_read_by_windows_and_twice() -> None:
    at, met, _ = one_pass(a_shop([3, 1, 2, 5, 4, 0, 6], sorts=False), Walk(START))
    assert set(met) == set(range(1, 8))
    assert at.by_id
    assert at.marker == START + timedelta(seconds=6)


def test_what_a_late_commit_pushes_onto_a_page_already_read_is_met_in_the_second_reading() -> None:
    shop = a_shop([0] * 9, sorts=False)
    shop.orders = {order_id + 10: {**order, "id": order_id + 10} for order_id, order in shop.orders.items()}
    asked: list[int] = []

    def commit_late(ask: Ask) -> None:
        asked.append(ask.page)
        if asked == [1, 3, 2]:
            shop.orders[1] = {**shop.orders[11], "id": 1}

    shop.before_page = commit_late
    _, met, _ = one_pass(shop, Walk(START))
    assert set(met) == {1, *range(11, 20)}


def test_a_shop_that_sorts_otherwise_than_asked_is_read_by_windows() -> None:
    class Unsorted(FakeShop):
        def select(self, ask: Ask) -> list[dict[str, Any]]:
            return sorted(super().select(ask), key=lambda order: order["id"])

    shop = Unsorted(FakeClock(START + timedelta(hours=1)))
    shop.orders = a_shop([5, 4, 3, 2, 1, 0, 9]).orders
    _, met, _ = one_pass(shop, Walk(START))
    assert set(met) == set(range(1, 8))


def test_a_shop_that_ignores_the_bounds_is_still_read_to_its_end() -> None:
    class Boundless(FakeShop):
        def select(self, ask: Ask) -> list[dict[str, Any]]:
            return sorted(self.orders.values(), key=lambda order: order["id" if ask.by_id else "date_modified_gmt"])

    shop = Boundless(FakeClock(START + timedelta(hours=1)))
    shop.orders = a_shop(list(range(30))).orders
    _, met, _ = one_pass(shop, Walk(START + timedelta(seconds=20)))
    assert set(met) == set(range(1, 31))


def test_a_range_ends_with_its_last_second() -> None:
    end = START + timedelta(seconds=10)
    _, met, _ = one_pass(a_shop([0, *[10] * 7, 11]), Walk(START, end=end))
    assert set(met) == set(range(1, 9))


@pytest.mark.parametrize("sorts", [True, False])
@settings(max_examples=150, deadline=None, derandomize=True)
@given(data=st.data())
def test_whatever_changes_between_two_pages_nothing_is_missed(sorts: bool, data: st.DataObject) -> None:
    times = data.draw(st.lists(st.integers(0, 6), max_size=25))
    shop = a_shop(times, sorts)
    shop.clock = FakeClock(START + timedelta(seconds=30))
    edits = data.draw(st.lists(st.lists(st.integers(1, 25), max_size=3), max_size=12))

    def edit(ask: Ask) -> None:
        shop.clock.pass_time(1)
        for order_id in edits.pop(0) if edits else []:
            if order_id in shop.orders:
                shop.put(order_id)

    shop.before_page = edit
    at, first, _ = one_pass(shop, Walk(START))
    shop.before_page = lambda ask: None
    _, second, _ = one_pass(shop, at)
    assert set(first) | set(second) == set(shop.orders)
    # What changed while it was read comes with what it is now.
    changed = [
        o["id"] for o in shop.orders.values() if o["date_modified_gmt"] > at.marker.strftime("%Y-%m-%dT%H:%M:%S")
    ]
    assert set(changed) <= set(second)
