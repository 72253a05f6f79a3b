"""What other rules would change, over the facts in an engine's own database, read beside it. Reads only."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from counterfoil_engine.domain.dues import dues
from counterfoil_engine.ports import Clock
from counterfoil_engine.records.rules_store import Book
from counterfoil_engine.records.snapshot import groups_since, snapshot
from counterfoil_engine.work.rules_file import parse_rules
from counterfoil_engine.work.what_if import GROUP, Comparison, would_change


def try_rules(
    url: str,
    text: str,
    since: datetime,
    clock: Clock,
    store: str | None = None,
    processes: int | None = None,
    told: Callable[[int], None] = lambda looked_at: None,
) -> dict[str, Any]:
    """The totals of what differs between the rules in force and these, over all orders of which something came since.

    url: the engine's database, which may be at work meanwhile. text: of the rules file. store: only its orders.
    processes: None: one for each core. told: how many orders are done. Raises CounterfoilError, BadRules among them."""
    tried = parse_rules(text)
    with snapshot(url, clock) as tx:
        in_force = Book(parse_rules).current(tx)
        as_of = tx.now()
        comparison = Comparison(in_force, tried, as_of, dues)
        totals = would_change(groups_since(tx, since, store, GROUP), comparison, processes, told)
    return {
        "in_force": in_force.version,
        "tried": tried.version,
        "since": since.isoformat(),
        "store": store,
        "as_of": as_of.isoformat(),
        **totals.as_json(),
    }
