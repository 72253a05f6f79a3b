"""Service level objectives: how much may go wrong, how much of that is spent, and how fast it goes.

An objective judges things that happened (an order was heard of, a refund was due, a store's minute passed), each once,
as good or not. What may go wrong within the window is its error budget. It burns at rate 1 where it would be spent just
by the window's end, at 14 where that takes half a day of a week. An alert needs a high rate in a long window, so that
it matters, and in a short one, so that it still goes on: it ends soon after its cause does.
Source: Google, The Site Reliability Workbook, chapter 5 (multiwindow, multi-burn-rate alerts).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, NamedTuple

Indicator = Literal[
    "orders_carried", "documents_posted", "refunds_completed", "stock_fresh", "stores_heard", "cases_resolved"
]
Severity = Literal["page", "ticket"]
SEVERITIES: tuple[Severity, ...] = ("page", "ticket")  # the graver first
DAY_S = 86_400


class Count(NamedTuple):
    """Of so many things so many were good."""

    good: int
    total: int

    @property
    def bad(self) -> int:
        return self.total - self.good


@dataclass(frozen=True)
class Burn:
    """When to alert. long_s, short_s: the windows; rate: above it in both; at_least: so many bad in the long one, so
    that in a quiet night one order is no outage."""

    severity: Severity
    long_s: int
    short_s: int
    rate: Decimal
    at_least: int


@dataclass(frozen=True)
class Objective:
    """percent: of what is judged has to be good, within window_days. within_s: what good means, see the indicator's
    description. runbook: file, and perhaps a heading, under docs/runbooks."""

    name: str
    says: str
    indicator: Indicator
    within_s: int
    percent: Decimal
    window_days: int
    runbook: str
    burns: tuple[Burn, ...]

    @property
    def windows_s(self) -> list[int]:
        """Every window that it needs counts of, in seconds, the budget's own the last."""
        needed = {window for burn in self.burns for window in (burn.long_s, burn.short_s)}
        return [*sorted(needed - {self.window_days * DAY_S}), self.window_days * DAY_S]


def may_fail(objective: Objective) -> float:
    """The share that may go wrong: 0.01 of 99 %."""
    return float((100 - objective.percent) / 100)


def budget_left(objective: Objective, count: Count) -> float:
    """What is left of the error budget: 1 all of it, 0 it is spent, below 0 overspent. With nothing judged: all."""
    return 1 - burn_rate(objective, count)


def burn_rate(objective: Objective, count: Count) -> float:
    """How fast the budget burns in a window of so much; 0 with nothing judged."""
    return count.bad / count.total / may_fail(objective) if count.total else 0.0


def firing(objective: Objective, counts: Mapping[int, Count]) -> Burn | None:
    """The gravest condition that holds; None: none does. counts: by window in seconds."""
    holding = [burn for burn in objective.burns if _holds(objective, burn, counts)]
    return min(holding, key=lambda burn: SEVERITIES.index(burn.severity), default=None)


def _holds(objective: Objective, burn: Burn, counts: Mapping[int, Count]) -> bool:
    both = (burn_rate(objective, counts[window]) > burn.rate for window in (burn.long_s, burn.short_s))
    return counts[burn.long_s].bad >= burn.at_least and all(both)


class Wanted(NamedTuple):
    """An alert as it has to stand now."""

    slo: str
    severity: Severity
    cause: str
    runbook: str


class Changes(NamedTuple):
    """open: alerts to be opened. end: those that have lost their cause, or were replaced by a graver or milder one."""

    open: list[Wanted]
    end: list[str]


def changes(wanted: Iterable[Wanted], standing: Mapping[str, Severity]) -> Changes:
    """What to do so that one alert stands for each objective that fires, of its severity. standing: by objective."""
    by_slo = {one.slo: one for one in wanted}
    fresh = [one for slo, one in sorted(by_slo.items()) if standing.get(slo) != one.severity]
    over = [slo for slo, severity in sorted(standing.items()) if slo not in by_slo or by_slo[slo].severity != severity]
    return Changes(fresh, over)
