"""The stores in a line each: which is behind, since when, and why. Reads only; it adds to what `status` says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from counterfoil_engine.ports import Records

# So long may an event or a document be under way before a store counts as behind.
BEHIND_AFTER = timedelta(minutes=1)
_GRAVEST_FIRST = ("silent", "holes", "stuck", "unread", "backlog", "party", "preview")


class FleetRecords(Protocol):
    """What is under way or stuck, by store (`records/fleet.py`)."""

    def waiting(self, tx: Any) -> list[Mapping[str, Any]]: ...
    def stuck_since(self, tx: Any) -> list[Mapping[str, Any]]: ...
    def orders_taken(self, tx: Any, since: datetime) -> int: ...
    def last_sweeps(self, tx: Any) -> list[Mapping[str, Any]]: ...
    def standing_breaks(self, tx: Any) -> list[Mapping[str, Any]]: ...


class Fleet:
    """Reads only."""

    def __init__(self, records: Records, fleet: FleetRecords) -> None:
        self._records, self._fleet = records, fleet

    def show(self, status: Mapping[str, Any]) -> Mapping[str, Any]:
        """status: what the command of that name says. Its stores, each with the reasons why it is behind, the gravest
        first; an empty list where it is not."""
        with self._records.transaction() as tx:
            now = tx.now()
            waiting, stuck = self._fleet.waiting(tx), self._fleet.stuck_since(tx)
            midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
            posted = self._fleet.orders_taken(tx, midnight)
            sweeps, found = self._fleet.last_sweeps(tx), self._fleet.standing_breaks(tx)
        since = {row["store"]: _moment(row["oldest"]) for row in stuck}
        breaks = {row["store"]: row["breaks"] for row in found}
        stores = []
        for line in status["stores"]:
            own = [row for row in waiting if row["store"] == line["store"]]
            reasons = _reasons(line, own, since.get(line["store"]), status["parties"], now)
            swept = [row for row in sweeps if row["store"] == line["store"]]
            stores.append(
                {
                    **line,
                    "reasons": reasons,
                    "waiting": sum(row["documents"] for row in own),
                    "breaks": breaks.get(line["store"], 0),
                    "swept_at": max((str(row["ended_at"]) for row in swept), default=None),
                }
            )
        behind = [line for line in stores if line["reasons"]]
        return {
            "now": now.isoformat(),
            "stores": stores,
            "behind": sorted(behind, key=lambda line: gravity(line["reasons"][0])),
            "posted_today": posted,
            "waiting": sum(row["documents"] for row in waiting),
            "waiting_since": min((str(row["oldest"]) for row in waiting), default=None),
        }


def gravity(reason: Mapping[str, Any]) -> int:
    """Of whom nothing is heard comes before what is stuck, and that before what only takes its time."""
    return _GRAVEST_FIRST.index(reason["kind"])


def _reasons(
    line: Mapping[str, Any],
    waiting: Sequence[Mapping[str, Any]],
    stuck_since: datetime | None,
    parties: Sequence[Mapping[str, Any]],
    now: datetime,
) -> list[dict[str, Any]]:
    """Why a store is behind: what, since when, and what ends it."""
    found = []
    if not line["connected"]:
        said = "its agent is silent" if line["last_seen_at"] else "its agent was never heard"
        found.append(_reason("silent", said, line["last_seen_at"], "See that the agent runs and reaches the engine."))
    if line["holes"]:
        first, last = line["holes"][0]
        said = f"events {first} to {last} are missing"
        found.append(_reason("holes", said, None, "Its agent sends them anew by itself; see its log if it doesn't."))
    if line["stuck"]:
        said = f"{line['stuck']} {'subject is' if line['stuck'] == 1 else 'subjects are'} stuck"
        found.append(_reason("stuck", said, stuck_since, "See its cases: each says what ends it."))
    if line["behind_events"] and line["behind_s"] > BEHIND_AFTER.total_seconds():
        said = f"{line['behind_events']} events wait in its agent"
        since = now - timedelta(seconds=line["behind_s"])
        found.append(_reason("backlog", said, since, "It sends them by itself; see its log if the number grows."))
    for row in waiting:
        oldest = _moment(row["oldest"])
        if oldest and now - oldest > BEHIND_AFTER:
            found.append(_held_up(line, row, oldest, parties))
    if line["unread"]:
        said = f"what came last of {line['unread']} subjects can't be read"
        found.append(_reason("unread", said, None, "See its cases: correct it there, or in the store."))
    return found


def _held_up(
    line: Mapping[str, Any], row: Mapping[str, Any], oldest: datetime, parties: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Documents that are due and not posted: the party's doing, or a switch's."""
    party, entity, documents = row["party"], row["entity"], row["documents"]
    said = f"{documents} {'document waits' if documents == 1 else 'documents wait'} for the {party} of {entity}"
    its = next((one for one in parties if (one["party"], one["entity"]) == (party, entity)), {})
    if line["switches"].get(party) in ("off", "preview"):
        return _reason("preview", said, oldest, f"The {party} is switched to {line['switches'][party]} for this store.")
    if its.get("breaker", "closed") != "closed":
        return _reason("party", said, oldest, f"It doesn't answer: {its['reason']} It is asked again by itself.")
    return _reason("party", said, oldest, "See the parties: how quickly it answers, and what it refuses.")


def _reason(kind: str, said: str, since: Any, then: str) -> dict[str, Any]:
    moment = _moment(since)
    return {"kind": kind, "said": said, "since": moment.isoformat() if moment else None, "then": then}


def _moment(value: Any) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) else value
