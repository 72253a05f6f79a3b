"""Reading positions from whoever owns warehouses: all of them at first, then what changed; each bad row is a case.

A row that can't be read, a SKU that is there twice, a warehouse that nobody owns: a case with its remedy, and every
other SKU goes on. What a full reading leaves out has nothing any more, unless it leaves out too much to be believed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from loguru import logger

from counterfoil_engine.domain.errors import Case
from counterfoil_engine.domain.rules import Rules
from counterfoil_engine.domain.stock import Position, read_position, sku_key
from counterfoil_engine.ports import (
    CaseRecords,
    PositionRecords,
    RulesBook,
    StockOwner,
    TokenForgotten,
    Transactions,
)

ORIGIN = "positions"
CASES_MAX = 1_000  # of one reading; what is beyond is told in one
ABSENT_MAX = 20  # in percent: a full reading that leaves out more of a warehouse is not believed in that
ABSENT_FEW = 10  # so many may be absent in any case
FULL_EVERY = timedelta(hours=24)


@dataclass
class _Reading:
    """What came up in one reading. cases: by subject; good: subjects of which a good row came, where
    not all came."""

    rules: Rules
    begun_at: datetime  # by the database's clock
    cases: dict[str, list[Case]] = field(default_factory=dict)
    good: set[str] = field(default_factory=set)
    said: dict[tuple[str, str], str] = field(default_factory=dict)  # (warehouse, key) → SKU as it came
    warehouses: set[str] = field(default_factory=set)
    rows: int = 0
    more: int = 0

    def tell(self, subject: str, case: Case) -> None:
        if len(self.cases) < CASES_MAX or subject in self.cases:
            self.cases.setdefault(subject, []).append(case)
        else:
            self.more += 1


class PositionReader:
    """Reads one owner's positions into the engine. party, entity: as the rules' warehouses name it."""

    def __init__(
        self,
        database: Transactions,
        book: RulesBook,
        positions: PositionRecords,
        cases: CaseRecords,
        owner: StockOwner,
        party: str,
        entity: str,
    ) -> None:
        self._database, self._book = database, book
        self._positions, self._cases = positions, cases
        self._owner, self.party, self.entity = owner, party, entity
        self._name = f"{party} {entity}"

    def step(self) -> int:
        """Read what changed, or all where that can't be told; how many rows were read. May raise Retry."""
        with self._database.transaction() as tx:
            rules, now = self._book.current(tx), tx.now()
            before = self._positions.reading_of(tx, self._name)
        if not any(self._owns(warehouse) for warehouse in rules.warehouses.values()):
            return 0
        is_due = before is None or before.full_at is None or now - before.full_at >= FULL_EVERY
        token = None if before is None or is_due or before.rules_version != rules.version else before.token
        if token is not None:
            try:
                return self._read(rules, now, token, before.full_at)
            except TokenForgotten:
                logger.info("positions read in full", owner=self._name, reason="the owner forgot the token")
        return self._read(rules, now, None, None)

    def _read(self, rules: Rules, now: datetime, token: str | None, full_at: datetime | None) -> int:
        reading = _Reading(rules, now)
        began: datetime | None = None
        following: str | None = None
        for page in self._owner.positions(token):
            began, following = began or page.as_of, page.token
            for part in _parts(page.rows):
                self._take(reading, part, is_full=token is None)
        with self._database.transaction() as tx:
            if token is None and began is not None:
                self._absent(tx, reading, began)
            self._settle(tx, reading, is_full=token is None)
            full_at = tx.now() if token is None else full_at
            self._positions.keep_reading(tx, self._name, following or token, full_at, rules.version)
        logger.debug("positions read", owner=self._name, rows=reading.rows, cases=len(reading.cases))
        return reading.rows

    # Rows

    def _take(self, reading: _Reading, rows: Sequence[Any], is_full: bool) -> None:
        """Write a part of a page in one commit. A full reading shows by itself which spellings there are."""
        reading.rows += len(rows)
        with self._database.transaction() as tx:
            now = tx.now()
            good: dict[tuple[str, str], Position] = {}
            for raw in rows:
                position, said = read_position(raw, now)
                for case in said:
                    reading.tell(_subject(raw, position), case)
                if position is not None and self._admit(reading, position):
                    self._once(reading, good, position)
            spelt = self._positions.spellings(tx, list(good)) if good and not is_full else {}
            taken = [one for one in good.values() if self._as_written(reading, one, spelt)]
            self._positions.apply(tx, taken)
        if not is_full:
            reading.good.update(f"position {one.warehouse}/{one.sku}" for one in taken)

    def _owns(self, warehouse: Any) -> bool:
        return bool((warehouse.owner, warehouse.entity) == (self.party, self.entity))

    def _admit(self, reading: _Reading, position: Position) -> bool:
        """Only a warehouse's one owner speaks for it."""
        name = position.warehouse
        reading.warehouses.add(name)
        warehouse = reading.rules.warehouses.get(name)
        if warehouse is None:
            if f"warehouse {name}" not in reading.cases:
                reading.tell(f"warehouse {name}", _unknown(name, self.party, self.entity))
            return False
        if not self._owns(warehouse):
            if f"warehouse {name}" not in reading.cases:
                reading.tell(f"warehouse {name}", _another_owner(name, warehouse, self._name))
            return False
        return True

    def _once(self, reading: _Reading, good: dict[tuple[str, str], Position], position: Position) -> None:
        """Of two rows that mean one SKU only the first counts, unless they are the same SKU read again later."""
        place = (position.warehouse, position.key)
        first = reading.said.setdefault(place, position.sku)
        before = good.get(place)
        if first != position.sku:
            reading.tell(f"position {position.warehouse}/{position.sku}", _double(position, first))
        elif before is not None and _content(before) != _content(position) and before.as_of == position.as_of:
            reading.tell(f"position {position.warehouse}/{position.sku}", _contradiction(position))
        elif before is None or before.as_of <= position.as_of:
            good[place] = position

    @staticmethod
    def _as_written(reading: _Reading, one: Position, spelt: Mapping[tuple[str, str], str]) -> bool:
        """A SKU in another case is taken for the known one's twin, until one of both is gone."""
        known = spelt.get((one.warehouse, one.key), one.sku)
        if known == one.sku:
            return True
        reading.tell(f"position {one.warehouse}/{one.sku}", _double(one, known))
        return False

    # The end of a reading

    def _absent(self, tx: Any, reading: _Reading, began: datetime) -> None:
        """SKUs that a full reading left out have nothing any more."""
        for warehouse in sorted(one.id for one in reading.rules.warehouses.values() if self._owns(one)):
            unread, known = self._positions.absent(tx, warehouse, began, reading.begun_at)
            # What was read with an older moment than the one known was not written, and is not absent.
            skus = [sku for sku in unread if (warehouse, sku_key(sku)) not in reading.said]
            bad = {
                subject.partition("/")[2] for subject in reading.cases if subject.startswith(f"position {warehouse}/")
            }
            gone = [sku for sku in skus if sku not in bad]
            if len(gone) > max(ABSENT_FEW, known * ABSENT_MAX // 100):
                reading.tell(f"warehouse {warehouse}", _too_few(warehouse, len(gone), known))
                continue
            zero = [
                read_position({"warehouse": warehouse, "sku": sku, "on_hand": "0", "as_of": began.isoformat()}, began)
                for sku in gone
            ]
            self._positions.apply(tx, [one for one, _ in zero if one is not None])

    def _settle(self, tx: Any, reading: _Reading, is_full: bool) -> None:
        """Open this reading's cases, and resolve those whose cause is gone."""
        if reading.more:
            reading.cases.setdefault(f"positions {self._name}", []).append(_many_more(reading.more))
        for subject, cases in reading.cases.items():
            for case in cases:
                self._cases.open_case(tx, subject, "", ORIGIN, case, self._name, reading.rules.version)
        kept = {(subject, case.fingerprint) for subject, cases in reading.cases.items() for case in cases}
        for row in self._open(tx, reading, is_full):
            if (row["subject"], row["fingerprint"]) not in kept:
                self._cases.resolve(tx, row["id"], "the owner's positions no longer say it")

    def _open(self, tx: Any, reading: _Reading, is_full: bool) -> Iterator[Mapping[str, Any]]:
        """Open cases of which this reading said how they stand: a full one of all."""
        for row in self._cases.of_origin(tx, ORIGIN):
            if row["about_key"] == self._name and (is_full or row["subject"] in reading.good):
                yield row


def _parts(rows: Sequence[Any], size: int = 2_000) -> Iterable[Sequence[Any]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _subject(raw: Any, position: Position | None) -> str:
    if position is not None:
        return f"position {position.warehouse}/{position.sku}"
    row = raw if isinstance(raw, Mapping) else {}
    return f"position {_short(row.get('warehouse'))}/{_short(row.get('sku'))}"


def _short(value: Any) -> str:
    """A name that can't be trusted, in a subject."""
    text = value if isinstance(value, str) and value.strip() and value.isprintable() else ascii(value)
    return text.strip()[:80]


def _content(one: Position) -> tuple[Any, ...]:
    return one[3:8]


def _unknown(name: str, party: str, entity: str) -> Case:
    return Case(
        "missing_mapping",
        f"The warehouse {name!r} is not in the rules; its positions don't count.",
        "Add it to warehouses, and to the pools that sell from it; the next reading takes it.",
        rows=({"table": "warehouses", "id": name, "owner": party, "entity": entity},),
    )


def _another_owner(name: str, warehouse: Any, who: str) -> Case:
    return Case(
        "conflict",
        f"{who} says what is in {name!r}, which {warehouse.owner} {warehouse.entity} owns; only its owner counts.",
        "Let one of both say it, or correct the owner in warehouses.",
    )


def _double(one: Position, other: str) -> Case:
    return Case(
        "data",
        f"{one.warehouse} has both {other!r} and {one.sku!r}: stores can't tell them apart; only the first counts.",
        "Rename or remove one of them in the system that owns the warehouse.",
    )


def _contradiction(one: Position) -> Case:
    return Case(
        "data",
        f"{one.sku} is there twice in {one.warehouse}, as of one moment with different numbers; the first counts.",
        "Let the system that owns the warehouse say each SKU once, all of its bins together.",
    )


def _too_few(warehouse: str, absent: int, known: int) -> Case:
    return Case(
        "conflict",
        f"A full reading of {warehouse} left out {absent} of {known} SKUs; their last positions still count.",
        "Check that the owner's answer is whole. Where those items are gone for good, let it say 0 for each.",
    )


def _many_more(count: int) -> Case:
    return Case(
        "data",
        f"{count} more positions can't be read than are shown.",
        "Correct those that are shown; the next reading tells the others.",
    )
