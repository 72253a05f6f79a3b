"""Sweeps of a store without the plugin, over REST alone: slower, by pages and pauses, with the same breaks at last."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.swept import Swept, swept_store


@pytest.fixture
def swept(quick_path: Path, tmp_path: Path) -> Iterator[Swept]:
    with swept_store(quick_path, tmp_path, plugin=False) as made:
        yield made


def stocked(swept: Swept, *skus: str, units: int = 10) -> list[int]:
    products = [swept.stock(sku, units) for sku in skus]
    swept.live(2)
    swept.store.accept()
    swept.live(12)
    assert [swept.store.stock_of(product) for product in products] == [units] * len(skus)
    return products


def test_a_store_that_has_its_numbers_agrees(swept: Swept) -> None:
    stocked(swept, "MUG", "CUP", "JAR")
    run = swept.sweep("stock")
    assert (run["state"], run["compared"], run["found"], run["in_flight"]) == ("done", 3, {}, {})


def test_a_number_raised_by_hand_is_an_edit_and_written_again(swept: Swept) -> None:
    mug, _ = stocked(swept, "MUG", "CUP")
    swept.store.shop.products.change(mug, {"stock_quantity": 17})
    run = swept.sweep("stock")
    assert run["found"] == {"manual_edit_store": {"breaks": 1, "units": 7, "amounts": {}}} and run["healing"] == 1
    swept.live(12)
    assert swept.store.stock_of(mug) == 10
    assert swept.sweep("stock")["found"] == {} and swept.breaks()["stock eu/mug"][3] == "healed"


def test_what_was_sold_since_the_number_was_written_is_on_its_way(swept: Swept) -> None:
    mug, _ = stocked(swept, "MUG", "CUP")
    swept.store.sell((mug, 4))
    number = swept.sweeping.sweeps.start("stock", "eu1", "anna")
    for _ in range(40):
        swept.store.run(20)
        if (run := swept.sweeping.sweeps.show(number))["state"] != "running":
            break
    assert (run["state"], run["in_flight"], swept.breaks()) == ("done", {"about to be published": 1}, {})


def test_an_order_whose_events_were_lost_is_found_by_listing_each_day_and_read_again(swept: Swept) -> None:
    (mug,) = stocked(swept, "MUG")
    first, _ = [swept.store.sell((mug, 1), currency="EUR") for _ in range(2)]
    swept.live(12)
    with swept.engine.database.transaction() as tx:
        tx.run("delete from events where subject = %s", f"order eu1/{first}")
    run = swept.sweep("orders", rounds=400)
    assert run["found"]["missed"]["breaks"] == 1 and run["state"] == "done"
    assert run["answers"] > 2, "over REST no totals can be had"
    swept.live(12)
    assert swept.sweep("orders", rounds=400)["found"] == {}
    assert swept.breaks()[f"order eu1/{first}"][3] == "healed"


def test_a_product_that_is_gone_from_the_shop_goes_nowhere_and_is_no_break_of_stock(swept: Swept) -> None:
    mug, _ = stocked(swept, "MUG", "CUP")
    swept.store.shop.products.change(mug, {"manage_stock": False})
    assert "stock eu/cup" not in swept.breaks()
    run = swept.sweep("stock")
    assert run["state"] == "done" and "stock eu/cup" not in swept.breaks()


def test_pages_are_read_with_the_pause_that_the_rules_give(swept: Swept) -> None:
    stocked(swept, *(f"SKU-{place:03}" for place in range(130)), units=3)
    began = swept.store.clock.now()
    run = swept.sweep("stock", rounds=200)
    assert run["state"] == "done" and run["found"] == {}
    assert (swept.store.clock.now() - began).total_seconds() >= 5, "a pause lies between two pages"
