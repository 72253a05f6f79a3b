"""Notes and meta data of an order in the sandbox shop, as WooCommerce's own source has them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from counterfoil_sandbox.shop import Rest, Shop, recorded


class Site:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 23, 9, tzinfo=UTC)
        self.shop = Shop(clock=lambda: self.now, utc_offset_minutes=60, seed=1)
        self.rest = Rest(self.shop)
        self.order_id = self.shop.place(recorded("order_simple_paid"))

    def call(self, method: str, path: str, body: Any = None, **query: str) -> Any:
        return self.rest.answer(method, path, query, body)

    def texts(self, **query: str) -> list[str]:
        return [note["note"] for note in self.call("GET", f"orders/{self.order_id}/notes", **query).body]

    def metas(self, key: str) -> list[Any]:
        order = self.shop.order(self.order_id)
        assert order is not None
        return [meta["value"] for meta in order["meta_data"] if meta["key"] == key]


@pytest.fixture
def site() -> Site:
    return Site()


def test_a_note_is_for_the_stores_own_people_unless_told_otherwise(site: Site) -> None:
    answer = site.call("POST", f"orders/{site.order_id}/notes", {"note": "Shipped."})
    assert answer.status == 201
    links = answer.body.pop("_links")
    assert answer.body == {
        "id": 1,
        "author": "system",
        "date_created": "2026-11-23T10:00:00",
        "date_created_gmt": "2026-11-23T09:00:00",
        "note": "Shipped.",
        "customer_note": False,
    }
    assert links["self"][0]["href"].endswith(f"/orders/{site.order_id}/notes/1")


def test_notes_are_listed_whole_and_newest_first_and_by_whom_they_are_for(site: Site) -> None:
    for number in range(12):
        site.now += timedelta(seconds=1)
        site.call("POST", f"orders/{site.order_id}/notes", {"note": str(number), "customer_note": number == 3})
    assert site.texts() == [str(number) for number in range(11, -1, -1)]
    assert site.texts(type="customer") == ["3"]
    assert "3" not in site.texts(type="internal")


def test_a_note_moves_no_date_of_the_order_but_meta_data_does(site: Site) -> None:
    before = site.shop.order(site.order_id)
    site.now += timedelta(minutes=1)
    site.call("POST", f"orders/{site.order_id}/notes", {"note": "Shipped."})
    assert site.shop.order(site.order_id) == before
    site.call("PUT", f"orders/{site.order_id}", {"meta_data": [{"key": "_a", "value": ["x"]}]})
    after = site.shop.order(site.order_id)
    assert before is not None and after is not None
    assert after["date_modified_gmt"] > before["date_modified_gmt"]


def test_an_unknown_order_is_said_in_one_code_to_readers_and_another_to_writers(site: Site) -> None:
    read, written = site.call("GET", "orders/9/notes"), site.call("POST", "orders/9/notes", {"note": "x"})
    assert (read.status, read.body["code"]) == (404, "woocommerce_rest_shop_order_invalid_id")
    assert (written.status, written.body["code"]) == (404, "woocommerce_rest_order_invalid_id")


def test_a_note_without_text_is_no_note(site: Site) -> None:
    assert site.call("POST", f"orders/{site.order_id}/notes", {}).body["code"] == "rest_missing_callback_param"


def test_a_note_that_is_deleted_is_gone(site: Site) -> None:
    note_id = site.call("POST", f"orders/{site.order_id}/notes", {"note": "x"}).body["id"]
    path = f"orders/{site.order_id}/notes/{note_id}"
    assert site.call("DELETE", path).status == 501
    assert site.call("DELETE", path, force="true").status == 200
    assert site.call("GET", path).body["code"] == "woocommerce_rest_invalid_id"


def test_meta_data_is_set_by_its_key_and_not_added_to(site: Site) -> None:
    for value in (["a"], ["a", "b"]):
        site.call("PUT", f"orders/{site.order_id}", {"meta_data": [{"key": "_told", "value": value}]})
    assert site.metas("_told") == [["a", "b"]]
    site.call("PUT", f"orders/{site.order_id}", {"meta_data": [{"key": "_told", "value": None}]})
    assert site.metas("_told") == []


def test_a_status_that_changes_leaves_a_note(site: Site) -> None:
    site.call("PUT", f"orders/{site.order_id}", {"status": "completed"})
    assert site.texts() == ["Order status changed from Processing to Completed."]


def test_a_deleted_orders_notes_go_with_it(site: Site) -> None:
    site.shop.notes.add(site.order_id, "x")
    site.shop.delete(site.order_id)
    assert site.shop.notes.of(site.order_id) == []
