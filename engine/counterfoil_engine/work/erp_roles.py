"""Replacing an ERP: the next one runs beside the one that counts, gets all that stands there, and then takes over.

    alone ──beside──▶ both, one counts ──hand over──▶ handing over ──all is there and exact──▶ the next one alone
                            ◀──────────back───────────┘

Stores go on all the time: while one hands over to the other, nothing new is posted, and what is due waits for it. A
document bears one key in both, so that whichever counts, it is posted once. What the one beside refuses or has
otherwise parks no order; it is shown, and the hand-over waits for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Protocol

from loguru import logger

from counterfoil_engine.domain.errors import Case, Parked
from counterfoil_engine.domain.tie_out import Booked, Break, compare
from counterfoil_engine.ports import Erp, Intent, Outcome, Posted, Posting, Records, Refused, Rejected
from counterfoil_engine.work.wire import posting_of

MOST_SHOWN = 20
RESTS = 10  # times as long as a comparison of two ledgers took
LONGEST_REST = timedelta(minutes=2)


class RoleRecords(Protocol):
    """`records/erp_roles.py`."""

    def read(self, tx: Any, entity: str) -> Mapping[str, Any] | None: ...
    def write(self, tx: Any, entity: str, counts: str, beside: str | None, is_handing_over: bool, who: str) -> None: ...
    def left(self, tx: Any, entity: str, erp: str, limit: int) -> list[Intent]: ...
    def mark(self, tx: Any, entity: str, erp: str, keys: Sequence[str], pause_s: float) -> None: ...
    def done(self, tx: Any, entity: str, erp: str, numbers: Mapping[str, str]) -> None: ...
    def refused(self, tx: Any, entity: str, erp: str, key: str, case: Case) -> None: ...
    def counts(self, tx: Any, entity: str, erp: str) -> Mapping[str, int]: ...
    def refusals(self, tx: Any, entity: str, erp: str, limit: int) -> list[Mapping[str, Any]]: ...
    def first_day(self, tx: Any, entity: str) -> str | None: ...


class BookedRecords(Protocol):
    """What we hold to be in the ERP (`records/close.py`)."""

    def booked(self, tx: Any, entity: str, first: date, last: date) -> list[Booked]: ...


class ErpByRole:
    """The ERP of an entity that has two of them: whichever counts, as far as it is known here (`ErpRoles.learn`).

    Posters don't trust that: they ask `ErpRoles.choose` in the transaction that marks a document."""

    def __init__(self, counts: str, erps: Mapping[str, Erp]) -> None:
        self.counts, self.erps = counts, erps
        self.compared_again_at: datetime | None = None  # the two ledgers, while one hands over

    @property
    def lanes(self) -> int:
        """As many as each of them takes: lanes are dealt once, and who counts changes."""
        return min(erp.lanes for erp in self.erps.values())

    def __getattr__(self, name: str) -> Any:
        return getattr(self.erps[self.counts], name)


@dataclass(frozen=True)
class Standing:
    """Which ERP counts, by name; which one runs beside it, None: none does."""

    counts: str
    beside: str | None = None
    is_handing_over: bool = False


class ErpRoles:
    """The entities that have two ERPs; the settings' first one counts until people say otherwise."""

    def __init__(
        self, records: Records, roles: RoleRecords, booked: BookedRecords, places: Mapping[str, ErpByRole]
    ) -> None:
        self._records, self._roles, self._booked, self._places = records, roles, booked, places
        self._erps = {entity: place.erps for entity, place in places.items()}

    @property
    def entities(self) -> Sequence[str]:
        return sorted(self._erps)

    def standing(self, tx: Any, entity: str) -> Standing:
        names = self._erps[entity]
        row = self._roles.read(tx, entity)
        if row is None:
            return Standing(next(iter(names)))
        if row["counts"] not in names:
            raise Rejected(
                f"The ERP {row['counts']!r} counts for {entity}, and the settings name {', '.join(names)}.",
                f'Name it: name = "{row["counts"]}" in [erp.{entity}] or [successor.{entity}].',
            )
        beside = row["beside"] if row["beside"] in names else None
        return Standing(row["counts"], beside, row["is_handing_over"])

    def choose(self, tx: Any, entity: str) -> tuple[Erp, bool]:
        """The ERP that counts, and whether anything new may be posted there."""
        standing = self.standing(tx, entity)
        self._places[entity].counts = standing.counts
        return self._erps[entity][standing.counts], not standing.is_handing_over

    def learn(self) -> None:
        """Who counts now, for whatever else in this process asks the ERP."""
        with self._records.transaction() as tx:
            for entity, place in self._places.items():
                place.counts = self.standing(tx, entity).counts

    # What people do

    def begin(self, entity: str, who: str) -> Mapping[str, Any]:
        """Let the next ERP run beside: it is given all that stands, and what will."""
        with self._records.transaction() as tx:
            now = self._known(tx, entity)
            if now.beside:
                raise _refused(f"{now.beside} runs beside {now.counts} already.", "Nothing has to be done.")
            other = next((name for name in self._erps[entity] if name != now.counts), None)
            if other is None:
                raise _no_second(entity)
            self._write(tx, entity, Standing(now.counts, other), who)
        return self.show(entity)

    def end(self, entity: str, who: str) -> Mapping[str, Any]:
        """Let it run beside no longer; what it was given stays there."""
        return self._change(entity, who, handing_over=False, to=lambda now: Standing(now.counts))

    def hand_over(self, entity: str, who: str) -> Mapping[str, Any]:
        """Post nothing new until the one beside has all that stands, exactly; it counts then (see `complete`)."""
        with self._records.transaction() as tx:
            now = self._known(tx, entity)
            if now.beside and (wrong := self._roles.counts(tx, entity, now.beside)["refused"]):
                raise _refused(
                    f"{now.beside} refuses {wrong} document(s) that stand in {now.counts}.",
                    f"See why (counterfoil erp roles {entity}) and set right what it lacks: they are tried again.",
                )
        return self._change(
            entity, who, handing_over=False, to=lambda now: Standing(now.counts, now.beside, is_handing_over=True)
        )

    def take_back(self, entity: str, who: str) -> Mapping[str, Any]:
        """Stop handing over: all is as it was before."""
        return self._change(entity, who, handing_over=True, to=lambda now: Standing(now.counts, now.beside))

    def _change(self, entity: str, who: str, handing_over: bool, to: Any) -> Mapping[str, Any]:
        with self._records.transaction() as tx:
            now = self._known(tx, entity)
            if now.beside is None:
                raise _refused(f"No ERP runs beside {now.counts}.", f"Let one: counterfoil erp beside {entity}.")
            if now.is_handing_over != handing_over:
                said = "hands over" if now.is_handing_over else "doesn't hand over"
                raise _refused(f"{now.counts} {said} to {now.beside}.", f"See counterfoil erp roles {entity}.")
            self._write(tx, entity, to(now), who)
        return self.show(entity)

    def _known(self, tx: Any, entity: str) -> Standing:
        if entity not in self._erps:
            raise _no_second(entity)
        # Who marks documents as sent shares this lock: none is marked for an ERP that counts no longer.
        self._records.periods.alone(tx, entity)
        return self.standing(tx, entity)

    def _write(self, tx: Any, entity: str, to: Standing, who: str) -> None:
        self._roles.write(tx, entity, to.counts, to.beside, to.is_handing_over, who)
        self._records.restatements.audit(tx, who, "erp roles", entity=entity, **vars(to))

    # What is shown

    def listed(self) -> Mapping[str, Any]:
        """Each entity that has two ERPs: who counts, who runs beside, and how far it is."""
        with self._records.transaction() as tx:
            return {"erps": [self._row(tx, entity) for entity in self.entities]}

    def show(self, entity: str) -> Mapping[str, Any]:
        """The same of one, and what the one beside refuses, by cause."""
        with self._records.transaction() as tx:
            if entity not in self._erps:
                raise _no_second(entity)
            row = self._row(tx, entity)
            refusals = self._roles.refusals(tx, entity, row["beside"], MOST_SHOWN) if row["beside"] else []
        return {**row, "refusals": [dict(each) for each in refusals]}

    def compared(self, entity: str) -> Mapping[str, Any]:
        """`show`, and the documents in which the ledger of the one beside is not what stands."""
        shown = self.show(entity)
        found = self._breaks(entity, shown["beside"]) if shown["beside"] else []
        differing = [{"key": one.key, "number": one.number, "kind": one.kind, "cause": one.cause} for one in found]
        return {**shown, "differing": len(found), "documents": differing[:MOST_SHOWN]}

    def _row(self, tx: Any, entity: str) -> dict[str, Any]:
        now, row = self.standing(tx, entity), self._roles.read(tx, entity)
        counted = self._roles.counts(tx, entity, now.beside) if now.beside else {}
        since = row["since"].isoformat() if row else None
        return {"entity": entity, **vars(now), "since": since, **counted}

    def _breaks(self, entity: str, erp: str) -> list[Break]:
        """Where the ledger of the one beside differs, of what it was given; what it has besides is its own business."""
        with self._records.transaction() as tx:
            first = self._roles.first_day(tx, entity)
            ours = self._booked.booked(tx, entity, date.fromisoformat(first), date.max) if first else []
        port = self._erps[entity][erp]
        if first is None or not hasattr(port, "entries"):
            return []
        theirs = list(port.entries(entity, date.fromisoformat(first), date.max))
        return [one for one in compare(ours, theirs) if one.kind != "foreign"]

    # What the engine does

    def complete(self, entity: str) -> bool:
        """End a hand-over: once all that stands is in the one beside too, document by document, that one counts alone.
        Whether it does now."""
        with self._records.transaction() as tx:
            now = self.standing(tx, entity)
            if not now.is_handing_over or now.beside is None:
                return False
            counted, began = self._roles.counts(tx, entity, now.beside), tx.now()
        rests_until = self._places[entity].compared_again_at
        if counted["sent"] or counted["behind"] or counted["refused"] or (rests_until and began < rests_until):
            return False
        if found := self._breaks(entity, now.beside):
            logger.warning("hand-over waits", entity=entity, differing=len(found), cause=found[0].cause)
            self._rest(entity, began)
            return False
        with self._records.transaction() as tx:
            if self._known(tx, entity) != now:
                return False
            self._write(tx, entity, Standing(now.beside), "engine")
        logger.info("handed over", entity=entity, erp=now.beside, before=now.counts)
        return True

    def _rest(self, entity: str, began: datetime) -> None:
        """A whole ledger was read: the next comparison is the later, the longer this one took."""
        with self._records.transaction() as tx:
            now = tx.now()
        pause = min(max(RESTS * (now - began), timedelta(seconds=1)), LONGEST_REST)
        self._places[entity].compared_again_at = now + pause


class Mirror:
    """Gives the ERP beside what stands in the one that counts; one at a time for an entity."""

    def __init__(self, records: Records, roles: RoleRecords, which: ErpRoles, place: ErpByRole, entity: str) -> None:
        self._records, self._roles, self._which, self._erps, self._entity = records, roles, which, place.erps, entity

    def step(self) -> bool:
        """Give it a batch; whether there was one. May raise Retry: nothing is lost, the next step goes on."""
        entity = self._entity
        self._which.learn()
        with self._records.transaction() as tx:
            if not self._records.identity.is_confirmed(tx):
                return False  # a copy posts nothing, nowhere (R4)
            erp = self._which.standing(tx, entity).beside
        if erp is None:
            return False
        port = self._erps[erp]
        with self._records.transaction() as tx:
            batch = self._roles.left(tx, entity, erp, port.batch_size)
        if not batch:
            return self._which.complete(entity)
        # Looked up first, always: it may have been given before, by a life whose answer was lost, or when it counted.
        found = port.find([intent.key for intent in batch])
        there = {intent.key: found[intent.key] for intent in batch if found.get(intent.key)}
        numbers = {key: there[key][0].number for key in there}
        absent = [intent for intent in batch if intent.key not in there]
        with self._records.transaction() as tx:
            self._roles.mark(tx, entity, erp, [intent.key for intent in batch], port.commit_lag_s)
            self._roles.done(tx, entity, erp, numbers)
        self._post(port, erp, absent)
        return True

    def _post(self, port: Erp, erp: str, absent: Sequence[Intent]) -> None:
        if not absent:
            return
        postings = []
        for intent in absent:
            day = port.open_day(self._entity, intent.posting_date or intent.day)
            postings.append(posting_of(intent, day))
        outcomes = self._outcomes(port, postings)
        with self._records.transaction() as tx:
            for outcome in outcomes:
                match outcome:
                    case Posted(key=key, number=number):
                        self._roles.done(tx, self._entity, erp, {key: number})
                    case Refused(key=key, case=case):
                        self._roles.refused(tx, self._entity, erp, key, case)

    def _outcomes(self, port: Erp, postings: Sequence[Posting]) -> list[Outcome]:
        """Of each; a batch that was rejected as a whole is halved until the culprit stands alone (K6)."""
        try:
            return list(port.post(postings))
        except Parked as error:
            if len(postings) == 1:
                return [Refused(postings[0].key, error.case)]
            middle = len(postings) // 2
            return [*self._outcomes(port, postings[:middle]), *self._outcomes(port, postings[middle:])]


def _no_second(entity: str) -> Rejected:
    return _refused(
        f"{entity} has no second ERP in the settings.",
        f"Write [successor.{entity}] with its adapter and url, then start anew.",
    )


def _refused(cause: str, remedy: str) -> Rejected:
    return Rejected(cause, remedy)
