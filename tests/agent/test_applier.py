"""Numbers from the feed into the store, by the plugin: none hides a sale, none is older than one applied."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from counterfoil_agent import applier, changes, preview
from counterfoil_agent.config import AcceptWhen, StockSettings
from counterfoil_agent.errors import Blocked, Denied, RateLimited, Unavailable
from counterfoil_contracts import faults
from counterfoil_sandbox import shop_plugin_stock
from fakes.agent_stock import BASE, StockStore, stock_store


@pytest.fixture
def store(quick_path: Path) -> Iterator[StockStore]:
    with stock_store(quick_path) as made:
        yield made


def told(store: StockStore, on: bool = True) -> dict[str, Any]:
    return applier.status(store.agent.outbox, StockSettings("on" if on else "preview"), store.has_plugin)


def last_n(store: StockStore) -> tuple[int, int]:
    return 1, store.agent.outbox.position().last.n


def test_nothing_is_written_before_a_person_has_accepted_the_preview(store: StockStore) -> None:
    mug, cup = store.product("MUG", 10), store.product("CUP", 5)
    store.product("BOWL", 3)
    store.feed.tell("MUG", 4)
    store.feed.tell("CUP", 0)
    store.feed.tell("PLATE", 7)
    store.run(60)
    assert (store.stock_of(mug), store.stock_of(cup)) == (10, 5)
    shown = preview.preview(store.agent.outbox)
    assert shown["is_complete"] and shown["accepted_at"] is None
    assert (shown["skus"], shown["would_change"], shown["would_sell_out"]) == (2, 2, 1)
    assert shown["sell_out"] == ["CUP"]
    assert shown["biggest_jumps"][0] == {"sku": "MUG", "had": 10.0, "number": 4}
    assert (shown["unknown_in_shop_some"], shown["unknown_in_feed_some"]) == (["PLATE"], ["BOWL"])
    assert any("MUG: 10 → 4" in line for line in preview.sentences(shown))
    assert told(store)["held"] == "preview"
    store.accept()
    store.run(30)
    assert (store.stock_of(mug), store.stock_of(cup)) == (4, 0)
    assert told(store)["held"] is None


def test_a_rule_accepts_a_small_first_push_and_no_large_one(store: StockStore) -> None:
    store.stock_settings["accept_when"] = AcceptWhen(0.5)
    products = [store.product(f"SKU-{place}", 10) for place in range(4)]
    for place in range(4):
        store.feed.tell(f"SKU-{place}", 9)
    store.run(60)
    assert [store.stock_of(product) for product in products] == [10, 10, 10, 10]
    for place in range(3):
        store.feed.tell(f"SKU-{place}", 10)
    store.run(90)
    assert [store.stock_of(product) for product in products] == [10, 10, 10, 9]


def test_the_switch_at_preview_writes_nothing_whoever_accepts_it(store: StockStore) -> None:
    store.stock_settings["switch"] = "preview"
    mug = store.product("MUG", 10)
    store.feed.tell("MUG", 4)
    store.accept()
    store.run(60)
    assert store.stock_of(mug) == 10


def test_the_switch_at_off_asks_for_nothing(store: StockStore) -> None:
    store.stock_settings["switch"] = "off"
    assert store.agent.applier is None
    store.run(60)
    assert store.feed.polls == []


def test_a_number_that_does_not_count_a_sale_does_not_hide_it(store: StockStore) -> None:
    mug = store.product("MUG", 10)
    store.accept()
    store.run()
    store.sell((mug, 3))
    store.run(25)
    store.feed.tell("MUG", 10, basis=(1, 0))
    store.run(10)
    assert store.stock_of(mug) == 7
    store.feed.tell("MUG", 7, basis=last_n(store))
    store.run(10)
    assert store.stock_of(mug) == 7


def test_a_number_that_counts_a_sale_is_not_lowered_by_it_again_though_the_answer_is_still_on_its_way(
    store: StockStore,
) -> None:
    mug = store.product("MUG", 10)
    store.accept()
    store.run()

    def lost(what: str) -> None:
        if what == "events":
            raise Unavailable("The answer was lost.", "Wait.")

    store.engine.after = lost
    store.sell((mug, 3))
    store.run(12)
    assert store.engine.through().n == last_n(store)[1], "the engine holds it, and the agent hasn't heard"
    store.feed.tell("MUG", 7, basis=last_n(store))
    store.run(3)
    assert store.stock_of(mug) == 7


def test_what_the_store_answered_is_reported_and_only_once(store: StockStore) -> None:
    store.product("MUG", 10)
    store.product("FREE", None)
    store.product("CUP", 4)
    store.accept()
    number = store.feed.tell("MUG", 4)
    store.feed.tell("FREE", 4)
    store.feed.tell("PLATE", 4)
    store.feed.tell("CUP", 2, excluded=True)
    store.run(200)
    assert store.feed.verdicts() == {"MUG": "applied", "FREE": "unmanaged", "PLATE": "missing", "CUP": "skipped"}
    (mug,) = [each for each in store.feed.said("writes") if each["sku"] == "MUG"]
    assert (mug["version"], mug["number"], mug["stock"]) == (number.version, 4, 4)
    assert mug["at"].endswith("Z")
    assert len(store.feed.said("writes")) == 4
    assert [report["unknown"] for report in store.feed.reports if report["unknown"] is not None] == [["PLATE"]]


def test_skus_meet_without_space_case_and_unicode_form(store: StockStore) -> None:
    mug = store.product("Tasse-Grün", 10)
    store.feed.tell(" TASSE-GRU\u0308N ", 4)
    store.accept()
    store.run(30)
    assert store.stock_of(mug) == 4


def test_one_sku_on_several_products_is_written_to_none_of_them_and_said(store: StockStore) -> None:
    first, second = store.product("MUG", 10), store.product("mug", 20)
    store.feed.tell("MUG", 4)
    store.accept()
    store.run(100)
    assert (store.stock_of(first), store.stock_of(second)) == (10, 20)
    assert store.feed.said("doubled") == [{"sku": "MUG", "stock_ids": [first, second]}]
    store.shop.products.change(second, {"sku": "CUP"})
    store.run(100)
    assert store.stock_of(first) == 4
    assert store.feed.reports[-1]["doubled"] == []


def test_variations_that_share_their_parents_stock_are_one_item(store: StockStore) -> None:
    parent = store.product("SHIRT", 20, type="variable")
    own = store.shop.products.add({"sku": "SHIRT-S", "manage_stock": True, "stock_quantity": 6}, parent)
    shared = store.shop.products.add({"sku": "SHIRT-M"}, parent)
    store.feed.tell("SHIRT", 15)
    store.feed.tell("SHIRT-S", 3)
    store.feed.tell("SHIRT-M", 1)
    store.accept()
    store.run(60)
    assert (store.stock_of(parent), store.stock_of(own)) == (15, 3)
    assert store.feed.verdicts()["SHIRT-M"] == "unmanaged", "the parent's own SKU speaks for the parent's stock"
    assert shared


def test_a_product_added_later_gets_its_number(store: StockStore) -> None:
    store.feed.tell("MUG", 4)
    store.accept()
    store.run(60)
    mug = store.product("MUG", 10)
    store.run(30)
    assert store.stock_of(mug) == 4
    assert store.feed.verdicts() == {"MUG": "applied"}


def test_a_product_deleted_in_between_is_missing_and_all_others_go_on(store: StockStore) -> None:
    mug, cup = store.product("MUG", 10), store.product("CUP", 10)
    store.feed.tell("MUG", 9)
    store.feed.tell("CUP", 9)
    store.accept()
    store.run(30)
    store.shop.products.delete(mug)
    store.feed.tell("MUG", 4)
    store.feed.tell("CUP", 4)
    store.run(90)
    assert store.stock_of(cup) == 4
    assert store.feed.verdicts() == {"MUG": "missing", "CUP": "applied"}


def test_a_product_that_is_no_longer_managed_is_never_written(store: StockStore) -> None:
    mug = store.product("MUG", 10)
    store.feed.tell("MUG", 9)
    store.accept()
    store.run(30)
    store.shop.products.change(mug, {"manage_stock": False})
    store.feed.tell("MUG", 4)
    store.run(30)
    assert store.feed.verdicts() == {"MUG": "unmanaged"}


def test_a_product_turned_into_a_variable_one_in_between_is_unmanaged_and_all_others_go_on(store: StockStore) -> None:
    small, cup = store.turns_variable()
    store.run(60)
    assert (store.stock_of(small), store.stock_of(cup)) == (4, 4)
    assert store.feed.verdicts() == {"SHIRT": "unmanaged", "SHIRT-S": "applied", "CUP": "applied"}


def test_a_number_follows_its_sku_to_a_variation_of_what_became_variable(store: StockStore) -> None:
    shirt = store.product("SHIRT", 10)
    store.feed.tell("SHIRT", 9)
    store.accept()
    store.run(30)
    store.shop.products.change(shirt, {"type": "variable", "manage_stock": False, "sku": ""})
    large = store.shop.products.add({"sku": "SHIRT", "manage_stock": True, "stock_quantity": 1}, shirt)
    store.run(60)
    assert store.stock_of(large) == 9
    assert store.feed.verdicts() == {"SHIRT": "applied"}


def test_only_the_latest_number_of_a_sku_is_ever_written(store: StockStore) -> None:
    mug = store.product("MUG", 10)
    for number in range(9, 2, -1):
        store.feed.tell("MUG", number)
        store.run(5)
    store.accept()
    store.run(30)
    assert store.stock_of(mug) == 3
    assert [each["number"] for each in store.feed.said("writes")] == [3]


def test_an_outage_of_the_engine_leaves_the_store_alone_and_the_feed_goes_on_from_there(store: StockStore) -> None:
    mug = store.product("MUG", 10)
    store.feed.tell("MUG", 9)
    store.accept()
    store.run(30)

    def away(what: str) -> None:
        raise Unavailable("The engine is away.", "Wait.")

    store.feed.fail = away
    store.feed.tell("MUG", 5)
    store.run(300)
    assert store.stock_of(mug) == 9
    store.feed.fail = lambda what: None
    before = len(store.feed.polls)
    store.run(400)
    assert store.stock_of(mug) == 5
    assert store.feed.polls[before][0] == (1 << 40) + 1, "not from the beginning"


def test_a_store_in_no_pool_is_asked_for_again_slowly_and_reads_no_catalogue(store: StockStore) -> None:
    def no_pool(what: str) -> None:
        raise Denied("The store is in no pool.", "Add it to the rules.", slug="no-pool")

    store.feed.fail = no_pool
    store.run(300)
    assert len(store.feed.polls) <= 6
    assert store.agent.outbox.recall("trouble:stock") is None
    assert store.agent.outbox.recall("catalogue:pass") is None


def test_numbers_of_an_engine_before_stand_are_reported_and_give_way_to_a_confirmed_one(store: StockStore) -> None:
    mug = store.product("MUG", 10)
    assert store.plugin is not None
    basis = {"epoch": 1, "n": 0}
    shop_plugin_stock.write(store.plugin, [{"stock_id": mug, "version": BASE + 500, "number": 6, "basis": basis}])
    store.feed.tell("MUG", 4)
    store.accept()
    store.run(30)
    (write,) = [each for each in store.feed.said("writes") if each["sku"] == "MUG"]
    assert (write["verdict"], write["reason"]) == ("older", f"The shop has a number of version {BASE + 500}.")
    assert store.stock_of(mug) == 6
    assert told(store)["newer_skus"] == 1
    store.feed.engine_epoch, store.feed.counter = 2, 0
    store.feed.tell("MUG", 4)
    store.run(30)
    assert store.stock_of(mug) == 4
    assert told(store)["newer_skus"] == 0


def test_what_was_written_is_told_with_the_moment_its_own_number_rests_on(store: StockStore) -> None:
    def no_reports(what: str) -> None:
        if what == "report":
            raise Unavailable("The engine is away.", "Wait.")

    store.product("MUG", 10)
    store.product("CUP", 10)
    store.accept()
    store.feed.fail = no_reports
    store.feed.tell("MUG", 9, as_of="2026-11-23T09:00:01Z")
    store.feed.tell("CUP", 8, as_of=None)
    store.run(30)
    store.agent.outbox.remember(changes.HELD, "went-back")
    store.feed.tell("MUG", 4, as_of="2026-11-23T09:00:02Z")
    store.run(30)
    store.feed.fail = lambda what: None
    store.run(60)
    writes = {(each["sku"], each["number"], each["as_of"]) for each in store.feed.said("writes")}
    assert writes == {("MUG", 9, "2026-11-23T09:00:01Z"), ("CUP", 8, None)}


def test_another_engine_epoch_is_read_from_the_beginning_and_its_numbers_win(store: StockStore) -> None:
    mug = store.product("MUG", 10)
    store.feed.tell("MUG", 9)
    store.accept()
    store.run(30)
    store.feed.engine_epoch, store.feed.counter = 2, 0
    store.feed.numbers.clear()
    store.feed.tell("MUG", 5)
    store.run(30)
    assert store.stock_of(mug) == 5
    assert store.agent.applier is not None
    assert store.agent.applier.book.feed_place() == ((2 << 40) + 1, 2)


def test_a_full_stream_comes_by_pages(store: StockStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(applier, "PAGE_NUMBERS", 7)
    products = [store.product(f"SKU-{place}", 10) for place in range(30)]
    for place in range(30):
        store.feed.tell(f"SKU-{place}", place + 1)
    store.accept()
    store.run(30)
    assert [store.stock_of(product) for product in products] == list(range(1, 31))


def test_much_going_to_zero_at_once_waits_for_a_person_and_all_else_goes_on(store: StockStore) -> None:
    products = [store.product(f"SKU-{place}", 10) for place in range(40)]
    for place in range(40):
        store.feed.tell(f"SKU-{place}", 10)
    store.accept()
    store.run(30)
    for place in range(39):
        store.feed.tell(f"SKU-{place}", 0)
    store.feed.tell("SKU-39", 7)
    store.run(90)
    assert [store.stock_of(product) for product in products] == [10] * 39 + [7]
    assert told(store)["held"] == "brake"
    assert store.agent.applier is not None
    store.agent.applier.release_brake()
    store.run(30)
    assert [store.stock_of(product) for product in products] == [0] * 39 + [7]
    assert told(store)["held"] is None


def test_a_feed_that_comes_right_by_itself_takes_the_brake_off(store: StockStore) -> None:
    products = [store.product(f"SKU-{place}", 10) for place in range(20)]
    store.accept()
    for place in range(20):
        store.feed.tell(f"SKU-{place}", 0)
    store.run(90)
    assert told(store)["held"] == "brake"
    for place in range(20):
        store.feed.tell(f"SKU-{place}", 10 if place else 0)
    store.run(90)
    assert told(store)["held"] is None
    assert [store.stock_of(product) for product in products] == [0] + [10] * 19


def test_zeros_that_come_one_after_the_other_within_a_minute_are_one_batch_for_the_brake(store: StockStore) -> None:
    store.stock_settings |= {"brake_share": 0.3}
    products = [store.product(f"SKU-{place}", 10) for place in range(40)]
    store.accept()
    for place in range(40):
        store.feed.tell(f"SKU-{place}", 10)
    store.run(30)
    for place in range(30):
        store.feed.tell(f"SKU-{place}", 0)
        store.run(0.5)
    store.run(5)
    assert sum(store.stock_of(product) == 0 for product in products) <= 12
    assert told(store)["held"] == "brake"


def test_the_best_sellers_have_a_brake_of_their_own(store: StockStore) -> None:
    store.stock_settings |= {"brake_share": 1.0, "best_sellers": 20}
    products = [store.product(f"SKU-{place}", 10) for place in range(60)]
    store.accept()
    for place in range(60):
        store.feed.tell(f"SKU-{place}", 10, sold=100 if place < 20 else 0)
    store.run(30)
    for place in range(12):
        store.feed.tell(f"SKU-{place}", 0, sold=100)
    store.run(30)
    assert told(store)["held"] == "brake" and store.stock_of(products[0]) == 10


def test_an_edit_by_hand_is_found_by_a_sweep_and_told_to_the_engine(store: StockStore) -> None:
    products = [store.product(f"SKU-{place}", 10) for place in range(50)]
    for place in range(50):
        store.feed.tell(f"SKU-{place}", 8)
    store.accept()
    store.sell((products[3], 2))
    store.run(60)
    assert store.feed.said("drift") == []
    store.shop.products.set_by_statement(products[7], 5)
    assert store.agent.applier is not None
    store.agent.applier.sweep_soon()
    store.run(30)
    assert [(each["sku"], each["expected"], each["found"]) for each in store.feed.said("drift")] == [("SKU-7", 8, 5)]
    assert store.stock_of(products[7]) == 5, "only a number puts it right"
    store.feed.tell("SKU-7", 8)
    store.run(20)
    assert store.stock_of(products[7]) == 8


def test_a_sweep_of_an_unchanged_store_opens_no_bucket(store: StockStore) -> None:
    asked: list[str] = []

    class Counted:
        def __init__(self, plugin: Any) -> None:
            self._plugin = plugin

        def __getattr__(self, name: str) -> Any:
            asked.append(name)
            return getattr(self._plugin, name)

    store.wrap_plugin = Counted
    mug = store.product("MUG", 10)
    store.product("OTHER", 3)
    store.feed.tell("MUG", 8)
    store.accept()
    store.sell((mug, 1))
    store.run(60)
    assert store.agent.applier is not None
    store.agent.applier.sweep_soon()
    store.run(30)
    asked.clear()
    store.agent.outbox.remember("sweep:wanted", "1")
    store.run(5)
    assert asked.count("buckets") == 1 and "bucket" not in asked


def test_a_store_that_asks_for_a_pause_gets_it_and_smaller_writes(store: StockStore) -> None:
    class Busy:
        busy = True

        def __init__(self, plugin: Any) -> None:
            self._plugin = plugin

        def __getattr__(self, name: str) -> Any:
            return getattr(self._plugin, name)

        def stock(self, writes: Any) -> Any:
            if Busy.busy:
                raise RateLimited("Slower.", "Nothing to do.", retry_after_s=120.0)
            return self._plugin.stock(writes)

    store.wrap_plugin = Busy
    mug = store.product("MUG", 10)
    store.feed.tell("MUG", 4)
    store.accept()
    store.run(60)
    assert store.stock_of(mug) == 10
    assert store.agent.applier is not None
    assert store.agent.applier._pace["plugin"].size == applier.FIRST_ITEMS // 2
    Busy.busy = False
    store.run(30)
    assert store.stock_of(mug) == 10, "the pause isn't over"
    store.run(120)
    assert store.stock_of(mug) == 4


def test_a_write_grows_while_the_store_is_quick_and_shrinks_when_it_is_slow() -> None:
    pace = applier.Pace(2.0)
    pace.took(100, 0.2)
    assert pace.size == 200
    pace.took(50, 0.1)
    assert pace.size == 200, "a short batch says nothing of a long one"
    pace.took(200, 8.0)
    assert pace.size == 50
    pace.failed()
    assert pace.size == 25


def test_numbers_that_the_store_can_not_take_are_tried_again_a_few_times(store: StockStore) -> None:
    store.stock_settings["idle_s"] = 30.0
    store.product("MUG", 10)
    store.feed.tell("MUG", 2_000_000_000)
    store.accept()
    store.run(4_000)
    assert store.feed.verdicts() == {"MUG": "error"}
    assert "whole number" in store.feed.said("writes")[-1]["reason"]
    assert 2 <= len(store.feed.said("writes")) <= 5


def test_where_the_plugin_went_away_numbers_are_written_over_rest_and_the_store_is_exposed(store: StockStore) -> None:
    mug = store.product("MUG", 10)
    store.feed.tell("MUG", 8)
    store.accept()
    store.run(30)
    store.shop.plugin = None
    store.feed.tell("MUG", 5)
    store.run(60)
    assert store.stock_of(mug) == 8, "it may be an update of the plugin"
    store.run(200)
    assert store.stock_of(mug) == 5
    assert (told(store)["writes_by"], told(store)["exposed"]) == ("rest", True)


def test_a_number_without_a_sku_goes_nowhere(store: StockStore) -> None:
    free = store.product("", 10)
    store.feed.tell(" ", 3)
    store.accept()
    store.run(30)
    assert store.stock_of(free) == 10


def test_a_heartbeat_says_how_stock_is_written(store: StockStore) -> None:
    store.product("MUG", 10)
    store.accept()
    number = store.feed.tell("MUG", 4)
    store.run(130)
    assert faults("events/heartbeat.v1", store.engine.beats[-1]["data"]) == []
    beat = store.engine.beats[-1]["data"]["stock"]
    plugin = beat.pop("plugin")
    assert beat == {
        "writes_by": "plugin",
        "switch": "on",
        "exposed": False,
        "held": None,
        "version": number.version,
        "waiting": 0,
        "newer_skus": 0,
    }
    assert plugin["version"] == "0.1.0" and plugin["missing_hooks"] == []


def test_a_number_past_its_end_is_no_drift(store: StockStore) -> None:
    mug = store.product("MUG", 10)
    store.feed.tell("MUG", 8, expires_at=store.clock.now().isoformat(), silence_share="0.5")
    store.accept()
    store.run(60)
    assert store.stock_of(mug) == 4
    assert store.agent.applier is not None
    store.agent.applier.sweep_soon()
    store.run(30)
    assert store.feed.said("drift") == []


def test_an_engine_that_does_not_wait_is_asked_now_and_then_and_not_again_and_again(store: StockStore) -> None:
    store.stock_settings = {"switch": "on", "idle_s": 5.0}
    for _ in range(200):
        left_s = store.agent.step_stock(waits=True)
        store.clock.pass_time(min(left_s, 1.0))
    seconds = (store.clock.now() - datetime(2026, 11, 23, 9, tzinfo=UTC)).total_seconds()
    assert seconds > 150
    assert len(store.feed.polls) <= seconds / 5 + seconds / 60 + 3
    assert any(wait_s for _, _, wait_s in store.feed.polls[-20:]), "whether it waits by now is tried each minute"


def test_a_product_added_while_the_engine_is_waited_for_gets_its_number_at_once(store: StockStore) -> None:
    has_something = threading.Event()

    def waits(what: str) -> None:
        if what == "poll" and store.feed.polls[-1][2]:
            assert has_something.wait(60)

    store.feed.tell("MUG", 4)
    store.accept()
    store.run(30)
    store.feed.fail = waits
    while not store.feed.polls[-1][2]:
        store.agent.step_stock(waits=True)
    mug = store.product("MUG", 10)
    store.agent.nudge()
    store.clock.pass_time(1)
    while store.agent.step_store() == 0:
        pass
    for _ in range(5):
        store.agent.step_stock(waits=True)
    assert (store.stock_of(mug), has_something.is_set()) == (4, False)
    has_something.set()


def test_what_blocks_requests_before_the_engine_is_said_and_tried_again(store: StockStore) -> None:
    mug = store.product("MUG", 3)
    store.feed.tell("MUG", 10)

    def fail(what: str) -> None:
        raise Blocked("Something between agent and engine blocks the request.", "Let the firewall pass it.")

    store.feed.fail = fail
    store.accept()
    store.run(30)
    assert "Let the firewall pass it." in (store.agent.outbox.recall(applier.TROUBLE) or "")
    store.feed.fail = lambda what: None
    store.run(120)
    assert store.stock_of(mug) == 10
