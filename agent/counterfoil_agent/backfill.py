"""A range of days read once: where it stands is in the outbox, so that it goes on after a stop and can be watched."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

import msgspec

from counterfoil_agent import snapshot
from counterfoil_agent.outbox import Outbox
from counterfoil_agent.walk import Walk

KEY, LAST = "backfill", "backfill:last"


class Backfill(msgspec.Struct, frozen=True):
    """first, until: days, both included, by the orders' creation in UTC. read: orders met. walk: where it stands."""

    first: date
    until: date
    status: Literal["any", "trash"]
    walk: Walk
    read: int
    began: datetime


def start(outbox: Outbox, first: date, until: date, now: datetime) -> Backfill:
    """Begin; what is under way already is replaced by the range that holds both."""
    with outbox.writing():
        going = under_way(outbox)
        if going is not None:
            first, until = min(first, going.first), max(until, going.until)
        begun = Backfill(first, until, "any", _walk(first, until), 0, now)
        outbox.remember(KEY, msgspec.json.encode(begun).decode())
    return begun


def under_way(outbox: Outbox) -> Backfill | None:
    kept = outbox.recall(KEY)
    return msgspec.json.decode(kept, type=Backfill) if kept else None


def advance(outbox: Outbox, at: Backfill, there: Walk, read: int, now: datetime) -> None:
    """Note how far it is; after the orders that stand, the trash; then it has ended."""
    at = msgspec.structs.replace(at, walk=there, read=at.read + read)
    with outbox.writing():
        if not there.under_way and at.status == "trash":
            outbox.forget(KEY)
            outbox.remember(LAST, msgspec.json.encode({**_told(at), "ended": snapshot.iso(now)}).decode())
            return
        if not there.under_way:
            at = msgspec.structs.replace(at, status="trash", walk=_walk(at.first, at.until, there.by_id))
        outbox.remember(KEY, msgspec.json.encode(at).decode())


def progress(outbox: Outbox) -> dict[str, Any]:
    """{"under_way": true, "from", "to", "orders", "share": 0…1} or what became of the last one."""
    at = under_way(outbox)
    if at is None:
        last = outbox.recall(LAST)
        return {"under_way": False, "share": 1.0, **(msgspec.json.decode(last) if last else {})}
    days = at.until.toordinal() - at.first.toordinal() + 1
    done_s = ((at.walk.at or at.walk.marker) - _midnight(at.first)).total_seconds()
    # The trash is little: counted as the last hundredth.
    share = 0.99 if at.status == "trash" else min(0.99, max(0.0, done_s / (days * 86_400)))
    return {"under_way": True, "share": round(share, 3), **_told(at)}


def _told(at: Backfill) -> dict[str, Any]:
    return {"from": at.first.isoformat(), "to": at.until.isoformat(), "orders": at.read}


def _walk(first: date, until: date, by_id: bool = False) -> Walk:
    return Walk(_midnight(first), end=_midnight(until) + timedelta(days=1, seconds=-1), by_id=by_id)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
