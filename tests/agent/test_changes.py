"""The plugin's change log: what happens in the store is told once, with its moves, and acknowledged once it is safe."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from counterfoil_agent import applier, changes
from counterfoil_agent.config import StockSettings
from counterfoil_agent.errors import Blocked, Unavailable
from counterfoil_agent.ports import LogPage
from counterfoil_contracts import contract_of, faults
from fakes.agent_stock import StockStore, stock_store


@pytest.fixture
def store(quick_path: Path) -> Iterator[StockStore]:
    with stock_store(quick_path) as made:
        yield made
        for _, kind, body in made.engine.facts.values():
            assert faults(str(contract_of(kind)), body) == []


def test_a_sale_is_one_event_with_its_moves_and_is_acknowledged(store: StockStore) -> None:
    mug = store.product("MUG", 10)
    store.run()
    order = store.sell((mug, 3))
    store.run(25)
    assert store.moves() == [("MUG", "-3", "order")]
    subject, data = store.events()[-1]
    assert (subject, data["order"]["id"], data["order"]["status"]) == (f"order/{order}", order, "processing")
    rows = store.shop._all("select acked_ms is not null, epoch, n from plugin_changes where object = 'order'", ())
    assert rows == [(1, 1, 1)]
    assert store.shop._all("select epoch, n from plugin_moves", ()) == [(1, 1)]


def unacknowledged(store: StockStore) -> int:
    return int(store.shop._all("select count(*) from plugin_changes where acked_ms is null", ())[0][0])


def test_what_an_order_was_when_money_moved_is_an_event_of_its_own(store: StockStore) -> None:
    mug = store.product("MUG", 10)
    store.run()
    order = store.shop.create({"line_items": [{"product_id": mug, "quantity": 2}]})
    store.shop.pay(order)
    store.shop.set_status(order, "completed")
    store.run(25)
    statuses = [data["order"]["status"] for _, data in store.events()]
    assert statuses == ["pending", "processing", "completed"]
    assert store.moves() == [("MUG", "-2", "order")]
    assert unacknowledged(store) == 0


def test_an_older_state_never_comes_after_a_newer_one_that_was_read_over_rest(store: StockStore) -> None:
    mug = store.product("MUG", 10)
    store.run(25)
    store.plugin_settings |= {"poll_s": 3600, "safety_poll_s": 1}
    store.crash()
    store.run(5)
    order = store.shop.create({"line_items": [{"product_id": mug, "quantity": 2}]})
    store.clock.pass_time(2)
    store.shop.pay(order)
    store.run(30)
    assert [data["order"]["status"] for _, data in store.events()] == ["processing"]
    store.agent.nudge()
    store.run(30)
    assert {data["order"]["status"] for _, data in store.events()} == {"processing"}
    assert store.moves() == [("MUG", "-2", "order")]
    assert unacknowledged(store) == 0


def test_an_order_costs_the_shop_two_calls_to_the_plugin(store: StockStore) -> None:
    asked: list[str] = []

    class Counted:
        def __init__(self, plugin: object) -> None:
            self._plugin = plugin

        def __getattr__(self, name: str) -> object:
            asked.append(name)
            return getattr(self._plugin, name)

    store.wrap_plugin = Counted
    store.plugin_settings["poll_s"] = 3600
    mug = store.product("MUG", 10)
    store.run(60)
    asked.clear()
    store.sell((mug, 1))
    store.agent.nudge()
    store.run(30)
    assert [name for name in asked if name in ("changes", "ack")] == ["changes", "ack"]


def test_one_read_serves_all_rows_that_carry_nothing(store: StockStore) -> None:
    store.plugin_settings["safety_poll_s"] = 3600
    order = store.sell((store.product("MUG", 10), 1))
    store.run(25)
    told = len(store.events())
    for note in ("a", "b", "c"):
        store.shop.update(order, {"customer_note": note})
    store.run(25)
    assert len(store.events()) == told + 1
    assert store.events()[-1][1]["order"]["customer_note"] == "c"
    assert unacknowledged(store) == 0


def test_a_restock_by_a_refund_is_a_move_of_the_order(store: StockStore) -> None:
    order = store.sell((store.product("MUG", 10), 4))
    store.run(25)
    line = store.shop.order(order)["line_items"][0]["id"]
    store.shop.refund(order, lines={line: 1})
    store.run(25)
    assert store.moves() == [("MUG", "-4", "order"), ("MUG", "1", "refund")]
    assert len(store.events()[-1][1]["refunds"]) == 1


def test_a_deletion_that_the_plugin_wrote_down_needs_no_second_look(store: StockStore) -> None:
    order = store.sell((store.product("MUG", 10), 1))
    store.run(25)
    store.shop.delete(order)
    store.run(25)
    subject, gone = store.events()[-1]
    assert subject == f"order/{order}" and set(gone) == {"order_id", "event_id", "at"}
    assert "order" in store.events()[-2][1], "what it was is told before that it is gone"
    assert unacknowledged(store) == 0


def test_many_deletions_wait_for_a_person_even_where_the_plugin_wrote_them_down(store: StockStore) -> None:
    store.shop_settings["deletions_an_hour"] = 2
    mug = store.product("MUG", 100)
    orders = [store.sell((mug, 1)) for _ in range(6)]
    store.run(25)
    for order in orders:
        store.shop.delete(order)
    store.run(60)

    def gone() -> int:
        return sum("event_id" in data for _, data in store.events())

    assert gone() == 2
    assert store.agent.allow_deletions() == 4
    store.run(60)
    assert gone() == 6


def test_stock_set_by_hand_is_an_event_of_its_own(store: StockStore) -> None:
    mug = store.product("MUG", 10)
    store.feed.tell("MUG", 10)
    store.run(25)
    store.shop.products.change(mug, {"stock_quantity": 7})
    store.run(25)
    subject, data = store.events()[-1]
    assert subject == f"stock/{mug}"
    assert [(move["sku"], move["quantity"], move["kind"]) for move in data["moves"]] == [("MUG", "-3", "set")]
    assert unacknowledged(store) == 0


def test_an_older_engine_is_not_told_what_it_does_not_know(store: StockStore) -> None:
    mug = store.product("MUG", 10)
    store.run()
    store.agent.outbox.remember("contracts", '{"order": 1, "gone": 1}')
    standing, order = store.sell((mug, 1)), store.sell((mug, 1))
    store.shop.products.change(mug, {"stock_quantity": 7})
    store.run(25)
    store.shop.delete(order)
    store.run(25)
    assert {subject for subject, _ in store.events()} == {f"order/{standing}", f"order/{order}"}
    assert unacknowledged(store) == 0
    store.run(200)
    assert "evidence" in store.events()[-1][1], "it is looked for twice, as without the plugin"


def test_nothing_is_acknowledged_before_the_engine_holds_it(store: StockStore) -> None:
    mug = store.product("MUG", 10)
    store.run()
    down = True

    def fail(what: str) -> None:
        if down and what == "events":
            raise Unavailable("The engine is away.", "Wait.")

    store.engine.before = fail
    store.sell((mug, 1))
    store.run(40)
    assert store.agent.outbox.depth().waiting == 1 and unacknowledged(store) == 1
    down = False
    store.run(400)
    assert unacknowledged(store) == 0 and store.moves() == [("MUG", "-1", "order")]


def test_an_agent_put_back_to_a_backup_is_told_again_what_it_had_not_sent(store: StockStore) -> None:
    mug = store.product("MUG", 10)
    store.sell((mug, 1))
    store.run(25)
    backup = store.path.with_suffix(".backup")
    store.agent.close()
    store._agent = None
    shutil.copy(store.path, backup)
    store.sell((mug, 2))
    store.run(25)
    store.engine.before = _away
    store.sell((mug, 3))
    store.run(25)
    store.agent.close()
    store._agent = None
    store.engine.before = lambda what: None
    for name in (store.path, Path(f"{store.path}-wal"), Path(f"{store.path}-shm")):
        name.unlink(missing_ok=True)
    shutil.copy(backup, store.path)
    store.run(400)
    assert sorted(set(store.moves())) == [("MUG", "-1", "order"), ("MUG", "-2", "order"), ("MUG", "-3", "order")]
    assert unacknowledged(store) == 0
    assert store.engine.epoch == 2


def _away(what: str) -> None:
    if what == "events":
        raise Unavailable("The engine is away.", "Wait.")


def test_renumbered_into_a_later_epoch_rows_are_acknowledged_there_before_any_number_is_written(
    store: StockStore,
) -> None:
    mug = store.product("MUG", 10)
    store.sell((mug, 3))
    store.feed.tell("MUG", 10)
    store.run(25)
    # The engine went back further than can be told apart: all that is kept is sent anew, under new numbers.
    with store.agent.outbox.writing():
        store.agent.outbox.unacknowledge(None)
        store.agent.outbox.renumber(2)
    store.engine.numbers.clear()
    store.engine.epoch = 2
    store.engine.before = _away
    store.accept()
    store.feed.tell("MUG", 10, basis=(2, 0))
    store.run(5)
    assert [epoch for (epoch,) in store.shop._all("select epoch from plugin_moves", ())] == [2]
    assert store.stock_of(mug) == 7, "the engine doesn't hold the sale, and its number can't count it"


def test_a_flood_of_products_does_not_hold_up_an_order(store: StockStore) -> None:
    store.run()
    for place in range(300):
        store.product(f"SKU-{place}", 1)
    mug = store.product("MUG", 10)
    store.sell((mug, 1))
    steps = 0
    while not store.agent.outbox.position().last.n:
        store.clock.pass_time(store.agent.step())
        steps += 1
    assert steps < 60
    store.run(60)
    assert unacknowledged(store) == 0


def test_a_copy_of_the_store_is_neither_read_nor_written(store: StockStore) -> None:
    mug = store.product("MUG", 10)
    store.feed.tell("MUG", 10)
    store.accept()
    store.run(25)
    told = len(store.events())
    assert store.plugin is not None
    store.plugin.place["host"] = "staging"
    store.sell((mug, 1))
    store.feed.tell("MUG", 4)
    store.run(300)
    assert len(store.events()) == told and store.stock_of(mug) == 9
    assert "may be a copy" in str(store.agent.intake.held)
    assert applier.status(store.agent.outbox, StockSettings("on"), True)["held"] == "copy"
    store.plugin.place["host"] = "localhost"
    store.run(300)
    assert store.moves() == [("MUG", "-1", "order")] and store.stock_of(mug) == 3, "the sale isn't counted yet"


def test_no_order_of_a_copy_is_read_over_rest_before_its_log_is(store: StockStore) -> None:
    mug = store.product("MUG", 10)
    store.plugin_settings |= {"poll_s": 3600, "safety_poll_s": 1}
    store.run(25)
    assert store.plugin is not None
    store.plugin.place["host"] = "staging"
    order = store.sell((mug, 1))
    store.agent.hint(order)
    store.run(60)
    assert store.events() == [] and "may be a copy" in str(store.agent.intake.held)
    store.plugin.place["host"] = "localhost"
    store.run(300)
    assert {subject for subject, _ in store.events()} == {f"order/{order}"}


def test_a_plugin_that_was_never_asked_yet_may_be_a_copys_too(
    store: StockStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    mug = store.product("MUG", 10)
    ask = store.agent.intake.changes._plugin.changes
    calls = iter([True, True])

    def is_cut_at_first(rows: int) -> LogPage:
        if next(calls, False):
            raise Unavailable("The line was cut.", "It is tried again by itself.")
        return ask(rows)

    monkeypatch.setattr(store.agent.intake.changes._plugin, "changes", is_cut_at_first)
    store.plugin.place["host"] = "staging"
    store.sell((mug, 1))
    store.run(300)
    assert store.events() == [] and "may be a copy" in str(store.agent.intake.held)


def test_a_plugin_that_does_not_answer_may_be_a_copys_for_a_minute_then_orders_are_read_without_it(
    store: StockStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    mug = store.product("MUG", 10)
    store.plugin_settings |= {"poll_s": 3600, "safety_poll_s": 1}
    store.run(25)

    def is_cut(rows: int) -> None:
        raise Unavailable("The line was cut.", "It is tried again by itself.")

    monkeypatch.setattr(store.agent.intake.changes._plugin, "changes", is_cut)
    order = store.sell((mug, 1))
    store.agent.hint(order)
    store.run(50)
    assert store.events() == []
    store.run(300)
    assert {subject for subject, _ in store.events()} == {f"order/{order}"}


def test_a_store_that_went_back_waits_for_a_person_and_goes_on_in_a_new_epoch(store: StockStore) -> None:
    mug = store.product("MUG", 10)
    store.feed.tell("MUG", 10)
    store.accept()
    store.sell((mug, 1))
    store.run(25)
    backup = sqlite3.connect(":memory:")
    store.shop.connection.backup(backup)
    store.sell((mug, 2))
    store.run(25)
    store.feed.tell("MUG", 7, basis=(1, store.agent.outbox.position().last.n))
    store.run(25)
    assert store.stock_of(mug) == 7
    backup.backup(store.shop.connection)
    told = len(store.events())
    store.run(120)
    assert len(store.events()) == told
    assert "went back" in str(store.agent.intake.held)
    store.run(120)
    assert store.stock_of(mug) == 9, "nothing is written"
    store.agent.accept_restored_store()
    store.run(120)
    assert store.engine.epoch == 2
    assert store.stock_of(mug) == 7, "all numbers are written again"
    store.sell((mug, 1))
    store.run(25)
    assert store.moves()[-1] == ("MUG", "-1", "order")


def test_a_plugin_that_disappears_leaves_rest_and_is_missed_in_the_status(store: StockStore) -> None:
    mug = store.product("MUG", 10)
    store.run(25)
    plugin, store.shop.plugin = store.shop.plugin, None
    store.run(200)
    assert not changes.uses_plugin(store.agent.outbox)
    order = store.sell((mug, 1))
    store.run(25)
    assert store.events()[-1][0] == f"order/{order}" and "moves" not in store.events()[-1][1]
    assert applier.status(store.agent.outbox, StockSettings("on"), True)["writes_by"] == "rest"
    store.shop.plugin = plugin
    store.run(200)
    store.sell((mug, 2))
    store.run(25)
    assert store.moves()[-1] == ("MUG", "-2", "order")


def test_an_order_sold_while_the_plugin_was_away_speaks_for_itself(store: StockStore) -> None:
    mug = store.product("MUG", 10)
    store.run(25)
    plugin, store.shop.plugin = store.shop.plugin, None
    store.run(30)
    store.sell((mug, 1))
    store.shop.plugin = plugin
    store.run(400)
    assert changes.uses_plugin(store.agent.outbox)
    (told,) = [data for _, data in store.events()]
    assert "moves" not in told, "no move of it will ever be told"


def test_a_wrong_key_stops_the_log_and_not_what_is_read_over_rest(store: StockStore) -> None:
    mug = store.product("MUG", 10)
    assert store.plugin is not None
    store.plugin.pair("another")
    store.plugin.pair("and another")
    order = store.sell((mug, 1))
    store.run(60)
    assert store.events()[-1][0] == f"order/{order}" and "moves" not in store.events()[-1][1]
    changes_of = store.agent.intake.changes
    assert changes_of is not None and "Pair again" in str(changes_of.trouble)


def test_an_order_that_can_not_be_read_does_not_hold_up_its_moves(store: StockStore) -> None:
    mug = store.product("MUG", 10)
    store.run()
    order = store.sell((mug, 3))
    raw = json.dumps(store.shop.order(order)).replace('"total"', '"total":"1","total"', 1)
    rest = store.agent.intake._store

    def order_is_odd(order_id: int) -> bytes:
        return raw.encode()

    rest.order = order_is_odd  # type: ignore[method-assign]
    store.run(30)
    kinds = {kind for _, kind, _ in store.engine.facts.values()}
    assert kinds == {"counterfoil.tombstone.v1", "counterfoil.stock.v1"}
    assert store.moves() == [("MUG", "-3", "order")]
    stands_for = [data["stands_for"] for _, data in store.events() if "stands_for" in data]
    tombstone = next(place for place, name in store.engine.numbers.items() if _is_stone(store, name))
    assert {"epoch": tombstone[0], "n": tombstone[1]} in [place for each in stands_for for place in each]


def _is_stone(store: StockStore, event_id: str) -> bool:
    return store.engine.facts[event_id][1] == "counterfoil.tombstone.v1"


def test_an_event_that_the_engine_calls_invalid_leaves_its_moves_to_another(store: StockStore) -> None:
    mug = store.product("MUG", 10)
    store.run()
    order = store.sell((mug, 3))
    store.engine.invalid.add(f"order/{order}")
    store.run(30)
    anew = [data for subject, data in store.events() if subject == "stock/0"]
    assert [[move["quantity"] for move in data["moves"]] for data in anew if data["moves"]] == [["-3"]]
    assert all(data["order_id"] == order for data in anew)
    named = {(place["epoch"], place["n"]) for data in anew for place in data["stands_for"]}
    assert named == {place for place, name in store.engine.numbers.items() if store.engine.facts[name][0] != "stock/0"}


def test_an_order_whose_event_was_mangled_on_its_way_is_read_anew_a_few_times(store: StockStore) -> None:
    mug = store.product("MUG", 10)
    store.run()
    order = store.sell((mug, 3))
    store.engine.invalid.add(f"order/{order}")
    store.run(600)
    sent = [subject for subject, _ in store.events()].count(f"order/{order}")
    assert sent <= 6, "an order that can never be read isn't sent for ever"
    store.engine.invalid.clear()
    store.shop.set_status(order, "completed")
    store.run(400)
    assert store.events()[-1][1]["order"]["status"] == "completed"


def test_what_stands_for_an_unreadable_event_names_every_place_that_it_had(store: StockStore) -> None:
    mug = store.product("MUG", 10)
    store.run()
    store.engine.after = lambda what: _away(what)
    order = store.sell((mug, 3))
    store.engine.invalid.add(f"order/{order}")
    store.run(12)
    store.agent.outbox.renumber(2)
    store.engine.numbers.clear()
    store.engine.facts.clear()
    store.engine.epoch = 2
    store.engine.after = lambda what: None
    store.run(300)
    named = {(place["epoch"], place["n"]) for _, data in store.events() for place in data.get("stands_for", ())}
    assert {epoch for epoch, _ in named} == {1, 2}


def test_what_can_not_pass_leaves_its_moves_to_an_event_that_can(store: StockStore) -> None:
    mug = store.product("MUG", 10)
    store.run()

    def judge(batch: bytes, wrapped: bool) -> None:
        if b"Erika" in batch:
            raise Blocked("A firewall.", "Look.")

    store.engine.judge = judge
    store.sell((mug, 3), customer_note="Erika")
    store.run(600)
    assert store.moves() == [("MUG", "-3", "order")]
    assert any("stands_for" in data and data["order_id"] for _, data in store.events())
    assert unacknowledged(store) == 0


def test_one_order_that_makes_the_shop_fail_does_not_hold_up_its_neighbours(store: StockStore) -> None:
    mug = store.product("MUG", 10)
    store.run()
    first = store.sell((mug, 1))
    second = store.sell((mug, 2))
    rest = store.agent.intake._store
    real = rest.order

    def fails(order_id: int) -> object:
        if order_id == first:
            raise Unavailable("PHP died.", "See its log.", status=500)
        return real(order_id)

    rest.order = fails  # type: ignore[method-assign, assignment]
    store.run(60)
    assert [subject for subject, data in store.events() if data.get("moves")] == [f"order/{second}"]
    rest.order = real  # type: ignore[method-assign]
    store.run(200)
    assert sorted(store.moves()) == [("MUG", "-1", "order"), ("MUG", "-2", "order")]


def test_a_request_of_more_than_a_minute_loses_no_move(store: StockStore) -> None:
    mug = store.product("MUG", 10)
    assert store.plugin is not None
    store.run()
    store.plugin.dies = True
    order = store.sell((mug, 1))
    store.engine.before = _away
    store.run(90)
    store.shop.connection.execute(
        "insert into plugin_moves (move_id, event_id, order_id, order_item_id, stock_id, sku, parts, kind, at_ms)"
        " select ?, event_id, order_id, order_item_id, stock_id, sku, -20000, kind, at_ms from plugin_moves",
        ("a" * 32,),
    )
    store.run(30)
    store.engine.before = lambda what: None
    store.run(400)
    assert sorted(store.moves()) == [("MUG", "-1", "order"), ("MUG", "-2", "order")]
    assert {subject for subject, _ in store.events()} == {f"order/{order}"}
    assert unacknowledged(store) == 0
