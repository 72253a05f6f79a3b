"""Sweeps of an entity's books, for which the engine itself asks: the ERP's documents, roles and positions; money.

A run is begun as any other and waits for `step`, which one process at a time calls. The ledger is read until two
readings agree, a few times; where it never stands still, what both have in common is compared and the rest is on its
way. Nothing is locked meanwhile, and nothing of a run is written where the ERP's answer can't be right.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from loguru import logger

from counterfoil_engine.domain import money_sweep
from counterfoil_engine.domain.breaks import STANDING, Found
from counterfoil_engine.domain.erp_sweep import (
    Judged,
    Ours,
    Reading,
    found_of,
    judge,
    not_compared,
    once,
    remainders,
    without_found,
)
from counterfoil_engine.domain.errors import CounterfoilError, DatabaseUnavailable
from counterfoil_engine.domain.money_sweep import Said, Unapplied, three_ways
from counterfoil_engine.domain.position_sweep import Known, judge_positions
from counterfoil_engine.domain.rules import Entity, Rules
from counterfoil_engine.domain.settlement.open_items import Heard, OpenItem
from counterfoil_engine.domain.stock import Position, read_position
from counterfoil_engine.domain.tie_out import Booked
from counterfoil_engine.ports import Records
from counterfoil_engine.work.sweep import Impossible, LeftOut, Row, Run, Sweeps
from counterfoil_engine.work.switches import stores_on

DAYS = 35
MOST_DAYS = 400  # where there are breaks from longer ago
MOST_READINGS = 4
MOST_DOCUMENTS = 1_000_000  # of one reading
MOST_POSITIONS = 2_000_000
KEYS_AT_ONCE = 100
CLOCKS_APART = timedelta(seconds=300)


class BookRecords(Protocol):
    """What stands here (`records/book_sweeps.py`)."""

    def balances(self, tx: Any, entity: str) -> Mapping[tuple[str, str], tuple[int, int]]: ...
    def on_their_way(self, tx: Any, entity: str) -> frozenset[str]: ...
    def told(self, tx: Any, entity: str) -> frozenset[str]: ...
    def taken(self, tx: Any, entity: str) -> frozenset[str]: ...
    def last_agreed(self, tx: Any, sweep: str, entity: str, before: int) -> datetime | None: ...
    def next_run(self, tx: Any) -> Row | None: ...
    def positions(self, tx: Any, warehouses: Sequence[str]) -> Known: ...


class BreakDays(Protocol):
    """Days of breaks (`records/breaks.py`)."""

    def days_of(
        self, tx: Any, sweep: str, stores: Sequence[str], states: Sequence[str], before: date, limit: int
    ) -> list[date]: ...


class BookedRecords(Protocol):
    """The documents that were posted (`records/close.py`)."""

    def booked(self, tx: Any, entity: str, first: date, last: date) -> list[Booked]: ...
    def booked_as(self, tx: Any, entity: str, keys: Sequence[str]) -> list[Booked]: ...
    def journal_of(self, tx: Any, entity: str, keys: Sequence[str]) -> list[Booked]: ...
    def owed(self, tx: Any, entity: str, last: date) -> list[Row]: ...


class ItemRecords(Protocol):
    """What gateways have not settled (`records/open_items.py`)."""

    def of_entity(self, tx: Any, entity: str) -> list[OpenItem]: ...
    def heard(self, tx: Any) -> list[Heard]: ...


@dataclass(frozen=True)
class Compared:
    """Two readings of an ERP's ledger between two moments of ours, and what they come to."""

    before: Ours
    first: Reading
    second: Reading
    after: Ours
    judged: Judged
    readings: int


class BookSweeps:
    """erps: by entity; one that has no `entries` is never begun, one without `positions` has none."""

    def __init__(
        self,
        records: Records,
        sweeps: Sweeps,
        reads: BookRecords,
        booked: BookedRecords,
        items: ItemRecords,
        breaks: BreakDays,
        erps: Mapping[str, Any],
    ) -> None:
        self._records, self._sweeps, self._erps = records, sweeps, erps
        self._reads, self._booked, self._items, self._breaks = reads, booked, items, breaks

    def step(self) -> bool:
        """Carry out the oldest run that waits; whether there was one."""
        with self._records.transaction() as tx:
            row = self._reads.next_run(tx)
            run = self._sweeps.run_of(tx, row) if row is not None else None
        if row is None or run is None:
            return False
        try:
            spent = self._compare(run)
            with self._records.transaction() as tx:
                self._sweeps.advance(tx, run, bool(row["dry_run"]), {"answers": spent, "size_bytes": 0, "engine_ms": 0})
        except DatabaseUnavailable:
            raise
        except CounterfoilError as error:
            self._sweeps.failed(run.id, run.store, error)
        except Exception as error:
            self._sweeps.failed(run.id, run.store, _adapter_failed(error))
        return True

    def _compare(self, run: Run) -> int:
        """What the run finds; how many readings it took."""
        entity = run.rules.entities[run.store]
        self._refuse_until_adopted(entity.id)
        days = self._days(run, entity)
        if days is None:
            return 0
        read = self._until_it_stands_still(run, entity.id, *days)
        run.notes["compared"] = len(once(read.second.documents))
        run.in_flight += read.judged.in_flight
        if run.sweep == "money":
            self._money(run, entity, read)
        else:
            self._documents(run, entity, read)
            self._positions_or_why_not(run, entity)
        return read.readings

    def _refuse_until_adopted(self, entity: str) -> None:
        """After a restore the ERP holds what is not known here yet: that is on its way, and no break (R4)."""
        identity = self._records.identity
        with self._records.transaction() as tx:
            if identity.is_confirmed(tx) and identity.to_adopt(tx, "erp", entity) is None:
                return
        raise Impossible(
            "This engine was put back to a backup, or is a copy, and has not read yet what the ERP holds since.",
            "Say that it is the one that writes (counterfoil confirm); then sweep again.",
            "conflict",
        )

    def _days(self, run: Run, entity: Entity) -> tuple[date, date] | None:
        """From the entity's first start line on, or the oldest break that isn't healed, else its
        role would differ without a reason; and to days ahead: the ERP may have posted into the next period."""
        starts = [store.start_line for store in run.rules.stores.values() if store.entity == entity.id]
        with self._records.transaction() as tx:
            today = tx.now().astimezone(ZoneInfo(entity.zone)).date()
        if not starts:
            return None
        first = max(today - timedelta(days=int(run.settings.get("days", DAYS)) - 1), min(starts).date())
        if first > today:
            return None
        with self._records.transaction() as tx:
            older = self._breaks.days_of(tx, run.sweep, run.covers, (*STANDING, "accepted"), first, 1)
        first = max(min([first, *older]), today - timedelta(days=MOST_DAYS))
        run.looks_at(first)
        return first, today + timedelta(days=31)

    # The ledger, at a moment as near to one as it has

    def _until_it_stands_still(self, run: Run, entity: str, first: date, last: date) -> Compared:
        erp = self._erps[entity]
        owners = frozenset((entity, *stores_of(run.rules, entity)))
        before, reading = self._ours(entity, owners, first, last), _read(erp, entity, first, last)
        for count in range(2, MOST_READINGS + 1):
            again, after = _read(erp, entity, first, last), self._ours(entity, owners, first, last)
            if _same(reading, again) or count == MOST_READINGS:
                return self._judged(erp, entity, Compared(before, reading, again, after, Judged(), count))
            before, reading = after, again
            self._sweeps.told(run.id, {**run.notes, "readings": count})
        raise AssertionError("it is read twice at least")

    def _judged(self, erp: Any, entity: str, read: Compared) -> Compared:
        keys = {each.key for reading in (read.first, read.second) for each in reading.documents if each.key}
        others = sorted(keys - {each.key for each in (*read.before.documents, *read.after.documents)})
        with self._records.transaction() as tx:
            elsewhere = self._booked.booked_as(tx, entity, others) if others else []
        before, after = (replace(one, documents=[*one.documents, *elsewhere]) for one in (read.before, read.after))
        judged = judge(before, read.first, read.second, after)
        missing = [each.key for each in judged.breaks if each.kind == "missing" and each.key]
        there: set[str] = set()
        for start in range(0, len(missing), KEYS_AT_ONCE):
            there |= erp.find(missing[start : start + KEYS_AT_ONCE]).keys()
        return replace(read, before=before, after=after, judged=without_found(judged, there))

    def _ours(self, entity: str, owners: frozenset[str], first: date, last: date) -> Ours:
        with self._records.transaction() as tx:
            return Ours(
                self._booked.booked(tx, entity, first, last),
                self._reads.balances(tx, entity),
                self._reads.on_their_way(tx, entity),
                self._reads.told(tx, entity),
                self._reads.taken(tx, entity),
                owners,
            )

    # What it comes to

    def _documents(self, run: Run, entity: Entity, read: Compared) -> None:
        with self._records.transaction() as tx:
            agreed = self._reads.last_agreed(tx, run.sweep, entity.id, run.id)
        stores = stores_of(run.rules, entity.id)
        run.found += found_of(entity.id, read.judged.breaks, stores, agreed.isoformat() if agreed else None)
        run.apart |= not_compared(entity.id, read.judged, stores)
        left, moving = remainders(entity.id, read.judged, read.before, read.first, read.second, read.after)
        run.found += left
        run.in_flight += moving

    def _money(self, run: Run, entity: Entity, read: Compared) -> None:
        with self._records.transaction() as tx:
            today = tx.now().astimezone(ZoneInfo(entity.zone)).date()
            unapplied = _unapplied(self._booked.owed(tx, entity.id, today))
            apart = self._booked.journal_of(tx, entity.id, sorted(read.judged.apart))
            said = Said(self._items.of_entity(tx, entity.id), self._items.heard(tx), unapplied, today)
        found, waiting = three_ways(entity.id, read.judged, read.second, read.after, said)
        run.found += found
        run.in_flight += waiting
        run.apart |= money_sweep.not_compared(entity.id, apart)

    def _positions_or_why_not(self, run: Run, entity: Entity) -> None:
        """Where they can't be read, or can't be right, what else was compared stands."""
        try:
            self._positions(run, entity)
        except DatabaseUnavailable:
            raise
        except CounterfoilError as error:
            run.left_out = _positions_left_out(error)
        except Exception as error:
            run.left_out = _positions_left_out(_adapter_failed(error))

    def _positions(self, run: Run, entity: Entity) -> None:
        erp = self._erps[entity.id]
        warehouses = sorted(
            one.id for one in run.rules.warehouses.values() if (one.owner, one.entity) == ("erp", entity.id)
        )
        if not warehouses or not hasattr(erp, "positions"):
            return
        (first, as_of), (second, _) = self._read_positions(erp, warehouses), self._read_positions(erp, warehouses)
        with self._records.transaction() as tx:
            ours, now = self._reads.positions(tx, warehouses), tx.now()
        if as_of is None or abs(as_of - now) > CLOCKS_APART:
            raise _clock(entity.id, as_of, now)
        for one in list(judge_positions(entity.id, ours, first, second, as_of)):
            if isinstance(one, Found):
                run.found.append(one)
            else:
                run.in_flight.append(one)
        run.notes["positions"] = len(ours)

    def _read_positions(self, erp: Any, warehouses: Sequence[str]) -> tuple[list[Position], datetime | None]:
        rows: list[Position] = []
        as_of = None
        with self._records.transaction() as tx:
            now = tx.now()
        for page in erp.positions():
            as_of = as_of or page.as_of
            read = (read_position(raw, now)[0] for raw in page.rows)  # what can't be read is a case of its reading
            rows += [one for one in read if one is not None and one.warehouse in warehouses]
            if len(rows) > MOST_POSITIONS:
                raise _too_much("positions", MOST_POSITIONS)
        return rows, as_of


class DoubtRecords(Protocol):
    """What repairs change (`records/book_sweeps.py`)."""

    def doubt(self, tx: Any, keys: Sequence[str], stores: Sequence[str]) -> list[str]: ...
    def read_all_again(self, tx: Any, warehouses: Sequence[str], owners: Mapping[str, str]) -> None: ...


def repair_books(
    records: Records, reads: DoubtRecords, rules_in_force: Callable[[Any], Rules]
) -> Callable[[Any, str, Sequence[str]], None]:
    """The repair of what an ERP lacks: what was posted is looked up and, where it isn't there, posted again under its
    own key; where positions differ, their owner is read in full."""

    def repair(tx: Any, store: str, subjects: Sequence[str]) -> None:
        rules = rules_in_force(tx)
        named = [subject.partition(" ") for subject in subjects]
        keys = [key for kind, _, key in named if kind == "document"]
        reads.doubt(tx, keys, stores_on(records, tx, rules, "erp"))
        warehouses = [place.partition("/")[0] for kind, _, place in named if kind == "position"]
        owners = {one.id: f"{one.owner} {one.entity}" for one in rules.warehouses.values()}
        reads.read_all_again(tx, warehouses, owners)

    return repair


def stores_of(rules: Rules, entity: str) -> list[str]:
    return sorted(store.id for store in rules.stores.values() if store.entity == entity)


def _read(erp: Any, entity: str, first: date, last: date) -> Reading:
    """balances are read before and after the documents: only where they stand still do both belong together."""
    balances = erp.balances(entity)
    documents: list[Booked] = []
    for each in erp.entries(entity, first, last):
        documents.append(each)
        if len(documents) > MOST_DOCUMENTS:
            raise _too_much("documents", MOST_DOCUMENTS)
        if not first <= each.day <= last:
            raise Impossible(
                f"The ERP of {entity} told a document of {each.day}, and was asked from {first} to {last}.",
                "Nothing was kept. Look at its connection: a filter on days doesn't work there.",
                "contract",
            )
    return Reading(
        documents,
        {
            place: (line.debit_minor - line.credit_minor, line.book_debit_minor - line.book_credit_minor)
            for place, line in balances.items()
        },
    )


def _same(one: Reading, other: Reading) -> bool:
    return one.balances == other.balances and sorted(once(one.documents), key=_name) == sorted(
        once(other.documents), key=_name
    )


def _name(each: Booked) -> tuple[str, str]:
    return each.number, each.key or ""


def _unapplied(rows: Sequence[Row]) -> list[Unapplied]:
    """What is left of money without an order, by its payout."""
    left: dict[tuple[str, str, str], list[Any]] = {}
    for row in rows:
        family, _, gateway = row["role"].partition(":")
        if family == "unapplied":
            one = left.setdefault((row["about"], gateway, row["currency"]), [row["posting_date"], 0])
            one[0], one[1] = max(one[0], row["posting_date"]), one[1] + int(row["amount_minor"])
    return [Unapplied(*place, date.fromisoformat(day), amount) for place, (day, amount) in left.items() if amount]


def _too_much(what: str, most: int) -> Impossible:
    return Impossible(
        f"The ERP told more than {most:,} {what}: more than it can have of these days.",
        "Nothing was kept. Compare fewer days (sweeps: days), or look whether its pages ever end.",
        "contract",
    )


def _clock(entity: str, as_of: datetime | None, now: datetime) -> Impossible:
    said = "no moment at all" if as_of is None else f"{as_of.astimezone(UTC).isoformat(timespec='seconds')}"
    return Impossible(
        f"The ERP of {entity} says that it is {said}, the engine {now.isoformat(timespec='seconds')}: what happened"
        " before and after can't be told apart.",
        "Let both hosts keep time (chrony, systemd-timesyncd), then sweep again.",
        "data",
    )


def _positions_left_out(error: CounterfoilError) -> LeftOut:
    cause = f"Documents and roles were compared, positions could not be. {error.cause}"
    return LeftOut("position ", CounterfoilError(cause, error.remedy, error.category))


def _adapter_failed(error: Exception) -> CounterfoilError:
    """Called where it is handled."""
    logger.exception("adapter failed")
    return CounterfoilError(
        f"The adapter of the ERP failed ({type(error).__name__}).", "See the engine's log, then sweep again.", "outage"
    )
