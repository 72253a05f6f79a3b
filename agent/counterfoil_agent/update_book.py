"""What the store's orders are to be told, and what became of it: tables of its own in the outbox's file.

An update waits here from the moment in which the engine hands it out until the engine has its result. What is told is
kept for a day, for people. Of one order's updates the next waits until the one before it has come to an end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from counterfoil_agent.outbox import Outbox
from counterfoil_agent.ports import Update, UpdateResult

MOST_WAITING = 100
KEPT_S = 86_400.0

_FIRST_OF_ITS_ORDER = (
    "outcome is null and not exists (select 1 from updates as earlier where earlier.order_id = updates.order_id"
    " and earlier.outcome is null and earlier.id < updates.id)"
)


@dataclass(frozen=True)
class Waiting:
    """An update that isn't dealt with. tries: in vain. called_s: when a call that may change the order was begun, whose
    end nobody saw; None: none is under way."""

    update: Update
    tries: int
    called_s: float | None


class UpdateBook:
    """Its methods are one transaction each, or part of the surrounding `writing()`."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    # -- with the engine

    def take(self, updates: Sequence[Update], now: datetime) -> None:
        """Keep what was handed out. What is here already goes on as it is; unless its end was told, and the engine asks
        for it all the same, or it has another content by now: then it is dealt with anew."""
        with self._outbox.writing():
            self._outbox.run(
                "delete from updates where told = 1 and at_s < ?",
                (now.timestamp() - KEPT_S,),
            )
            for each in updates:
                self._outbox.run(
                    "insert into updates (key, hash, order_id, body, at_s) values (?, ?, ?, ?, ?) on conflict (key) do"
                    " update set hash = excluded.hash, body = excluded.body, at_s = excluded.at_s, outcome = null,"
                    " reason = null, told = 0, tries = 0, due_s = 0 where told = 1 or hash <> excluded.hash",
                    (each.key, each.hash, each.order_id, msgspec.json.encode(each), now.timestamp()),
                )

    def results(self, most: int) -> list[UpdateResult]:
        """Those that the engine hasn't got yet, the oldest first."""
        rows = self._outbox.all(
            "select key, hash, outcome, reason from updates where outcome is not null and told = 0 order by id limit ?",
            (most,),
        )
        return [UpdateResult(*row) for row in rows]

    def told(self, results: Sequence[UpdateResult]) -> None:
        with self._outbox.writing():
            for each in results:
                self._outbox.run(
                    "update updates set told = 1 where key = ? and hash = ? and outcome is not null",
                    (each.key, each.hash),
                )

    def has_results(self) -> bool:
        found = self._outbox.one("select exists (select 1 from updates where outcome is not null and told = 0)")
        return bool(found[0])

    def room(self) -> int:
        """How many more may be handed out."""
        return max(0, MOST_WAITING - int(self._outbox.one("select count(*) from updates where outcome is null")[0]))

    # -- with the store

    def next(self, now: datetime) -> Waiting | None:
        found = self._outbox.one(
            "select body, tries, called_s from updates"  # noqa: S608
            f" where {_FIRST_OF_ITS_ORDER} and due_s <= ? order by id limit 1",
            (now.timestamp(),),
        )
        return Waiting(msgspec.json.decode(found[0], type=Update), found[1], found[2]) if found else None

    def next_due_s(self) -> float | None:
        due_s = self._outbox.one(f"select min(due_s) from updates where {_FIRST_OF_ITS_ORDER}")[0]  # noqa: S608
        return None if due_s is None else float(due_s)

    def calling(self, key: str, now: datetime) -> None:
        """Durable before the call: should the agent die in it, nobody else knows that it may still be carried out."""
        with self._outbox.writing():
            self._outbox.run("update updates set called_s = ? where key = ?", (now.timestamp(), key))

    def answered(self, key: str) -> None:
        """The call has come to an end."""
        with self._outbox.writing():
            self._outbox.run("update updates set called_s = null where key = ?", (key,))

    def put_off(self, key: str, until: datetime, tries: int) -> None:
        with self._outbox.writing():
            self._outbox.run("update updates set due_s = ?, tries = ? where key = ?", (until.timestamp(), tries, key))

    def settle(self, key: str, outcome: str, reason: str | None, now: datetime) -> None:
        with self._outbox.writing():
            self._outbox.run(
                "update updates set outcome = ?, reason = ?, at_s = ?, called_s = null where key = ?",
                (outcome, reason and reason[:500], now.timestamp(), key),
            )

    # -- for people

    def status(self, now: datetime) -> dict[str, Any]:
        """How many wait, since when, and how often one was tried in vain; how many came to which end within a day."""
        waiting, oldest_s, tries = self._outbox.one(
            "select count(*), min(at_s), coalesce(max(tries), 0) from updates where outcome is null"
        )
        ended = dict(
            self._outbox.all(
                "select outcome, count(*) from updates where outcome is not null and at_s >= ? group by outcome",
                (now.timestamp() - KEPT_S,),
            )
        )
        return {
            "waiting": waiting,
            "oldest_age_s": None if oldest_s is None else max(0.0, round(now.timestamp() - oldest_s, 1)),
            "most_tries": tries,
            "applied_a_day": ended.get("applied", 0),
            "refused_a_day": ended.get("refused", 0) + ended.get("other_content", 0),
        }
