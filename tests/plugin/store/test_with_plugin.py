"""The plugin inside a real WooCommerce: what it tells of changes, how it takes stock, how it answers sweeps."""

from __future__ import annotations

import hashlib
import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

EPOCH = (
    1_000_000 + int(time.time()) % 1_000_000
)  # above any epoch an earlier run used, so that its numbers count as lower


@pytest.fixture(autouse=True)
def all_is_taken(plugin: Any) -> None:
    """Each test begins with nothing waiting."""
    plugin.acknowledge_all(EPOCH, _next_n())


def _next_n(size: int = 100_000) -> int:
    _next_n.used = getattr(_next_n, "used", 0) + size  # type: ignore[attr-defined]
    return int(_next_n.used)  # type: ignore[attr-defined]


def _version() -> int:
    return time.time_ns()


def _rows(told: dict[str, Any], object_: str, object_id: int) -> list[dict[str, Any]]:
    return [row for row in told["rows"] if (row["object"], row["object_id"]) == (object_, object_id)]


def _moves(told: dict[str, Any], rows: list[dict[str, Any]]) -> list[tuple[int, str, str]]:
    ids = {row["id"] for row in rows}
    return [(move["stock_id"], move["quantity"], move["kind"]) for move in told["moves"] if move["row_id"] in ids]


def test_it_says_that_it_is_well(plugin: Any) -> None:
    health = plugin.get("/health")
    print(health["versions"], "orders in tables:", health["orders_in_tables"])
    assert health["differs_in"] == [] and health["transactional"] and health["missing_hooks"] == []


def test_a_sale_is_one_row_with_one_move_per_line(plugin: Any, made: Any) -> None:
    mug, cup = made.product(10), made.product(7)
    plugin.acknowledge_all(EPOCH, _next_n())
    order = made.order((mug["id"], 3), (cup["id"], 2))
    told = plugin.changes()
    rows = _rows(told, "order", order["id"])
    assert len(rows) == 1
    assert sorted(_moves(told, rows)) == sorted([(mug["id"], "-3", "order"), (cup["id"], "-2", "order")])
    assert {move["sku"] for move in told["moves"]} == {mug["sku"], cup["sku"]}
    assert all(row["object"] == "order" for row in told["rows"]), "a sale alone is no change of a product"


def test_what_an_order_was_before_it_was_paid_is_kept_until_it_is_read(plugin: Any, rest: Any, made: Any) -> None:
    mug = made.product(10)
    order = made.order((mug["id"], 1), set_paid=False)
    rest.put(f"orders/{order['id']}", {"set_paid": True})
    first, second = _rows(plugin.changes(), "order", order["id"])
    assert first["payload"]["order"]["date_paid"] is None and first["payload"]["order"]["total"] == order["total"]
    assert second["payload"] is None and second["kind"] == "paid"


def test_a_refund_that_restocks_and_a_cancellation_raise_what_was_lowered(plugin: Any, rest: Any, made: Any) -> None:
    mug = made.product(10)
    order = made.order((mug["id"], 4))
    line = order["line_items"][0]
    plugin.acknowledge_all(EPOCH, _next_n())
    refund = {
        "amount": "11.90",
        "api_refund": False,
        "api_restock": True,
        "line_items": [{"id": line["id"], "quantity": 1, "refund_total": 11.90}],
    }
    rest.post(f"orders/{order['id']}/refunds", refund)
    told = plugin.changes()
    rows = _rows(told, "order", order["id"])
    assert [row["kind"] for row in rows] == ["refund"] and _moves(told, rows) == [(mug["id"], "1", "refund")]
    plugin.acknowledge_all(EPOCH, _next_n())
    rest.put(f"orders/{order['id']}", {"status": "cancelled"})
    told = plugin.changes()
    assert _moves(told, _rows(told, "order", order["id"])) == [(mug["id"], "3", "restore")]
    assert rest.stock_of(mug["id"]) == 10


def test_refunds_deleted_orders_trashed_and_deleted_are_told(plugin: Any, rest: Any, made: Any) -> None:
    mug = made.product(10)
    order = made.order((mug["id"], 1))
    refund = rest.post(f"orders/{order['id']}/refunds", {"amount": "1.00", "api_refund": False})
    plugin.acknowledge_all(EPOCH, _next_n())
    rest.delete(f"orders/{order['id']}/refunds/{refund['id']}", force=True)
    assert [row["kind"] for row in _rows(plugin.changes(), "order", order["id"])] == ["refund"]
    plugin.acknowledge_all(EPOCH, _next_n())
    rest.delete(f"orders/{order['id']}")
    assert [row["kind"] for row in _rows(plugin.changes(), "order", order["id"])] == ["trashed"]
    plugin.acknowledge_all(EPOCH, _next_n())
    other = made.order((mug["id"], 1))
    plugin.acknowledge_all(EPOCH, _next_n())
    rest.post("orders/batch", {"delete": [other["id"]]})
    (row,) = _rows(plugin.changes(), "order", other["id"])
    assert row["kind"] == "deleted" and row["payload"]["order"]["order_key"] == other["order_key"]
    assert [line["quantity"] for line in row["payload"]["order"]["line_items"]] == [1], "whole, as it was"


def test_products_made_edited_and_deleted_are_told_and_so_is_stock_set_by_hand(
    plugin: Any, rest: Any, made: Any
) -> None:
    mug = rest.a_product(10)
    assert [row["kind"] for row in _rows(plugin.changes(), "product", mug["id"])] == ["created"]
    plugin.acknowledge_all(EPOCH, _next_n())
    rest.post("products/batch", {"update": [{"id": mug["id"], "stock_quantity": 8}]})
    (row,) = _rows(plugin.changes(), "stock", mug["id"])
    assert row["kind"] == "set" and (row["payload"]["from"], row["payload"]["to"]) == ("10", "8")
    plugin.acknowledge_all(EPOCH, _next_n())
    rest.delete(f"products/{mug['id']}", force=True)
    (row,) = _rows(plugin.changes(), "product", mug["id"])
    assert row["kind"] == "deleted" and row["payload"]["sku"] == mug["sku"]


def test_a_number_that_does_not_count_a_sale_does_not_hide_it(plugin: Any, rest: Any, made: Any) -> None:
    mug = made.product(10)
    made.order((mug["id"], 3))
    assert plugin.write(mug["id"], 10, _version(), EPOCH, 0)["stock"] == 7, "the engine counted nothing yet"
    n = plugin.acknowledge_all(EPOCH, _next_n())
    assert plugin.write(mug["id"], 10, _version(), EPOCH, n - 1)["stock"] == 7, "told, but not counted"
    assert plugin.write(mug["id"], 7, _version(), EPOCH, n)["stock"] == 7, "counted"
    assert rest.stock_of(mug["id"]) == 7


def test_a_raise_is_the_engines_to_give(plugin: Any, rest: Any, made: Any) -> None:
    mug = made.product(10)
    order = made.order((mug["id"], 3))
    n = plugin.acknowledge_all(EPOCH, _next_n())
    assert plugin.write(mug["id"], 7, _version(), EPOCH, n)["stock"] == 7
    rest.put(f"orders/{order['id']}", {"status": "cancelled"})
    assert rest.stock_of(mug["id"]) == 10
    assert plugin.write(mug["id"], 7, _version(), EPOCH, n)["stock"] == 7, "the raise was not counted yet"


def test_an_older_version_is_never_applied(plugin: Any, rest: Any, made: Any) -> None:
    mug = made.product(10)
    version = _version()
    assert plugin.write(mug["id"], 5, version)["verdict"] == "applied"
    assert plugin.write(mug["id"], 9, version - 1)["verdict"] == "older"
    assert plugin.write(mug["id"], 9, version)["verdict"] == "older"
    assert rest.stock_of(mug["id"]) == 5


def test_a_product_that_sells_out_and_comes_back_does_so_for_the_whole_shop(plugin: Any, rest: Any, made: Any) -> None:
    mug = made.product(10)
    out = plugin.write(mug["id"], 0, _version())
    assert out["crossed"] and rest.get(f"products/{mug['id']}")["stock_status"] == "outofstock"
    back = plugin.write(mug["id"], 4, _version())
    assert back["crossed"] and rest.get(f"products/{mug['id']}")["stock_status"] == "instock"
    assert plugin.get("/health")["crossings_waiting"] == 0
    assert _rows(plugin.changes(), "stock", mug["id"]) == [], "the plugin's own writes are no edits by hand"


def test_variations_and_those_whose_parent_manages_the_stock(plugin: Any, rest: Any, made: Any) -> None:
    attributes = [{"name": "Size", "variation": True, "options": ["S", "M"]}]
    parent = made.product(20, type="variable", attributes=attributes)
    own = rest.post(
        f"products/{parent['id']}/variations",
        {
            "regular_price": "5",
            "manage_stock": True,
            "stock_quantity": 6,
            "attributes": [{"name": "Size", "option": "S"}],
        },
    )
    shared = rest.post(
        f"products/{parent['id']}/variations", {"regular_price": "5", "attributes": [{"name": "Size", "option": "M"}]}
    )
    plugin.acknowledge_all(EPOCH, _next_n())
    lines = [
        {"product_id": parent["id"], "variation_id": own["id"], "quantity": 2},
        {"product_id": parent["id"], "variation_id": shared["id"], "quantity": 3},
    ]
    order = made.order(line_items=lines)
    told = plugin.changes()
    assert sorted(_moves(told, _rows(told, "order", order["id"]))) == sorted(
        [(own["id"], "-2", "order"), (parent["id"], "-3", "order")]
    )
    assert plugin.write(own["id"], 6, _version(), EPOCH, 0)["stock"] == 4
    assert plugin.write(parent["id"], 20, _version(), EPOCH, 0)["stock"] == 17


def test_a_product_turned_into_a_variable_one_is_unmanaged_and_its_variation_and_all_others_go_on(
    plugin: Any, rest: Any, made: Any
) -> None:
    shirt, cup = made.product(10), made.product(10)
    assert plugin.write(shirt["id"], 9, _version(), EPOCH, 0)["verdict"] == "applied"
    attributes = [{"name": "Size", "variation": True, "options": ["S"]}]
    rest.put(f"products/{shirt['id']}", {"type": "variable", "manage_stock": False, "attributes": attributes})
    own = {"regular_price": "5", "manage_stock": True, "stock_quantity": 6}
    small = rest.post(f"products/{shirt['id']}/variations", own)
    basis = {"epoch": EPOCH, "n": 0}
    ids = (shirt["id"], small["id"], cup["id"])
    items = [{"stock_id": id_, "version": _version(), "number": 4, "basis": basis} for id_ in ids]
    results = plugin.post("/stock", {"items": items})["results"]
    assert [result["verdict"] for result in results] == ["unmanaged", "applied", "applied"]
    assert rest.get(f"products/{shirt['id']}/variations/{small['id']}")["stock_quantity"] == 4
    assert rest.stock_of(cup["id"]) == 4


def test_bad_items_get_a_verdict_each_and_hold_nobody_up(plugin: Any, made: Any) -> None:
    mug, free = made.product(10), made.product(0, manage_stock=False)
    basis = {"epoch": 0, "n": 0}
    items = [
        {"stock_id": 999_999_999, "version": _version(), "number": 1, "basis": basis},
        {"stock_id": free["id"], "version": _version(), "number": 1, "basis": basis},
        {"stock_id": mug["id"], "version": _version(), "number": "many", "basis": basis},
        {"stock_id": mug["id"], "version": _version(), "number": 2.5, "basis": basis},
        "nonsense",
        {"stock_id": mug["id"], "version": _version(), "number": 3, "basis": basis},
    ]
    results = plugin.post("/stock", {"items": items})["results"]
    assert [result["verdict"] for result in results] == ["missing", "unmanaged", "error", "error", "error", "applied"]
    assert all(result["reason"] for result in results[:5])


def test_the_digest_is_over_id_sku_number_and_status(plugin: Any, made: Any) -> None:
    mug = made.product(10)
    made.order((mug["id"], 4))
    plugin.write(mug["id"], 10, _version(), EPOCH, 0)
    found: dict[str, tuple[int, int]] = {}
    whole = plugin.get("/digest")["buckets"]
    assert len(whole) <= 256
    place = hashlib.md5(str(mug["id"]).encode()).hexdigest()
    (bucket,) = (
        bucket for bucket in plugin.get("/digest", prefix=place[:2])["buckets"] if bucket["bucket"] == place[:4]
    )
    items = plugin.get("/digest", prefix=place[:4])["items"]
    for item in items:
        text = f"{item['stock_id']}|{item['sku']}|{item['number']}|{item['status']}"
        count, digest = found.get(place[:4], (0, 0))
        found[place[:4]] = count + 1, digest ^ int(hashlib.md5(text.encode()).hexdigest()[:15], 16)
    assert found[place[:4]] == (bucket["count"], int(bucket["digest"], 16))
    (mine,) = (item for item in items if item["stock_id"] == mug["id"])
    assert (mine["number"], mine["stock"]) == ("10.000", "6.000")


def test_the_totals_of_a_day_are_those_of_its_orders(plugin: Any, rest: Any, made: Any) -> None:
    today = datetime.now(UTC).date().isoformat()
    before = {row["currency"]: row for row in plugin.get("/orders/totals", **{"from": today, "to": today})["totals"]}
    mug = made.product(10)
    order = made.order((mug["id"], 2))
    rest.post(f"orders/{order['id']}/refunds", {"amount": "5.00", "api_refund": False})
    after = {row["currency"]: row for row in plugin.get("/orders/totals", **{"from": today, "to": today})["totals"]}
    one, none = (
        after[order["currency"]],
        before.get(order["currency"], {"count": 0, "total": "0", "refunds": "0", "tax": "0"}),
    )
    assert one["count"] - none["count"] == 1
    assert Decimal(one["total"]) - Decimal(none["total"]) == Decimal(order["total"])
    assert Decimal(one["refunds"]) - Decimal(none["refunds"]) == Decimal("5.00")
    assert Decimal(one["tax"]) - Decimal(none["tax"]) == Decimal(order["total_tax"])


def test_only_the_key_opens_it_and_each_request_once(plugin: Any) -> None:
    assert plugin.call("GET", "/health", signature="0" * 64).status_code == 401
    assert plugin.call("GET", "/health", timestamp=int(time.time()) - 400).json()["code"] == "counterfoil_clock"
    assert plugin.call("GET", "/health", nonce="once-and-never-again-1" + str(_version())).status_code == 200
    nonce = f"twice-{_version()}"
    assert [plugin.call("GET", "/health", nonce=nonce).status_code for _ in range(2)] == [200, 401]
    assert plugin.call("POST", "/ack", {"epoch": 1}, sent=b'{"epoch": 2}').status_code == 401
    assert (
        plugin.call("GET", "/changes", query={"limit": "5"}, signed="/counterfoil/v1/changes?limit=500").status_code
        == 401
    )
    assert plugin.call("GET", "/changes", signed="/counterfoil/v1/health").status_code == 401
