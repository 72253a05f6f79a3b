"""Sweeps by themselves: each minute, those that are due by rule are begun, a bounded number at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from loguru import logger

from counterfoil_engine.domain.breaks import Sweep
from counterfoil_engine.domain.errors import CounterfoilError, Unavailable
from counterfoil_engine.domain.rules import Rules
from counterfoil_engine.domain.sweep_times import is_due
from counterfoil_engine.ports import Records, RulesBook
from counterfoil_engine.work.sweep import OF_BOOKS, OF_STORES, SweepRecords, Sweeps

AT_ONCE = 50  # begun in one step: thousands of stores don't start at one moment
WHO = "schedule"


class SweepSchedule:
    """Called by one process at a time, the one that leads."""

    def __init__(self, records: Records, reads: SweepRecords, book: RulesBook, sweeps: Sweeps) -> None:
        self._records, self._reads, self._book, self._sweeps = records, reads, book, sweeps

    def step(self) -> int:
        """Begin what is due, end what nobody answers; how many were begun."""
        self._sweeps.give_up()
        begun = 0
        for store, sweep in list(self._due())[:AT_ONCE]:
            try:
                self._sweeps.start(sweep, store, WHO)
                begun += 1
            except CounterfoilError as error:
                logger.warning("not swept", store=store, sweep=sweep, cause=error.cause)
        return begun

    def _due(self) -> Iterator[tuple[str, Sweep]]:
        with self._records.transaction() as tx:
            try:
                rules = self._book.current(tx)
            except Unavailable:
                return
            for name, store in sorted(rules.stores.items()):
                if store.entity not in rules.entities or not self._reads.speaks(tx, name):
                    continue
                kinds = [sweep for sweep in OF_STORES if sweep != "stock" or store.pool in rules.pools]
                yield from self._due_of(tx, rules, name, rules.entities[store.entity].zone, kinds)
            for entity in sorted(self._sweeps.ledgers):
                if entity in rules.entities:
                    yield from self._due_of(tx, rules, entity, rules.entities[entity].zone, OF_BOOKS)

    def _due_of(
        self, tx: Any, rules: Rules, name: str, zone: str, kinds: Sequence[Sweep]
    ) -> Iterator[tuple[str, Sweep]]:
        """name: a store's, or an entity's for sweeps of books."""
        now = tx.now()
        for sweep in kinds:
            settings = rules.merged("sweeps", now.date(), store=name, sweep=sweep)
            if is_due(sweep, settings, self._reads.last_started(tx, sweep, name), now, ZoneInfo(zone)):
                yield name, sweep
