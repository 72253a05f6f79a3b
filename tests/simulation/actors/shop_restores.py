"""The store goes back to its last backup, by minutes or by an hour: its order numbers come again."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from counterfoil_sandbox.shop_orders import Shop

if TYPE_CHECKING:
    from simulation.storm import Simulation


def restore_store(simulation: Simulation, random: Random) -> str:
    """What was placed since is gone; what was changed since is as it was. Not where it would forget whom a gateway has
    charged: who is to have that money, no book says."""
    world, old = simulation.world, simulation.world.shop
    shop = Shop(clock=old.clock, utc_offset_minutes=60, site_url=old.site_url, seed=random.getrandbits(32))
    simulation.notes["shop backup"].backup(shop.connection)
    if set(simulation.notes.get("at gateway", {})) - set(shop.order_ids()):
        shop.close()
        return "not now"
    changed = [number for number in old.order_ids() if old.order(number) != shop.order(number)]
    simulation.explained |= dict.fromkeys(changed, "the store went back")
    simulation.notes.setdefault("deleted", set()).update(set(old.order_ids()) - set(shop.order_ids()))
    world.take_shop(shop)
    old.close()
    return f"orders {changed}"


HAPPENINGS = {"the store is restored": (1, restore_store)}
FAULTS = tuple(HAPPENINGS)
