"""What people did about cases: who looks after one, until when it waits, what they said. Notes are only ever added."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from counterfoil_engine.records.database import Transaction


def add(tx: Transaction, case_ids: Sequence[int], who: str, what: str, said: str) -> None:
    """Note the same of each of these cases. said: in words, for a person."""
    now = tx.now()
    tx.run_many(
        "insert into case_notes (case_id, at, who, what, said) values (%s, %s, %s, %s, %s)",
        [(case_id, now, who, what, said) for case_id in case_ids],
    )


def of_case(tx: Transaction, case_id: int) -> list[Mapping[str, Any]]:
    """Its notes, the oldest first."""
    return tx.all("select at, who, what, said from case_notes where case_id = %s order by id", case_id)


def assign(tx: Transaction, case_ids: Sequence[int], owner: str | None) -> None:
    """Who looks after them from now on; None: nobody."""
    tx.run_many("update cases set owner = %s where id = %s", [(owner, case_id) for case_id in case_ids])


def snooze(tx: Transaction, case_ids: Sequence[int], until: datetime | None) -> None:
    """Out of the way until then; None: back at once."""
    tx.run_many("update cases set snoozed_until = %s where id = %s", [(until, case_id) for case_id in case_ids])
