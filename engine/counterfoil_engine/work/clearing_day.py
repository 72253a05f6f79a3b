"""A gateway's clearing on one day, down to the line: what nobody has explained of it first, then all that moved; and
lines of payouts that no order is known of. Reads only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Protocol

from counterfoil_engine.domain.money_sweep import subjects_of
from counterfoil_engine.domain.rules import Entity, Rules
from counterfoil_engine.domain.settlement.payout_documents import Writer
from counterfoil_engine.ports import PayoutRecords, Records, Rejected, RulesBook

PAGE = 200
Row = Mapping[str, Any]


class ClearingReads(Protocol):
    """What is read of the journal (`records/clearing_day.py`)."""

    def moved(self, tx: Any, entity: str, gateway: str, day: date, after: int, limit: int) -> list[Row]: ...
    def without_order(self, tx: Any, entity: str, gateway: str | None = None) -> list[Row]: ...
    def differences(self, tx: Any, entity: str, subjects: Sequence[str]) -> list[Row]: ...


class WithoutOrder:
    """Lines of payouts that stand on `unapplied:<gateway>`."""

    def __init__(self, reads: ClearingReads, payouts: PayoutRecords) -> None:
        self._reads, self._payouts = reads, payouts

    def of(self, tx: Any, rules: Rules, entity: Entity, gateway: str | None = None) -> list[dict[str, Any]]:
        """Each as its report has it, the latest first. amount_minor: above 0 what the gateway took for us."""
        rows = self._reads.without_order(tx, entity.id, gateway)
        reports = self._payouts.standing(tx, sorted({row["about"] for row in rows}))
        lines = {
            slot: line
            for report in reports.values()
            for slot, line in Writer(report, rules, entity).unapplied_lines().items()
        }
        found = []
        for row in rows:
            source, _, payout = row["about"].removeprefix("payout ").partition("/")
            line = lines.get(row["slot"])
            said = {"line": line.id, "row": line.row, "kind": line.kind} if line else {"line": "", "row": 0, "kind": ""}
            found.append(
                {
                    **said,
                    **{"entity": entity.id, "source": source, "payout": payout, "day": row["day"]},
                    **{"amount_minor": int(row["amount_minor"]), "currency": row["currency"]},
                    "transaction": line.transaction if line else None,
                    "document": row["slot"],
                }
            )
        return found


class ClearingDay:
    """Reads only."""

    def __init__(self, records: Records, reads: ClearingReads, unknown: WithoutOrder, book: RulesBook) -> None:
        self._records, self._reads, self._unknown, self._book = records, reads, unknown, book

    def show(self, gateway: str, entity: str, day: date, after: int = 0) -> dict[str, Any]:
        """unknown: its lines of payouts without an order; differences: what the last sweep of money found of it;
        moved: a page of its documents. after: the answer's `next`, 0 for the first page."""
        with self._records.transaction() as tx:
            rules = self._book.current(tx)
            known = rules.entities.get(entity)
            if known is None:
                raise Rejected(
                    f"The entity {entity[:80]!r} is not in the rules.", "Choose one at Money.", slug="no-such-subject"
                )
            rows = self._reads.moved(tx, entity, gateway, day, after, PAGE + 1)
            unknown = self._unknown.of(tx, rules, known, gateway)
            differences = self._reads.differences(tx, entity, subjects_of(entity, gateway, day))
        return {
            "gateway": gateway,
            "entity": entity,
            "day": day.isoformat(),
            "unknown": [line for line in unknown if line["day"] == day.isoformat()],
            "differences": [dict(row) for row in differences],
            "moved": [dict(row) for row in rows[:PAGE]],
            "next": rows[PAGE - 1]["place"] if len(rows) > PAGE else 0,
        }


def by_day(lines: Iterable[Row]) -> dict[tuple[str, str, str], int]:
    """What no order is known of, summed by entity, currency and day."""
    found: dict[tuple[str, str, str], int] = {}
    for line in lines:
        place = (line["entity"], line["currency"], line["day"])
        found[place] = found.get(place, 0) + line["amount_minor"]
    return found
