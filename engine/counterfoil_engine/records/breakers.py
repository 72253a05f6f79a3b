"""One breaker per party and entity, as a row that every process sees: nothing hammers a party that is down (K7).

closed: as many as the adapter takes. open: nothing until a moment. After that moment half-open: one intent per lane;
each success doubles the allowance until it is closed again. An intent's own back-off is never raised by an outage.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from counterfoil_engine.records.database import Transaction, as_time

FULL = 256
FIRST_PAUSE_S, LONGEST_PAUSE_S = 2.0, 300.0
LONGEST_ASKED_S = 3600.0  # of what a party may ask for


def allowance(tx: Transaction, party: str, entity: str) -> int:
    """How many intents a lane may send in one batch now; 0 while the breaker is open, or a person holds the party."""
    row = tx.one(
        "select b.state, b.until, b.allowance, h.since as held, h.until as held_until"
        " from (select cast(%s as text) as party, cast(%s as text) as entity) as place"
        " left join breakers b on b.party = place.party and b.entity = place.entity"
        " left join holds h on h.party = place.party and h.entity = place.entity and h.released_at is null",
        party,
        entity,
    )
    if row is not None and row["held"] is not None:
        ends = as_time(row["held_until"])
        if ends is None or tx.now() < ends:
            return 0
    if row is None or row["state"] in (None, "closed"):
        return FULL
    until = as_time(row["until"])
    if row["state"] == "open" and until is not None and tx.now() < until:
        return 0
    return max(1, int(row["allowance"]))


def pause_s(failures: int, jitter: float) -> float:
    """2, 4, 8 … 300 s, less up to a half by jitter (0 ≤ jitter < 1): lanes don't come back in step."""
    return min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(failures - 1, 16)) * (1 - jitter / 2)


def trip(
    tx: Transaction, party: str, entity: str, reason: str, jitter: float, retry_after_s: float | None = None
) -> None:
    """The party is down or asks for a pause: open, for longer each time in a row.

    What fails while it is open began before it opened, in another lane: the same outage, counted once."""
    lock = "" if tx.is_sqlite else " for update"
    row = tx.one("select state, failures, until from breakers where party = %s and entity = %s" + lock, party, entity)
    now = tx.now()
    until = as_time(row["until"]) if row and row["state"] == "open" else None
    if until is not None and now < until:
        later = now + timedelta(seconds=min(retry_after_s or 0.0, LONGEST_ASKED_S))
        tx.run("update breakers set until = %s where party = %s and entity = %s", max(until, later), party, entity)
        return
    failures = (int(row["failures"]) if row else 0) + 1
    pause = max(pause_s(failures, jitter), min(retry_after_s or 0.0, LONGEST_ASKED_S))
    tx.run(
        "insert into breakers (party, entity, state, failures, allowance, until, reason, changed_at)"
        " values (%s, %s, 'open', %s, 1, %s, %s, %s) on conflict (party, entity) do update set state = 'open',"
        " failures = excluded.failures, allowance = 1, until = excluded.until, reason = excluded.reason,"
        " changed_at = excluded.changed_at",
        party,
        entity,
        failures,
        now + timedelta(seconds=pause),
        reason,
        now,
    )


def worked(tx: Transaction, party: str, entity: str) -> None:
    """A call came through: half-open widens, and closes at the full allowance."""
    tx.run(
        f"update breakers set allowance = allowance * 2, changed_at = %s, failures = 0,"
        f" state = case when allowance * 2 >= {FULL} then 'closed' else 'half_open' end"
        " where party = %s and entity = %s and state <> 'closed'",
        tx.now(),
        party,
        entity,
    )


def shown(tx: Transaction) -> list[Mapping[str, Any]]:
    """Every breaker that is not closed, for status."""
    return tx.all("select * from breakers where state <> 'closed' order by party, entity")
