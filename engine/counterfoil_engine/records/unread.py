"""What came last of an order and can't be used: as a sentence for people, and as a case for as long as it is so."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence

from counterfoil_engine.domain import unread
from counterfoil_engine.domain.errors import Case
from counterfoil_engine.ports import Incoming
from counterfoil_engine.records import cases, corrections
from counterfoil_engine.records.database import Row, Transaction

IS_OPEN = f"origin = '{unread.ORIGIN}' and resolved_at is null"


def case_of(tx: Transaction, subject: str) -> Case | None:
    """Why the newest that came of an order, or was put beside it, is no fact; None: it is one."""
    latest, order_id = corrections.latest(tx, subject), subject.rpartition("/")[2]
    if latest is None:
        return None
    if latest["reason"] is not None:
        return unread.breaks_its_contract(order_id, latest["reason"])
    if latest["type"] == unread.TOMBSTONE:
        return unread.did_not_pass(order_id, str(json.loads(latest["body"]).get("reason")))
    return None


def settle(tx: Transaction, store: str, fresh: Sequence[Incoming], changed: Collection[str], is_any_open: bool) -> None:
    """Open and end them by what a batch brought. changed: the subjects with new facts; is_any_open: of the store's."""
    bad = [event for event in fresh if event.reason is not None or event.type == unread.TOMBSTONE]
    there = {row["subject"] for row in _open(tx, store)} if is_any_open else set()
    orders = {event.subject for event in bad if event.subject and event.subject.startswith("order ")}
    for subject in sorted(orders | (there & set(changed))):
        case = case_of(tx, subject)
        if subject in there:
            for row in cases.of_subject(tx, subject):
                if row["origin"] == unread.ORIGIN and (case is None or row["fingerprint"] != case.fingerprint):
                    cases.resolve(tx, row["id"], "what came last of it can be read" if case is None else "more came")
        if case is not None:
            cases.open_case(tx, subject, store, unread.ORIGIN, case)
    _of_no_order(tx, store, (event for event in bad if event.subject not in orders))


def _of_no_order(tx: Transaction, store: str, events: Iterable[Incoming]) -> None:
    found = {case.fingerprint: case for event in events for case in [unread.of_no_order(event.reason or "")]}
    if not found:
        return
    room = unread.MOST - len([row for row in _open(tx, store) if row["subject"] == f"store {store}"])
    for case in list(found.values())[: max(0, room)]:
        cases.open_case(tx, f"store {store}", store, unread.ORIGIN, case)


def _open(tx: Transaction, store: str) -> Sequence[Row]:
    return tx.all(f"select subject from cases where {IS_OPEN} and store = %s", store)
