"""What the store's orders are told: once, wherever the agent dies; forward alone; and nothing of it stops the rest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from counterfoil_agent.cli import _sentence
from counterfoil_agent.config import EngineSettings, OutboxSettings, Settings, ShopSettings
from counterfoil_agent.errors import Blocked, Denied, RateLimited, Unavailable, Unreadable
from counterfoil_agent.ports import Update
from counterfoil_agent.status import status
from counterfoil_agent.updates import MOST_TOLD, TOLD, TRACKING
from fakes.agent_orders import CALLS, FakeOrders, Killed
from fakes.agent_world import World
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

HASH = "4f1c2a9be07d3355" * 4
KEY = "eu1/1001/store_update/ship-77/r1"
SHIPPED = Update(KEY, HASH, 1001, None, "JD014600", "DHL", "Shipped from Hamburg by DHL.")
COMPLETED = Update("eu1/1001/store_update/completed/r1", HASH, 1001, "completed")
NOTE = "Shipped from Hamburg by DHL. [Counterfoil ship-77/r1]"


class Told(World):
    """A world whose shop has orders 1001 and 1002, paid, and whose engine has a mailbox."""

    orders: FakeOrders

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.orders = FakeOrders(self.shop)
        self.engine.contracts = {"updates": 1}
        for order_id in (1001, 1002):
            self.shop.put(order_id, status="processing")
        self.run(5)

    def hand_out(self, *updates: Update) -> None:
        self.engine.waiting |= {update.key: update for update in updates}

    def outcomes(self) -> list[tuple[str, str]]:
        return [(result.key.split("/", 3)[-1], result.outcome) for result in self.engine.results]

    def run_on(self, seconds: float = 60) -> None:
        """As `run`; where the agent's process ends, it is started again."""
        for _ in range(50):
            try:
                self.run(seconds)
                return
            except Killed:
                self.crash()
        raise AssertionError("it dies for ever")

    def status(self) -> dict[str, Any]:
        told = Settings("eu1", ShopSettings("http://shop"), EngineSettings("http://engine"), OutboxSettings(self.path))
        return status(told, self.clock.now())


@pytest.fixture
def world(quick_path: Path) -> Any:
    made = Told(quick_path / "outbox.sqlite")
    yield made
    made.crash()


def once(fault: BaseException, at: str) -> Any:
    """Raises at the first call of this name."""
    left = [fault]

    def hook(what: str) -> None:
        if what == at and left:
            raise left.pop()

    return hook


# Once.


def test_an_order_is_told_of_its_shipment_and_the_engine_of_that(world: Told) -> None:
    world.hand_out(SHIPPED)
    world.run(30)
    assert world.orders.written == {1001: [NOTE]}
    assert world.orders.meta(1001, TOLD) == [f"{KEY} {HASH[:16]}"]
    assert world.orders.meta(1001, TRACKING) == [{"key": KEY, "tracking": "JD014600", "carrier": "DHL"}]
    assert world.outcomes() == [("ship-77/r1", "applied")]


def test_the_meta_data_comes_last_since_it_is_the_mark(world: Told) -> None:
    world.hand_out(SHIPPED)
    world.run(30)
    assert world.orders.calls == ["state", "notes", "add_note", "change"]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("fault", [Killed, Unavailable])
def test_wherever_the_agent_dies_or_an_answer_is_lost_the_end_is_the_same(
    world: Told, call: str, moment: str, fault: Any
) -> None:
    said = fault() if fault is Killed else fault("No answer came in time.", "Nothing to do.")
    setattr(world.orders, moment, once(said, call))
    world.hand_out(SHIPPED, COMPLETED)
    world.run_on(120)
    assert world.orders.written == {1001: [NOTE]}
    assert world.orders.meta(1001, TOLD) == [f"{KEY} {HASH[:16]}", f"{COMPLETED.key} {HASH[:16]}"]
    assert world.shop.orders[1001]["status"] == "completed"
    assert world.outcomes() == [("ship-77/r1", "applied"), ("completed/r1", "applied")]


FAULTS = st.lists(
    st.tuples(st.integers(0, 30), st.sampled_from(["before", "after"]), st.sampled_from(["killed", "lost", "pause"])),
    max_size=6,
)


@given(FAULTS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_faults_in_any_calls_lead_to_the_same_end(tmp_path_factory: Any, faults: list[Any]) -> None:
    world = Told(tmp_path_factory.mktemp("told") / "outbox.sqlite")
    planned = {(place, moment): kind for place, moment, kind in faults}
    kinds = {
        "killed": Killed,
        "lost": lambda: Unavailable("No answer.", "Nothing to do."),
        "pause": lambda: RateLimited("A pause.", "Nothing to do.", retry_after_s=5.0),
    }

    def hook(moment: str) -> Any:
        def strike(what: str) -> None:
            kind = planned.pop((len(world.orders.calls), moment), None)
            if kind is not None:
                raise kinds[kind]()

        return strike

    world.orders.before, world.orders.after = hook("before"), hook("after")
    other = replace(SHIPPED, key="eu1/1002/store_update/ship-9/r1", order_id=1002, note="Shipped.")
    world.hand_out(SHIPPED, other, COMPLETED)
    world.run_on(900)
    assert world.orders.written == {1001: [NOTE], 1002: ["Shipped. [Counterfoil ship-9/r1]"]}
    assert world.shop.orders[1001]["status"] == "completed"
    assert sorted(world.outcomes()) == [
        ("completed/r1", "applied"),
        ("ship-77/r1", "applied"),
        ("ship-9/r1", "applied"),
    ]
    world.crash()


@pytest.mark.parametrize("dies", [False, True])
def test_a_note_that_is_written_seconds_after_its_caller_gave_up_is_written_once(world: Told, dies: bool) -> None:
    """PHP goes on when its client is gone: who looks too early finds no note, and writes a second one."""
    world.orders.is_late = True
    world.hand_out(SHIPPED)
    world.run(20)
    assert world.orders.calls.count("add_note") == 1
    if dies:
        world.crash()
    world.orders.is_late = False
    world.run(5)
    world.orders.commit_late()
    world.run(60)
    assert world.orders.written == {1001: [NOTE]}
    assert world.outcomes() == [("ship-77/r1", "applied")]


def test_what_is_handed_out_again_while_it_waits_or_is_told_already_changes_nothing(world: Told) -> None:
    world.engine.after = once(Unavailable("The answer is lost.", "Nothing to do."), "updates")
    world.hand_out(SHIPPED)
    world.run(120)
    world.hand_out(SHIPPED)  # an engine that was restored knows nothing of its result
    world.run(60)
    assert world.orders.written == {1001: [NOTE]}
    assert world.outcomes() == [("ship-77/r1", "applied"), ("ship-77/r1", "applied")]


def test_an_agent_that_lost_its_outbox_finds_in_the_order_what_it_was_told(world: Told) -> None:
    world.hand_out(SHIPPED)
    world.run(30)
    world.crash()
    for file in world.path.parent.glob("outbox.sqlite*"):
        file.unlink()
    world.engine.installation = None
    world.hand_out(SHIPPED)
    world.run(60)
    assert world.orders.written == {1001: [NOTE]}
    assert world.outcomes()[1:] == [("ship-77/r1", "applied")]


def test_a_note_that_the_merchant_deleted_is_not_written_anew(world: Told) -> None:
    world.hand_out(SHIPPED)
    world.run(30)
    world.orders.written.clear()
    world.hand_out(SHIPPED)
    world.run(60)
    assert world.orders.written == {}


def test_an_order_keeps_the_last_keys_alone(world: Told) -> None:
    updates = [replace(SHIPPED, key=f"eu1/1001/store_update/ship-{n}/r1", tracking=None) for n in range(MOST_TOLD + 3)]
    world.hand_out(*updates)
    world.run(60)
    assert [line.split(" ")[0] for line in world.orders.meta(1001, TOLD)] == [one.key for one in updates[3:]]
    assert len(world.outcomes()) == MOST_TOLD + 3


def test_the_same_key_with_another_content_is_refused(world: Told) -> None:
    world.hand_out(SHIPPED)
    world.run(30)
    world.hand_out(replace(SHIPPED, hash="0" * 64, note="Shipped from Berlin."))
    world.run(60)
    assert world.outcomes()[1:] == [("ship-77/r1", "other_content")]
    assert world.orders.written == {1001: [NOTE]}


def test_what_no_longer_holds_takes_its_tracking_number_along_and_leaves_a_note(world: Told) -> None:
    world.hand_out(SHIPPED)
    world.run(30)
    gone = Update(f"{KEY}/reversal", HASH, 1001, note="No longer so: Shipped.", reverses=KEY)
    world.hand_out(gone)
    world.run(30)
    assert world.orders.written[1001] == [NOTE, "No longer so: Shipped. [Counterfoil ship-77/r1/reversal]"]
    assert world.orders.meta(1001, TRACKING) == []


# Forward alone.


@pytest.mark.parametrize("there", ["completed", "refunded", "cancelled", "trash"])
def test_no_order_is_taken_out_of_what_is_final(world: Told, there: str) -> None:
    world.shop.put(1001, status=there)
    world.hand_out(replace(COMPLETED, status="processing"))
    world.run(30)
    assert world.shop.orders[1001]["status"] == there
    assert world.outcomes() == [("completed/r1", "refused")]
    assert there in (world.engine.results[0].reason or "")


def test_an_order_that_has_the_status_already_is_only_marked(world: Told) -> None:
    world.shop.put(1001, status="completed")
    world.hand_out(COMPLETED)
    world.run(30)
    assert world.outcomes() == [("completed/r1", "applied")]


def test_a_shipment_is_told_whatever_the_status_but_in_the_trash(world: Told) -> None:
    world.shop.put(1001, status="refunded")
    world.shop.put(1002, status="trash")
    world.hand_out(SHIPPED, replace(SHIPPED, key="eu1/1002/store_update/ship-9/r1", order_id=1002))
    world.run(30)
    assert world.outcomes() == [("ship-77/r1", "applied"), ("ship-9/r1", "refused")]


# What goes wrong.


def test_an_unknown_order_is_believed_to_be_gone_only_after_minutes(world: Told) -> None:
    order = world.shop.orders.pop(1001)
    world.hand_out(SHIPPED)
    world.run(100)
    assert world.outcomes() == []
    world.shop.orders[1001] = order
    world.run(100)
    assert world.outcomes() == [("ship-77/r1", "applied")]
    world.hand_out(replace(SHIPPED, key="eu1/9/store_update/ship-1/r1", order_id=9))
    world.run(300)
    assert world.outcomes()[1:] == [("ship-1/r1", "refused")]
    assert "doesn't know order 9" in (world.engine.results[1].reason or "")


def test_an_order_that_makes_the_shop_fail_does_not_hold_up_its_neighbours(world: Told) -> None:
    real = world.orders.state

    def state(order_id: int) -> Any:
        if order_id == 1001:
            raise Unavailable("The shop answered with status 500.", "Look.", status=500)
        return real(order_id)

    world.orders.state = state  # type: ignore[method-assign]
    world.hand_out(SHIPPED, replace(SHIPPED, key="eu1/1002/store_update/ship-9/r1", order_id=1002))
    world.run(60)
    assert world.outcomes() == [("ship-9/r1", "applied")]
    world.shop.put(1003)
    world.run(60)
    assert world.engine.latest("order/1003") is not None
    world.orders.state = real  # type: ignore[method-assign]
    world.run(400)
    assert world.outcomes()[1:] == [("ship-77/r1", "applied")]


def test_what_the_shop_refuses_is_told_in_its_words(world: Told) -> None:
    world.orders.before = once(Blocked("Invalid parameter(s): status (rest_invalid_param)", "Look."), "change")
    world.hand_out(replace(COMPLETED, status="dispatched"))
    world.run(30)
    assert world.engine.results[0].reason == "Invalid parameter(s): status (rest_invalid_param)"


def test_an_order_that_can_not_be_read_is_refused_in_the_end(world: Told) -> None:
    def unreadable(what: str) -> None:
        raise Unreadable("The shop's answer is no JSON.", "Look.")

    world.orders.before = unreadable
    world.hand_out(SHIPPED)
    world.run(400)
    assert world.outcomes() == [("ship-77/r1", "refused")]


def test_a_key_that_may_only_read_stops_no_reading_and_is_said(world: Told) -> None:
    def denied(what: str) -> None:
        if what == "add_note":
            raise Denied("The shop refuses the agent's key.", "Make one with read and write.")

    world.orders.before = denied
    world.hand_out(SHIPPED)
    world.shop.put(1003)
    world.run(40)
    assert world.engine.latest("order/1003") is not None
    assert world.status()["updates_trouble"] == "The shop refuses the agent's key. Make one with read and write."
    assert "The shop refuses the agent's key. Make one with read and write." in world.status()["alarms"]
    world.orders.before = lambda what: None
    world.run(120)
    assert (world.outcomes(), world.status()["updates_trouble"]) == ([("ship-77/r1", "applied")], None)
    assert world.orders.written == {1001: [NOTE]}


# The engine.


def test_an_older_engine_is_never_asked(world: Told) -> None:
    world.crash()
    world.engine.contracts, world.engine.calls = {"order": 1}, []
    world.run(120)
    assert "updates" not in world.engine.calls


def test_an_engine_that_refuses_this_call_alone_gets_all_else(world: Told) -> None:
    def refuse(what: str) -> None:
        if what == "updates":
            raise Denied("The path isn't served here.", "Update the engine.", slug="no-such-path")

    world.engine.before = refuse
    world.shop.put(1003)
    world.run(100)
    assert world.engine.latest("order/1003") is not None
    assert world.status()["mailbox_trouble"] == "The path isn't served here. Update the engine."
    world.engine.before = lambda what: None
    world.hand_out(SHIPPED)
    world.run(100)
    assert (world.outcomes(), world.status()["mailbox_trouble"]) == ([("ship-77/r1", "applied")], None)


def test_status_says_what_waits_what_was_told_and_what_was_refused(world: Told) -> None:
    world.hand_out(SHIPPED, replace(COMPLETED, status="processing", key="eu1/1002/x/completed/r1", order_id=1002))
    world.shop.put(1002, status="completed")
    world.run(30)

    def down(what: str) -> None:
        raise Unavailable("No answer.", "Nothing to do.")

    world.orders.before = down
    world.hand_out(COMPLETED)
    world.run(20)
    told = world.status()["updates"]
    assert (told["waiting"], told["applied_a_day"], told["refused_a_day"]) == (1, 1, 1)
    assert "orders are told: 1 updates wait, 1 applied and 1 refused within a day." in _sentence(world.status())
    assert world.status()["alarms"] == []
    world.run(3700)
    assert any("What an order is to be told has waited for 37" in alarm for alarm in world.status()["alarms"])


def test_our_own_update_comes_back_as_one_snapshot_and_no_more(world: Told) -> None:
    before = len(world.engine.facts)
    world.hand_out(SHIPPED)
    world.run(300)
    assert len(world.engine.facts) == before + 1
