"""What the fleet is measured by from outside: each figure's name, what it says, and what it is told apart by.

Alert rules and dashboards use these names with `counterfoil_` before them; a unit stands last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Figure(NamedTuple):
    """One value now. labels: as FIGURES names them, in that order."""

    name: str
    labels: tuple[str, ...]
    value: float


FIGURES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "store_silent_seconds": ("Since a store's agent was last heard.", ("store",)),
    "store_behind_events": ("Events that wait in a store's outbox, as its last heartbeat said.", ("store",)),
    "store_oldest_event_seconds": ("Age of the oldest of them, as its last heartbeat said.", ("store",)),
    "store_missing_numbers": ("Numbers missing in a store's sequence: its holes.", ("store",)),
    "store_stuck_subjects": ("Subjects of a store with an open case.", ("store",)),
    "store_stuck_minor": ("Money of a store held by open cases, in minor units.", ("store", "currency")),
    "store_stock_age_seconds": ("Age of the oldest stock number that a store doesn't have yet.", ("store",)),
    "store_stock_exposed": ("1: a write may hide a sale in this store.", ("store",)),
    "breaks": ("Breaks that sweeps found and that stand.", ("store", "sweep")),
    "cases": ("Open cases.", ("category",)),
    "case_oldest_seconds": ("Age of the oldest open case.", ("category",)),
    "work_subjects": ("Subjects that are due for a look, or will be.", ("class",)),
    "work_oldest_seconds": ("Since when the oldest of them is due.", ("class",)),
    "waiting_documents": (
        "Documents that are ready to go, or sent without a result.",
        ("party", "entity", "state"),
    ),
    "waiting_document_oldest_seconds": ("Age of the oldest of them.", ("party", "entity", "state")),
    "breaker_open": ("1: the party is away, its breaker is open or half open.", ("party", "entity")),
    "source_lag_seconds": ("Since a source of facts last had nothing more to say.", ("party", "source")),
    "slo_budget_left_ratio": ("What is left of an objective's error budget: 1 all of it, below 0 spent.", ("slo",)),
    "slo_burn_rate": ("How fast it burns within a window: 1 spends it just by the end.", ("slo", "window")),
    "alerts": ("Open alerts.", ("slo", "severity")),
}
