"""By which trace each subject was last heard of, while traces are exported: what joins a look and a posting to the
order's way from the shop."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from counterfoil_engine.records.database import Transaction


def keep(tx: Transaction, traces: Mapping[str, str]) -> None:
    """traces: traceparent by subject; the last one counts."""
    if not traces:
        return
    given, params = tx.given(sorted(traces.items()), subject="text", traceparent="text")
    tx.run(
        f"insert into traces (subject, traceparent, at) select subject, traceparent, %s from {given} where true"
        " on conflict (subject) do update set traceparent = excluded.traceparent, at = excluded.at",
        tx.now(),
        *params,
    )


def of(tx: Transaction, subjects: Iterable[str]) -> Mapping[str, str]:
    """traceparent by subject, of those that have one."""
    which, named = tx.among("subject", subjects)
    rows: Sequence[Mapping[str, str]] = tx.all(f"select subject, traceparent from traces where {which}", *named)
    return {row["subject"]: row["traceparent"] for row in rows}


def prune(tx: Transaction, before: datetime) -> int:
    return tx.run("delete from traces where at < %s", before)
