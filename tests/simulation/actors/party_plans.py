"""Which plans a WMS, a gateway and a tax service come in.

In storms with them only that happens what goes with them: the rest of the plan becomes their own. Their happenings
weigh nothing in the draw, so that all other storms stay as they were.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from simulation.actors import (
    backups,
    by_hand,
    checkouts,
    controllers,
    deaths,
    disks,
    engine_disks,
    gateways,
    lines,
    operators,
    party_days,
    restarts,
    restores,
    shop_restores,
    taxes,
    too_late,
    wms,
)

if TYPE_CHECKING:
    from simulation.storm import Simulation

HAPPENINGS: dict[str, tuple[int, object]] = {}
BY_SHOPPERS = {"places an order", "pays", "cancels", "completes", "refunds", "writes a note", "edits"}
OWN, OTHERS = (
    (checkouts, gateways, wms, taxes, party_days, too_late),
    (
        *(backups, by_hand, controllers, deaths, disks, engine_disks, lines, operators, restarts, restores),
        shop_restores,
    ),
)


def begin(simulation: Simulation) -> None:
    if not simulation.world.parties:
        return
    own = [what for actor in OWN for what in actor.HAPPENINGS]
    known = {*BY_SHOPPERS, *own, *(what for actor in OTHERS for what in actor.HAPPENINGS)}
    for place, one in enumerate(simulation.plan):
        is_checkout = one.what == "places an order" and one.seed % 4
        if is_checkout or one.what not in known:
            what = "checks out" if is_checkout else own[one.seed % len(own)]
            simulation.plan[place] = dataclasses.replace(one, what=what)
