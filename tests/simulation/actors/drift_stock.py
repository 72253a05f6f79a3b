"""Drift of stock: edited in the shop past its plugin, changed in the ERP's table past its own ways."""

from __future__ import annotations

import json
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING, Any

from counterfoil_engine.domain.stock import sku_key

from simulation import stocked
from simulation.planted import Planted

if TYPE_CHECKING:
    from simulation.drift import Drifting

HAPPENINGS: dict[str, Any] = {}


def edit(drifting: Drifting, random: Random) -> list[Planted]:
    if not drifting.has_stock:
        return []
    shop, sku = drifting.world.shop, a_sku(drifting, random)
    offered, more = stocked.units(shop, sku), random.choice([1, 3, 7])
    plugin, shop.plugin = shop.plugin, None
    shop.products.change(stocked.catalogue()[sku], {"stock_quantity": offered + more})
    shop.plugin = plugin
    subject = f"stock {drifting.pool}/{sku_key(sku)}"
    minor = more * price if (price := sold_for(drifting, sku)) is not None else None
    return [Planted("stock edited in the store's database", "stock", subject, "manual_edit_store", more, minor)]


def change_position(drifting: Drifting, random: Random) -> list[Planted]:
    """Its moment stays, and the ERP's list of what changed doesn't tell it."""
    if not drifting.has_stock:
        return []
    sku, more, table = a_sku(drifting, random), random.choice([2, 5]), drifting.world.erp.stock
    known = table._connection.execute("select row from stock where sku = ?", (json.dumps(sku),)).fetchone()
    row = json.loads(known[0])
    row["on_hand"] = str(int(row["on_hand"]) + more)
    table._connection.execute("update stock set row = ? where sku = ?", (json.dumps(row), json.dumps(sku)))
    subject = f"position {stocked.WAREHOUSE}/{sku}"
    return [Planted("a position changed in the ERP's database", "erp", subject, "manual_edit_erp", more, None)]


def sold_for(drifting: Drifting, sku: str) -> int | None:
    """A unit's price before tax in the latest order that took it, rounded as shops do. An unpaid one took none."""
    shop, found = drifting.world.shop, None
    took = {row[0] for row in shop._all("select order_id from plugin_moves where sku = ? and kind = 'order'", (sku,))}
    for order in filter(None, map(shop.order, sorted(took))):
        for line in order["line_items"]:
            if line["sku"] == sku:
                found = round(Decimal(line["total"]) * 100 / line["quantity"] + Decimal("0.0001"))
    return found


def a_sku(drifting: Drifting, random: Random) -> str:
    """One that no other drift has to do with: neither its number nor the order that says what it is worth."""
    left = drifting.notes.setdefault("skus", sorted(stocked.catalogue()))
    sku = str(left.pop(random.randrange(len(left))))
    drifting.notes.setdefault("not sold", set()).add(sku)  # its number would be published anew, and so written
    return sku


DRIFT = {"stock edited": edit, "position changed": change_position}
