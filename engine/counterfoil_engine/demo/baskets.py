"""What shoppers of the town buy: orders of its products as WooCommerce writes them, taxed by the store's own rate."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from random import Random
from typing import Any

from counterfoil_engine.demo.branches import Branch
from counterfoil_engine.demo.recordings import recorded

PRICES = {"BOWL": Decimal("18.00"), "MUG": Decimal("12.50"), "TEAPOT": Decimal("49.00")}
NAMES = {"BOWL": "Bowl, glazed", "MUG": "Mug, red", "TEAPOT": "Teapot, cast iron"}
SHOPPERS = ("Ada Berg", "Lea Petit", "Jo Miller", "Ines Roth", "Max Weber", "Nora Hall", "Tom Adler", "Zoe Martin")


def some_basket(chance: Random) -> dict[str, int]:
    """One to three kinds of goods, one to three of each."""
    return {sku: chance.randint(1, 3) for sku in sorted(chance.sample(sorted(PRICES), chance.randint(1, 3)))}


def order_of(
    branch: Branch, products: Mapping[str, int], basket: Mapping[str, int], shopper: str, method: str = ""
) -> dict[str, Any]:
    """A paid order. products: SKU → the shop's product. basket: SKU → units. method: not the store's usual one."""
    order: dict[str, Any] = recorded("order_simple_paid")
    pattern = order["line_items"][0]
    order["line_items"] = [
        _line(pattern, 1 + place, sku, units, products[sku], branch)
        for place, (sku, units) in enumerate(basket.items())
    ]
    order["shipping_lines"] = order["fee_lines"] = order["coupon_lines"] = []
    net = sum(Decimal(line["total"]) for line in order["line_items"])
    tax = sum(Decimal(line["total_tax"]) for line in order["line_items"])
    told = str(tax)
    order["tax_lines"] = [
        {
            **order["tax_lines"][0],
            "rate_code": branch.rate_code,
            "label": branch.rate_code,
            "rate_percent": float(branch.rate_percent),
            "tax_total": told,
            "shipping_tax_total": "0.00",
        }
    ]
    return order | {
        "currency": branch.currency,
        "total": str(net + tax),
        "cart_tax": told,
        "total_tax": told,
        "shipping_total": "0.00",
        "shipping_tax": "0.00",
        "discount_total": "0.00",
        "discount_tax": "0.00",
        "payment_method": method or branch.method,
        "payment_method_title": (method or branch.method).replace("_", " ").capitalize(),
        "transaction_id": "ch_" + branch.store,
        "billing": _address(order["billing"], branch, shopper),
        "shipping": _address(order["shipping"], branch, shopper),
    }


def _line(
    pattern: Mapping[str, Any], number: int, sku: str, units: int, product: int, branch: Branch
) -> dict[str, Any]:
    total = PRICES[sku] * units
    tax = (total * Decimal(branch.rate_percent) / 100).quantize(Decimal("0.01"), ROUND_HALF_UP)
    line = copy.deepcopy(dict(pattern))
    # What was taken off the stock is the shop's to say, not the recording's.
    return line | {
        "id": number,
        "name": NAMES[sku],
        "sku": sku,
        "product_id": product,
        "quantity": units,
        "price": float(PRICES[sku]),
        "subtotal": str(total),
        "total": str(total),
        "subtotal_tax": str(tax),
        "total_tax": str(tax),
        "taxes": [{"id": 1, "total": str(tax), "subtotal": str(tax)}],
        "meta_data": [],
    }


def _address(pattern: Mapping[str, Any], branch: Branch, shopper: str) -> dict[str, Any]:
    first, _, last = shopper.partition(" ")
    mine = {"first_name": first, "last_name": last, "city": branch.city, "country": branch.country}
    mine["state"] = branch.state
    return {**pattern, **mine, **({"email": f"{first.lower()}@example.com"} if "email" in pattern else {})}
