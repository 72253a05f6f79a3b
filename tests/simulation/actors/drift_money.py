"""Drift of money: a gateway never had what orders say was paid by it."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from counterfoil_engine.records import party_facts
from fakes.party_facts import captured, judged

from simulation import books
from simulation.planted import Planted
from simulation.rules import ENTITY

if TYPE_CHECKING:
    from simulation.drift import Drifting

HAPPENINGS: dict[str, Any] = {}
DAY_S = 86_400.0
CLAIMED = (
    "select p.day, p.amount_minor, p.source from postings p join intents i on i.id = p.intent_id"
    " where i.kind = 'payment' and p.stands = 1 and p.source in ('bacs', 'cod', 'cheque')"
)


def gateway_lacks(drifting: Drifting, random: Random) -> list[Planted]:
    """It was heard since, and says of none of a day's payments."""
    if drifting.has_stock:
        return []
    world = drifting.world
    claimed = books.rows(world.engine_file, CLAIMED)
    if not claimed:
        return []
    source, day = random.choice(sorted({(one["source"], one["day"]) for one in claimed}))
    minor = sum(one["amount_minor"] for one in claimed if (one["source"], one["day"]) == (source, day))
    some_days_pass(drifting)
    said = captured(transaction="ch_of_another", source=source, at="2026-11-20T09:00:00Z")
    with world.engine.engine.records.transaction() as tx:
        party_facts.take(tx, [judged(said)])
        party_facts.keep_cursor(tx, "gateway", source, "1", True)
    subject, undo = f"payments {ENTITY}/{source}/EUR {day}", lambda: is_heard_no_more(drifting, source)
    return [Planted("payments that their gateway never had", "money", subject, "missed", None, -minor, undo)]


def is_heard_no_more(drifting: Drifting, source: str) -> None:
    """It was another account of the same gateway's, and is disconnected."""
    with drifting.world.engine.engine.records.transaction() as tx:
        tx.run("delete from source_cursors where source = %s", source)


def some_days_pass(drifting: Drifting) -> None:
    drifting.world.clock.pass_time(3 * DAY_S)
    drifting.rest()


DRIFT = {"gateway lacks payments": gateway_lacks}
