"""What rules or code alone would change: shown with its totals, posted only after approval; and the brake (R2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from counterfoil_engine.domain.errors import CounterfoilError
from counterfoil_engine.ports import Records


def held(records: Records) -> Sequence[Mapping[str, Any]]:
    """One break per version, with subjects, slots and money by entity and currency."""
    with records.transaction() as tx:
        return records.restatements.totals(tx)


def approve(records: Records, version: str, who: str) -> int:
    """Let a version's restatements be posted; how many subjects it had held."""
    with records.transaction() as tx:
        return approve_in(records, tx, version, who)


def approve_in(records: Records, tx: Any, version: str, who: str) -> int:
    """As `approve`, within a transaction."""
    if not records.restatements.held(tx, version):
        raise nothing_held(version)
    subjects = records.restatements.approve(tx, version, who)
    records.work.mark_due(tx, subjects, "repair")
    records.restatements.audit(tx, who, "approve restatement", version=version, subjects=len(subjects))
    return len(subjects)


def nothing_held(version: str) -> CounterfoilError:
    return CounterfoilError(f"No restatement of {version!r} is held.", "See which are: counterfoil status.", "conflict")


def release_brake(records: Records, entity: str, who: str) -> int:
    """Let an entity's reversals go on, counting anew; how many subjects it had stopped."""
    with records.transaction() as tx:
        return release_in(records, tx, entity, who)


def release_in(records: Records, tx: Any, entity: str, who: str) -> int:
    """As `release_brake`, within a transaction."""
    if not records.restatements.release_brake(tx, entity):
        raise not_on(entity)
    subjects = records.cases.subjects_with(tx, "engine", f"Reversals in {entity} are stopped")
    records.work.mark_due(tx, subjects, "repair")
    records.restatements.audit(tx, who, "release brake", entity=entity, subjects=len(subjects))
    return len(subjects)


def not_on(entity: str) -> CounterfoilError:
    return CounterfoilError(f"The brake of {entity!r} is not on.", "Nothing has to be done.", "conflict")
