"""Drift in the ERP, by an accountant's hands: deleted, edited, posted once more, booked on a control account."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from counterfoil_sandbox.erp_by_hand import ByHand
from counterfoil_sandbox.erp_journal import Line

from simulation import books
from simulation.actors.drift_orders import untouched
from simulation.planted import Planted
from simulation.rules import ENTITY

if TYPE_CHECKING:
    from simulation.drift import Drifting

HAPPENINGS: dict[str, Any] = {}


def delete(drifting: Drifting, random: Random) -> list[Planted]:
    document = a_document(drifting, random)
    if document is None:
        return []
    key, minor = document["key"], document["amount_minor"]
    ByHand(drifting.world.books).delete(key)
    what = "a document deleted in the ERP"
    return [Planted(what, "erp", f"document {key}", "missed", -1, -minor, documents=(key,))]


def tamper(drifting: Drifting, random: Random) -> list[Planted]:
    document = a_document(drifting, random)
    if document is None or document["amount_minor"] <= 0:
        return []
    key, minor, their = document["key"], document["amount_minor"], drifting.world.books
    their.tamper(key, minor + 100)
    what, undo = "a document edited in the ERP", lambda: their.tamper(key, minor)
    return [Planted(what, "erp", f"document {key}", "manual_edit_erp", None, 100, undo, (key,))]


def copy(drifting: Drifting, random: Random) -> list[Planted]:
    """Without our key only what moves something can be told."""
    document, with_key = a_document(drifting, random), random.random() < 0.5
    if document is None or not (with_key or document["moves"]):
        return []
    number = ByHand(drifting.world.books).copy(document["key"], with_key)
    what = f"a document posted once more, {'with' if with_key else 'without'} our key"
    return [by_number(drifting, what, number, "doubled", document["amount_minor"])]


def book(drifting: Drifting, random: Random) -> list[Planted]:
    minor, day = random.randint(1, 9) * 100, drifting.world.clock.true.date()
    lines = [Line("receivable", minor, 0, minor, 0), Line("bank", 0, minor, 0, minor)]
    number = ByHand(drifting.world.books).book(ENTITY, day, "EUR", "EUR", lines)
    return [by_number(drifting, "a journal by hand on a control account", number, "manual_edit_erp", minor)]


def by_number(drifting: Drifting, what: str, number: str, kind: str, minor: int) -> Planted:
    undo = lambda: take_out(drifting, number)  # noqa: E731
    return Planted(what, "erp", f"entry {ENTITY}/{number}", kind, 1, minor, undo, (number,))


def take_out(drifting: Drifting, number: str) -> None:
    with drifting.world.books.writing() as connection:
        its = "(select id from documents where number = ?)"
        connection.execute(f"delete from journal where document in {its}", (number,))
        connection.execute("delete from documents where number = ?", (number,))


def a_document(drifting: Drifting, random: Random) -> dict[str, Any] | None:
    """One that stands, of an order that no other drift has anything to do with."""
    order = untouched(drifting, random)
    slots = [one for slot, one in sorted(books.standing(drifting.world.folder).items()) if order]
    own = [one for one in slots if f"/{order['id'] if order else ''}/" in one["slot"]]
    found = random.choice(own) if own else None
    return {**found, "moves": bool(drifting.world.books.journal_lines([found["id"]]))} if found else None


DRIFT = {"deleted": delete, "tampered": tamper, "copied": copy, "booked": book}
