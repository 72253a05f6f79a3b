"""Drift of stock: a store is moved to warehouses of which none has one of its SKUs."""

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING, Any

from counterfoil_engine.domain.stock import sku_key

from simulation import stocked
from simulation.actors.drift_stock import a_sku, sold_for
from simulation.planted import Planted
from simulation.rules import ENTITY

if TYPE_CHECKING:
    from simulation.drift import Drifting

OTHER = "north"  # another pool, and its only warehouse
HAPPENINGS: dict[str, Any] = {}


def change_pool(drifting: Drifting, random: Random) -> list[Planted]:
    """A controller moves the store to other warehouses, of which none has this SKU: nobody publishes its number now."""
    if not drifting.has_stock:
        return []
    world, sku = drifting.world, a_sku(drifting, random)
    left = [one for one in stocked.catalogue() if one != sku]
    other = lambda sku: {"warehouse": OTHER, "sku": sku, "on_hand": "20"}  # noqa: E731
    world.erp.stock.put([other(one) for one in left])
    rules = json.loads(world.rules_text) | {"rules": "another pool"}
    rules["stores"][0]["pool"] = drifting.pool = OTHER
    rules["warehouses"].append({"id": OTHER, "owner": "erp", "entity": ENTITY})
    rules["pools"].append({"id": OTHER, "warehouses": [OTHER]})
    world.rules_text = json.dumps(rules)
    world.engine.engine.load_rules(world.rules_text)
    drifting.rest()
    units, price = stocked.units(world.shop, sku), sold_for(drifting, sku)
    minor = units * price if price is not None else None
    undo = lambda: world.erp.stock.put([other(sku)])  # noqa: E731
    return [
        Planted(
            "a SKU that the store's new pool lacks",
            "stock",
            f"stock {OTHER}/{sku_key(sku)}",
            "mapping",
            units,
            minor,
            undo,
        )
    ]


DRIFT = {"pool changed": change_pool}
