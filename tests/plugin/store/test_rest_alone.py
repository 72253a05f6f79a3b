"""The same shop without the plugin's help: what REST alone does, and where it exposes the shop."""

from __future__ import annotations

from typing import Any


def test_an_order_lowers_stock_and_its_lines_say_by_how_much(rest: Any, made: Any) -> None:
    mug = made.product(10)
    order = made.order((mug["id"], 3))
    assert rest.stock_of(mug["id"]) == 7
    (line,) = rest.get(f"orders/{order['id']}")["line_items"]
    assert {"key": "_reduced_stock", "value": "3"}.items() <= next(
        m for m in line["meta_data"] if m["key"] == "_reduced_stock"
    ).items()


def test_stock_is_written_in_batches_whose_faults_stand_inside_an_answer_of_200(rest: Any, made: Any) -> None:
    mug = made.product(10)
    update = [{"id": mug["id"], "stock_quantity": 4}, {"id": 999_999_999, "stock_quantity": 4}]
    first, second = rest.post("products/batch", {"update": update})["update"]
    assert first["stock_quantity"] == 4
    assert second["error"]["code"]


def test_a_number_written_over_rest_hides_the_sale_that_it_does_not_know(rest: Any, made: Any) -> None:
    mug = made.product(10)
    made.order((mug["id"], 3))
    rest.put(f"products/{mug['id']}", {"stock_quantity": 10})
    assert rest.stock_of(mug["id"]) == 10, "three of these are sold: only reading again and correcting helps"


def test_an_order_that_is_gone_answers_with_the_shops_own_code(rest: Any, made: Any) -> None:
    mug = made.product(10)
    order = made.order((mug["id"], 1))
    rest.delete(f"orders/{order['id']}", force=True)
    answer = rest.api.get(f"orders/{order['id']}")
    assert (answer.status_code, answer.json()["code"]) == (404, "woocommerce_rest_shop_order_invalid_id")


def test_refunds_are_listed_in_full_and_a_deleted_one_is_gone_from_the_list(rest: Any, made: Any) -> None:
    mug = made.product(10)
    order = made.order((mug["id"], 2))
    refund = rest.post(f"orders/{order['id']}/refunds", {"amount": "3.00", "api_refund": False})
    assert [row["id"] for row in rest.get(f"orders/{order['id']}/refunds")] == [refund["id"]]
    rest.delete(f"orders/{order['id']}/refunds/{refund['id']}", force=True)
    assert rest.get(f"orders/{order['id']}/refunds") == []
