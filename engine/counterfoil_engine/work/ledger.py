"""What becomes of intents, whichever way their party is reached: which may go, results, refusals, and whom they wake.

A result, its journal, the waits it ends, the cases it closes and the mark that its subject deserves a look are one
transaction. Nothing here calls a party.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from loguru import logger

from counterfoil_engine.domain.errors import Case
from counterfoil_engine.ports import Intent, Records, WorkClass

Due = tuple[WorkClass, str]

NOT_TOLD = "not told"  # the number of the document that bears a key, where the party only said that one does


def may_go(records: Records, tx: Any, ready: Sequence[Intent]) -> list[Intent]:
    """Of ready intents those before which nothing is missing; the others wait anew (K6)."""
    unmet = records.intents.unmet(tx, ready)
    needs = [(one.id, one.party, one.entity, key) for one in ready if one.id in unmet for key in one.after]
    records.waits.wait_for_results(tx, needs)
    return [intent for intent in ready if intent.id not in unmet]


def done(records: Records, tx: Any, results: Sequence[tuple[Intent, str]]) -> set[Due]:
    """The results, their journal, and whom they wake; returns the subjects that deserve a look."""
    ids = records.intents.done(tx, results)
    posted = [intent for intent, _ in results if intent.id in ids]
    slots: dict[str, list[str]] = {}
    woken: dict[str, list[str]] = {}
    for intent in posted:
        slots.setdefault(intent.subject, []).append(intent.slot)
        woken.setdefault(intent.entity, []).append(intent.key)
        logger.info("posted", document=intent.key, amount_minor=intent.amount_minor, currency=intent.currency)
    # What had a number before was looked up anew, since a sweep missed it there: its journal stands already.
    payouts = records.journal.book(tx, [intent for intent in posted if intent.number is None])
    for entity, keys in sorted(woken.items()):
        records.waits.wake_by_results(tx, entity, keys)
    records.cases.resolve_slots(tx, slots, "posted")
    return {*((intent.work_class, intent.about) for intent in posted), *(("live", payout) for payout in payouts)}


def refused(records: Records, tx: Any, intent: Intent, case: Case, taken_by: str | None = None) -> set[Due]:
    """A refusal is a case; a look decides what follows. What refuses it for a closed period ends by itself.

    taken_by: the number of the document that bears its key."""
    if not records.intents.refuse(tx, intent, case.category == "closed_period", taken_by):
        return set()
    if case.money_minor is None:
        case = replace(case, money_minor=intent.amount_minor, currency=intent.currency)
    records.cases.open_case(tx, intent.subject, intent.store, "post", case, intent.key, party=intent.party)
    logger.warning("refused", document=intent.key, category=case.category)
    return {(intent.work_class, intent.about)}


def mark_due(records: Records, tx: Any, due: set[Due]) -> None:
    """What has a result deserves a look, in the class of its intent: a backfill's results are no live work."""
    for work_class in sorted({of for of, _ in due}):
        records.work.mark_due(tx, sorted(subject for of, subject in due if of == work_class), work_class)
