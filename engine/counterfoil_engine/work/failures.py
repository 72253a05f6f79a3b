"""The failures that a business asks about, each with its money: orders not posted, inventory, refunds, tax, payouts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from counterfoil_engine.ports import Transactions

KINDS: Mapping[str, str] = {
    "posting": "order documents that the ERP refused",
    "inventory": "stock that can't be told or counted",
    "refund": "refunds that don't fit",
    "tax": "tax that differs from what was charged",
    "settlement": "payouts that don't match",
    "other": "other things that wait for a person",
}


class FailureRecords(Protocol):
    """Open cases by kind (`records/failures.py`)."""

    def failures(self, tx: Any) -> list[Mapping[str, Any]]: ...


class Failures:
    """Reads only."""

    def __init__(self, records: Transactions, reads: FailureRecords) -> None:
        self._records, self._reads = records, reads

    def show(self) -> list[dict[str, Any]]:
        """Each kind with its subjects, money by currency, and since when; a kind without any too."""
        with self._records.transaction() as tx:
            rows = self._reads.failures(tx)
        found = []
        for kind, says in KINDS.items():
            own = [row for row in rows if row["kind"] == kind]
            held = [
                {"currency": row["currency"], "amount_minor": int(row["money_minor"])}
                for row in own
                if row["currency"] and row["money_minor"]
            ]
            since = min((str(row["since"]) for row in own), default=None)
            subjects = sum(int(row["subjects"]) for row in own)
            found.append({"kind": kind, "says": says, "subjects": subjects, "held": held, "since": since})
        return found
