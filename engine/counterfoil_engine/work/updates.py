"""The mailbox of a store: its agent fetches what its orders are to be told, and says what became of it.

    POST /v1/updates    results of what was handed out, and how many more → updates, a status after all notes

An agent only dials out, so the party *store* has no poster that calls. In one transaction the results are taken as a
poster takes them, and what may go is marked sent and handed out. What has no result after a while is handed out again,
without being looked up first: the order in the shop bears the keys that it has been told, so the agent finds it there.

A shop forgets nothing: a note stays, a status is never taken back. So the reversal of an update is one more note, which
says that the earlier one no longer holds; whoever serves the customer reads both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from loguru import logger

from counterfoil_engine.domain.errors import Case, Unavailable
from counterfoil_engine.ports import Intent, MailboxRecords, Records, RulesBook
from counterfoil_engine.work import ledger
from counterfoil_engine.work.draw import Draw
from counterfoil_engine.work.feed import read_as, words_of
from counterfoil_engine.work.switches import setting_of

PARTY = "store"
AGAIN_S = 120.0  # longer than an agent takes for what it was handed, unless it or the shop is down
TOLD = "told"  # the number of what an order bears: a shop gives none


class Updates:
    """The use case behind the mailbox; to be called from any thread. store: whose signature the request bears."""

    def __init__(self, records: Records, mailbox: MailboxRecords, book: RulesBook, again_s: float = AGAIN_S) -> None:
        self._records, self._mailbox, self._book, self._again_s = records, mailbox, book, again_s
        self._draw = Draw()

    def exchange(self, store: str, raw: bytes) -> dict[str, Any]:
        """Take the results, hand out what else waits. Raises Rejected."""
        said = read_as("feed/results.v1", raw)
        with self._records.transaction() as tx:
            self._take(tx, store, said["results"])
            handed = self._hand_out(tx, store, said["limit"])
        if handed:
            logger.info("handed out", store=store, updates=len(handed))
        is_full = 0 < said["limit"] <= len(handed)
        return {"updates": [_update(intent) for intent in handed], "more": is_full}

    # Results.

    def _take(self, tx: Any, store: str, results: Sequence[Mapping[str, Any]]) -> None:
        """What nobody waits for any more, or of another content (said before a restore), changes nothing: where it is
        due, it is handed out, and the agent says it again."""
        awaited = self._mailbox.handed_out(tx, store, [one["key"] for one in results])
        applied: list[tuple[Intent, str]] = []
        due: set[ledger.Due] = set()
        for one in results:
            intent = awaited.pop(one["key"], None)
            if intent is None or intent.content_hash != one["hash"]:
                logger.info("result not awaited", store=store, document=words_of(one["key"]), outcome=one["outcome"])
            elif one["outcome"] == "applied":
                applied.append((intent, TOLD))  # without a posting date: it is posted to no ledger
            else:
                is_taken = one["outcome"] == "other_content" and intent.reverses is None
                taken_by = ledger.NOT_TOLD if is_taken else None
                due |= ledger.refused(self._records, tx, intent, _case(intent, one), taken_by)
        ledger.mark_due(self._records, tx, due | ledger.done(self._records, tx, applied))

    # Handing out.

    def _hand_out(self, tx: Any, store: str, limit: int) -> list[Intent]:
        """What waits, marked sent. Half of the room at most is for what was handed out before, so that orders that a
        shop can't be told of never hold up the others."""
        records = self._records
        if not limit or not records.identity.is_confirmed(tx):
            return []  # a copy hands nothing out, not even what its original began (R4)
        is_on = self._is_on(tx, store)
        found = self._mailbox.unanswered(tx, store, is_on, self._again_s, (limit + 1) // 2)
        for work_class in self._draw.order():
            room = limit - len(found)
            if room <= 0:
                break
            found += ledger.may_go(records, tx, self._mailbox.ready(tx, store, is_on, work_class, room))
        marked = set(records.intents.mark_sent(tx, found))
        # One look makes a shipment's note and the order's end: people read the note first.
        return sorted((intent for intent in found if intent.id in marked), key=_sets_a_status)

    def _is_on(self, tx: Any, store: str) -> bool:
        try:
            rules = self._book.current(tx)
        except Unavailable:
            return False  # none are loaded yet
        return setting_of(self._records, tx, rules, store, PARTY) == "on"


def _sets_a_status(intent: Intent) -> bool:
    return intent.reverses is None and intent.document is not None and intent.document.body.get("status") is not None


def _update(intent: Intent) -> dict[str, Any]:
    """As its contract has it."""
    assert intent.document is not None
    body = intent.document.body
    told: dict[str, Any] = {name: body.get(name) for name in ("status", "tracking", "carrier", "note")}
    if intent.reverses:
        told = dict.fromkeys(told) | {"note": _no_longer_so(body)}
    order = int(intent.document.subject.rpartition("/")[2])
    return {"key": intent.key, "hash": intent.content_hash, "order": order, **told, "reverses": intent.reverses}


def _no_longer_so(body: Mapping[str, Any]) -> str:
    if body.get("note"):
        return f"No longer so: {body['note']}"
    return (
        f"No longer so: the order is {body.get('status')}. Its status is left as it is; set it by hand if it has to be"
        " another."
    )


def _case(intent: Intent, said: Mapping[str, Any]) -> Case:
    reason = words_of(said["reason"]) or "it gave no reason"
    if said["outcome"] == "other_content":
        return Case(
            "conflict",
            f"The order in the store was told {intent.key} with another content than is due: {reason}",
            "Compare the order's notes with what is due, then retry this order: it is told so in the next revision.",
        )
    return Case(
        "conflict",
        f"The store was not told {intent.key}: {reason}",
        "Look at the order in the store, then retry this order (counterfoil retry) if it is still to be told.",
    )
