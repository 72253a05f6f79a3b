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
        if not records.restatements.held(tx, version):
            raise CounterfoilError(
                f"No restatement of {version!r} is held.", "See which are: counterfoil status.", "conflict"
            )
        subjects = records.restatements.approve(tx, version, who)
        records.work.mark_due(tx, subjects, "repair")
        records.restatements.audit(tx, who, "approve restatement", version=version, subjects=len(subjects))
        return len(subjects)


def release_brake(records: Records, entity: str, who: str) -> int:
    """Let an entity's reversals go on, counting anew; how many subjects it had stopped."""
    with records.transaction() as tx:
        if not records.restatements.release_brake(tx, entity):
            raise CounterfoilError(f"The brake of {entity!r} is not on.", "Nothing has to be done.", "conflict")
        subjects = records.cases.subjects_with(tx, "engine", f"Reversals in {entity} are stopped")
        records.work.mark_due(tx, subjects, "repair")
        records.restatements.audit(tx, who, "release brake", entity=entity, subjects=len(subjects))
        return len(subjects)
