"""The parties: does each answer, how quickly, what waits for it; and planned pauses: hold, queue, release, drained.

While a party is held nothing is sent to it and nothing asked of it; what is due waits in its order. Released, it gets
all of that, as after an outage.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from counterfoil_engine.ports import Caller, Records, Rejected

LATELY = timedelta(minutes=15)
MOST_MEASURED = 1_000
LONGEST_HOLD = timedelta(days=7)


class HoldRecords(Protocol):
    """Planned pauses, and what waits (`records/holds.py`)."""

    def hold(self, tx: Any, party: str, entity: str, reason: str, who: str, until: datetime | None) -> None: ...
    def release(self, tx: Any, party: str, entity: str, who: str) -> bool: ...
    def all_of_them(self, tx: Any) -> list[Mapping[str, Any]]: ...
    def queues(self, tx: Any) -> list[Mapping[str, Any]]: ...
    def lately(self, tx: Any, party: str, entity: str, since: datetime, most: int) -> list[Mapping[str, Any]]: ...
    def places(self, tx: Any) -> list[Mapping[str, Any]]: ...


class BreakersShown(Protocol):
    def shown(self, tx: Any) -> list[Mapping[str, Any]]: ...


class Parties:
    """known: party and entity of all that this engine is set up with, also while nothing was ever sent there."""

    def __init__(
        self, records: Records, holds: HoldRecords, breakers: BreakersShown, known: Iterable[tuple[str, str]] = ()
    ) -> None:
        self._records, self._holds, self._breakers, self._known = records, holds, breakers, tuple(known)

    def show(self) -> Mapping[str, Any]:
        """Every party with its breaker, pause, queue, rate and latency."""
        with self._records.transaction() as tx:
            now = tx.now()
            queues, pauses = self._holds.queues(tx), self._holds.all_of_them(tx)
            breakers = {(row["party"], row["entity"]): row for row in self._breakers.shown(tx)}
            places = {*self._known, *((row["party"], row["entity"]) for row in [*self._holds.places(tx), *queues])}
            lines = []
            for place in sorted(places):
                measured = self._holds.lately(tx, *place, now - LATELY, MOST_MEASURED)
                own = [row for row in queues if (row["party"], row["entity"]) == place]
                pause = next((row for row in pauses if (row["party"], row["entity"]) == place), None)
                lines.append(_line(place, own, pause, breakers.get(place), measured, now))
        return {"now": now.isoformat(), "parties": lines}

    def hold(self, party: str, entity: str, reason: str, until: datetime | None, caller: Caller) -> Mapping[str, Any]:
        """From now on what is due for it waits."""
        with self._records.transaction() as tx:
            self._check(tx, party, entity)
            if until is not None and not tx.now() < until <= tx.now() + LONGEST_HOLD:
                raise Rejected(
                    "A pause ends at a moment to come, within seven days.", "Name another end, or none.", slug="request"
                )
            self._holds.hold(tx, party, entity, reason, caller.name, until)
            end = until.isoformat() if until else None
            self._records.restatements.audit(
                tx, caller.name, "hold party", party=party, entity=entity, reason=reason, until=end
            )
        return {"party": party, "entity": entity, "held": True, "until": end}

    def release(self, party: str, entity: str, caller: Caller) -> Mapping[str, Any]:
        """What waited goes, in its order."""
        with self._records.transaction() as tx:
            self._check(tx, party, entity)
            if not self._holds.release(tx, party, entity, caller.name):
                raise Rejected(f"The {party} of {entity} is not held.", "See the parties.", slug="request")
            waiting = sum(
                row["documents"]
                for row in self._holds.queues(tx)
                if (row["party"], row["entity"]) == (party, entity) and row["state"] in ("ready", "sent")
            )
            self._records.restatements.audit(
                tx, caller.name, "release party", party=party, entity=entity, waiting=waiting
            )
        return {"party": party, "entity": entity, "held": False, "waiting": waiting}

    def _check(self, tx: Any, party: str, entity: str) -> None:
        known = {*self._known, *((row["party"], row["entity"]) for row in self._holds.places(tx))}
        if (party, entity) not in known:
            raise Rejected(
                f"There is no {party[:40]} of {entity[:60]!r}.", "See which there are: Parties.", slug="no-such-subject"
            )


def _line(
    place: tuple[str, str],
    queue: Sequence[Mapping[str, Any]],
    pause: Mapping[str, Any] | None,
    breaker: Mapping[str, Any] | None,
    measured: Sequence[Mapping[str, Any]],
    now: datetime,
) -> dict[str, Any]:
    by_state = {row["state"]: row["documents"] for row in queue}
    waiting = [row for row in queue if row["state"] in ("ready", "sent")]
    took_s = sorted((_moment(row["result_at"]) - _moment(row["sent_at"])).total_seconds() for row in measured)
    held = pause if pause and _is_on(pause, now) else None
    return {
        "party": place[0],
        "entity": place[1],
        "held": _shown(held) if held else None,
        "last_pause": _shown(pause) if pause and not held else None,
        "breaker": breaker["state"] if breaker else "closed",
        "reason": breaker["reason"] if breaker else "",
        "since": _text(breaker["changed_at"]) if breaker else None,
        "waiting": by_state.get("ready", 0) + by_state.get("sent", 0),
        "refused": by_state.get("refused", 0),
        "oldest": min((_text(row["oldest"]) for row in waiting), default=None),
        "taken_lately": len(took_s),
        "most_measured": len(took_s) == MOST_MEASURED,
        "median_s": took_s[len(took_s) // 2] if took_s else None,
        "p95_s": took_s[len(took_s) * 95 // 100] if took_s else None,
    }


def _is_on(pause: Mapping[str, Any], now: datetime) -> bool:
    return pause["released_at"] is None and (pause["until"] is None or _moment(pause["until"]) > now)


def _shown(pause: Mapping[str, Any]) -> dict[str, Any]:
    times = {name: _text(pause[name]) for name in ("since", "until", "released_at")}
    return {"reason": pause["reason"], "by": pause["held_by"], "released_by": pause["released_by"], **times}


def _moment(value: Any) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(value)


def _text(value: Any) -> str | None:
    return value.isoformat() if isinstance(value, datetime) else value
