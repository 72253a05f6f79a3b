"""What people decided, as whoever checks the books reads it: all entries with their places and hashes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from counterfoil_engine.ports import Records


class AuditLog:
    """Reads only. Whoever verifies does so with what this says, and with what was kept elsewhere."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def entries(self, after: int, limit: int, since: datetime | None = None) -> Mapping[str, Any]:
        """Entries after a place, so many; the head says whether there are more."""
        with self._records.transaction() as tx:
            n, head = self._records.audit_log.head(tx)
            found = self._records.audit_log.entries(tx, after, limit, since)
        return {"entries": [asdict(entry) for entry in found], "head": {"n": n, "hash": head}}
