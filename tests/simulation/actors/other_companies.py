"""The ERP keeps another company's books too: nothing of it ever gets into the engine's."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import TYPE_CHECKING

from simulation import books

if TYPE_CHECKING:
    from simulation.storm import Simulation

KEY = "FR01/-/customer/fr1-7/r1"
CUSTOMER = {
    **{"contract": "counterfoil.customer.v1", "key": KEY, "slot": KEY.removesuffix("/r1"), "kind": "customer"},
    **{"entity": "FR01", "store": None, "order": None, "number": None, "currency": "EUR", "book_currency": "EUR"},
    **{"amount_minor": 0, "date": "2026-11-23", "event_date": "2026-11-23", "content_hash": "9f" * 32},
    **{"reverses": None, "why": "somebody else's", "counterparty": "fr1-7", "guest": False, "country": "FR"},
    "personal": None,
}


def begin(simulation: Simulation) -> None:
    post(simulation, Random(0))


def post(simulation: Simulation, random: Random) -> None:
    (outcome,) = simulation.world.books.post([CUSTOMER])
    assert outcome["status"] == "posted", outcome


HAPPENINGS = {"another company posts": (1, post)}


def check(simulation: Simulation) -> Iterator[str]:
    for row in books.rows(simulation.world.engine_file, "select key from intents where key = ?", KEY):
        yield f"R4 the engine took {row['key']} for its own, which is another company's"
