"""The inbox: what is stuck, by cause, with its remedy and what it is worth; each case with all that happened to it.

One cause is one line, however many orders it holds. What is snoozed comes back by itself: the clock is all it takes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol

from counterfoil_engine.ports import InboxRecords, NoteRecords, Records, Rejected, Wanted
from counterfoil_engine.work.look import Looker
from counterfoil_engine.work.steps import line_of_steps

WATCHED, MOST_WATCHED = timedelta(days=1), 10_000
RUNBOOK = "docs/runbooks/cases.md"  # a section for each category


class Progress(Protocol):
    """How far the subjects have come that a cause let go (`records/freed.py`)."""

    def __call__(self, tx: Any, fingerprint: str, since: datetime, most: int) -> Mapping[str, int]: ...


class Inbox:
    """Reads only. progress: how far those have come that a cause held."""

    def __init__(
        self,
        records: Records,
        inbox: InboxRecords,
        notes: NoteRecords,
        looker: Looker,
        progress: Progress,
    ) -> None:
        self._records, self._inbox, self._notes, self._looker = records, inbox, notes, looker
        self._progress = progress

    def list(self, wanted: Wanted) -> Mapping[str, Any]:
        """A page of causes and a page of single cases, in the order that was asked for; how many there are at all."""
        with self._records.transaction() as tx:
            groups = self._inbox.causes(tx, wanted)
            money = self._inbox.money(tx, wanted, [row["fingerprint"] for row in groups]) if groups else {}
            return {
                "causes": [_cause(row, money.get(row["fingerprint"], [])) for row in groups],
                "cases": [_single(row) for row in self._inbox.cases(tx, wanted)],
                "found": self._inbox.counted(tx, wanted),
                "snoozed": self._inbox.snoozed(tx),
            }

    def show(self, case_id: int) -> Mapping[str, Any]:
        """All of a case: cause, remedy, the rows that are missing, its history, how many share its cause, and how far
        its order has come."""
        with self._records.transaction() as tx:
            row = read_case(self._inbox, tx, case_id)
            alike = self._records.cases.subjects_of(tx, row["fingerprint"])
            notes = self._notes.of_case(tx, case_id)
        is_order = row["subject"].startswith("order ")
        steps = line_of_steps(self._looker.preview(row["subject"])) if is_order else []
        return {
            **_single({**row, "money_minor": row["at_stake_minor"], "currency": row["at_stake_in"]}),
            "resolved_at": _text(row["resolved_at"]),
            "resolution": row["resolution"],
            "rules_version": row["rules_version"],
            "about": row["about_key"],
            "alike": len(alike),
            "history": [*_opened(row), *({**note, "at": _text(note["at"])} for note in notes), *_ended(row)],
            "steps": steps,
        }

    def watch(self, case_id: int) -> Mapping[str, Any]:
        """How far the subjects of a case's cause have come: those it holds, and those let go within the last day."""
        with self._records.transaction() as tx:
            row = read_case(self._inbox, tx, case_id)
            seen = self._progress(tx, row["fingerprint"], tx.now() - WATCHED, MOST_WATCHED)
        return {"case": case_id, "cause": row["cause"], **seen}


def read_case(inbox: InboxRecords, tx: Any, case_id: int) -> Mapping[str, Any]:
    """A case, ended or not; rejects where there is none."""
    row = inbox.read(tx, case_id)
    if row is None:
        raise Rejected(
            f"There is no case {case_id}.", "See which are open: counterfoil cases --single.", slug="no-such-subject"
        )
    return row


def _cause(row: Mapping[str, Any], money: list[dict[str, Any]]) -> dict[str, Any]:
    """One line of the inbox. case: one of those that share the cause, to name them by."""
    return {
        "case": row["id"],
        "category": row["category"],
        "cause": row["cause"],
        "remedy": row["remedy"],
        "runbook": _runbook(row["category"]),
        "rows": json.loads(row["missing_rows"]),
        "subjects": row["subjects"],
        "money": money,
        "oldest": _text(row["oldest"]),
        "owner": row["owner"] if row["owners"] == 1 else "several",
    }


def _single(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": row["id"],
        "subject": row["subject"],
        "store": row["store"],
        "party": row["party"],
        "category": row["category"],
        "cause": row["cause"],
        "remedy": row["remedy"],
        "runbook": _runbook(row["category"]),
        "rows": json.loads(row["missing_rows"]),
        "money_minor": int(row["money_minor"]) if row["money_minor"] is not None else None,
        "currency": row["currency"] or None,
        "owner": row["owner"],
        "snoozed_until": _text(row["snoozed_until"]),
        "opened_at": _text(row["opened_at"]),
        "seen_at": _text(row["seen_at"]),
    }


def _runbook(category: str) -> str:
    return f"{RUNBOOK}#{category}"


def _opened(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"at": _text(row["opened_at"]), "who": "engine", "what": "opened", "said": row["cause"]}]


def _ended(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    if row["resolved_at"] is None:
        return []
    return [{"at": _text(row["resolved_at"]), "who": "engine", "what": "resolved", "said": row["resolution"]}]


def _text(value: Any) -> str | None:
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment.isoformat() if moment else None
