"""What is on its way or stuck, by store: what the first page says beside `status`. Reads only."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from counterfoil_engine.records.database import Transaction


def waiting(tx: Transaction) -> list[Mapping[str, Any]]:
    """Documents without a result by store, party and entity: how many, and since when the oldest."""
    # Two statements, since each state has an index of its own.
    each = "select store, party, entity, made_at from intents where state = "
    return tx.all(
        "select store, party, entity, count(*) as documents, min(made_at) as oldest"
        f" from ({each}'ready' union all {each}'sent') as under_way group by store, party, entity order by store, party"
    )


def stuck_since(tx: Transaction) -> list[Mapping[str, Any]]:
    """Open cases by store: how many subjects, and since when the oldest."""
    return tx.all(
        "select store, count(distinct subject) as subjects, min(opened_at) as oldest from cases"
        " where resolved_at is null group by store"
    )


def orders_taken(tx: Transaction, since: datetime) -> int:
    """How many orders ERPs took since a moment; they have an index of their own."""
    row = tx.one(
        "select count(*) as orders from intents where kind = 'sales_order' and state = 'done' and result_at >= %s",
        since,
    )
    return int(row["orders"]) if row else 0


def last_sweeps(tx: Transaction) -> list[Mapping[str, Any]]:
    """Of each store and sweep the last run that came to its end."""
    return tx.all(
        "select store, sweep, ended_at, dry_run from sweeps where id in"
        " (select max(id) from sweeps where state = 'done' group by store, sweep) order by store, sweep"
    )


def standing_breaks(tx: Transaction) -> list[Mapping[str, Any]]:
    """Differences that sweeps found and nobody has ended, by store."""
    return tx.all(
        "select store, count(*) as breaks from breaks where state in ('open', 'proposed', 'healing') group by store"
    )
