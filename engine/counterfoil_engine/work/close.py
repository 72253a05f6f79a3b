"""Closing a period: what is checked before, the lock after which nothing is posted into it, and opening it again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from counterfoil_engine.domain import close as figures
from counterfoil_engine.domain.close import GiftCards, Line
from counterfoil_engine.domain.documents import JournalLine
from counterfoil_engine.domain.errors import CounterfoilError
from counterfoil_engine.domain.periods import Period
from counterfoil_engine.domain.rules import Entity, Rules
from counterfoil_engine.domain.settlement.open_items import OpenItem
from counterfoil_engine.domain.settlement.roll_forward import Movement
from counterfoil_engine.domain.tie_out import Booked, Break, compare
from counterfoil_engine.ports import Caller, DatedLedger, Ledger, Records, Rejected, RulesBook
from counterfoil_engine.work.decisions import Decision, Frozen

NAMED_MAX = 5  # of what is open, in the sentence that asks for a yes
OPEN_KEPT_MAX = 100  # of it, in the audit log: also how the ERP's ledger differed then


class CloseRecords(Protocol):
    """What a check reads (`records/close.py`)."""

    def snapshot(self, tx: Any) -> None: ...
    def by_role(self, tx: Any, entity: str, first: date, last: date) -> list[Mapping[str, Any]]: ...
    def to_date(self, tx: Any, entity: str) -> list[Mapping[str, Any]]: ...
    def subjects_of_role(
        self, tx: Any, entity: str, role: str, currency: str, first: date, last: date
    ) -> list[str]: ...
    def owed(self, tx: Any, entity: str, last: date) -> list[Mapping[str, Any]]: ...
    def late(self, tx: Any, entity: str, period: str) -> list[Mapping[str, Any]]: ...
    def restatements(self, tx: Any, entity: str) -> list[Mapping[str, Any]]: ...
    def cases(self, tx: Any, stores: list[str]) -> list[Mapping[str, Any]]: ...
    def not_in_erp(self, tx: Any, stores: list[str]) -> list[Mapping[str, Any]]: ...
    def clearings(self, tx: Any, entity: str, last: date) -> list[Movement]: ...
    def waiting(self, tx: Any, entity: str, last: date) -> list[OpenItem]: ...
    def held(self, tx: Any, last: date) -> dict[tuple[str, str], int]: ...
    def claims(self, tx: Any, entity: str, last: date) -> list[Line]: ...
    def gift_cards(self, tx: Any, entity: str, first: date, last: date) -> list[GiftCards]: ...
    def taxed(self, tx: Any, entity: str, first: date, last: date) -> Iterator[Mapping[str, Any]]: ...
    def not_invoiced(self, tx: Any, stores: Sequence[str], before: datetime) -> list[Mapping[str, Any]]: ...
    def booked(self, tx: Any, entity: str, first: date, last: date) -> list[Booked]: ...
    def booked_as(self, tx: Any, entity: str, keys: Sequence[str]) -> list[Booked]: ...


@dataclass(frozen=True)
class Erps:
    """What an ERP says of itself: its turnover by role and currency, and its documents of a period.

    is_dated: its turnover is that of the period's last day, not of today."""

    balances: Mapping[tuple[str, str], JournalLine]
    documents: Sequence[Booked]
    is_dated: bool = False

    def balance(self, role: str, currency: str) -> int:
        """Debits less credits."""
        line = self.balances.get((role, currency))
        return line.debit_minor - line.credit_minor if line else 0


class Close:
    """ledgers: entity → its ERP, where that can say its balances; they are asked before the database is read."""

    def __init__(
        self, records: Records, reads: CloseRecords, book: RulesBook, ledgers: Mapping[str, Ledger] | None = None
    ) -> None:
        self._records, self._reads, self._book, self._ledgers = records, reads, book, ledgers or {}

    def check(self, entity: str, period: str) -> Mapping[str, Any]:
        """Every line of a period, and what ought to be settled before it is locked. Reads only."""
        month = month_of(period)
        erps = self._asked(entity, month)
        with self._records.transaction() as tx:
            self._reads.snapshot(tx)
            rules = self._book.current(tx)
            lines = self.lines(tx, rules, entity_of(rules, entity), month, erps)
            lock = self._records.periods.read(tx, entity, period)
        said = _open(lines)
        return {
            "entity": entity,
            "period": period,
            "first_day": month.first_day.isoformat(),
            "last_day": month.last_day.isoformat(),
            "locked_by": lock["locked_by"] if lock else None,
            "is_clean": not said,
            "open": said,
            "lines": [{**asdict(line), "difference": line.difference} for line in lines],
        }

    def lock(self, entity: str, period: str, confirmed: bool, caller: Caller) -> Mapping[str, Any]:
        """From now on nothing is posted into the period. What is still open is named, and asks for a yes."""
        month = month_of(period)
        erps = self._asked(entity, month)
        with self._records.transaction() as tx:
            rules = self._book.current(tx)
            its_entity = entity_of(rules, entity)
            self._records.periods.alone(tx, entity)
            self._refuse_to_lock(tx, its_entity, month)
            said = _open(self.lines(tx, rules, its_entity, month, erps))
            if said and not confirmed:
                more = f" And {len(said) - NAMED_MAX} more." if len(said) > NAMED_MAX else ""
                raise _refused(
                    f"{entity} {period} is not settled: {' '.join(said[:NAMED_MAX])}{more}",
                    f"Look at it (counterfoil close check {entity} {period}), then say so again with --yes.",
                )
            self._records.periods.lock(tx, entity, period, caller.name)
            self._records.restatements.audit(
                tx, caller.name, "lock period", entity=entity, period=period, open=said[:OPEN_KEPT_MAX]
            )
        return {"entity": entity, "period": period, "locked_by": caller.name, "open": said}

    def _refuse_to_lock(self, tx: Any, entity: Entity, month: Period) -> None:
        known = self._records.periods.read(tx, entity.id, str(month))
        if known:
            raise _refused(
                f"{entity.id} {month} was locked by {known['locked_by']} already.", "Nothing has to be done."
            )
        today = tx.now().astimezone(ZoneInfo(entity.zone)).date()
        if today <= month.last_day:
            raise _refused(f"{entity.id} {month} is not over.", f"Lock it after {month.last_day}.")
        sent = self._records.periods.on_their_way(tx, entity.id, month.first_day, month.last_day)
        if sent:
            raise _refused(
                f"{sent} document(s) dated into {month} were sent and have no answer yet.",
                "Wait until the ERP has answered (counterfoil status), then lock it.",
            )

    def lines(self, tx: Any, rules: Rules, entity: Entity, month: Period, erps: Erps | None) -> list[Line]:
        """All lines of a check. erps: None: the ERP can't say."""
        reads, stores = self._reads, sorted(each.id for each in rules.stores.values() if each.entity == entity.id)
        rows = reads.by_role(tx, entity.id, month.first_day, month.last_day)
        held = reads.restatements(tx, entity.id)
        late = reads.late(tx, entity.id, str(month))
        missing = [row for row in reads.not_in_erp(tx, stores) if _made_by(row, entity, month.last_day)]
        uninvoiced = reads.not_invoiced(tx, stores, _end_of(month.last_day, entity))
        return [
            *figures.balanced(rows),
            *figures.summed("orders not in the ERP", missing, "reading", "subject", True, "orders"),
            *figures.summed("open cases", reads.cases(tx, stores), "category", "subject", True, "cases"),
            *figures.summed("restatements held", held, "version", "subject", True, "documents"),
            *figures.summed("late postings", late, "kind", "about", False, "documents"),
            *figures.summed("shipments not invoiced", uninvoiced, "source", "subject", True, "shipments"),
            *figures.aged(reads.owed(tx, entity.id, month.last_day), month.last_day),
            *reads.claims(tx, entity.id, month.last_day),
            *self._clearing(tx, entity, month),
            *figures.gift_card_lines(reads.gift_cards(tx, entity.id, month.first_day, month.last_day)),
            *self._to_date(tx, entity, erps),
            *figures.broken(self.breaks(tx, entity, month, erps)),
            *figures.base_lines(reads.taxed(tx, entity.id, month.first_day, month.last_day)),
            *self._by_role(tx, entity, month, rows, erps),
        ]

    def _clearing(self, tx: Any, entity: Entity, month: Period) -> Iterator[Line]:
        last, reads = month.last_day, self._reads
        moved = reads.clearings(tx, entity.id, last)
        return figures.clearing_lines(moved, reads.waiting(tx, entity.id, last), reads.held(tx, last), month)

    def _by_role(
        self, tx: Any, entity: Entity, month: Period, rows: list[Mapping[str, Any]], erps: Erps | None
    ) -> Iterator[Line]:
        """Tax moved in the period, and each role's balance at its end, beside the ERP's where it can say that."""
        theirs = erps if erps and erps.is_dated else None
        closing: dict[tuple[str, str], int] = {}
        for row in rows:
            role, currency = row["role"], row["currency"]
            closing[role, currency] = closing.get((role, currency), 0) + int(row["closing_minor"])
            behind = self._behind(tx, entity, month, role, currency)
            if role.startswith("tax") and behind:
                moved_minor = int(row["credit_minor"]) - int(row["debit_minor"])
                yield figures.line("tax of the period", role, currency, moved_minor, behind)
        for role, currency in sorted({*closing, *(theirs.balances if theirs else ())}):
            ours, behind = closing.get((role, currency), 0), self._behind(tx, entity, month, role, currency)
            line = figures.line("closing balance", role, currency, ours, behind)
            if theirs is not None:
                their = theirs.balance(role, currency)
                line = replace(line, erps=their, needs_somebody=their != ours)
            yield line

    def _behind(self, tx: Any, entity: Entity, month: Period, role: str, currency: str) -> list[str]:
        return self._reads.subjects_of_role(tx, entity.id, role, currency, month.first_day, month.last_day)

    def _to_date(self, tx: Any, entity: Entity, erps: Erps | None) -> Iterator[Line]:
        """Each role's balance to date against the ERP's, where it says no other; a role that only one has, too."""
        if erps is None or erps.is_dated:
            return
        rows = self._reads.to_date(tx, entity.id)
        ours = {(row["role"], row["currency"]): int(row["balance_minor"]) for row in rows}
        for role, currency in sorted({*ours, *erps.balances}):
            our, their = ours.get((role, currency), 0), erps.balance(role, currency)
            yield Line("ledger to date", role, currency, our, their, needs_somebody=our != their)

    def breaks(self, tx: Any, entity: Entity, month: Period, erps: Erps | None) -> list[Break]:
        """The documents of the period in which the ERP's ledger is not what was posted; a document of ours that the
        ERP has on another date than we is none."""
        if erps is None:
            return []
        ours = self._reads.booked(tx, entity.id, month.first_day, month.last_day)
        other_days = {each.key for each in erps.documents if each.key} - {each.key for each in ours}
        return compare([*ours, *self._reads.booked_as(tx, entity.id, sorted(other_days))], erps.documents)

    def _asked(self, entity: str, month: Period) -> Erps | None:
        ledger = self._ledgers.get(entity)
        if ledger is None:
            return None
        documents = list(ledger.entries(entity, month.first_day, month.last_day))
        dated = ledger.balances_until(entity, month.last_day) if isinstance(ledger, DatedLedger) else None
        if dated is not None:
            return Erps(dated, documents, is_dated=True)
        return Erps(ledger.balances(entity), documents)


class UnlockPeriod(Decision):
    """Open a locked period again: documents may be dated into it, and its evidence pack is history."""

    what = "unlock_period"

    def __init__(self, records: Records) -> None:
        self._records = records

    def freeze(self, tx: Any, asked: Mapping[str, Any]) -> Frozen:
        entity, period = asked["entity"], asked["period"]
        lock = self._records.periods.read(tx, entity, period)
        if lock is None:
            raise _refused(f"{entity} {period} is not locked.", "Nothing has to be done.")
        payload = {"entity": entity, "period": period, "locked_at": str(lock["locked_at"])}
        return Frozen(payload, f"Open {entity} {period} again, which {lock['locked_by']} locked.")

    def carry_out(self, tx: Any, payload: Mapping[str, Any], who: str) -> Mapping[str, Any]:
        entity, period = payload["entity"], payload["period"]
        lock = self._records.periods.read(tx, entity, period)
        if lock is None or str(lock["locked_at"]) != payload["locked_at"]:
            raise _refused(f"{entity} {period} was opened since, or locked anew.", "Look at it, then propose anew.")
        self._records.periods.unlock(tx, entity, period)
        self._records.restatements.audit(tx, who, "unlock period", entity=entity, period=period)
        return {"entity": entity, "period": period, "locked_by": None}


def _open(lines: list[Line]) -> list[str]:
    """What ought to be settled, a sentence each."""
    return [
        f"{line.name} ({line.detail}): {line.ours} {line.unit}"
        + (f", the ERP has {line.erps}." if line.erps is not None else ".")
        for line in lines
        if line.needs_somebody
    ]


def _made_by(row: Mapping[str, Any], entity: Entity, last: date) -> bool:
    """Whether an order was made by that day's end; one of which that can't be read counts."""
    try:
        made = datetime.fromisoformat(row["made_at"] or "").replace(tzinfo=UTC)
    except ValueError:
        return True
    return made.astimezone(ZoneInfo(entity.zone)).date() <= last


def _end_of(last: date, entity: Entity) -> datetime:
    """The first moment after a day, in the entity's zone."""
    return datetime.combine(last + timedelta(days=1), time(), ZoneInfo(entity.zone)).astimezone(UTC)


def month_of(period: str) -> Period:
    try:
        return Period.named(period)
    except ValueError:
        raise Rejected(f"{period[:40]!r} is no period.", "Write a month: 2026-10.", slug="request") from None


def entity_of(rules: Rules, entity: str) -> Entity:
    if entity not in rules.entities:
        known = ", ".join(sorted(rules.entities)[:10])
        raise Rejected(f"The entity {entity[:80]!r} is not in the rules.", f"Known are {known}.", slug="request")
    return rules.entities[entity]


def _refused(cause: str, remedy: str) -> CounterfoilError:
    return CounterfoilError(cause, remedy, "conflict")
