"""The mailbox: what a store's orders are to be told is handed out once and again, and its results are a poster's."""

import json

import pytest
from counterfoil_contracts import faults
from counterfoil_engine.ports import Rejected
from counterfoil_engine.records import close
from counterfoil_engine.work.updates import AGAIN_S
from fakes.engine import a_document
from fakes.store_updates import SHIPPED, Mailbox, an_update, look, result, switch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

KEY = "eu1/1001/store_update/ship-77/r1"


@pytest.fixture
def box(world):
    switch(world, "on")
    return Mailbox(world)


def due(world, *documents, order="1001"):
    world.due(order, *documents)
    look(world)


def again(world):
    """Let so much time pass that what has no result is handed out again, and subjects may be looked at."""
    world.clock.pass_time(AGAIN_S + 1)
    look(world)


def keys(updates):
    return [update["key"] for update in updates]


# Handing out.


def test_a_shipment_is_handed_out_as_its_contract_says_and_counts_as_sent(world, box):
    due(world, an_update())
    handed = box.fetch()
    assert [{name: value for name, value in update.items() if name != "hash"} for update in handed] == [
        {"key": KEY, "order": 1001, **SHIPPED, "reverses": None}
    ]
    assert faults("feed/updates.v1", {"updates": handed, "more": box.more}) == []
    assert world.states() == {"store_update/ship-77/r1": "sent"}


def test_it_is_not_handed_out_twice_at_once_but_again_once_it_stays_without_a_result(world, box):
    due(world, an_update())
    first = box.fetch()
    assert box.fetch() == []
    again(world)
    assert box.fetch() == first
    assert box.fetch() == []


def test_what_is_handed_out_is_in_the_order_in_which_it_became_due(world, box):
    due(world, an_update("ship-77"))
    world.clock.pass_time(2)
    due(world, an_update("ship-77"), an_update("ship-78"), an_update("completed"))
    assert keys(box.fetch()) == [f"eu1/1001/store_update/{name}/r1" for name in ("ship-77", "ship-78", "completed")]


def test_a_shipments_note_goes_before_the_orders_end_though_one_look_made_both(world, box):
    due(world, an_update("completed"), an_update("ship-77"))
    assert keys(box.fetch()) == [KEY, "eu1/1001/store_update/completed/r1"]


def test_a_limit_is_kept_and_what_is_left_is_said(world, box):
    due(world, *(an_update(f"ship-{n}") for n in range(5)))
    assert (len(box.fetch(limit=3)), box.more) == (3, True)
    assert (len(box.fetch(limit=3)), box.more) == (2, False)
    assert (box.fetch(limit=0), box.more) == ([], False)


def test_orders_that_a_shop_can_not_be_told_of_do_not_hold_up_the_others(world, box):
    due(world, *(an_update(f"stuck-{n}") for n in range(4)))
    assert len(box.fetch(limit=4)) == 4
    due(world, an_update("ship-1", "1002"), an_update("ship-2", "1002"), order="1002")
    again(world)
    assert [key.split("/")[1] for key in keys(box.fetch(limit=4))] == ["1001", "1001", "1002", "1002"]


@pytest.mark.parametrize("setting", ["preview", "off"])
def test_nothing_is_handed_out_while_the_switch_is_not_on(world, box, setting):
    due(world, an_update())
    switch(world, setting)
    assert box.fetch() == []
    switch(world, "on")
    assert keys(box.fetch()) == [KEY]


def test_no_switch_is_on_unless_somebody_says_so(world):
    due(world, an_update())
    assert Mailbox(world).fetch() == []


def test_a_copy_of_the_engine_hands_nothing_out_and_takes_results_all_the_same(world, box):
    """It is true of the shop, whoever hears it; but a copy must not begin anything."""
    due(world, an_update("ship-77"))
    handed = box.fetch()
    due(world, an_update("ship-77"), an_update("ship-78"))
    with world.database.transaction() as tx:
        world.records.identity.establish(tx, "here", "1", 0)
        world.records.identity.doubt(tx, "restored")
    again(world)
    assert box.fetch([result(handed[0])]) == []
    assert world.states()["store_update/ship-77/r1"] == "done"
    with world.database.transaction() as tx:
        world.records.identity.confirm(tx, "here")
    assert keys(box.fetch()) == ["eu1/1001/store_update/ship-78/r1"]


def test_what_waits_for_another_result_is_handed_out_after_it(world, box):
    due(
        world,
        an_update("ship-77"),
        a_document("store_update", 0, "later", party="store", after=["store_update/ship-77"]),
    )
    handed = box.fetch()
    assert keys(handed) == [KEY]
    assert keys(box.fetch([result(handed[0])])) == ["eu1/1001/store_update/later/r1"]


def test_another_stores_updates_are_its_own(world, box):
    due(world, an_update())
    other = Mailbox(world, "us1")
    assert other.fetch() == []
    handed = box.fetch()
    other.fetch([result(handed[0])])
    assert world.states() == {"store_update/ship-77/r1": "sent"}


# Results.


def test_what_was_applied_is_done_and_looked_at_once_more(world, box):
    due(world, an_update())
    box.fetch(map(result, box.fetch()))
    assert world.states() == {"store_update/ship-77/r1": "done"}
    assert world.work() == ["order eu1/1001"]
    again(world)
    assert (box.fetch(), world.work()) == ([], [])


def test_what_was_told_late_is_no_matter_of_any_period(world, box):
    """Told in December of a shipment in November, it is in no ledger, so nothing is cut off."""
    due(world, an_update())
    handed = box.fetch()
    world.clock.pass_time(20 * 86_400)
    box.fetch(map(result, handed))
    with world.database.transaction() as tx:
        assert close.late(tx, "DE01", "2026-11") == close.late(tx, "DE01", "2026-12") == []


def test_a_refusal_is_a_case_with_the_stores_words_and_a_retry_tells_it_anew(world, box):
    due(world, an_update())
    handed = box.fetch()
    box.fetch([result(handed[0], "refused", "The order is in the trash.\x1b[2J")])
    assert world.states() == {"store_update/ship-77/r1": "refused"}
    (cause,) = world.open_cases()
    assert cause == f"The store was not told {KEY}: The order is in the trash.\ufffd[2J"
    again(world)
    assert (box.fetch(), len(world.open_cases())) == ([], 1)
    with world.database.transaction() as tx:
        world.records.work.mark_due(tx, world.records.intents.release(tx, "order eu1/1001"), "repair")
    again(world)
    (second,) = box.fetch()
    assert second["key"] == "eu1/1001/store_update/ship-77/r2"
    box.fetch([result(second)])
    assert world.open_cases() == []


def test_a_key_that_the_order_bears_with_another_content_is_a_conflict(world, box):
    """After a restore: the order was told otherwise under this key in the life that is lost."""
    due(world, an_update())
    box.fetch([result(one, "other_content") for one in box.fetch()])
    assert "another content" in world.open_cases()[0]
    due(world, an_update(tracking="JD999"))
    again(world)
    assert box.fetch() == [], "nothing goes into its slot until a person says so"


def test_a_result_that_comes_twice_or_late_or_of_nothing_changes_nothing(world, box):
    due(world, an_update())
    (handed,) = box.fetch()
    box.fetch([result(handed), result(handed, "refused", "no"), result({**handed, "key": "eu1/1001/x/y/r1"})])
    box.fetch([result(handed, "refused", "no")])
    assert world.states() == {"store_update/ship-77/r1": "done"}
    assert world.open_cases() == []


def test_a_result_of_another_content_than_was_handed_out_is_none(world, box):
    due(world, an_update())
    (handed,) = box.fetch()
    box.fetch([result({**handed, "hash": "0" * 64})])
    assert world.states() == {"store_update/ship-77/r1": "sent"}


# What no longer holds.


def test_an_update_that_is_no_longer_due_is_told_as_a_note_that_says_so(world, box):
    due(world, an_update())
    box.fetch(map(result, box.fetch()))
    due(world)
    again(world)
    (handed,) = box.fetch()
    assert (handed["key"], handed["reverses"]) == (f"{KEY}/reversal", KEY)
    assert (handed["note"], handed["status"], handed["tracking"]) == (
        "No longer so: Shipped from Hamburg by DHL.",
        None,
        None,
    )
    box.fetch([result(handed)])
    assert world.states() == {"store_update/ship-77/r1": "done", "store_update/ship-77/r1/reversal": "done"}


def test_a_status_is_never_taken_back_but_people_are_told(world, box):
    due(world, an_update("completed"))
    box.fetch(map(result, box.fetch()))
    due(world)
    again(world)
    (handed,) = box.fetch()
    assert handed["status"] is None
    assert handed["note"].startswith("No longer so: the order is completed. Its status is left as it is")


def test_another_tracking_number_is_told_after_the_first_is_said_to_hold_no_longer(world, box):
    due(world, an_update())
    box.fetch(map(result, box.fetch()))
    due(world, an_update(tracking="JD999"))
    again(world)
    handed = box.fetch()
    assert keys(handed) == [f"{KEY}/reversal"]
    assert [one["tracking"] for one in box.fetch(map(result, handed))] == ["JD999"]


def test_half_of_a_change_is_finished_though_the_switch_goes_off(world, box):
    """R2: a reversal and what replaces it are one group."""
    due(world, an_update())
    box.fetch(map(result, box.fetch()))
    due(world, an_update(tracking="JD999"))
    again(world)
    handed = box.fetch()
    switch(world, "preview")
    assert [one["tracking"] for one in box.fetch(map(result, handed))] == ["JD999"]


# What isn't as it has to be.


@pytest.mark.parametrize("raw", [b"", b"[]", b'{"results":[]}', b'{"results":[],"limit":101}', b"[" * 5000])
def test_what_breaks_the_contract_is_rejected(box, raw):
    with pytest.raises(Rejected):
        box.updates.exchange("eu1", raw)


RESULTS = st.fixed_dictionaries(
    {
        "results": st.lists(
            st.fixed_dictionaries(
                {
                    "key": st.sampled_from([KEY, "x", "", "\ud800", "\x00"]) | st.text(max_size=5),
                    "hash": st.sampled_from(["0" * 64, "", "z"]),
                    "outcome": st.sampled_from(["applied", "refused", "other_content", "perhaps"]),
                    "reason": st.none() | st.text(max_size=5) | st.just("\x00\ud800"),
                }
            ),
            max_size=3,
        ),
        "limit": st.integers(-1, 101) | st.none() | st.floats(),
    }
)


@given(st.binary(max_size=50) | RESULTS.map(lambda said: json.dumps(said).encode()))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_an_agent_sends_is_taken_or_rejected(box, raw):
    try:
        assert box.updates.exchange("eu1", raw) == {"updates": [], "more": False}
    except Rejected as rejected:
        assert rejected.cause and rejected.remedy
