"""A gateway that refunds by itself: the money goes back first, the shop is told by the gateway's own call."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING

from counterfoil_sandbox.shop_rest import Rest

from simulation import books
from simulation.orders import PAID, gift_card, least_told, one_of, refundable
from simulation.rules import STORE

if TYPE_CHECKING:
    from simulation.storm import Simulation


def refund(simulation: Simulation, random: Random) -> str | None:
    """Half or all of what is left, over the shop's API, as paid back already (refunded_payment)."""
    order = one_of(simulation, random, *PAID)
    if order is None or (left := refundable(order)) <= 0 or gift_card(order):
        return None
    amount = str((left / random.choice((1, 2))).quantize(Decimal("0.01")))
    body = {"amount": amount, "reason": "charged back", "api_refund": True}
    answer = Rest(simulation.world.shop).answer("POST", f"orders/{order['id']}/refunds", {}, body)
    assert answer.status == 201, answer.body
    simulation.notes.setdefault("paid back", {})[answer.body["id"]] = order["id"]
    if least_told(simulation, order) < Decimal(order["total"]):
        simulation.explained.setdefault(order["id"], "less may have come in for it, by what was told of it first")
    return f"{order['id']}, {amount}"


HAPPENINGS = {"refunds by itself": (3, refund)}


def check(simulation: Simulation) -> Iterator[str]:
    """What the gateway paid back stands in the ERP as paid back, once; or is held, since engine and agent both went
    back and what the ERP holds of that order waits for a person."""
    posted = books.standing(simulation.world.folder)
    unexplained = {
        case["subject"] for case in books.open_cases(simulation.world.folder) if "since the restore" in case["cause"]
    }
    for refund_id, order_id in simulation.notes.get("paid back", {}).items():
        order = simulation.world.shop.order(order_id)
        stands = order and any(one["id"] == refund_id for one in order["refunds"])
        slots = [slot for slot in posted if f"/{order_id}/refund_payment/{refund_id}" in slot]
        is_apart = order_id in simulation.explained or order_id == simulation.notes.get("blocked")
        is_apart = is_apart or f"order {STORE}/{order_id}" in unexplained
        if stands and order["status"] in PAID and not is_apart and len(slots) != 1:
            yield f"I1 refund {refund_id} of order {order_id} was paid back, the ERP has {slots}"
