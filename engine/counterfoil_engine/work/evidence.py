"""What an evidence pack of a period holds, as files: figures, documents, proofs, cases, the audit log. Reads only.

All of it is one moment of the database, and the same database gives the same bytes. It holds no personal data.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from typing import Any, Protocol

from counterfoil_engine.ports import Records, RulesBook
from counterfoil_engine.work.close import Close, CloseRecords, entity_of, month_of
from counterfoil_engine.work.pack import table

EVERYTHING = 2**31

TRIAL_BALANCE = (
    "role", "currency", "opening_minor", "debit_minor", "credit_minor", "closing_minor",
    "book_currency", "book_opening_minor", "book_debit_minor", "book_credit_minor", "book_closing_minor",
)  # fmt: skip
DOCUMENTS = (
    "key", "kind", "number", "about", "currency", "amount_minor", "book_minor", "day", "posting_date", "reverses",
    "rules_version", "content_hash",
)  # fmt: skip
CASES = ("subject", "origin", "category", "cause", "remedy", "money_minor", "currency")
AUDIT = ("n", "at", "who", "what", "detail", "hash")


class EvidenceRecords(CloseRecords, Protocol):
    """What a pack reads beside a check (`records/close.py`)."""

    def engine(self, tx: Any) -> Mapping[str, Any]: ...
    def documents(self, tx: Any, entity: str, first: date, last: date) -> list[Mapping[str, Any]]: ...
    def readings(self, tx: Any, entity: str, first: date, last: date) -> list[Mapping[str, Any]]: ...


class Evidence:
    """close: whose lines are the pack's. The ERP's own figures are not in it: they move on without this database."""

    def __init__(self, records: Records, reads: EvidenceRecords, book: RulesBook, close: Close) -> None:
        self._records, self._reads, self._book, self._close = records, reads, book, close

    def of(self, entity: str, period: str) -> Mapping[str, Any]:
        """facts: what the manifest says of it; files: name → text."""
        month = month_of(period)
        days = (month.first_day, month.last_day)
        with self._records.transaction() as tx:
            self._reads.snapshot(tx)
            rules = self._book.current(tx)
            its_entity = entity_of(rules, entity)
            stores = sorted(each.id for each in rules.stores.values() if each.entity == entity)
            lock = self._records.periods.read(tx, entity, period)
            n, head = self._records.audit_log.head(tx)
            facts = {
                "entity": entity,
                "period": period,
                "first_day": days[0].isoformat(),
                "last_day": days[1].isoformat(),
                "locked_by": lock["locked_by"] if lock else None,
                "rules_version": rules.version,
                "audit": {"n": n, "hash": head},
                **self._reads.engine(tx),
            }
            files = {
                "close.csv": self._lines(tx, rules, its_entity, month),
                "trial_balance.csv": _rows(TRIAL_BALANCE, self._reads.by_role(tx, entity, *days)),
                "documents.csv": _rows(DOCUMENTS, self._reads.documents(tx, entity, *days)),
                "proofs.csv": _proofs(self._reads.readings(tx, entity, *days)),
                "cases.csv": _rows(CASES, self._reads.cases(tx, stores)),
                "audit.csv": self._audit(tx),
            }
        return {"facts": facts, "files": files}

    def _lines(self, tx: Any, rules: Any, entity: Any, month: Any) -> str:
        lines = self._close.lines(tx, rules, entity, month, None)
        rows = [
            (line.name, line.detail, line.unit, line.ours, int(line.needs_somebody), line.of, " ".join(line.subjects))
            for line in lines
        ]
        return table(("line", "of", "unit", "ours", "needs_somebody", "subjects", "the_first_of_them"), rows)

    def _audit(self, tx: Any) -> str:
        entries = self._records.audit_log.entries(tx, 0, EVERYTHING)
        said = [
            (entry.n, entry.at, entry.who, entry.what, json.dumps(entry.detail, sort_keys=True), entry.hash)
            for entry in entries
        ]
        return table(AUDIT, said)


def _rows(columns: tuple[str, ...], rows: list[Mapping[str, Any]]) -> str:
    return table(columns, [[_number(name, row[name]) for name in columns] for row in rows])


def _number(column: str, value: Any) -> Any:
    """Sums come as Decimals from PostgreSQL."""
    return int(value) if column.endswith("_minor") and value is not None else value


def _proofs(rows: list[Mapping[str, Any]]) -> str:
    proofs = [
        (row["subject"], row["reading"], name, "holds" if ok else "fails", left, right, row["rules_version"])
        for row in rows
        for name, ok, left, right in json.loads(row["proofs"])
    ]
    return table(("subject", "reading", "proof", "result", "left_minor", "right_minor", "rules_version"), proofs)
