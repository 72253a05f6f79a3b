"""Sweeps from the engine through the agent into the shop and back: what differs is found, named, sized and healed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.swept import Swept, swept_store


@pytest.fixture
def swept(quick_path: Path, tmp_path: Path) -> Iterator[Swept]:
    with swept_store(quick_path, tmp_path) as made:
        yield made


def stocked(swept: Swept, *skus: str, units: int = 10) -> list[int]:
    products = [swept.stock(sku, units) for sku in skus]
    swept.live(2)
    swept.store.accept()
    swept.live()
    assert [swept.store.stock_of(product) for product in products] == [units] * len(skus)
    return products


def test_a_store_that_has_its_numbers_agrees_in_one_question(swept: Swept) -> None:
    stocked(swept, *(f"SKU-{place}" for place in range(30)))
    run = swept.sweep("stock")
    assert (run["state"], run["compared"], run["answers"], run["found"]) == ("done", 30, 1, {})
    assert swept.breaks() == {}


def test_a_silent_edit_is_found_sized_and_healed_by_writing_the_number_again(swept: Swept) -> None:
    mug, _ = stocked(swept, "MUG", "CUP")
    version = swept.world.version("MUG")
    swept.edit_silently(mug, 17)
    run = swept.sweep("stock")
    assert run["found"] == {"manual_edit_store": {"breaks": 1, "units": 7, "amounts": {}}} and run["healing"] == 1
    assert swept.breaks()["stock eu/mug"][:2] == ("manual_edit_store", 7)
    swept.live()
    assert swept.store.stock_of(mug) == 10 and swept.world.version("MUG") > version
    assert swept.sweep("stock")["found"] == {}
    assert swept.breaks() == {"stock eu/mug": ("manual_edit_store", 7, None, "healed")}


def test_an_edit_in_the_admin_is_healed_by_itself_before_any_sweep(swept: Swept) -> None:
    (mug,) = stocked(swept, "MUG")
    swept.store.shop.products.change(mug, {"stock_quantity": 3})
    swept.live()
    assert swept.store.stock_of(mug) == 10
    assert swept.sweep("stock")["found"] == {} and swept.breaks() == {}


def test_sales_are_no_drift_whether_they_are_counted_or_not(swept: Swept) -> None:
    mug, _ = stocked(swept, "MUG", "CUP")
    swept.store.sell((mug, 4))
    assert swept.sweep("stock")["found"] == {} and swept.breaks() == {}
    swept.live()
    assert swept.store.stock_of(mug) == 6
    assert swept.sweep("stock")["found"] == {} and swept.breaks() == {}


def test_a_number_on_its_way_is_in_flight_and_no_break(swept: Swept) -> None:
    stocked(swept, *(f"SKU-{place}" for place in range(8)))
    number = swept.sweeping.sweeps.start("stock", "eu1", "anna")
    swept.world.position("SKU-3", 25)
    swept.world.publish()
    while swept.sweeping.sweeps.show(number)["state"] == "running":
        swept.store.agent.sweeper.step()  # type: ignore[union-attr]
        swept.store.clock.pass_time(1)
    run = swept.sweeping.sweeps.show(number)
    assert (run["state"], run["found"], run["in_flight"]) == ("done", {}, {"not read by the agent yet": 1})


def test_a_dry_run_says_what_it_finds_and_writes_nothing(swept: Swept) -> None:
    (mug,) = stocked(swept, "MUG")
    swept.edit_silently(mug, 17)
    run = swept.sweep("stock", dry_run=True)
    assert run["named"][0]["subject"] == "stock eu/mug" and "17" in run["named"][0]["cause"]
    assert swept.breaks() == {} and swept.store.stock_of(mug) == 17


def test_a_repair_that_would_empty_too_many_shelves_waits_for_a_person(swept: Swept) -> None:
    products = stocked(swept, *(f"SKU-{place:02}" for place in range(12)), units=0)
    for product in products:
        swept.edit_silently(product, 5)
    run = swept.sweep("stock")
    assert (run["healing"], run["braked"]) == (0, 12)
    assert {state for *_, state in swept.breaks().values()} == {"proposed"}
    swept.live()
    assert [swept.store.stock_of(product) for product in products] == [5] * 12


def test_a_break_that_comes_back_is_recurring(swept: Swept) -> None:
    (mug,) = stocked(swept, "MUG")
    for _ in range(2):
        swept.edit_silently(mug, 17)
        swept.sweep("stock")
        swept.live()
    swept.edit_silently(mug, 17)
    swept.sweep("stock")
    (row,) = swept.sweeping.desk.listed("stock", "eu1", True, 10)["breaks"]
    assert row["recurring"] is True
    said = [one["what"] for one in swept.sweeping.desk.show(row["id"])["history"]]
    assert said[:3] == ["found", "its repair began", "its number was written again"] and "came back" in said


def orders_of(swept: Swept, count: int = 3) -> list[int]:
    (mug,) = stocked(swept, "MUG")
    orders = [swept.store.sell((mug, 1), currency="EUR") for _ in range(count)]
    swept.live()
    return orders


def test_orders_that_are_all_here_agree_by_their_totals_alone(swept: Swept) -> None:
    orders_of(swept)
    run = swept.sweep("orders")
    assert (run["state"], run["compared"], run["answers"], run["found"]) == ("done", 3, 1, {})


def test_an_order_whose_fact_is_missing_is_found_after_a_second_snapshot_read_again_and_healed(swept: Swept) -> None:
    _, second, _ = orders_of(swept)
    with swept.engine.database.transaction() as tx:
        tx.run("delete from events where subject = %s", f"order eu1/{second}")
    run = swept.sweep("orders")
    total = int(float(swept.store.shop.order(second)["total"]) * 100 + 0.5)
    assert run["found"] == {"missed": {"breaks": 1, "units": 1, "amounts": {"EUR": total}}} and run["answers"] == 3
    assert swept.breaks() == {f"order eu1/{second}": ("missed", 1, total, "healing")}
    swept.live()
    assert swept.sweep("orders")["found"] == {}
    assert swept.breaks()[f"order eu1/{second}"][3] == "healed"


def test_an_order_that_was_changed_past_all_hooks_is_an_amount_and_read_again(swept: Swept) -> None:
    swept.store.plugin_settings["safety_poll_s"] = 86_400  # else the agent finds it first
    first, *_ = orders_of(swept)
    swept.store.clock.pass_time(3_600)
    shop = swept.store.shop
    order: Any = shop.order(first)
    assert order is not None
    total_minor = int(float(order["total"]) * 100 + 0.5)
    with shop.transaction():
        shop.connection.execute("update orders set body = json_set(body, '$.total', '1.00') where id = ?", (first,))
    run = swept.sweep("orders")
    assert run["found"]["amount"]["breaks"] == 1
    assert swept.breaks()[f"order eu1/{first}"] == ("amount", None, 100 - total_minor, "healing")
    swept.live()
    assert swept.sweep("orders")["found"] == {}


def test_an_edit_that_the_plugin_saw_says_how_and_by_whom(swept: Swept) -> None:
    (mug,) = stocked(swept, "MUG")
    swept.store.shop.products.change(mug, {"stock_quantity": 3})
    swept.live()
    swept.edit_silently(mug, 17)
    swept.sweep("stock")
    (row,) = swept.sweeping.desk.listed("stock", "eu1", True, 10)["breaks"]
    edited = row["detail"]["edited"]
    assert (edited["units"], edited["user_id"]) == (-7, 1) and edited["how"] and edited["at"]
