"""An order that can't be read, read as people correct it: one proposes, another approves, the original stays.

What is kept of a proposal is what differs, not the order: names and addresses stay where they are. The correction is a
fact of its own beside the event that it corrects; whatever the store says later supersedes it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, Protocol

from counterfoil_contracts import faults

from counterfoil_engine.domain import unread
from counterfoil_engine.domain.difference import Post
from counterfoil_engine.domain.documents import Dues
from counterfoil_engine.domain.errors import CounterfoilError
from counterfoil_engine.domain.facts import Snapshot
from counterfoil_engine.domain.patch import difference, patched, written
from counterfoil_engine.domain.readers import read_json
from counterfoil_engine.ports import DuesOf, Facts, InboxRecords, NoteRecords, Records, RulesBook
from counterfoil_engine.work.decisions import Decision, Frozen
from counterfoil_engine.work.hold import steps_to
from counterfoil_engine.work.inbox import read_case

CONTRACT = "events/order.v1"
SAID_MOST = 5  # places that a summary names


class CorrectionRecords(Protocol):
    """Bodies that people put beside others (`records/corrections.py`)."""

    def latest(self, tx: Any, subject: str) -> Mapping[str, Any] | None: ...
    def add(
        self, tx: Any, store: str, subject: str, event_id: str, body: bytes, proposed_by: str, who: str, reason: str
    ) -> int: ...


class CorrectOrder(Decision):
    """asked: {"case", "reason", "by", and "patch" or "body"}: operations on what the store said, or all of it anew."""

    what = "correct_order"

    def __init__(
        self,
        records: Records,
        inbox: InboxRecords,
        notes: NoteRecords,
        corrections: CorrectionRecords,
        book: RulesBook,
        dues: DuesOf,
        facts: Facts,
    ) -> None:
        self._records, self._inbox, self._notes, self._corrections = records, inbox, notes, corrections
        self._book, self._dues, self._facts = book, dues, facts

    def freeze(self, tx: Any, asked: Mapping[str, Any]) -> Frozen:
        case = read_case(self._inbox, tx, asked["case"])
        subject = case["subject"]
        if case["resolved_at"] is not None or not subject.startswith("order "):
            raise CounterfoilError(
                f"The case {case['id']} is no order that waits for a correction.",
                "Correct what the store has in the store: its next snapshot counts.",
                "contract",
            )
        latest = self._latest(tx, subject)
        before = _read(latest["body"])
        if asked.get("body") is not None:
            operations = list(difference(before, _exact(asked["body"])))
        else:
            operations = [dict(each) for each in _exact(asked.get("patch") or ())]
        body = _body(before, operations)
        documents, parked = self._would_be(tx, subject, body, latest)
        if not operations or parked:
            raise CounterfoilError(
                f"So corrected, the order parks as well: {parked[0]}" if parked else "Nothing is corrected by that.",
                "Correct that too, and propose it anew.",
                "data",
            )
        amounts: dict[str, int] = {}
        for document in documents:
            amounts[document["currency"]] = amounts.get(document["currency"], 0) + abs(document["amount_minor"])
        payload = {
            "case": case["id"],
            "subject": subject,
            "store": case["store"],
            "event": latest["event_id"],
            "base": latest["body_hash"],
            "patch": written(operations),
            "body_hash": hashlib.sha256(body).hexdigest(),
            "proposed_by": asked["by"],
            "reason": asked["reason"],
            "documents": documents,
        }
        places = ", ".join(each["path"] for each in operations[:SAID_MOST])
        more = f" and {len(operations) - SAID_MOST} more" if len(operations) > SAID_MOST else ""
        summary = f"Read {subject} with {places}{more} corrected ({asked['reason']}); {_posts(documents)}."
        return Frozen(payload, summary, amounts or None)

    def carry_out(self, tx: Any, payload: Mapping[str, Any], who: str) -> Mapping[str, Any]:
        subject = payload["subject"]
        latest = self._latest(tx, subject)
        body = _body(_read(latest["body"]), _exact(json.loads(payload["patch"], parse_float=Decimal)))
        is_same = (latest["event_id"], latest["body_hash"]) == (payload["event"], payload["base"])
        if not is_same or hashlib.sha256(body).hexdigest() != payload["body_hash"]:
            raise CounterfoilError(
                f"Something newer is known of {subject} than was corrected: nothing was done.",
                "Look at it again; where it still can't be read, correct it anew.",
                "conflict",
            )
        names = (payload["store"], subject, payload["event"], body, payload["proposed_by"], who, payload["reason"])
        number = self._corrections.add(tx, *names)
        self._records.work.mark_due(tx, [subject], "live")
        for row in self._records.cases.of_subject(tx, subject):
            if row["origin"] == unread.ORIGIN:
                self._records.cases.resolve(tx, row["id"], "it is read as it was corrected")
        said = f"{payload['reason']} (correction {number}, proposed by {payload['proposed_by']})"
        self._notes.add(tx, [payload["case"]], who, "corrected", said)
        named = {name: payload[name] for name in ("subject", "event", "body_hash", "proposed_by", "reason")}
        self._records.restatements.audit(tx, who, "correct order", correction=number, **named)
        return {"correction": number, "subject": subject, "documents": payload["documents"]}

    def explain(self, tx: Any, payload: Mapping[str, Any]) -> Sequence[str]:
        operations = json.loads(payload["patch"], parse_float=Decimal)
        before = _read(self._latest(tx, payload["subject"])["body"])
        return [
            *(f"{each['op']} {each['path']}: {_at(before, each['path'])} → {_new(each)}" for each in operations),
            *(f"posts {one['slot']}: {one['amount_minor']} {one['currency']} (minor)" for one in payload["documents"]),
        ]

    def _latest(self, tx: Any, subject: str) -> Mapping[str, Any]:
        latest = self._corrections.latest(tx, subject)
        if latest is None:
            raise CounterfoilError(f"Nothing ever came of {subject}.", "Let the agent read it.", "data")
        return latest

    def _would_be(
        self, tx: Any, subject: str, body: bytes, latest: Mapping[str, Any]
    ) -> tuple[list[dict[str, Any]], list[str]]:
        """The documents that would be posted, and why it parks nevertheless."""
        store, order_id = subject.removeprefix("order ").split("/", 1)
        wrong = faults(CONTRACT, body, 3)
        if wrong:
            return [], ["; ".join(str(fault) for fault in wrong) + "."]
        said = read_json(body)
        if str(said["order"]["id"]) != order_id:
            return [], [f"It is the order {said['order']['id']}."]
        facts = self._facts(tx, store, order_id)
        as_of = tx.now()
        last = facts.snapshots[-1] if facts.snapshots else Snapshot("order", 1, 1, as_of, said)
        facts = replace(facts, snapshots=(*facts.snapshots, replace(last, kind="order", body=said)))
        dues: Dues = self._dues(facts, self._book.current(tx), as_of)
        slots = {dues.subject: [document.slot for document in dues.documents]}
        steps = steps_to(dues, self._records.intents.of_group(tx, slots)[dues.subject])
        posted = [step.document for step in steps if isinstance(step, Post)]
        documents = [
            {"slot": one.slot, "kind": one.kind, "amount_minor": one.amount_minor, "currency": one.currency}
            for one in posted
        ]
        return documents, [case.cause for case in dues.cases] if dues.reading == "parked" else []


def _read(body: bytes) -> Any:
    try:
        return json.loads(body, parse_float=Decimal)
    except ValueError:
        return {}


def _exact(value: Any) -> Any:
    """A value without floats, as it was typed."""
    if isinstance(value, float):
        return Decimal(str(value))
    if isinstance(value, dict):
        return {name: _exact(each) for name, each in value.items()}
    return [_exact(each) for each in value] if isinstance(value, list | tuple) else value


def _body(before: Any, operations: Sequence[Mapping[str, Any]]) -> bytes:
    return written(patched(before, operations)).encode()


def _posts(documents: Sequence[Mapping[str, Any]]) -> str:
    kinds = sorted({document["kind"] for document in documents})
    return f"it posts {len(documents)} documents ({', '.join(kinds)})" if documents else "it posts nothing"


def _at(value: Any, path: str) -> str:
    """What stands at a path now, as JSON; a dash where nothing does."""
    for part in path[1:].split("/"):
        part = part.replace("~1", "/").replace("~0", "~")
        try:
            value = value[int(part)] if isinstance(value, list) else value[part]
        except (LookupError, ValueError, TypeError):
            return "–"
    return written(value)[:200]


def _new(operation: Mapping[str, Any]) -> str:
    return written(operation["value"])[:200] if "value" in operation else "–"
