"""Stock, in some storms: the shop has the plugin and goods, the ERP says positions, a copy of the shop is met.

In these only that happens what goes with stock: the rest of the plan becomes this file's own. Its own weigh nothing in
the draw, so that all other storms stay as they were.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from random import Random
from typing import TYPE_CHECKING

from simulation import stocked
from simulation.actors import backups, deaths, lines

if TYPE_CHECKING:
    from simulation.storm import Simulation

EACH, AT_FIRST = 10, 20  # of so many seeds one has stock; units of each SKU
BY_SHOPPERS = {"places an order", "pays", "cancels", "completes", "revives", "trashes", "deletes for good"}
REST_ROUNDS = 12


def has_stock(simulation: Simulation) -> bool:
    return simulation.seed % EACH == 3


def begin(simulation: Simulation) -> None:
    if not has_stock(simulation):
        return
    own, known = list(HAPPENINGS), BY_SHOPPERS | deaths.HAPPENINGS.keys() | lines.HAPPENINGS.keys() | HAPPENINGS.keys()
    for place, one in enumerate(simulation.plan):
        if one.what not in known:
            simulation.plan[place] = dataclasses.replace(one, what=own[one.seed % len(own)])
    simulation.notes["on hand"] = dict.fromkeys(stocked.catalogue(), AT_FIRST)
    stocked.stock_up(simulation.world, AT_FIRST)
    simulation.world.stop("agent")
    backups.back_up(simulation, Random(0))


def position(simulation: Simulation, random: Random) -> str:
    sku, on_hand = random.choice(list(stocked.catalogue())), random.randint(0, 30)
    simulation.notes["on hand"][sku] = on_hand
    stocked.put(simulation.world, sku, on_hand)
    return f"{on_hand} of {sku}"


def copy(simulation: Simulation, random: Random) -> str | None:
    """For a while the shop's address leads to a copy, which goes its own way, while the shop goes on."""
    if "copy" in simulation.notes:
        return None
    copied = simulation.notes["copy"] = stocked.Copy(simulation.world, random)
    simulation.after(random.uniform(20, 300), copied.is_put_right)
    return f"with an order {copied.order_id} of its own"


HAPPENINGS = {
    "a position changes": (0, position),
    "numbers are published": (0, stocked.publish),
    "a copy is met": (0, copy),
}
FAULTS = ("a copy is met",)


def check(simulation: Simulation) -> Iterator[str]:
    """I3, and I4 with it: at rest the shop has each number, and that is what is there and not sold."""
    for _ in range(REST_ROUNDS if has_stock(simulation) else 0):
        simulation.world.clock.pass_time(stocked.SETTINGS.idle_s + 1)
        stocked.publish(simulation)
        while simulation.agent_steps() == 0:
            pass
    for sku, there in simulation.notes.get("on hand", {}).items():
        offered, sold = stocked.units(simulation.world.shop, sku), stocked.sold(simulation.world.shop, sku)
        if not offered == (number := stocked.number(simulation.world, sku)) == there - sold:
            yield f"I3 {sku}: {there} on hand, {sold} sold; the number is {number}, the shop offers {offered}"
    if "copy" in simulation.notes:
        yield from simulation.notes["copy"].check()
