"""Stock over plain REST: only what differs, in the order of what matters, read once more after the write."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from counterfoil_agent import applier, stock_writers
from counterfoil_agent.config import StockSettings
from fakes.agent_stock import StockStore, stock_store


@pytest.fixture
def store(quick_path: Path) -> Iterator[StockStore]:
    with stock_store(quick_path, plugin=False) as made:
        yield made


def posted(store: StockStore, monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The products of each batch that is written from now on."""
    batches: list[list[int]] = []
    real = stock_writers.RestStock._batch

    def noted(self: Any, parent_id: int, writes: Any) -> Any:
        batches.append([each.stock_id for each in writes])
        return real(self, parent_id, writes)

    monkeypatch.setattr(stock_writers.RestStock, "_batch", noted)
    return batches


def test_numbers_are_written_and_the_store_is_said_to_be_exposed(store: StockStore) -> None:
    mug = store.product("MUG", 10)
    store.feed.tell("MUG", 4)
    store.accept()
    store.run(30)
    assert store.stock_of(mug) == 4 and store.feed.verdicts() == {"MUG": "applied"}
    told = applier.status(store.agent.outbox, StockSettings("on"), False)
    assert (told["writes_by"], told["exposed"], told["plugin"]) == ("rest", True, None)


def test_only_what_differs_is_written(store: StockStore, monkeypatch: pytest.MonkeyPatch) -> None:
    batches = posted(store, monkeypatch)
    products = [store.product(f"SKU-{place}", 10) for place in range(5)]
    for place in range(5):
        store.feed.tell(f"SKU-{place}", 10 if place else 4)
    store.accept()
    store.run(30)
    assert batches == [[products[0]]]
    assert len(store.feed.said("writes")) == 5


def test_what_sells_out_or_comes_back_goes_first_then_what_sells_most(
    store: StockStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(applier, "FIRST_ITEMS", 1)
    monkeypatch.setattr(applier.Pace, "took", lambda self, items, seconds: None)
    batches = posted(store, monkeypatch)
    store.stock_settings["brake_from"] = 100
    slow, quick, out, back = (
        store.product("SLOW", 10),
        store.product("QUICK", 10),
        store.product("OUT", 10),
        store.product("BACK", 0),
    )
    store.feed.tell("SLOW", 9, sold=1)
    store.feed.tell("QUICK", 9, sold=50)
    store.feed.tell("OUT", 0, sold=0)
    store.feed.tell("BACK", 3, sold=2)
    store.accept()
    monkeypatch.setattr(applier.Applier, "_pace_of", lambda self, store: applier.Pace(2.0, 1))
    store.run(30)
    assert batches == [[back], [out], [quick], [slow]]


def test_variations_are_written_below_their_parent(store: StockStore) -> None:
    parent = store.product("SHIRT", None, type="variable")
    ids = [
        store.shop.products.add({"sku": f"SHIRT-{size}", "manage_stock": True, "stock_quantity": 6}, parent)
        for size in "SML"
    ]
    for size in "SML":
        store.feed.tell(f"SHIRT-{size}", 3)
    store.accept()
    store.run(30)
    assert [store.stock_of(each) for each in ids] == [3, 3, 3]


def test_a_product_turned_into_a_variable_one_in_between_is_not_written_and_all_others_go_on(store: StockStore) -> None:
    store.stock_settings["catalogue_h"] = 0.05
    small, cup = store.turns_variable()
    store.run(300)
    assert (store.stock_of(small), store.stock_of(cup)) == (4, 4)
    assert store.feed.verdicts() == {"SHIRT": "unmanaged", "SHIRT-S": "applied", "CUP": "applied"}


def test_errors_inside_a_batch_are_each_their_own(store: StockStore, monkeypatch: pytest.MonkeyPatch) -> None:
    mug, cup = store.product("MUG", 10), store.product("CUP", 10)
    store.feed.tell("MUG", 9)
    store.feed.tell("CUP", 9)
    store.accept()
    store.run(30)
    real = stock_writers.RestStock.quantities

    def deleted_after_it_was_read(self: Any, writes: Any) -> Any:
        found = real(self, writes)
        if mug in found:
            store.shop.products.delete(mug)
        return found

    monkeypatch.setattr(stock_writers.RestStock, "quantities", deleted_after_it_was_read)
    store.feed.tell("MUG", 4)
    store.feed.tell("CUP", 4)
    store.run(30)
    assert store.stock_of(cup) == 4
    assert store.feed.verdicts() == {"MUG": "missing", "CUP": "applied"}


def test_what_somebody_raised_over_a_write_is_put_right_once_and_told(store: StockStore) -> None:
    mug = store.product("MUG", 10)
    store.feed.tell("MUG", 4)
    store.accept()
    while store.stock_of(mug) == 10:
        store.agent.step()
        store.clock.pass_time(0.5)
    store.shop.products.change(mug, {"stock_quantity": 9})
    store.run(20)
    assert store.stock_of(mug) == 4
    assert store.feed.verdicts() == {"MUG": "corrected"}
    assert [(each["sku"], each["expected"], each["found"]) for each in store.feed.said("drift")] == [("MUG", 4, 9)]
    store.shop.products.change(mug, {"stock_quantity": 8})
    store.run(20)
    assert store.stock_of(mug) == 8, "two writers must not fight over it"


def test_what_somebody_raised_long_after_a_write_is_found_with_the_catalogue_and_told(store: StockStore) -> None:
    mug, cup = store.product("MUG", 10), store.product("CUP", 10)
    store.feed.tell("MUG", 4)
    store.feed.tell("CUP", 4)
    store.accept()
    store.run(60)
    store.shop.products.change(mug, {"stock_quantity": 9})
    store.sell((cup, 1))
    assert store.agent.applier is not None
    store.agent.applier.sweep_soon()
    store.run(30)
    assert [(each["sku"], each["expected"], each["found"]) for each in store.feed.said("drift")] == [("MUG", 4, 9)]


def test_the_status_says_by_how_much_the_store_is_exposed(store: StockStore) -> None:
    store.product("MUG", 10)
    as_of = store.clock.now() - timedelta(seconds=50)
    store.feed.tell("MUG", 4, as_of=as_of.isoformat())
    store.accept()
    store.run(30)
    assert store.agent.applier is not None
    told = store.agent.applier.book.exposure(0)
    assert (told["skus_a_day"], told["corrected_a_day"]) == (1, 0)
    assert 50 <= told["oldest_number_s"] < 80


def test_what_was_sold_after_a_write_stays_sold(store: StockStore) -> None:
    mug = store.product("MUG", 10)
    store.feed.tell("MUG", 9)
    store.accept()
    while store.stock_of(mug) == 10:
        store.agent.step()
        store.clock.pass_time(0.5)
    store.sell((mug, 2))
    store.run(20)
    assert store.stock_of(mug) == 7 and store.feed.said("drift") == []


def test_a_catalogue_of_many_pages_is_read_whole(store: StockStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stock_writers, "REST_A_PAGE", 10)
    monkeypatch.setattr(stock_writers, "OVERLAP", 3)
    products = [store.product(f"SKU-{place}", 10) for place in range(37)]
    for place in range(37):
        store.feed.tell(f"SKU-{place}", place + 1)
    store.accept()
    store.run(30)
    assert [store.stock_of(product) for product in products] == list(range(1, 38))


def test_products_deleted_while_the_catalogue_is_read_hide_no_other(
    store: StockStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stock_writers, "REST_A_PAGE", 10)
    monkeypatch.setattr(stock_writers, "OVERLAP", 3)
    products = [store.product(f"SKU-{place}", 10) for place in range(37)]
    for place in range(37):
        store.feed.tell(f"SKU-{place}", 5)
    store.accept()
    real, pages = stock_writers.RestStock._products, 0

    def deletes(self: Any, at: Any) -> Any:
        nonlocal pages
        pages += 1
        if pages == 3:
            for product in products[:8]:
                store.shop.products.delete(product)
        return real(self, at)

    monkeypatch.setattr(stock_writers.RestStock, "_products", deletes)
    store.run(60)
    assert [store.stock_of(product) for product in products[8:]] == [5] * 29


def test_a_key_that_may_only_read_is_said_with_its_remedy(store: StockStore) -> None:
    mug = store.product("MUG", 10)
    store.feed.tell("MUG", 4)
    store.accept()
    store.sandbox.keys.keys = {"ck_sandbox": ("cs_sandbox", "read")}
    store.run(60)
    assert store.stock_of(mug) == 10
    assert "permission" in (store.agent.outbox.recall("trouble:stock") or "")
