"""Stock that an agent found edited by itself, between the engine's sweeps: a break, healed by its policy as any."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from counterfoil_engine.domain.breaks import Found
from counterfoil_engine.ports import Drifted, Written
from counterfoil_engine.work.breaks import BreakRecords, Breaks

_CONFIRMED = ("applied", "corrected")


class WriteAgain(Protocol):
    """Lets numbers be written again (`records/store_writes.py`)."""

    def write_again(self, tx: Any, store: str, keys: Sequence[str]) -> None: ...


class StockEdits:
    """Within the transaction that keeps what the agent said."""

    def __init__(self, reads: BreakRecords, breaks: Breaks, writes: WriteAgain) -> None:
        self._reads, self._breaks, self._writes = reads, breaks, writes

    def note(self, tx: Any, store: str, pool: str, written: Sequence[Written], drifted: Sequence[Drifted]) -> None:
        """What was edited becomes a break; one whose number the store has confirmed since is healed."""
        self._healed(tx, store, pool, [one.key for one in written if one.verdict in _CONFIRMED])
        found = [_found(store, pool, one) for one in drifted if one.found is not None and one.found != one.expected]
        if found:
            since = tx.now()
            self._breaks.record(tx, "stock", store, found)
            self._breaks.heal(tx, "stock", store, since)
        # Not another quantity, but no quantity or another version: nothing to weigh.
        others = [one.key for one in drifted if one.found is None or one.found == one.expected]
        if others:
            self._writes.write_again(tx, store, others)

    def _healed(self, tx: Any, store: str, pool: str, keys: Sequence[str]) -> None:
        if not keys or not self._reads.any_healing(tx, "stock", store):
            return
        known = self._reads.known(tx, "stock", store, [f"stock {pool}/{key}" for key in keys])
        healed = [kept.id for kept, _ in known.values() if kept.state == "healing"]
        self._reads.set_state(tx, healed, "healed", "its number was written again", "agent")


def _found(store: str, pool: str, one: Drifted) -> Found:
    assert one.found is not None
    return Found(
        "stock",
        store,
        f"stock {pool}/{one.key}",
        "manual_edit_store",
        f"Somebody edited the stock of {one.key} in {store}: it has {one.found} where {one.expected} was written.",
        "The number is written again. Change stock in the system that owns the warehouse, or as a correction there.",
        units=one.found - one.expected,
        to_zero=one.expected <= 0 < one.found,
        detail={"expected": one.expected, "found": one.found, "status": one.status},
    )
