"""Heartbeats of the stores' agents: silence shows by their absence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from counterfoil_engine.records.database import Transaction, as_time


@dataclass(frozen=True)
class Heartbeat:
    """at: when it was received. body: as its contract says."""

    at: datetime
    body: Mapping[str, Any]


def keep(tx: Transaction, store: str, body: bytes) -> None:
    """Keep a heartbeat that fulfils its contract, received now."""
    tx.run(
        "insert into heartbeats (store, at, body) values (%s, %s, %s)"
        " on conflict (store, at) do update set body = excluded.body",
        store,
        tx.now(),
        body.decode(),
    )


def latest(tx: Transaction, store: str) -> Heartbeat | None:
    """The store's last heartbeat."""
    row = tx.one("select at, body from heartbeats where store = %s order by at desc limit 1", store)
    at = as_time(row["at"]) if row else None
    return Heartbeat(at, json.loads(row["body"])) if row and at else None


def prune(tx: Transaction, before: datetime) -> int:
    """Forget heartbeats received before a moment, but each store's last; how many."""
    return tx.run(
        "delete from heartbeats where at < %s"
        " and at < (select max(at) from heartbeats other where other.store = heartbeats.store)",
        before,
    )
