"""Key figures of a day: what each says, its unit, and which way is better. Numerators and denominators are kept, so
that days and stores add up to a figure of all of them, and not to a mean of means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal, NamedTuple

Unit = Literal["percent", "s", "days", "per 100 orders"]
BASELINE_DAYS = 14


@dataclass(frozen=True)
class Kpi:
    """by_store: whether it is told apart by store; else it belongs to the engine as a whole."""

    name: str
    says: str
    unit: Unit
    better: Literal["higher", "lower"]
    by_store: bool = True


KPIS = (
    Kpi("inventory_accuracy", "SKUs on which shop and ERP agreed, of those that sweeps compared", "percent", "higher"),
    Kpi("order_latency", "from what was heard of an order to its sales order in the ERP, on average", "s", "lower"),
    Kpi("failed_rate", "documents that were refused, of those that were made", "percent", "lower"),
    Kpi("refund_completion", "from what was heard of a refund to its documents in the ERP, on average", "s", "lower"),
    Kpi("manual_work", "what people did by hand, for each 100 orders", "per 100 orders", "lower", by_store=False),
    Kpi("close_time", "from a period's end to its lock, on average", "days", "lower", by_store=False),
    Kpi("time_to_resolve", "from a case's beginning to its end, on average", "s", "lower"),
)


class Figures(NamedTuple):
    """A day's figure of a store; store "": of none."""

    kpi: str
    store: str
    day: date
    numerator: int
    denominator: int


def value(kpi: Kpi, numerator: int, denominator: int) -> float | None:
    """The figure in its unit; None where there was nothing to measure."""
    if not denominator:
        return None
    factor = {"percent": 100.0, "per 100 orders": 100.0, "s": 1.0, "days": 1 / 86_400}[kpi.unit]
    return round(factor * numerator / denominator, 2)


def days_to_measure(last: date | None, today: date) -> list[date]:
    """The days that are over and not measured yet, at most those of a baseline; the first time: yesterday alone."""
    first = last + timedelta(days=1) if last else today - timedelta(days=1)
    first = max(first, today - timedelta(days=BASELINE_DAYS))
    return [first + timedelta(days=ahead) for ahead in range((today - first).days)]


def shown(days: Iterable[Mapping[str, Any]], baseline: Mapping[str, tuple[int, int]]) -> list[dict[str, Any]]:
    """Each key figure over some days, day by day, and beside what it was before Counterfoil wrote anything.

    days: rows of kpi, day, numerator, denominator. baseline: numerator and denominator by kpi."""
    by_kpi: dict[str, list[Mapping[str, Any]]] = {}
    for row in days:
        by_kpi.setdefault(row["kpi"], []).append(row)
    return [_line(kpi, by_kpi.get(kpi.name, []), baseline.get(kpi.name, (0, 0))) for kpi in KPIS]


def _line(kpi: Kpi, rows: list[Mapping[str, Any]], before: tuple[int, int]) -> dict[str, Any]:
    now = value(kpi, sum(row["numerator"] for row in rows), sum(row["denominator"] for row in rows))
    then = value(kpi, *before)
    is_better = None
    if now is not None and then is not None and now != then:
        is_better = (now > then) == (kpi.better == "higher")
    return {
        "kpi": kpi.name,
        "says": kpi.says,
        "unit": kpi.unit,
        "better": kpi.better,
        "value": now,
        "baseline": then,
        "is_better": is_better,
        "days": [
            {"day": row["day"], "value": value(kpi, row["numerator"], row["denominator"])}
            for row in sorted(rows, key=lambda row: str(row["day"]))
        ],
    }
