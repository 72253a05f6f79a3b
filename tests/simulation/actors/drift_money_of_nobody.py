"""Drift of money: a gateway paid out for an order that nobody knows."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from counterfoil_engine.ports import Caller
from domain.settlement.reports import STRIPE_HEADER

from simulation.actors.drift_money import some_days_pass
from simulation.planted import Planted
from simulation.rules import ENTITY

if TYPE_CHECKING:
    from simulation.drift import Drifting

HAPPENINGS: dict[str, Any] = {}
ANNA = Caller("anna", "admin")


def nobodys_payout(drifting: Drifting, random: Random) -> list[Planted]:
    """A charge of an order that no store of ours ever had."""
    if drifting.has_stock:
        return []
    world, minor = drifting.world, random.randint(100, 9_999)
    at, amount = world.clock.true, f"{minor // 100}.{minor % 100:02d}"
    when, day = at.strftime("%Y-%m-%d %H:%M:%S"), at.date()
    rows = [
        STRIPE_HEADER,
        f"txn_1,{when},eur,{amount},0.00,{amount},charge,ch_of_nobody,po_1,{day} 00:00:00",
        f"po_1,{day} 00:00:00,eur,-{amount},0.00,-{amount},payout,,po_1,{day} 00:00:00",
    ]
    world.engine.engine.payouts().take("stripe", "\n".join([*rows, ""]).encode(), "november.csv", "anna")
    drifting.rest()
    some_days_pass(drifting)
    subject = f"unapplied {ENTITY}/stripe/EUR {day}"
    return [
        Planted(
            "a payout for an order that nobody knows",
            "money",
            subject,
            "unknown",
            None,
            minor,
            lambda: let_stand(drifting, subject),
        )
    ]


def let_stand(drifting: Drifting, subject: str) -> None:
    """A person knows whose money it is: the payout stays as it is, for that reason."""
    desk = drifting.world.engine.sweeping.desk
    for row in desk.listed("money", None, False, 100)["breaks"]:
        if row["subject"] == subject:
            desk.settle(row["id"], "accept", "it was paid into another company's account", ANNA)


DRIFT = {"payout of nobody": nobodys_payout}
