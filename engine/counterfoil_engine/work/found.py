"""What a party holds already: found there by its key, or taken into the ledger after a restore. Nothing here calls it.

Same key and hash: done. Another hash: a conflict, never done (K3). Two of one key: doubled (K4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from counterfoil_engine.domain.errors import Case
from counterfoil_engine.ports import Found, Intent, Records
from counterfoil_engine.work import ledger

SAID = {"erp": "The ERP", "wms": "The WMS", "gateway": "The gateway", "tax": "The tax service", "store": "The store"}


def settle(records: Records, tx: Any, intent: Intent, found: Sequence[Found]) -> set[ledger.Due]:
    """The result of an intent that was sent, by the documents that bear its key."""
    first = _first(found)
    if first.content_hash != intent.content_hash:
        return ledger.refused(records, tx, intent, _other_content(intent, first), first.number)
    if len(found) > 1:
        _doubled(records, tx, intent, found)
    return ledger.done(records, tx, [(intent, first.number)])


def settle_refused(
    records: Records, tx: Any, intent: Intent, found: Sequence[Found], beside: Sequence[Intent]
) -> set[ledger.Due]:
    """What was refused and stands nonetheless gets its result; what was to be posted beside it is looked at anew."""
    if not records.intents.doubt(tx, intent):
        return set()
    due = settle(records, tx, intent, found)
    withdrawn = [one for one in beside if one.slot == intent.slot and records.intents.withdraw(tx, one)]
    return due | {(one.work_class, one.about) for one in withdrawn}


def adopt(records: Records, tx: Any, party: str, entity: str, bearing: Sequence[Found]) -> set[ledger.Due]:
    """After a restore: take the documents that bear one key into the ledger (R4)."""
    found, due = _first(bearing), set[ledger.Due]()
    intent = records.intents.by_key(tx, party, entity, found.key)
    if intent and intent.content_hash != found.content_hash and records.intents.withdraw(tx, intent):
        intent = None  # made since the restore, by a ledger that had forgotten this key
    if intent is None:
        intent, due = _adopt_unknown(records, tx, party, entity, found)
    elif intent.state in ("ready", "sent", "refused"):
        due = _adopt_known(records, tx, intent, found)
    if intent is not None and len(bearing) > 1:
        _doubled(records, tx, intent, bearing)
    return due


def _adopt_unknown(
    records: Records, tx: Any, party: str, entity: str, found: Found
) -> tuple[Intent | None, set[ledger.Due]]:
    subject = records.intents.adopt(
        tx, party, entity, found.key, found.number, found.content_hash, found.posted_at.date()
    )
    _book_adopted_reversal(records, tx, party, entity, found.key)
    # What was made since the restore may wait for it already.
    records.waits.wake_by_results(tx, entity, [found.key])
    due: set[ledger.Due] = {("repair", subject)} if subject and subject.startswith(("order ", "payouts ")) else set()
    # And was made by a ledger that had forgotten what stands there: a look says what is left to post.
    due |= {("repair", about) for about in records.intents.withdraw_beside(tx, party, entity, found.key)}
    intent = records.intents.by_key(tx, party, entity, found.key)
    if intent is not None and intent.reverses is None:
        records.cases.resolve_slots(tx, {intent.subject: [intent.slot]}, "posted")
    return intent, due


def _book_adopted_reversal(records: Records, tx: Any, party: str, entity: str, key: str) -> None:
    """What an adopted reversal undid may be in the ledger with its journal: this one then has it, mirrored."""
    reversal = records.intents.by_key(tx, party, entity, key)
    if reversal is None or reversal.reverses is None:
        return
    original = records.intents.by_key(tx, party, entity, reversal.reverses)
    if original is None or original.document is None or original.state != "done":
        return
    document, about = original.document, original.about
    records.intents.explain(tx, reversal, document, about, (), original.look_id, original.rules_version)
    records.journal.book(tx, [replace(reversal, document=document, about=about, currency=document.currency)])


def _adopt_known(records: Records, tx: Any, intent: Intent, found: Found) -> set[ledger.Due]:
    if intent.state == "refused" and not records.intents.offer_again(tx, intent):
        return set()
    records.intents.mark_sent(tx, [intent])
    return settle(records, tx, replace(intent, posting_date=found.posted_at.date()), [found])


def _doubled(records: Records, tx: Any, intent: Intent, found: Sequence[Found]) -> None:
    numbers = ", ".join(one.number for one in found[:5])
    doubled = Case(
        "conflict",
        f"{SAID[intent.party]} holds {len(found)} documents of the key {intent.key}: {numbers}.",
        "Reverse all but the first there, then retry this subject.",
        money_minor=intent.amount_minor,
        currency=intent.currency,
    )
    records.cases.open_case(tx, intent.subject, intent.store, "doubled", doubled, intent.key, party=intent.party)


def _first(found: Sequence[Found]) -> Found:
    """Of the documents that bear one key, the one that counts."""
    return min(found, key=lambda one: (one.posted_at, one.number))


def _other_content(intent: Intent, found: Found) -> Case:
    return Case(
        "conflict",
        f"{SAID[intent.party]} holds {intent.key} (number {found.number}) with another content than is due.",
        "Compare both; reverse the one there by hand, then retry this subject: it gets the next revision.",
        money_minor=intent.amount_minor,
        currency=intent.currency,
    )
