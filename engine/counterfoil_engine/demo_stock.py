"""The demo's stock: what a warehouse says is there, what the shop offers of it, and the proof that both agree.

What is due is computed here from the ERP's positions and the shop's orders alone, without the engine's rules.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import requests

from counterfoil_engine.demo_proof import Check, Places, rows, shop_api, shop_orders

WAREHOUSE = "BER"
ON_HAND = {"BOWL": 25, "MUG": 40, "TEAPOT": 6}
HOLDING = ("on-hold", "processing", "completed")  # orders in these took from the shop's stock
NAME = "I3  the shop's stock = its number = what is there and not sold"


def rules_of(entity: str) -> dict[str, Any]:
    """What the rules file says of stock."""
    return {
        "warehouses": [{"id": WAREHOUSE, "owner": "erp", "entity": entity}],
        "pools": [{"id": "eu", "warehouses": [WAREHOUSE]}],
    }


def add_products(places: Places) -> dict[str, int]:
    """SKU → the shop's product, which has none yet."""
    made = {}
    for sku in ON_HAND:
        wanted = {"name": sku, "sku": sku, "regular_price": "10", "manage_stock": True, "stock_quantity": 0}
        answer = shop_api(places).post("products", wanted)
        answer.raise_for_status()
        made[sku] = int(answer.json()["id"])
    return made


def put(places: Places, on_hand: Mapping[str, int]) -> None:
    """So many are there, says the ERP from now on."""
    said = [{"warehouse": WAREHOUSE, "sku": sku, "on_hand": str(units)} for sku, units in on_hand.items()]
    answer = requests.post(f"{places.erp_url}/sandbox/positions", json={"rows": said}, headers=_key(places), timeout=30)
    answer.raise_for_status()


def offered(places: Places) -> dict[str, int]:
    """SKU → what the shop has of it."""
    answer = shop_api(places).get("products", params={"per_page": 100})
    answer.raise_for_status()
    return {one["sku"]: one["stock_quantity"] for one in answer.json() if one["manage_stock"]}


def there(places: Places) -> dict[str, int]:
    """SKU → what the ERP has on hand."""
    answer = requests.get(f"{places.erp_url}/v1/positions", headers=_key(places), timeout=30)
    answer.raise_for_status()
    return {one["sku"]: int(one["on_hand"]) for one in answer.json()["rows"]}


def sold(places: Places) -> Counter[str]:
    """SKU → units that orders took from the shop's stock."""
    products = {one["id"] for one in shop_api(places).get("products", params={"per_page": 100}).json()}
    units: Counter[str] = Counter()
    for order in shop_orders(places):
        for line in order["line_items"] if order["status"] in HOLDING else ():
            units[line["sku"]] += line["quantity"] * (line["product_id"] in products)
    return units


def numbers(places: Places) -> dict[str, int]:
    """SKU → what the engine says that the shop is to have."""
    return {row["sku"]: row["number"] for row in rows(places.engine_file, "select sku, number from ats")}


def agrees(places: Places) -> Check:
    """One line of the proof."""
    shop, number, erp, taken = offered(places), numbers(places), there(places), sold(places)
    wrong = [
        f"{sku}: the shop has {shop.get(sku)}, its number is {number.get(sku)}, {units} are there, {taken[sku]} sold"
        for sku, units in erp.items()
        if not shop.get(sku) == number.get(sku) == units - taken[sku]
    ]
    told = f"{len(erp)} SKUs, {sum(erp.values())} units there, {sum(taken.values())} sold, {sum(shop.values())} offered"
    return Check(NAME, bool(erp) and not wrong, "; ".join(wrong) or told)


def _key(places: Places) -> dict[str, str]:
    return {"Authorization": f"Bearer {places.erp_token}"}
