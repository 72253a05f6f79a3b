"""Drift by a restore of the store: its database is put back to a backup from before the last orders."""

from __future__ import annotations

import sqlite3
from random import Random
from typing import TYPE_CHECKING, Any

from counterfoil_sandbox.shop_orders import Shop

from simulation.actors import edits, shoppers
from simulation.actors.drift_orders import planted, total
from simulation.planted import Planted

if TYPE_CHECKING:
    from simulation.drift import Drifting

HAPPENINGS: dict[str, Any] = {}


def restore_store(drifting: Drifting, random: Random) -> list[Planted]:
    """Where there is no plugin: it would notice itself, and wait."""
    if drifting.has_stock:
        return []
    world, old = drifting.world, drifting.world.shop
    backup = sqlite3.connect(":memory:")
    old.connection.backup(backup)
    live_on(drifting, random)
    drifting.an_hour_passes()
    shop = Shop(clock=old.clock, utc_offset_minutes=60, site_url=old.site_url, seed=random.getrandbits(32))
    backup.backup(shop.connection)
    world.take_shop(shop)
    drifting.notes["store restored"], drifting.notes["untouched"] = True, set()
    found = []
    for number in old.order_ids():
        was, now = old.order(number), shop.order(number)
        if now is None and was is not None:
            found.append(planted("an order that a restored store lost", was, "unknown", -1, -total(was)))
        elif was is not None and now is not None and total(was) != total(now):
            what = "an order that a restored store has as it was"
            found.append(planted(what, now, "amount", None, total(now) - total(was)))
    old.close()
    return found


def live_on(drifting: Drifting, random: Random) -> None:
    shoppers.place(drifting, random)  # type: ignore[arg-type]
    edits.edit(drifting, random)  # type: ignore[arg-type]
    drifting.world.clock.pass_time(120)
    drifting.rest()


DRIFT = {"store restored": restore_store}
