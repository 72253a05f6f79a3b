"""The demo's stock: the proof that what each shop offers is what its warehouse has and nobody bought.

What is due is computed here from the ERPs' positions and the shops' orders alone, without the engine's rules.
"""

from __future__ import annotations

from collections import Counter

from counterfoil_engine.demo.places import Place, Places, rows
from counterfoil_engine.demo.proof import Check, shop_orders

HOLDING = ("on-hold", "processing", "completed")  # orders in these took from the shop's stock
NAME = "I3  the shop's stock = its number = what is there and not sold"


def offered(place: Place) -> dict[str, int]:
    """SKU → what the shop has of it."""
    answer = place.shop().get("products", params={"per_page": 100})
    answer.raise_for_status()
    return {one["sku"]: one["stock_quantity"] for one in answer.json() if one["manage_stock"]}


def there(place: Place) -> dict[str, int]:
    """SKU → what its warehouse has on hand, as the ERP says."""
    found = place.erp("positions")["rows"]
    return {one["sku"]: int(one["on_hand"]) for one in found if one["warehouse"] == place.branch.warehouse}


def sold(place: Place) -> Counter[str]:
    """SKU → units that orders took from the shop's stock and hold, as the shop wrote at their lines."""
    units: Counter[str] = Counter()
    for order in shop_orders(place):
        for line in order["line_items"] if order["status"] in HOLDING else ():
            if line["sku"] in place.branch.on_hand:
                units[line["sku"]] += sum(int(m["value"]) for m in line["meta_data"] if m["key"] == "_reduced_stock")
    return units


def numbers(places: Places, place: Place) -> dict[str, int]:
    """SKU → what the engine says that the shop is to have."""
    query = "select sku, number from ats where pool = ?"
    return {row["sku"]: row["number"] for row in rows(places.engine_file, query, (place.branch.pool,))}


def told(places: Places, place: Place) -> set[str]:
    """SKUs in lower case that stand as a difference, for a person to end."""
    query = "select subject from breaks where store = ? and sweep = 'stock' and state in ('open', 'proposed')"
    return {row["subject"].rpartition("/")[2] for row in rows(places.engine_file, query, (place.store,))}


def agrees(places: Places) -> Check:
    """One line of the proof. A shop whose agent is away has what it had."""
    wrong, skus, units, bought, shown, edited = [], 0, 0, 0, 0, 0
    for place in places.stores:
        if place.store in places.away():
            continue
        erp = there(place)  # first: an ERP may be slow, and a shop sells meanwhile
        shop, number, taken = offered(place), numbers(places, place), sold(place)
        differing = told(places, place)
        for sku, count in erp.items():
            if sku.lower() in differing and number.get(sku) == count - taken[sku]:
                edited += 1
            elif not shop.get(sku) == number.get(sku) == count - taken[sku]:
                has = f"the shop has {shop.get(sku)}, its number is {number.get(sku)}"
                wrong.append(f"{place.store} {sku}: {has}, {count} are there, {taken[sku]} sold")
        skus, units, bought = skus + len(erp), units + sum(erp.values()), bought + sum(taken.values())
        shown += sum(shop.values())
    more = f", {edited} edited by hand stands as a difference" if edited else ""
    said = f"{skus} SKUs, {units} units there, {bought} sold, {shown} offered{more}"
    return Check(NAME, bool(skus) and not wrong, "; ".join(wrong) or said)
