"""Reading a range of days: to its end, once, through stops, beside what happens now."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from counterfoil_agent import backfill, errands
from counterfoil_agent.errands import Errand
from fakes.agent_shop import an_order
from fakes.agent_world import World

FIRST, LAST = date(2026, 3, 1), date(2026, 3, 10)


@pytest.fixture
def old(world: World) -> World:
    """Forty orders of March in a shop whose agent began in November; one is in the trash, two lie outside the range."""
    start = datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC)
    for place in range(42):
        at = start + timedelta(hours=6 * place) if place else start
        world.shop.orders[place + 1] = an_order(place + 1, at)
    world.shop.orders[41] = an_order(41, datetime(2026, 3, 10, 23, 59, 59, tzinfo=UTC))
    world.shop.orders[42] = an_order(42, datetime(2026, 3, 11, tzinfo=UTC))
    world.shop.orders[5] = an_order(5, start + timedelta(days=1), status="trash")
    world.shop_settings["page_orders"] = 7
    return world


def arrived(world: World) -> set[int]:
    return {int(subject.partition("/")[2]) for subject, _, _ in world.engine.facts.values()}


def test_history_isnt_read_by_itself(old: World) -> None:
    old.run(600)
    assert arrived(old) == set()


def test_a_range_is_read_with_both_its_days_and_its_trash(old: World) -> None:
    old.agent.backfill(FIRST, LAST)
    old.run(120)
    assert arrived(old) == set(range(2, 42))
    told = backfill.progress(old.agent.outbox)
    assert (told["under_way"], told["orders"] >= 40, told["share"]) == (False, True, 1.0)


def test_it_goes_on_after_a_stop(old: World) -> None:
    old.agent.backfill(FIRST, LAST)
    for _ in range(8):
        old.agent.step()
    told = backfill.progress(old.agent.outbox)
    assert told["under_way"]
    assert 0 < told["share"] < 1
    old.crash()
    old.run(120)
    assert arrived(old) == set(range(2, 42))


def test_what_happens_now_isnt_held_up(old: World) -> None:
    old.agent.backfill(FIRST, LAST)
    old.agent.step()
    old.shop.put(5000)
    old.agent.hint(5000)
    for _ in range(6):
        old.agent.step()
    assert 5000 in arrived(old) or old.agent.outbox.known(5000).latest is not None
    assert backfill.under_way(old.agent.outbox) is not None


def test_a_second_range_is_joined_to_the_first(old: World) -> None:
    old.agent.backfill(date(2026, 3, 1), date(2026, 3, 2))
    old.agent.backfill(date(2026, 3, 9), date(2026, 3, 10))
    old.run(120)
    assert arrived(old) == set(range(2, 42))


def test_what_the_engine_has_isnt_sent_again(old: World) -> None:
    old.agent.backfill(FIRST, LAST)
    old.run(120)
    before = len(old.engine.facts)
    old.agent.backfill(FIRST, LAST)
    old.run(120)
    assert len(old.engine.facts) == before


def test_an_errand_is_done_by_the_agent_at_work_and_taken_away(old: World) -> None:
    old.run(5)
    errands.leave(old.path, Errand("backfill", first=FIRST, until=LAST))
    errands.leave(old.path, Errand("fetch", order_id=42))
    errands.leave(old.path, Errand("allow-deletions"))
    old.run(120)
    assert arrived(old) == set(range(2, 43))
    assert errands.waiting(old.path) == []


def test_an_order_can_be_sent_again_though_it_didnt_change(old: World) -> None:
    old.agent.fetch(42)
    old.run(20)
    old.agent.fetch(42)
    old.run(20)
    assert len(old.engine.facts) == 2


@pytest.mark.parametrize(
    "content", [b"", b"{}", b'{"kind":"rm -rf"}', b"\xff", b"x" * 50_000, b'{"kind":"fetch","x":1}']
)
def test_what_is_no_errand_is_put_aside(old: World, content: bytes) -> None:
    errands.folder_of(old.path).mkdir()
    (errands.folder_of(old.path) / "a.json").write_bytes(content)
    old.run(10)
    assert [path.suffix for path in errands.folder_of(old.path).iterdir()] == [".refused"]
