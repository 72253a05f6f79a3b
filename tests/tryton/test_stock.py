"""What lies in Tryton's warehouses, as positions say it: on hand, for which orders, on the way in, and what changed."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from counterfoil_engine.adapters.erp.tryton import TrytonErp
from counterfoil_engine.domain.stock import Position, Taken, read_position
from counterfoil_engine.ports import Posting, TokenForgotten
from sandbox.erp_documents import a_customer, a_line, a_sales_order

from tryton import server as servers
from tryton.conformance import company_id, put_stock
from tryton.orders import numbered
from tryton.test_posting import posted

SKU = "SKU-000011"
COUNTS = itertools.count(100)


def position(erp: TrytonErp, since: str | None = None) -> tuple[Position | None, str]:
    """Of the SKU in BER, where it is among those read; and the token."""
    found = None
    for page in erp.positions(since):
        for row in page.rows:
            one, cases = read_position(row, datetime.now(UTC))
            assert one is not None and not cases
            if (one.warehouse, one.sku) == ("BER", SKU):
                found = one
        token = page.token
    assert token is not None
    return found, token


@pytest.fixture
def client(tryton: servers.Server) -> Any:
    client = tryton.client()
    client.context["company"] = company_id(tryton)
    return client


def ordered(erp: TrytonErp, quantity: str) -> Posting:
    life = numbered([a_customer(), a_sales_order([a_line(3000, None, item=SKU, quantity=quantity)], 3000)])
    for posting in life:
        posted(erp, [posting])
    return life[1]


def shipment_of(client: Any, order: Posting) -> int:
    """Of the sale, processed as Tryton's own worker does."""
    (sale,) = client.read("model.sale.sale.search", [("reference", "=", order.key)], 0, 1, None)
    client.write("model.sale.sale.process", [sale])
    (row,) = client.read("model.sale.sale.read", [sale], ["shipments"])
    return int(row["shipments"][0])


def test_a_unit_is_allocated_to_its_order_then_shipped_for_it(
    erp: TrytonErp, tryton: servers.Server, client: Any
) -> None:
    put_stock(tryton, SKU, {"MAIN": 10})
    before, _ = position(erp)
    assert before is not None
    order = ordered(erp, "3")
    shipment = shipment_of(client, order)
    number = str(order.document["order"])

    def said() -> tuple[int, int, list[Taken]]:
        one, _ = position(erp)
        assert one is not None and one.is_complete
        return one.on_hand - before.on_hand, one.allocated, [line for line in one.lines if line.order_id == number]

    assert said() == (0, 0, [])
    client.write("model.stock.shipment.out.assign_try", [shipment])
    assert said() == (0, 3, [Taken("eu1", number, "46", 3, 0)])
    client.write("model.stock.shipment.out.pick", [shipment])
    assert said() == (-3, 0, [Taken("eu1", number, "46", 0, 3)])
    for button in ("pack", "do"):
        client.write(f"model.stock.shipment.out.{button}", [shipment])
    assert said() == (-3, 0, [Taken("eu1", number, "46", 0, 3)])


def test_what_a_supplier_sends_is_inbound_until_nobody_waits_for_it(erp: TrytonErp, client: Any) -> None:
    (product,) = client.read("model.product.product.search_read", [("code", "=", SKU)], 0, 1, None, ["default_uom"])
    (supplier,) = client.read("model.stock.location.search", [("type", "=", "supplier")], 0, 1, None)
    (place,) = client.read(
        *(
            "model.stock.location.search_read",
            [("code", "=", "MAIN")],
            0,
            1,
            None,
            ["input_location", "storage_location"],
        )
    )
    before, _ = position(erp)
    arrived = sum(units for _, units in before.inbound) if before else 0
    on_hand = before.on_hand if before else 0

    def move(start: int, end: int) -> int:
        values = {"product": product["id"], "unit": product["default_uom"], "quantity": 40.0, "from_location": start}
        values |= {"to_location": end, "planned_date": date(2026, 12, 1), "company": client.context["company"]}
        values |= {"unit_price": Decimal(1), "currency": 1} if start == supplier else {}
        return int(client.write("model.stock.move.create", [values])[0])

    def said() -> tuple[int, int]:
        one, _ = position(erp)
        assert one is not None and {day for day, _ in one.inbound} <= {"2026-12-01"}
        return sum(units for _, units in one.inbound) - arrived, one.on_hand - on_hand

    coming = move(supplier, place["input_location"])
    assert said() == (40, 0)
    client.write("model.stock.move.do", [coming])
    put_away = move(place["input_location"], place["storage_location"])
    assert said() == (40, 0)
    client.write("model.stock.move.cancel", [put_away])
    assert said() == (0, 0)


def test_what_changed_comes_and_a_token_that_was_never_given_is_forgotten(
    erp: TrytonErp, tryton: servers.Server
) -> None:
    before, token = position(erp)
    put_stock(tryton, SKU, {"MAIN": next(COUNTS)})
    (now, _), (whole, _) = position(erp, token), position(erp)
    assert now is not None and whole is not None and now == whole._replace(as_of=now.as_of)
    assert now.on_hand != (before.on_hand if before else 0)
    assert position(erp, datetime.now(UTC).isoformat())[0] is None
    with pytest.raises(TokenForgotten):
        position(erp, "no-such-token")
