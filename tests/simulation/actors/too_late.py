"""What comes too late: orders that change once their goods are released, refunds of what was cancelled."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING

from counterfoil_engine.work.recalls import KINDS
from counterfoil_sandbox.erp_journal import Refusal

from simulation import books
from simulation.actors.edits import edit_other
from simulation.orders import carried_now, gift_card, one_of, refundable
from simulation.parties import open_lines

if TYPE_CHECKING:
    from simulation.storm import Simulation


def change(simulation: Simulation, random: Random) -> str | None:
    """The WMS releases what the merchant edits or cancels at that moment."""
    wms = simulation.world.parties.wms  # type: ignore[union-attr]
    names = [name for name, order in wms.things("order") if open_lines(order)]
    if not names:
        return None
    store, name = random.choice(names).split("/")
    with suppress(Refusal):  # all of it is released
        wms.command("release", store=store, order=name)
    order_id, status = int(name), (simulation.world.shop.order(int(name)) or {}).get("status")
    if status == "processing" and random.random() < 0.4:
        simulation.world.shop.set_status(order_id, "cancelled")
    else:
        edit_other(simulation, random, order_id)
    carried_now(simulation, order_id)
    return name


def pay_back(simulation: Simulation, random: Random) -> str | None:
    """Cancelled first, and then refunded, all or a part of it."""
    order = one_of(simulation, random, "cancelled")
    if order is None or gift_card(order) or (left := refundable(order)) <= 0:
        return None
    lines = {random.choice(order["line_items"])["id"]: 1} if random.random() < 0.5 and not order["refunds"] else None
    return f"{order['id']}, {simulation.world.shop.refund(order['id'], lines, None if lines else str(left))}"


HAPPENINGS = {
    "an order changes as its goods are released": (0, change),
    "an order changes as its goods are released too": (0, change),
    "another order changes as its goods are released": (0, change),
    "a cancelled order is refunded": (0, pay_back),
}


def check(simulation: Simulation) -> Iterator[str]:
    """What a party doesn't give back stands as it is, and nobody has to see to it: that it was asked for is over."""
    for case in books.open_cases(simulation.world.folder):
        key = case["about_key"] or ""
        if key.endswith("/reversal") and key.split("/")[2] in KINDS:
            yield f"I1 {case['subject']} waits for {key}, which is refused for good"
