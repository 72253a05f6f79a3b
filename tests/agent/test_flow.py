"""From the shop to the engine: what happens there arrives, once, whatever breaks on the way."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from counterfoil_agent import snapshot
from counterfoil_agent.errors import Blocked, Denied, RateLimited, TooLarge, Unavailable, Unreadable
from counterfoil_agent.pump import EPOCH_WANTED
from fakes.agent_world import World


def types(world: World) -> list[str]:
    return [kind for _, kind, _ in world.engine.facts.values()]


def numbers(world: World) -> list[int]:
    return sorted(n for epoch, n in world.engine.numbers if epoch == world.engine.epoch)


def test_orders_arrive_verbatim(world: World) -> None:
    world.shop.put(1001)
    world.run()
    body = next(iter(world.engine.facts.values()))[2]
    assert body == b'{"order":' + world.shop.bytes_of(1001) + b',"refunds":[]}'


def test_a_quiet_shop_sends_nothing_twice(world: World) -> None:
    world.shop.put(1001)
    world.run(300)
    assert len(world.engine.facts) == 1


def test_each_change_arrives_in_its_order(world: World) -> None:
    for status in ("pending", "processing", "completed"):
        world.shop.put(1001, status=status)
        world.run(11)
    told = [json.loads(body)["order"]["status"] for _, _, body in world.engine.facts.values()]
    assert told == ["pending", "processing", "completed"]


def test_an_order_that_is_again_as_the_list_had_it_before_is_told_again(world: World) -> None:
    """A plugin of the shop spoils its answer for a while, and no date moves."""
    world.shop_settings |= {"reread_days": 14, "reread_every_h": 1, "reread_page_s": 0}
    whole = world.shop.put(1001, total="10.00")
    world.run()
    world.shop.orders[1001] = {**whole, "total": "0.00"}
    world.agent.hint(1001)
    world.run()
    assert world.engine.latest("order/1001")["order"]["total"] == "0.00"
    world.shop.orders[1001] = whole
    world.run(4000)
    assert world.engine.latest("order/1001")["order"]["total"] == "10.00"


def test_refunds_come_in_full_and_go_when_they_are_deleted(world: World) -> None:
    world.shop_settings |= {"reread_days": 14, "reread_every_h": 1, "reread_page_s": 0}
    world.shop.put(1001)
    world.shop.add_refund(1001, 5001)
    world.run()
    assert [each["id"] for each in world.engine.latest("order/1001")["refunds"]] == [5001]
    world.shop.delete_refund(1001, 5001)
    world.run(300)
    world.run(3700)
    assert world.engine.latest("order/1001")["refunds"] == []


def test_an_order_and_its_refunds_are_of_one_moment(world: World) -> None:
    world.shop.put(1001)
    world.shop.add_refund(1001, 5001)

    def a_refund_in_between(what: str) -> None:
        if what == "refunds 1001":
            world.shop.fail = lambda _: None
            world.shop.add_refund(1001, 5002)

    world.shop.fail = a_refund_in_between
    world.run(5)
    for _, kind, body in world.engine.facts.values():
        told = json.loads(body)
        assert kind == snapshot.ORDER
        assert {each["id"] for each in told["refunds"]} == {each["id"] for each in told["order"]["refunds"]}


def test_drafts_of_the_checkout_are_no_orders_until_they_are_sent_off(world: World) -> None:
    world.shop.put(1001, status="checkout-draft")
    world.agent.hint(1001)
    world.run()
    assert not world.engine.facts
    world.shop.put(1001, status="processing")
    world.run()
    assert len(world.engine.facts) == 1


def test_an_order_in_the_trash_is_told_as_such(world: World) -> None:
    world.shop.put(1001)
    world.run()
    world.shop.put(1001, status="trash")
    world.run()
    assert world.engine.latest("order/1001")["order"]["status"] == "trash"


def test_a_webhook_only_makes_it_quicker(world: World) -> None:
    world.shop_settings["poll_s"] = 3600
    world.run(5)
    world.shop.put(1001)
    body = b'{"id":1001,"total":"999999.00"}'
    signature = base64.b64encode(hmac.new(b"s3cret", body, hashlib.sha256).digest()).decode()
    assert world.agent.deliveries is not None
    assert world.agent.deliveries.take({"X-WC-Webhook-Signature": signature}, body)[0] == 200
    world.run(3)
    assert world.engine.latest("order/1001")["order"]["total"] == world.shop.orders[1001]["total"]


def test_an_order_that_is_no_json_becomes_a_tombstone_and_its_neighbours_go_on(world: World) -> None:
    world.shop.put(1001)
    world.shop.put(1002)
    world.shop.raw[1001] = b'{"id":1001,"total":NaN}'
    world.shop.put(1003)
    world.run()
    assert sorted(types(world)) == [snapshot.ORDER, snapshot.ORDER, snapshot.TOMBSTONE]
    assert (
        "no JSON" in world.engine.latest("order/1001")["reason"]
        or "can be read" in world.engine.latest("order/1001")["reason"]
    )
    world.run(600)
    assert len(world.engine.facts) == 3


def test_an_order_with_two_totals_is_never_read_as_either(world: World) -> None:
    world.shop.put(1001)
    world.shop.raw[1001] = world.shop.bytes_of(1001)[:-1] + b',"total":"0.01"}'
    world.run()
    assert types(world) == [snapshot.TOMBSTONE]
    assert "stands twice" in world.engine.latest("order/1001")["reason"]


def test_one_order_that_breaks_the_shop_doesnt_hold_up_the_rest(world: World) -> None:
    world.shop.put(1001)
    world.shop.add_refund(1001, 5001)

    def fatal(what: str) -> None:
        if what == "order 1001":
            raise Unavailable("PHP died.", "See its log.", status=500)

    world.shop.fail = fatal
    world.run(60)
    world.shop.put(1002)
    world.run(60)
    assert world.engine.latest("order/1002") is not None
    world.shop.fail = lambda what: None
    world.run(3600)
    assert world.engine.latest("order/1001") is not None


@pytest.mark.parametrize(
    "error", [Unavailable("Down.", ""), RateLimited("Slow.", "", retry_after_s=20), Denied("No.", "Help.")]
)
def test_a_shop_that_fails_for_a_while_loses_nothing(world: World, error: Exception) -> None:
    world.run(5)

    def fail(what: str) -> None:
        raise error

    world.shop.fail = fail
    world.shop.put(1001)
    world.run(300)
    assert len(world.shop.asked) < 40, "it is left alone between attempts"
    assert world.agent.intake.trouble is not None
    world.shop.fail = lambda what: None
    world.run(400)
    assert len(world.engine.facts) == 1
    assert world.agent.intake.trouble is None


def test_an_engine_that_is_away_loses_nothing_and_is_not_hammered(world: World) -> None:
    def away(what: str) -> None:
        raise Unavailable("Away.", "")

    world.engine.before = away
    for order_id in range(1001, 1011):
        world.shop.put(order_id)
        world.run(60)
    assert len(world.engine.calls) < 30
    assert world.agent.outbox.depth().waiting == 10
    world.engine.before = lambda what: None
    world.run(400)
    assert numbers(world) == list(range(1, 11))


def test_an_answer_that_is_lost_doubles_nothing(world: World) -> None:
    world.run(3)
    lost = iter([True])

    def lose(what: str) -> None:
        if what == "events" and next(lost, False):
            raise Unavailable("The line was cut.", "")

    world.engine.after = lose
    world.shop.put(1001)
    world.run(60)
    assert len(world.engine.facts) == 1
    assert world.agent.outbox.depth().waiting == 0
    assert not world.engine.conflicts


def test_what_is_called_invalid_is_stored_and_told_in_the_heartbeat(world: World) -> None:
    world.engine.invalid.add("order/1001")
    world.shop.put(1001)
    world.run(130)
    assert world.agent.outbox.depth().waiting == 0
    told = [each for beat in world.engine.beats for each in beat["data"]["sent_invalid"]]
    assert told[0]["order_id"] == 1001


def test_the_heartbeat_meets_its_contract(world: World) -> None:
    from counterfoil_contracts import faults

    world.shop.put(1001)
    world.run(130)
    assert len(world.engine.beats) >= 2
    for beat in world.engine.beats:
        assert faults("events/envelope.v1", beat) == []
        assert faults("events/heartbeat.v1", beat["data"]) == []
    assert world.engine.beats[-1]["data"]["newest_order_id"] == 1001


# -- agreement of both sides


def test_an_agent_restored_from_a_backup_goes_on_in_a_new_epoch(world: World) -> None:
    world.shop.put(1001)
    world.run()
    world.crash()
    backup = world.path.read_bytes()
    world.shop.put(1002)
    world.run()
    world.shop.put(1003)
    world.run()
    world.crash()
    for beside in world.path.parent.glob("outbox.sqlite-*"):
        beside.unlink()
    world.path.write_bytes(backup)
    world.shop.put(1003, status="completed")
    world.run(60)
    assert world.engine.epoch == 2
    assert not world.engine.conflicts
    assert world.engine.latest("order/1003")["order"]["status"] == "completed"
    assert numbers(world) == list(range(1, len(numbers(world)) + 1))


def test_an_engine_restored_from_a_backup_gets_again_what_it_lost(world: World) -> None:
    world.shop.put(1001)
    world.run()
    backup = world.engine.copy()
    for order_id in (1002, 1003):
        world.shop.put(order_id)
        world.run()
    world.engine.restore(backup)
    world.run(130)
    assert {subject for subject, _, _ in world.engine.facts.values()} == {f"order/{n}" for n in (1001, 1002, 1003)}
    assert world.engine.epoch == 1


def test_an_engine_that_lost_an_epoch_gets_all_that_is_kept(world: World) -> None:
    world.shop.put(1001)
    world.run()
    backup = world.engine.copy()
    world.agent.outbox.renumber(2)
    world.engine.epoch = 2
    world.agent.pump.welcomed = False
    world.shop.put(1002)
    world.run()
    assert world.engine.through().n == 1
    world.engine.restore(backup)
    world.run(130)
    assert world.engine.epoch == 3
    assert {subject for subject, _, _ in world.engine.facts.values()} == {"order/1001", "order/1002"}


def test_an_engine_that_went_back_beyond_what_is_kept_has_the_shop_read_again(world: World) -> None:
    world.shop_settings |= {"reread_days": 14, "reread_page_s": 0}
    empty = world.engine.copy()
    for order_id in (1001, 1002, 1003):
        world.shop.put(order_id)
    world.run(60)
    world.agent.outbox.prune(world.clock.now(), 0, 1)
    world.engine.restore({**empty, "epoch": 1})
    world.run(300)
    assert world.engine.epoch == 2
    assert {subject for subject, _, _ in world.engine.facts.values()} == {f"order/{n}" for n in (1001, 1002, 1003)}


def test_an_engine_that_went_back_and_takes_something_before_it_is_greeted_has_the_shop_read_again(
    world: World,
) -> None:
    empty = world.engine.copy()
    for order_id in (1001, 1002):
        world.shop.put(order_id)
    world.run(60)
    world.agent.outbox.prune(world.clock.now(), 0, 1)
    world.engine.restore({**empty, "epoch": 1})
    world.shop.put(1003)
    world.agent.hint(1003)
    world.run(300)
    assert {subject for subject, _, _ in world.engine.facts.values()} == {f"order/{n}" for n in (1001, 1002, 1003)}


def test_an_older_state_that_could_not_pass_is_not_the_last_word_of_a_new_epoch(world: World) -> None:
    def blocks(batch: bytes, wrapped: bool) -> None:
        if b"on-hold" in batch:
            raise Blocked("Blocked.", "")

    world.engine.judge = blocks
    for status in ("processing", "on-hold", "completed"):
        world.shop.put(1001, status=status)
        world.agent.hint(1001)
        world.run(3)
    assert world.engine.latest("order/1001")["order"]["status"] == "completed"
    world.engine.judge = lambda batch, wrapped: None
    world.agent.outbox.remember(EPOCH_WANTED, "Somebody else has one of the next numbers.")
    world.agent.pump.welcomed = False
    world.run(300)
    assert world.engine.epoch == 2
    by_number = [world.engine.facts[world.engine.numbers[2, n]] for n in numbers(world)]
    assert [json.loads(body)["order"]["status"] for _, _, body in by_number] == ["on-hold", "completed"]


def test_a_second_agent_of_a_store_sends_nothing_until_it_is_handed_over(world: World, quick_path: Path) -> None:
    world.shop.put(1001)
    world.run()
    second = World(quick_path / "second" / "outbox.sqlite")
    second.shop, second.engine, second.clock = world.shop, world.engine, world.clock
    second.random.seed(99)
    second.run(120)
    assert world.engine.epoch == 1
    assert isinstance(second.agent.pump.trouble, Denied)
    assert second.agent.pump.trouble.slug == "other-installation"
    world.engine.installation, world.engine.epoch = second.agent.outbox.installation, 2
    second.run(600)
    assert numbers(world) == [1]
    second.crash()


# -- what can't pass


def test_a_batch_that_is_too_large_is_halved_and_all_arrive(world: World) -> None:
    def judge(batch: bytes, wrapped: bool) -> None:
        if len(batch) > 12_000:
            raise TooLarge("Too large.", "")

    world.engine.judge = judge
    for order_id in range(1001, 1021):
        world.shop.put(order_id)
    world.run(60)
    assert numbers(world) == list(range(1, 21))
    assert world.agent.outbox.tombstones() == []


def test_what_a_firewall_blocks_goes_wrapped(world: World) -> None:
    def judge(batch: bytes, wrapped: bool) -> None:
        if b'"id":1003,' in batch.replace(b" ", b"") and not wrapped:
            raise Blocked("Firewall.", "")

    world.engine.judge = judge
    for order_id in range(1001, 1006):
        world.shop.put(order_id)
    world.run(120)
    assert numbers(world) == [1, 2, 3, 4, 5]
    assert types(world) == [snapshot.ORDER] * 5


def test_what_never_passes_becomes_a_tombstone_so_that_the_numbers_go_on(world: World) -> None:
    def judge(batch: bytes, wrapped: bool) -> None:
        if b'"order":{"id":1003,' in batch.replace(b" ", b""):
            raise Blocked("Firewall.", "")

    world.engine.judge = judge
    for order_id in range(1001, 1006):
        world.shop.put(order_id)
    world.run(300)
    assert numbers(world) == [1, 2, 3, 4, 5]
    assert sorted(types(world)) == [snapshot.ORDER] * 4 + [snapshot.TOMBSTONE]
    assert world.agent.outbox.tombstones()[0]["reason"] == "Firewall."


def test_where_everything_is_blocked_nothing_becomes_a_tombstone(world: World) -> None:
    def judge(batch: bytes, wrapped: bool) -> None:
        raise Blocked("Firewall.", "")

    world.engine.judge = judge
    world.shop.put(1001)
    world.run(3600)
    assert world.agent.outbox.tombstones() == []
    assert world.agent.outbox.depth().waiting == 1


def test_many_tombstones_wait_for_a_person(world: World) -> None:
    def judge(batch: bytes, wrapped: bool) -> None:
        if len(batch) > 1000:
            raise TooLarge("Too large.", "")

    world.engine.judge = judge
    for order_id in range(1001, 1021):
        world.shop.put(order_id)
    world.run(1800)
    assert len(world.agent.outbox.tombstones()) == 10


def test_a_refused_event_becomes_a_tombstone(world: World) -> None:
    world.engine.refused.add("order/1001")
    world.shop.put(1001)
    world.shop.put(1002)
    world.run(60)
    assert numbers(world) == [1, 2]
    assert types(world).count(snapshot.TOMBSTONE) == 1


# -- room


def test_where_the_disk_is_nearly_full_nothing_is_read_but_all_is_sent(world: World) -> None:
    world.shop.put(1001)
    world.run(1)
    world.free_bytes = 1
    world.shop.put(1002)
    world.run(120)
    assert world.agent.intake.held is not None
    assert len(world.engine.facts) == 1
    assert world.engine.beats[-1]["data"]["disk_free_bytes"] == 1
    world.free_bytes = 10**12
    world.run(120)
    assert len(world.engine.facts) == 2


# -- crashes


def scenario(world: World) -> list[Callable[[], Any]]:
    """An order, an edit, a refund, another's cancellation; what a person does between two polls."""
    return [
        lambda: world.shop.put(1001, status="pending"),
        lambda: (world.shop.put(1002), world.agent.hint(1002)),
        lambda: world.shop.put(1001, status="processing", total="11.00"),
        lambda: world.shop.add_refund(1001, 5001),
        lambda: world.shop.put(1002, status="cancelled"),
    ]


def play(world: World) -> None:
    for change in scenario(world):
        change()
        survive(world, 15)
    survive(world, 120)


class PowerCut(Exception):
    """The process dies here."""


def survive(world: World, seconds: float) -> None:
    until = world.clock.now() + timedelta(seconds=seconds)
    while world.clock.now() < until:
        try:
            world.run((until - world.clock.now()).total_seconds())
        except PowerCut:
            world.crash()


class Steps:
    """Counts every durable and network step, and cuts the power after the one it is told."""

    def __init__(self, cut_after: int | None) -> None:
        self.count, self.cut_after = 0, cut_after

    def __call__(self, *_: Any) -> None:
        self.count += 1
        if self.count == self.cut_after:
            raise PowerCut


def watched(world: World, steps: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    from counterfoil_agent.outbox import Outbox

    run = Outbox._run

    def counted(self: Outbox, sql: str, values: Any = ()) -> Any:
        if sql == "commit":
            steps()  # before it is durable
        found = run(self, sql, values)
        if sql == "commit":
            steps()  # and after
        return found

    monkeypatch.setattr(Outbox, "_run", counted)
    world.engine.before = world.engine.after = steps
    world.shop.fail = steps


def outcome(world: World) -> dict[str, Any]:
    subjects = {subject for subject, _, _ in world.engine.facts.values()}
    return {subject: world.engine.latest(subject) for subject in subjects}


def test_whichever_step_the_power_is_cut_after_the_engine_ends_with_the_same(
    quick_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(cut_after: int | None) -> tuple[dict[str, Any], Steps]:
        with monkeypatch.context() as patched:
            world, steps = World(quick_path / f"{cut_after}" / "outbox.sqlite"), Steps(cut_after)
            watched(world, steps, patched)
            play(world)
            placed = sorted(n for epoch, n in world.engine.numbers if epoch == world.engine.epoch)
            assert placed == list(range(1, len(placed) + 1)), f"a hole after step {cut_after}"
            assert not world.engine.conflicts, f"one id, two bodies after step {cut_after}"
            assert world.agent.outbox.depth().waiting == 0
            world.crash()
            return outcome(world), steps

    undisturbed, steps = run(None)
    cuts = [*range(1, 40), *range(40, steps.count, 9)]
    print(f"{steps.count} steps, the power cut after {len(cuts)} of them")
    assert steps.count >= 40
    for cut_after in cuts:
        assert run(cut_after)[0] == undisturbed, f"after step {cut_after}"


def test_a_long_pass_that_is_cut_off_anywhere_misses_no_page(quick_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for cut_after in range(1, 40):
        with monkeypatch.context() as patched:
            world, steps = World(quick_path / f"{cut_after}" / "outbox.sqlite"), Steps(cut_after)
            world.shop_settings |= {"page_orders": 3, "overlap_s": 1}
            for order_id in range(1001, 1011):
                world.shop.put(order_id)
                world.clock.pass_time(10)
            watched(world, steps, patched)
            survive(world, 40)
            assert len({subject for subject, _, _ in world.engine.facts.values()}) == 10, f"after step {cut_after}"
            world.crash()


def test_unreadable_pages_dont_stop_the_walk(world: World) -> None:
    world.shop.put(1001)

    def fail(what: str) -> None:
        raise Unreadable("No JSON.", "", hash="0" * 64, size_bytes=5)

    world.shop.fail = fail
    world.run(30)
    world.shop.fail = lambda what: None
    world.run(120)
    assert len(world.engine.facts) == 1
