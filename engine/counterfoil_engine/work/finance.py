"""What finance asks: a gateway's clearing tied out, refunds three ways. Reads only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from counterfoil_engine.domain.documents import JournalLine
from counterfoil_engine.domain.errors import Unavailable
from counterfoil_engine.domain.rules import Entity, Rules
from counterfoil_engine.domain.settlement.refund_watch import Watched, refunds_of
from counterfoil_engine.domain.settlement.roll_forward import Movement, RollForward, roll_forward
from counterfoil_engine.ports import DuesOf, Ledger, Records, Rejected, RulesBook
from counterfoil_engine.work.clearing_day import WithoutOrder, by_day
from counterfoil_engine.work.readers import GroupFacts

ORDERS_MAX = 20_000
ORDERS_AT_ONCE = 50

Balances = Mapping[tuple[str, str], JournalLine]


class FinanceRecords(Protocol):
    """What is read of the journal (`records/finance.py`)."""

    def clearing_movements(self, tx: Any, entity: str, gateway: str, last: date | None = None) -> list[Movement]: ...
    def refunded(self, tx: Any, entity: str, stores: Sequence[str], since: date | None, limit: int) -> list[str]: ...


class Finance:
    """ledgers: entity → its ERP, where that can say its balances; they are asked before the database is read."""

    def __init__(
        self,
        records: Records,
        reads: FinanceRecords,
        book: RulesBook,
        dues: DuesOf,
        facts_of_group: GroupFacts,
        unknown: WithoutOrder,
        ledgers: Mapping[str, Ledger] | None = None,
    ) -> None:
        self._records, self._reads, self._book, self._unknown = records, reads, book, unknown
        self._dues, self._facts_of_group, self._ledgers = dues, facts_of_group, ledgers or {}

    def clearing(
        self, gateway: str, entity: str | None = None, since: date | None = None, until: date | None = None
    ) -> Mapping[str, Any]:
        """A gateway's clearing day by day, and what the ERP's balance differs by; each currency by itself."""
        with self._records.transaction() as tx:
            entities = self._entities(tx, entity)
        balances = {each.id: self._balances(each.id) for each in entities}
        with self._records.transaction() as tx:
            rules = self._book.current(tx)
            found = [self._tied(tx, each, gateway, until, *balances[each.id]) for each in entities]
            unknown = by_day(line for each in entities for line in self._unknown.of(tx, rules, each, gateway))
        days = [
            {
                "entity": each.id,
                **_shown(day),
                "without_order_minor": unknown.get((each.id, day.currency, day.day.isoformat()), 0),
            }
            for each, rolled in zip(entities, found, strict=True)
            for day in rolled
            if since is None or day.day >= since
        ]
        silent = [f"The ERP of {name} says no balance: {why}" for name, (_, why) in balances.items() if why]
        return {"gateway": gateway, "days": days, "not_asked": silent}

    def _tied(
        self, tx: Any, entity: Entity, gateway: str, until: date | None, erp: Balances | None, _why: str
    ) -> list[RollForward]:
        moved = self._reads.clearing_movements(tx, entity.id, gateway, until)
        today = tx.now().astimezone(ZoneInfo(entity.zone)).date()
        stated = {}
        if erp is not None and (until is None or until >= today):
            last = max([today, *(each.day for each in moved)])
            for (role, currency), line in erp.items():
                if role == f"clearing:{gateway}:{currency}":
                    stated[gateway, currency, last] = line.debit_minor - line.credit_minor
            for currency in {each.currency for each in moved}:
                stated.setdefault((gateway, currency, last), 0)
        return roll_forward(moved, {}, stated)

    def _balances(self, entity: str) -> tuple[Balances | None, str]:
        """The ERP's balances of all roles, or why there are none."""
        ledger = self._ledgers.get(entity)
        if ledger is None:
            return None, "its port has none."
        try:
            return ledger.balances(entity), ""
        except Unavailable as error:
            return None, error.cause

    def refunds(self, entity: str | None, since: date | None, only_unmatched: bool) -> Mapping[str, Any]:
        """Refunds three ways, order by order: whom each lacks, or what differs; without_order: those that only a
        gateway's report has."""
        with self._records.transaction() as tx:
            rules, as_of = self._book.current(tx), tx.now()
            entities = self._entities(tx, entity)
            subjects = sorted({name for each in entities for name in self._refunded(tx, rules, each, since)})
            unknown = [line for each in entities for line in self._unknown.of(tx, rules, each)]
        rows: list[dict[str, Any]] = []
        for start in range(0, len(subjects), ORDERS_AT_ONCE):
            rows += self._ways(subjects[start : start + ORDERS_AT_ONCE], rules, as_of, only_unmatched)
        first = since.isoformat() if since else ""
        only = [line for line in unknown if line["kind"] == "refund" and line["day"] >= first]
        return {"orders": len(subjects), "refunds": rows, "without_order": only, "is_all": len(subjects) < ORDERS_MAX}

    def _refunded(self, tx: Any, rules: Rules, entity: Entity, since: date | None) -> list[str]:
        stores = [name for name, store in rules.stores.items() if store.entity == entity.id]
        return self._reads.refunded(tx, entity.id, stores, since, ORDERS_MAX)

    def _ways(
        self, subjects: Sequence[str], rules: Rules, as_of: datetime, only_unmatched: bool
    ) -> list[dict[str, Any]]:
        orders = [tuple(subject.removeprefix("order ").split("/", 1)) for subject in subjects]
        with self._records.transaction() as tx:
            group = self._facts_of_group(tx, [(store, order_id) for store, order_id in orders])
        rows = []
        for facts in group:
            for refund in refunds_of(facts, self._dues(facts, rules, as_of), rules, as_of):
                row = _refund_row(facts.subject, refund, as_of)
                if row["case"] or not only_unmatched:
                    rows.append(row)
        return rows

    def _entities(self, tx: Any, entity: str | None) -> list[Entity]:
        known = self._book.current(tx).entities
        if entity is None:
            return [known[name] for name in sorted(known)]
        if entity not in known:
            told = ", ".join(sorted(known)[:10])
            raise Rejected(f"The entity {entity[:80]!r} is not in the rules.", f"Known are {told}.", slug="request")
        return [known[entity]]


def _refund_row(subject: str, refund: Watched, as_of: datetime) -> dict[str, Any]:
    case, ways = refund.case, refund.ways
    store = ways.store
    return {
        "subject": subject,
        "refund": ways.refund,
        "since": refund.since.isoformat(),
        "days": (as_of - refund.since).days,
        "currency": store.currency if store else next((side.currency for side in ways.gateway), ""),
        "store_minor": store.money_minor if store else None,
        "gateway_minor": sum(side.money_minor for side in ways.gateway) if ways.gateway else None,
        "credit_note_minor": sum(side.money_minor for side in ways.credit_notes) if ways.credit_notes else None,
        "case": case.cause if case else None,
        "remedy": case.remedy if case else None,
    }


def _shown(day: RollForward) -> dict[str, Any]:
    return {
        "currency": day.currency,
        "day": day.day.isoformat(),
        "opening_minor": day.opening_minor,
        **{f"{name}_minor": amount for name, amount in day.figures.items()},
        "closing_minor": day.closing_minor,
        "erp_minor": day.stated_minor,
        "unexplained_minor": day.unexplained_minor,
    }
