"""Shoppers and the merchant: orders are placed, paid, edited, refunded, cancelled, thrown away and deleted."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING, Any

from counterfoil_sandbox.shop import recorded

from simulation import books
from simulation.rules import ORDERS

if TYPE_CHECKING:
    from simulation.storm import Simulation

PAID = ("processing", "completed")
OLD_S = 3 * 86_400.0


def place(simulation: Simulation, random: Random) -> str:
    name = random.choice(ORDERS)
    order_id = simulation.world.shop.place(recorded(name))
    return f"{order_id}, {name}"


def old_order(simulation: Simulation, random: Random) -> str | None:
    """From before the start line, and touched today: what was posted of it is the old connector's, its customer is
    one that the ERP knows."""
    clock = simulation.world.clock
    known = {slot.rpartition("-")[2] for slot in books.standing(simulation.world.folder) if "/customer/" in slot}
    names = [name for name in ORDERS if recorded(name)["billing"]["country"] in known]
    if not names:
        return None
    clock.off_s["shop"] -= OLD_S
    order_id = simulation.world.shop.place(recorded(random.choice(names)))
    clock.off_s["shop"] += OLD_S
    simulation.world.shop.update(order_id, {"customer_note": "Where is my parcel?"})
    simulation.notes.setdefault("old", set()).add(order_id)
    simulation.explained[order_id] = "it is from before the start line"
    return str(order_id)


def orders(simulation: Simulation, *statuses: str) -> list[dict[str, Any]]:
    """Those since the start line, in these statuses."""
    found = [simulation.world.shop.order(order_id) for order_id in simulation.world.shop.order_ids()]
    old = simulation.notes.get("old", ())
    return [
        order for order in found if order and order["id"] not in old and (not statuses or order["status"] in statuses)
    ]


def one_of(simulation: Simulation, random: Random, *statuses: str) -> dict[str, Any] | None:
    found = orders(simulation, *statuses)
    return random.choice(found) if found else None


def pay(simulation: Simulation, random: Random) -> str | None:
    if order := one_of(simulation, random, "pending", "on-hold"):
        simulation.world.shop.pay(order["id"])
    return str(order["id"]) if order else None


def edit(simulation: Simulation, random: Random) -> str | None:
    """Fewer units, or as many as there were: above what was paid, and beside refunds, it would be another story."""
    order = one_of(simulation, random, *PAID, "pending", "on-hold")
    if order is None or order["refunds"] or not order["line_items"] or gift_card(order):
        return None
    line = random.choice(order["line_items"])
    most = simulation.notes.setdefault(("quantity", line["id"]), line["quantity"])
    quantity = random.randint(1, most)
    simulation.world.shop.edit_quantity(order["id"], quantity, line["id"])
    simulation.notes.setdefault("edited", set()).add(order["id"])
    return f"{order['id']} to {quantity}"


def gift_card(order: dict[str, Any]) -> bool:
    return any(Decimal(fee["total"]) < 0 for fee in order["fee_lines"])


def rename(simulation: Simulation, random: Random) -> str | None:
    """What changes nothing that is due."""
    if order := one_of(simulation, random):
        simulation.world.shop.update(order["id"], {"customer_note": f"Ring twice. {random.random()}"})
    return str(order["id"]) if order else None


def refund(simulation: Simulation, random: Random) -> str | None:
    order = one_of(simulation, random, *PAID)
    left = refundable(order) if order else Decimal(0)
    if order is None or left <= 0 or gift_card(order):
        return None
    lines = None
    if random.random() < 0.5 and not order["refunds"]:
        lines = {random.choice(order["line_items"])["id"]: 1}
    amount = None if lines else str((left / random.choice((1, 2, 3))).quantize(Decimal("0.01")))
    return f"{order['id']}, {simulation.world.shop.refund(order['id'], lines, amount)}"


def refundable(order: dict[str, Any]) -> Decimal:
    return Decimal(order["total"]) + sum((Decimal(refund["total"]) for refund in order["refunds"]), Decimal(0))


def delete_refund(simulation: Simulation, random: Random) -> str | None:
    found = [order for order in orders(simulation, *PAID) if order["refunds"]]
    if not found:
        return None
    order = random.choice(found)
    simulation.world.shop.delete_refund(order["id"], order["refunds"][0]["id"])
    simulation.explained[order["id"]] = "a refund was deleted that may have been paid"
    return str(order["id"])


def set_status(status: str, *before: str) -> Any:
    def change(simulation: Simulation, random: Random) -> str | None:
        if order := one_of(simulation, random, *before):
            simulation.world.shop.set_status(order["id"], status)
        return str(order["id"]) if order else None

    return change


def trash(simulation: Simulation, random: Random) -> str | None:
    if order := one_of(simulation, random, *PAID, "pending", "cancelled"):
        simulation.world.shop.trash(order["id"])
        simulation.explained[order["id"]] = "it was thrown away while money was held for it"
    return str(order["id"]) if order else None


def untrash(simulation: Simulation, random: Random) -> str | None:
    if order := one_of(simulation, random, "trash"):
        simulation.world.shop.untrash(order["id"])
    return str(order["id"]) if order else None


def delete(simulation: Simulation, random: Random) -> str | None:
    """For good; never the last one: with no order left, no answer of the shop would prove anything."""
    if len(simulation.world.shop.order_ids()) < 2 or (order := one_of(simulation, random)) is None:
        return None
    simulation.world.shop.delete(order["id"])
    simulation.explained[order["id"]] = "it was deleted while money was held for it"
    simulation.notes.setdefault("deleted", set()).add(order["id"])
    return str(order["id"])


HAPPENINGS = {
    "places an order": (6, place),
    "touches an old order": (1, old_order),
    "pays": (2, pay),
    "edits": (6, edit),
    "writes a note": (1, rename),
    "refunds": (4, refund),
    "deletes a refund": (1, delete_refund),
    "cancels": (3, set_status("cancelled", *PAID, "pending", "on-hold")),
    "completes": (1, set_status("completed", "processing")),
    "revives": (1, set_status("processing", "cancelled")),
    "trashes": (1, trash),
    "takes out of the trash": (1, untrash),
    "deletes for good": (1, delete),
}


def heal(simulation: Simulation) -> None:
    """One order that surely stands, so that the shop's answers can prove something."""
    if not simulation.world.shop.order_ids():
        place(simulation, Random(0))
