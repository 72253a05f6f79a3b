"""A party that is away or asks for a pause: its breaker opens, and a case says so until it answers again.

One case a party and entity, whatever waits for it: nothing that waits is a case of its own, since nobody can help it.
"""

from __future__ import annotations

from typing import Any

from counterfoil_engine.domain.errors import Case, CounterfoilError, Retry
from counterfoil_engine.ports import Records

ORIGIN = "away"


def went_away(records: Records, tx: Any, party: str, entity: str, error: CounterfoilError, jitter: float) -> None:
    """A call failed for the party's sake. entity: or the source's name, of a party that is asked what happened."""
    retry_after_s = error.retry_after_s if isinstance(error, Retry) else None
    records.breakers.trip(tx, party, entity, error.cause, jitter, retry_after_s)
    subject = f"{party} {entity}"
    case = Case(error.category, error.cause, error.remedy)
    for row in _open(records, tx, subject):
        if row["fingerprint"] != case.fingerprint:
            records.cases.resolve(tx, row["id"], "it fails in another way now")
    records.cases.open_case(tx, subject, "", ORIGIN, case, party=party)


def came_back(records: Records, tx: Any, party: str, entity: str) -> None:
    """A call came through."""
    records.breakers.worked(tx, party, entity)
    for row in _open(records, tx, f"{party} {entity}"):
        records.cases.resolve(tx, row["id"], f"{party} {entity} answers again")


def _open(records: Records, tx: Any, subject: str) -> list[Any]:
    return [row for row in records.cases.of_subject(tx, subject) if row["origin"] == ORIGIN]
