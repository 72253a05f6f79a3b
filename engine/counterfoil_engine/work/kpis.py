"""Key figures: each day is measured once it is over, and shown beside what it was before anything was written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Protocol

from counterfoil_engine.domain.errors import Unavailable
from counterfoil_engine.domain.kpis import BASELINE_DAYS, Figures, days_to_measure, shown
from counterfoil_engine.ports import Records, RulesBook
from counterfoil_engine.work.switches import stores_on


class KpiRecords(Protocol):
    """Key figures as kept (`records/kpis.py`)."""

    def measure(self, tx: Any, day: date, pools: Mapping[str, str]) -> list[Figures]: ...
    def last_day(self, tx: Any) -> date | None: ...
    def keep(self, tx: Any, day: date, figures: Sequence[Figures], stores_on: frozenset[str]) -> None: ...
    def read(self, tx: Any, since: date, until: date, store: str | None = None) -> list[Mapping[str, Any]]: ...
    def baseline(self, tx: Any, store: str | None = None) -> dict[str, tuple[int, int]]: ...


class Kpis:
    """Key figures over one engine."""

    def __init__(self, records: Records, kpis: KpiRecords, book: RulesBook) -> None:
        self._records, self._kpis, self._book = records, kpis, book

    def step(self) -> int:
        """Measure the days that are over since the last time; how many. Before there are rules, none."""
        with self._records.transaction() as tx:
            days = days_to_measure(self._kpis.last_day(tx), tx.now().date())
        return sum(self._measure(day) for day in days)

    def _measure(self, day: date) -> int:
        with self._records.transaction() as tx:
            try:
                rules = self._book.current(tx)
            except Unavailable:
                return 0
            pools = {name: store.pool for name, store in rules.stores.items() if store.pool}
            on = frozenset(stores_on(self._records, tx, rules, "erp"))
            self._kpis.keep(tx, day, self._kpis.measure(tx, day, pools), on)
            return 1

    def show(self, days: int = 28, store: str | None = None, until: date | None = None) -> dict[str, Any]:
        """Each key figure over so many days, of one store or of all, with its baseline. until: the last day, default
        yesterday: today is measured tomorrow."""
        with self._records.transaction() as tx:
            last = until or tx.now().date() - timedelta(days=1)
            first = last - timedelta(days=days - 1)
            lines = shown(self._kpis.read(tx, first, last, store), self._kpis.baseline(tx, store))
        return {
            "store": store,
            "first_day": first.isoformat(),
            "last_day": last.isoformat(),
            "baseline_days": BASELINE_DAYS,
            "kpis": lines,
        }
