"""The gateway: it gives money back, fails, takes fees, and is told of disputes."""

from __future__ import annotations

from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING, Any

from counterfoil_engine.demo.proof import minor
from counterfoil_sandbox.erp_journal import Refusal

if TYPE_CHECKING:
    from simulation.parties import Parties
    from simulation.storm import Simulation


def does(command: str, **given: Any) -> Any:
    def act(simulation: Simulation, random: Random) -> str | None:
        """To the charge of some order; what the shop doesn't know of may end in a case."""
        parties = simulation.world.parties
        assert parties is not None
        found = list(parties.charges(simulation.notes.get("at gateway", {})).items())
        if not found:
            return None
        charge, order_id = random.choice(found)
        with suppress(Refusal):  # it has ended, or nothing is left of it
            said = parties.gateway.command(command, **_named(parties, command, charge), **given)
            simulation.explained.setdefault(order_id, f"the gateway alone knows of a {command}")
            return f"{order_id}, {said}"
        return f"{order_id}, nothing"

    return act


def _named(parties: Parties, command: str, charge: str) -> dict[str, Any]:
    """A capture fails by the fact that said it."""
    if command != "fail":
        return {"transaction": charge}
    return {"of": next(one["id"] for one in parties.told("gateway", "captured") if one["transaction"] == charge)}


def take_fee(simulation: Simulation, random: Random) -> None:
    """For its work, and for no order."""
    assert simulation.world.parties is not None
    simulation.world.parties.gateway.command("fee", amount_minor=random.choice((-30, 200)), currency="EUR")


HAPPENINGS = {
    "the gateway pays back": (0, does("refund", amount_minor=100)),
    "a dispute is opened": (0, does("dispute", state="opened")),
    "a dispute is won": (0, does("dispute", state="won")),
    "a dispute is lost": (0, does("dispute", state="lost")),
    "a payment fails": (0, does("fail")),
    "the gateway takes a fee": (0, take_fee),
}
FAULTS = ("a payment fails", "a dispute is opened", "the gateway pays back")


def heal(simulation: Simulation) -> None:
    """What the shop refunded of a charge, and nobody else pays back, is paid back at the gateway."""
    parties = simulation.world.parties
    if not parties:
        return
    paid = {one["refund"] for one in parties.told("gateway", "refunded")}
    for charge, order_id in parties.charges(simulation.notes.get("at gateway", {})).items():
        order = simulation.world.shop.order(order_id)
        for refund in order["refunds"] if order and order["payment_method"] == "card" else ():
            if str(refund["id"]) not in paid:
                given = {"amount_minor": -minor(refund["total"], "EUR"), "refund": str(refund["id"])}
                with suppress(Refusal):  # less is left of it
                    parties.gateway.command("refund", transaction=charge, **given)
