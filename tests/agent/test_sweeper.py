"""How an agent answers sweeps: by whichever way the store is reached, and what it says where it can't."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from counterfoil_agent.errors import Denied, Unavailable
from counterfoil_contracts import faults
from fakes.agent_stock import StockStore, stock_store


class Asking:
    """The engine's mailbox in memory. tasks: what is asked next; answers: what was said, each as its contract says."""

    def __init__(self) -> None:
        self.tasks: list[dict[str, Any]] = []
        self.answers: list[dict[str, Any]] = []
        self.error: Exception | None = None
        self.asked = 0

    def exchange(self, answers: list[dict[str, Any]], limit: int) -> list[Any]:
        self.asked += 1
        if self.error is not None:
            raise self.error
        assert faults("feed/sweep_answers.v1", {"limit": limit, "answers": answers}) == []
        self.answers += answers
        told, self.tasks = self.tasks[:limit], self.tasks[limit:]
        return told


def asking_store(folder: Path, plugin: bool = True) -> Iterator[StockStore]:
    with stock_store(folder, plugin) as store:
        store.sweeps = Asking()
        yield store


@pytest.fixture
def store(quick_path: Path) -> Iterator[StockStore]:
    yield from asking_store(quick_path)


@pytest.fixture
def plain_store(quick_path: Path) -> Iterator[StockStore]:
    yield from asking_store(quick_path, plugin=False)


def stocked(store: StockStore, *skus: str) -> list[int]:
    products = [store.product(sku, 3) for sku in skus]
    for sku in skus:
        store.feed.tell(sku, 10)
    store.run(20)
    store.accept()
    store.run(20)
    assert [store.stock_of(product) for product in products] == [10] * len(skus)
    store.agent.outbox.remember("contracts", '{"sweeps": 1, "stock": 1, "order": 1}')
    return products


def ask(store: StockStore, kind: str, seconds: float = 60, **more: Any) -> dict[str, Any]:
    store.sweeps.tasks.append({"task": len(store.sweeps.answers) + 1, "kind": kind, **more})
    store.run(seconds)
    answer: dict[str, Any] = store.sweeps.answers[-1]
    return answer


def test_an_engine_that_speaks_of_no_sweeps_is_not_asked(store: StockStore) -> None:
    store.run(120)
    assert store.sweeps.asked == 0


def test_what_the_shop_has_is_told_where_it_is_not_what_was_written(store: StockStore) -> None:
    mug, _ = stocked(store, "MUG", "CUP")
    plugin, store.shop.plugin = store.shop.plugin, None
    store.shop.products.change(mug, {"stock_quantity": 17})
    store.shop.plugin = plugin
    first = ask(store, "stock_digest", prefixes=[""])
    assert (first["by"], first["count"], sum(row[1] for row in first["buckets"])) == ("plugin", 2, 2)
    listed = ask(store, "stock_items", prefixes=[""])
    found = {row["sku"]: (row["number"], row["written"], row["waits"], row["sold"]) for row in listed["items"]}
    assert found == {"MUG": ("17", 10, False, None), "CUP": ("10", 10, False, None)}


def test_a_store_without_the_plugin_is_read_page_by_page_with_pauses(plain_store: StockStore) -> None:
    mug, _ = stocked(plain_store, "MUG", "CUP")
    plain_store.shop.products.change(mug, {"stock_quantity": 17})
    began = plain_store.clock.now()
    listed = ask(plain_store, "stock_items", 120, prefixes=[""], pause_s=30)
    assert listed["by"] == "rest"
    assert {row["sku"]: (row["number"], row["sold"]) for row in listed["items"]} == {"MUG": ("17", 0), "CUP": ("10", 0)}
    assert (plain_store.clock.now() - began).total_seconds() >= 30


def test_numbers_that_wait_for_a_yes_cannot_be_compared_and_that_is_said(store: StockStore) -> None:
    store.product("MUG", 3)
    store.feed.tell("MUG", 10)
    store.run(20)
    store.agent.outbox.remember("contracts", '{"sweeps": 1}')
    failed = ask(store, "stock_digest", prefixes=[""])["failed"]
    assert "wait for a yes" in failed["cause"] and "counterfoil-agent status" in failed["remedy"]


def test_a_shop_that_stays_away_is_said_so_after_some_tries(store: StockStore) -> None:
    stocked(store, "MUG")

    def away(*_: Any) -> Any:
        raise Unavailable("The shop can't be reached.", "See whether it is up.")

    store.agent.sweeper._plugin.buckets = away  # type: ignore[union-attr, method-assign]
    failed = ask(store, "stock_digest", 120, prefixes=[""])["failed"]
    assert failed == {"cause": "The shop can't be reached.", "remedy": "See whether it is up."}


def test_totals_come_from_the_plugin_and_orders_of_a_day_from_rest(store: StockStore) -> None:
    (mug,) = stocked(store, "MUG")
    orders = [store.sell((mug, 1)) for _ in range(2)]
    told = ask(store, "order_totals", first="2026-11-20", last="2026-11-24")
    assert [row[:3] for row in told["totals"]] == [["2026-11-23", "EUR", 2]]
    day = ask(store, "order_day", day="2026-11-23")
    assert {row[0]: (row[1], row[2], row[5]) for row in day["orders"]} == dict.fromkeys(orders, ("EUR", "10", True))


def test_orders_that_are_to_be_read_again_are_sent_though_they_did_not_change(store: StockStore) -> None:
    (mug,) = stocked(store, "MUG")
    order = store.sell((mug, 1))
    store.run(60)
    before = len(store.events())
    ask(store, "fetch", orders=[order])
    assert [subject for subject, _ in store.events()[before:]] == [f"order/{order}"]


def test_an_engine_that_refuses_is_asked_again_slowly(store: StockStore) -> None:
    stocked(store, "MUG")
    store.sweeps.error = Denied("No.", "Ask.")
    store.run(200)
    assert store.sweeps.asked <= 2
    store.sweeps.error = None
    store.run(400)
    assert store.sweeps.asked > 2
