"""What a store's orders are to be told, for tests of the mailbox: documents that are due, and an agent's calls."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from counterfoil_engine.domain.documents import Document
from counterfoil_engine.records import mailbox
from counterfoil_engine.work.updates import Updates
from fakes.engine import World, a_document

SHIPPED = {"status": None, "tracking": "JD014600", "carrier": "DHL", "note": "Shipped from Hamburg by DHL."}
COMPLETED = {"status": "completed", "tracking": None, "carrier": None, "note": None}


def an_update(natural: str = "ship-77", order: str = "1001", **body: Any) -> Document:
    """A document for the store: a shipment's news, unless told otherwise."""
    of = COMPLETED if natural == "completed" else SHIPPED
    document = a_document("store_update", 0, natural, order, party="store", body={**of, **body})
    return replace(document, journal=())


def switch(world: World, setting: str, store: str = "eu1") -> None:
    with world.database.transaction() as tx:
        world.records.rules.set_switch(tx, store, "store", setting, "test")


def updates_of(world: World) -> Updates:
    return Updates(world.records, mailbox, world.book)


def look(world: World) -> None:
    looker = world.looker()
    while looker.step():
        pass


class Mailbox:
    """One store's agent at the mailbox."""

    def __init__(self, world: World, store: str = "eu1") -> None:
        self.updates, self.store = updates_of(world), store
        self.more = False

    def fetch(self, results: Sequence[dict[str, Any]] = (), limit: int = 50) -> list[dict[str, Any]]:
        told = self.updates.exchange(self.store, json.dumps({"results": list(results), "limit": limit}).encode())
        self.more = told["more"]
        found: list[dict[str, Any]] = told["updates"]
        return found


def result(update: dict[str, Any], outcome: str = "applied", reason: str | None = None) -> dict[str, Any]:
    return {"key": update["key"], "hash": update["hash"], "outcome": outcome, "reason": reason}
