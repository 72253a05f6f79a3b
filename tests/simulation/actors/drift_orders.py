"""Drift of orders: edited past all hooks, taken out of the shop's database, events lost at the engine."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from simulation import stocked
from simulation.orders import one_of
from simulation.planted import Planted, planted, skus, total
from simulation.rules import STORE

if TYPE_CHECKING:
    from simulation.drift import Drifting

HAPPENINGS: dict[str, Any] = {}


def edit_silently(drifting: Drifting, random: Random) -> list[Planted]:
    """As somebody does in the database: nothing that says when an order changed is touched."""
    order = untouched(drifting, random, lambda one: one["line_items"] and not one["refunds"])
    if order is None or "engine restored" in drifting.notes:
        return []  # for a restored engine, agents read orders anew
    shop, line = drifting.world.shop, order["line_items"][0]
    plugin, shop.plugin = shop.plugin, None
    known = stocked.catalogue() if drifting.has_stock else {}
    stock = {product: stocked.units(shop, sku) for sku, product in known.items()}
    shop.edit_quantity(order["id"], line["quantity"] + 1, line["id"])
    for product, units in stock.items():
        shop.products.change(product, {"stock_quantity": units})
    shop.plugin = plugin
    said = "json_set(body, '$.date_modified', ?, '$.date_modified_gmt', ?)"
    moments = (order["date_modified_gmt"], order["date_modified"], order["date_modified_gmt"])
    shop.connection.execute(f"update orders set modified = ?, body = {said} where id = ?", (*moments, order["id"]))
    gap = total(shop.order(order["id"])) - total(order)
    return [planted("an order edited in the store's database", order, "amount", None, gap)]


def take_out(drifting: Drifting, random: Random) -> list[Planted]:
    """Never the last one: with no order left, no answer of the shop would prove anything."""
    shop = drifting.world.shop
    order = untouched(drifting, random, lambda one: len(shop.order_ids()) > 2 and one["status"] != "trash")
    if order is None:
        return []
    shop.connection.execute("delete from orders where id = ?", (order["id"],))
    return [planted("an order deleted in the store's database", order, "unknown", -1, -total(order))]


def lose_facts(drifting: Drifting, random: Random) -> list[Planted]:
    spoken_for = drifting.notes.get("not sold", set())
    order = untouched(drifting, random, lambda one: one["status"] != "trash" and not spoken_for & skus(one))
    if order is None:
        return []
    drifting.notes["skus"] = [
        sku for sku in drifting.notes.get("skus", sorted(stocked.catalogue())) if sku not in skus(order)
    ]
    with drifting.world.engine.engine.records.transaction() as tx:
        tx.run("delete from events where subject = %s", f"order {STORE}/{order['id']}")
    return [planted("an order whose events the engine lost", order, "missed", 1, total(order))]


def untouched(drifting: Drifting, random: Random, fits: Any = lambda order: True) -> dict[str, Any] | None:
    """An order that no other drift has anything to do with."""
    left = drifting.notes["untouched"]
    order = one_of(drifting, random)  # type: ignore[arg-type]
    if order is None or order["id"] not in left or not fits(order):
        return None
    left.discard(order["id"])
    return order


DRIFT = {"edited silently": edit_silently, "taken out": take_out, "facts lost": lose_facts}
