"""Orders of methods that go by a gateway: money is taken, or set aside, as they are made."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from counterfoil_engine.demo.proof import minor
from counterfoil_sandbox.shop import recorded

from simulation.rules import BY_PARTIES, STORE

if TYPE_CHECKING:
    from simulation.storm import Simulation

BOUGHT = ("order_simple_paid", "order_before_edit", "order_guest_fr", "order_variation")


def begin(simulation: Simulation) -> None:
    """Whether it knows the order of a transaction is the gateway's own way."""
    if simulation.world.parties:
        simulation.world.parties.change("gateway", knows_orders=simulation.seed % 2 == 0)


def check_out(simulation: Simulation, random: Random) -> str:
    """Now and then another amount moves than the shop's."""
    shop, parties = simulation.world.shop, simulation.world.parties
    assert parties is not None
    name, method = random.choice(BOUGHT), random.choice(list(BY_PARTIES))
    body = recorded(name) | {"payment_method": method}
    if method == "held":
        body |= {"date_paid": None, "date_paid_gmt": None}
    order_id = shop.place(body)
    off_minor = random.choice((0,) * 8 + (-100, 100))
    if off_minor:
        simulation.explained[order_id] = "the gateway moved another amount"
    transaction = parties.gateway.command(
        "authorise" if method == "held" else "charge",
        amount_minor=minor(body["total"], body["currency"]) + off_minor,
        currency=body["currency"],
        store=STORE,
        order=str(order_id),
    )
    shop.update(order_id, {"transaction_id": transaction})
    simulation.notes.setdefault("at gateway", {})[order_id] = transaction
    return f"{order_id}, {name}, {method}, {transaction}, {off_minor} off"


HAPPENINGS = {"checks out": (0, check_out), "checks out too": (0, check_out)}
