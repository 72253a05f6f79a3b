"""What was planted, and how sweeps ought to name it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from counterfoil_engine.domain.breaks import Sweep
from counterfoil_engine.domain.money import minor_units

from simulation.rules import STORE


@dataclass(frozen=True)
class Planted:
    """what: as it is counted. subject, kind, units, amount_minor: as the sweep has to say it. undo: what a person puts
    right by hand, where nothing here can. documents: by key or number, as money says of which it consists."""

    what: str
    sweep: Sweep
    subject: str
    kind: str
    units: int | None
    amount_minor: int | None
    undo: Callable[[], object] | None = None
    documents: tuple[str, ...] = ()

    @property
    def place(self) -> tuple[str, str]:
        return self.sweep, self.subject


def skus(order: Any) -> set[str]:
    return {line["sku"] for line in order["line_items"]}


def total(order: Any) -> int:
    return minor_units(order["total"], order["currency"])


def planted(what: str, order: dict[str, Any], kind: str, units: int | None, minor: int) -> Planted:
    return Planted(what, "orders", f"order {STORE}/{order['id']}", kind, units, minor)
