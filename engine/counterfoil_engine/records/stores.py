"""How each store's intake stands: what `status` shows of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from counterfoil_engine.ports import Watermark
from counterfoil_engine.records import heartbeats
from counterfoil_engine.records.database import Row, Transaction, as_time
from counterfoil_engine.records.sequences import current_epoch, holes, no_epoch, watermark_of


@dataclass(frozen=True)
class StoreState:
    """How a store's intake stands. kept_invalid: how many events; heartbeat: the latest, as its contract says."""

    store: str
    installation: str
    agent_version: str | None
    watermark: Watermark
    holes: Sequence[tuple[int, int]]
    kept_invalid: int
    hello_at: datetime | None
    received_at: datetime | None
    heartbeat_at: datetime | None
    heartbeat: Mapping[str, Any]
    handover: bool


def store_states(tx: Transaction) -> list[StoreState]:
    """Every store that ever said hello, by name."""
    return [_state(tx, row) for row in tx.all("select * from stores order by store")]


def _state(tx: Transaction, row: Row) -> StoreState:
    store = row["store"]
    current = current_epoch(tx, store) or no_epoch(store)
    beat = heartbeats.latest(tx, store)
    invalid = tx.one("select count(*) as events from events where store = %s and verdict = 'kept-invalid'", store)
    return StoreState(
        store,
        current["installation"],
        row["agent_version"],
        watermark_of(current),
        holes(tx, store, watermark_of(current)),
        invalid["events"] if invalid else 0,
        as_time(row["hello_at"]),
        as_time(row["received_at"]),
        beat.at if beat else None,
        beat.body if beat else {},
        bool(row["handover"]),
    )


def kept_invalid(tx: Transaction, store: str, most: int = 100) -> list[Row]:
    """The newest invalid events of a store: epoch, n, event_id, type, subject, received_at, reason."""
    return tx.all(
        "select epoch, n, event_id, type, subject, received_at, reason from events"
        " where store = %s and verdict = 'kept-invalid' order by arrival desc limit %s",
        store,
        most,
    )
