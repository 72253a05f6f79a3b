"""Drift by a restore of the store: its database is put back to a backup from before the last orders."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from random import Random
from typing import TYPE_CHECKING, Any

from counterfoil_agent.changes import HELD, WENT_BACK
from counterfoil_sandbox.shop import Plugin
from counterfoil_sandbox.shop_orders import Shop

from simulation import books, stocked
from simulation.compared import differs
from simulation.planted import Planted, planted, total

if TYPE_CHECKING:
    from simulation.drift import Drifting

HELD_S = 200  # how long nobody says anything
HAPPENINGS: dict[str, Any] = {}


def restore_store(drifting: Drifting, random: Random) -> list[Planted]:
    """Where there is a plugin it is noticed: nothing is read or written until a person has said that it is the shop."""
    world, old = drifting.world, drifting.world.shop
    backup = sqlite3.connect(":memory:")
    old.connection.backup(backup)
    drifting.lives_on(random)
    drifting.an_hour_passes()
    shop = Shop(clock=old.clock, utc_offset_minutes=60, site_url=old.site_url, seed=random.getrandbits(32))
    backup.backup(shop.connection)
    world.take_shop(shop)
    drifting.notes["store restored"], drifting.notes["untouched"] = True, set()
    if drifting.has_stock:
        Plugin(shop)
        _is_noticed(drifting, old.order_ids())
    found = [] if drifting.has_stock else list(_lost(old, shop))
    old.close()
    return found


def _is_noticed(drifting: Drifting, numbers: Sequence[int]) -> None:
    """Nothing is read or written before a person's word, and all is read anew after it: no sweep has anything left."""
    world, what = drifting.world, "the database of a store with the plugin restored"
    drifting.came.planted[what] += 1
    before = _state(drifting)
    for _ in range(HELD_S // 5):
        world.surviving(world.step_agent)
        world.clock.pass_time(5)
    drifting.came.found[what] += world.agent.outbox.recall(HELD) == WENT_BACK
    if _state(drifting) != before:
        drifting.failures.append(f"{what}: it was read or written before a person had looked")
    world.agent.accept_restored_store()
    drifting.rest()
    wrong = [number for number in numbers if differs(world, number)]
    drifting.came.named[what] += not wrong
    if wrong:
        drifting.failures.append(f"{what}: the engine knows orders {wrong} otherwise than the shop")


def _state(drifting: Drifting) -> tuple[int, list[int]]:
    world = drifting.world
    return len(books.facts(world.folder)), [stocked.units(world.shop, sku) for sku in stocked.catalogue()]


def _lost(old: Shop, shop: Shop) -> Iterator[Planted]:
    for number in old.order_ids():
        was, now = old.order(number), shop.order(number)
        if now is None and was is not None:
            yield planted("an order that a restored store lost", was, "unknown", -1, -total(was))
        elif was is not None and now is not None and total(was) != total(now):
            yield planted("an order that a restored store has as it was", now, "amount", None, total(now) - total(was))


DRIFT = {"store restored": restore_store}
