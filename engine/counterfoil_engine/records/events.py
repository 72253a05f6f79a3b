"""The events as they came: appended in one commit per batch, with their numbers and the subjects they make due.

A store's row lock puts its writers in a line, so that what is looked up here before it is written still holds.
Conflicting events (one id, two bodies) are kept beside each other; nothing here is overwritten or deleted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

from counterfoil_engine.domain.readers import READERS
from counterfoil_engine.ports import Appended, Incoming, Installation, Rejected, Verdict, Wake, Watermark
from counterfoil_engine.records import heartbeats, moves, party_facts, unread
from counterfoil_engine.records.database import Database, Row, Transaction
from counterfoil_engine.records.sequences import (
    advance,
    current_epoch,
    holes,
    is_empty,
    lock_store,
    no_epoch,
    open_epoch,
    other_epoch,
    other_installation,
    taken,
    through,
    watermark_of,
)
from counterfoil_engine.records.work import mark_due

_COLUMNS = (
    "store",
    "event_id",
    "occurred_on",
    "epoch",
    "n",
    "type",
    "subject",
    "arrival",
    "received_at",
    "occurred_at",
    "body",
    "body_hash",
    "verdict",
    "reason",
    "same_as",
)
_INSERT = f"insert into events ({', '.join(_COLUMNS)}) "
_INSERT_ROW = _INSERT + f"values ({', '.join(['%s'] * len(_COLUMNS))})"
# Binary arrays: as text, a hundred bodies cost the client a hundred times as much.
_INSERT_ARRAYS = (
    _INSERT
    + """
select %s, event_id, occurred_on, epoch, n, type, subject, %s + place, %s, occurred_at, body, body_hash,
    case when reason is null then 'stored' else 'kept-invalid' end, reason, same_as
from unnest(%b::text[], %b::date[], %b::bigint[], %b::bigint[], %b::text[], %b::text[], %b::timestamptz[],
    %b::bytea[], %b::text[], %b::text[], %b::text[]) with ordinality
    as fresh (event_id, occurred_on, epoch, n, type, subject, occurred_at, body, body_hash, reason, same_as, place)
order by event_id
"""
)

_EVENTS_AN_ORDER = 5  # as many are looked through to find orders
_Key = tuple[str, date]


class StoredEvents:
    """The port `EventLog` over the engine's database. wake: called where a store's watermark moved. took_in: told of
    the events that are new, in their transaction."""

    def __init__(
        self,
        database: Database,
        wake: Wake,
        took_in: Callable[[Transaction, str, Sequence[Incoming]], None] = lambda tx, store, events: None,
    ) -> None:
        self._database = database
        self._wake, self._took_in = wake, took_in

    def greet(
        self, store: str, installation: Installation, agent_version: str, contracts: Mapping[str, Sequence[int]]
    ) -> Watermark:
        with self._database.transaction() as tx:
            tx.run("insert into stores (store) values (%s) on conflict (store) do nothing", store)
            row = tx.one(
                "update stores set agent_version = %s, contracts = %s, hello_at = %s where store = %s"
                " returning handover",
                agent_version,
                json.dumps(contracts),
                tx.now(),
                store,
            )
            assert row is not None
            current = current_epoch(tx, store)
            if current is None:
                return open_epoch(tx, store, 1, installation, "first installation")
            if current["installation"] == installation:
                return watermark_of(current)
            if not row["handover"]:
                raise other_installation(store)
            tx.run("update stores set handover = %s where store = %s", False, store)
            return open_epoch(tx, store, current["epoch"] + 1, installation, "handed over")

    def grant_epoch(self, store: str, installation: Installation, epoch: int, reason: str) -> Watermark:
        with self._database.transaction() as tx:
            lock_store(tx, store)
            current = current_epoch(tx, store)
            if current is None:
                raise other_epoch(store, "has no epoch yet")
            if current["installation"] != installation:
                raise other_installation(store)
            if current["epoch"] == epoch:
                return open_epoch(tx, store, epoch + 1, installation, reason)
            if current["epoch"] == epoch + 1 and is_empty(tx, current):
                return watermark_of(current)
            raise other_epoch(store, f"is in epoch {current['epoch']}")

    def orders_after(self, store: str, epoch: int, n: int, most: int) -> list[int]:
        with self._database.transaction() as tx:
            rows = tx.all(
                "select subject, type from events where store = %s and epoch >= %s and (epoch > %s or n > %s)"
                f" and verdict = 'stored' and type in ({', '.join(['%s'] * len(READERS))})"
                " order by epoch desc, n desc limit %s",
                store,
                epoch,
                epoch,
                n,
                *READERS,
                most * _EVENTS_AN_ORDER,
            )
        latest: dict[str, str] = {}
        for row in rows:
            latest.setdefault(row["subject"], row["type"])
        standing = (subject for subject, kind in latest.items() if READERS[kind].kind == "order")
        return [int(subject.rpartition("/")[2]) for subject in standing][:most]

    def hand_over(self, store: str) -> None:
        with self._database.transaction() as tx:
            if not tx.run("update stores set handover = %s where store = %s", True, store):
                raise Rejected(
                    f"No agent of the store {store!r} has said hello yet.",
                    "Check the store's name (counterfoil status); the first agent needs no hand-over.",
                    slug="no-such-store",
                )

    def append(self, store: str, events: Sequence[Incoming]) -> Appended:
        with self._database.transaction() as tx:
            lock_store(tx, store)
            stands = _standing(tx, store)
            watermark = stands.watermark
            if any(event.epoch != watermark.epoch for event in events):
                raise other_epoch(store, f"is in epoch {watermark.epoch}")
            batch = _Batch(tx, store, watermark, stands.ahead, events)
            by_number = sorted(range(len(events)), key=lambda index: events[index].n)
            verdicts = {index: batch.take(events[index]) for index in by_number}
            batch.write()
            unread.settle(tx, store, batch.fresh, batch.changed, stands.is_any_unread)
            moved = advance(tx, store, watermark, batch.numbers, batch.ahead)
            moves.told_again(tx, store, batch.told_again)
            moves.count(tx, store, stands.basis, watermark, moved, batch.fresh, batch.is_whole)
            self._took_in(tx, store, batch.fresh)
            mark_due(tx, batch.changed | party_facts.match_orders(tx, batch.transactions), "live")
            if moved.n > watermark.n:
                self._wake(tx, f"watermark {store}")
            has_holes = batch.ahead or any(n > moved.n for n in batch.numbers)
            missing = holes(tx, store, moved) if has_holes else []
            return Appended([verdicts[index] for index in range(len(events))], moved, missing)

    def beat(self, store: str, body: bytes) -> Watermark:
        with self._database.transaction() as tx:
            watermark = watermark_of(current_epoch(tx, store) or no_epoch(store))
            heartbeats.keep(tx, store, body)
            return watermark


class _Standing(NamedTuple):
    """Where a store stands before a batch. ahead: numbers of earlier batches wait above the watermark; is_any_unread:
    cases of what came and can't be used are open; basis: up to where its moves are counted."""

    watermark: Watermark
    ahead: bool
    is_any_unread: bool
    basis: moves.Basis


# One statement, since each way to the server and back costs as much as storing an event. It comes after the one that
# locks the store's row: what that waited for is in no snapshot taken before.
_STANDING = f"""
select p.epoch as in_epoch, p.stored_through, p.through_id, s.epoch, s.n, s.held, s.by_moves_since,
  exists (select 1 from numbers where store = p.store and epoch = p.epoch and n > p.stored_through) as ahead,
  exists (select 1 from cases where {unread.IS_OPEN} and store = p.store) as is_any_unread
from epochs p left join stock_stores s on s.store = p.store
where p.store = %s order by p.epoch desc limit 1
"""


def _standing(tx: Transaction, store: str) -> _Standing:
    """Raises Rejected where the store has no epoch yet. Called with the store's row locked."""
    row = tx.one(_STANDING, store) or no_epoch(store)
    watermark = Watermark(row["in_epoch"], row["stored_through"], row["through_id"])
    basis = moves.Basis() if row["epoch"] is None else moves.read_basis(row)
    return _Standing(watermark, bool(row["ahead"]), bool(row["is_any_unread"]), basis)


class _Kept(NamedTuple):
    """What is known of an event that is kept already."""

    epoch: int
    n: int
    body_hash: str
    type: str
    subject: str | None
    verdict: str
    reason: str | None

    def says_the_same_as(self, event: Incoming) -> bool:
        return (self.body_hash, self.type, self.subject) == (event.body_hash, event.type, event.subject)


class _Latest(NamedTuple):
    """A subject's latest snapshot: its place, its body's hash, and the event that holds the body."""

    place: tuple[int, int]
    type: str
    body_hash: str
    holder: str


class _Batch:
    """One store's events on their way in, taken in the order of their numbers; written in one go at the end.

    numbers: those that the batch fills above the watermark, each with its event's id. changed: subjects with new facts.
    ahead: whether numbers of earlier batches wait above the watermark. told_again: kept under an epoch before.
    transactions: what orders with new facts bear, each with its order.
    """

    def __init__(
        self, tx: Transaction, store: str, watermark: Watermark, ahead: bool, events: Sequence[Incoming]
    ) -> None:
        self._tx, self._store, self._watermark = tx, store, watermark
        self._known = _find(tx, store, [_key(event) for event in events])
        self._latest = _latest_of(tx, {event.subject for event in events if event.subject and event.type in READERS})
        self.ahead = ahead
        self._taken = taken(tx, store, watermark.epoch, [event.n for event in events]) if self.ahead else {}
        self._fresh: list[tuple[Incoming, str | None]] = []
        self._moves: list[tuple[int, int, str, str, date]] = []
        self.numbers: dict[int, str] = {}
        self.changed: set[str] = set()
        self.transactions: list[tuple[str, str]] = []
        self.told_again: list[Incoming] = []

    def take(self, event: Incoming) -> Verdict:
        """What becomes of one event. Rejects the batch where the event's number stands for another event (E1)."""
        before = self._known.get(_key(event))
        another = self._taken.get(event.n, event.event_id) != event.event_id
        if another or (before is None and event.n <= self._watermark.n):
            raise other_epoch(self._store, f"has another event under the number {event.n}")
        if event.n > self._watermark.n:
            self.numbers[event.n] = event.event_id
        if before is None:
            return self._keep(event)
        if not before.says_the_same_as(event):
            return self._keep_beside(event)
        if before.epoch < event.epoch:
            self.told_again.append(event)
        self._settle(event, before)
        verdict: Any = "duplicate" if before.verdict == "stored" else before.verdict
        return Verdict(event.n, event.event_id, verdict, before.reason)

    def _keep(self, event: Incoming) -> Verdict:
        verdict: Any = "kept-invalid" if event.reason else "stored"
        self._fresh.append((event, self._holder(event)))
        self._known[_key(event)] = _Kept(
            event.epoch, event.n, event.body_hash, event.type, event.subject, verdict, event.reason
        )
        return Verdict(event.n, event.event_id, verdict, event.reason)

    def _keep_beside(self, event: Incoming) -> Verdict:
        """One id with two contents: a conflict, kept under a name of its own and shown, never a duplicate (E3)."""
        reason = "conflict: an event with this id and other content is stored already; both are kept."
        twin = event._replace(event_id=f"{event.event_id}~{event.body_hash[:16]}", reason=reason)
        if _key(twin) not in self._known and not _find(self._tx, self._store, [_key(twin)]):
            self._keep(twin)
        return Verdict(event.n, event.event_id, "kept-invalid", reason)

    def _holder(self, event: Incoming) -> str | None:
        """The event that holds this body already, where it equals its subject's latest (L4)."""
        if event.reason or event.subject is None or event.type not in READERS:
            return None
        place, latest = (event.epoch, event.n), self._latest.get(event.subject)
        equal = latest is not None and (latest.type, latest.body_hash) == (event.type, event.body_hash)
        holder = latest.holder if latest is not None and equal else None
        if latest is None or place > latest.place:
            self._latest[event.subject] = _Latest(place, event.type, event.body_hash, holder or event.event_id)
            if equal:
                return holder  # nothing new to look at
        self.changed.add(event.subject)
        if event.transaction is not None:
            self.transactions.append((event.transaction, event.subject))
        return holder

    def _settle(self, event: Incoming, before: _Kept) -> None:
        """A renumbered event that never had a settled place (its old epoch was left before its number was reached)
        takes its new one, or it would stand before what came before it. A settled place stays."""
        if before.epoch < event.epoch and before.n > through(self._tx, self._store, before.epoch):
            self._moves.append((event.epoch, event.n, self._store, event.event_id, event.occurred_on))
            if event.subject is not None and event.type in READERS:
                self.changed.add(event.subject)

    @property
    def fresh(self) -> list[Incoming]:
        """The events that were not kept before."""
        return [event for event, _ in self._fresh]

    @property
    def is_whole(self) -> bool:
        """Whether what the watermark passes is in this batch, and nothing else is."""
        return not self.ahead and not self._moves

    def write(self) -> None:
        if self._moves:
            sql = "update events set epoch = %s, n = %s where store = %s and event_id = %s and occurred_on = %s"
            self._tx.run_many(sql, self._moves)
        if not self._fresh:
            return
        now = self._tx.now()
        row = self._tx.one(
            "update stores set arrival = arrival + %s, received_at = %s where store = %s returning arrival",
            len(self._fresh),
            now,
            self._store,
        )
        assert row is not None
        _insert(self._tx, self._store, now, self._fresh, row["arrival"] - len(self._fresh))


def _insert(
    tx: Transaction, store: str, now: datetime, fresh: Sequence[tuple[Incoming, str | None]], arrival: int
) -> None:
    rows = [
        (
            event.event_id,
            event.occurred_on,
            event.epoch,
            event.n,
            event.type,
            event.subject,
            event.occurred_at,
            None if holder else event.body,
            event.body_hash,
            event.reason,
            holder,
        )
        for event, holder in fresh
    ]
    if not tx.is_sqlite:
        tx.run(_INSERT_ARRAYS, store, arrival, now, *map(list, zip(*rows, strict=True)))
        return
    whole = [
        (store, *row[:6], arrival + place, now, *row[6:9], "kept-invalid" if row[9] else "stored", *row[9:])
        for place, row in enumerate(rows, start=1)
    ]
    tx.run_many(_INSERT_ROW, whole)


def _key(event: Incoming) -> _Key:
    return event.event_id, event.occurred_on


def _find(tx: Transaction, store: str, keys: Sequence[_Key]) -> dict[_Key, _Kept]:
    """Which of these events are kept already."""
    if not keys:
        return {}
    if tx.is_sqlite:
        wanted = (
            f"(select column1 as event_id, column2 as occurred_on from (values {', '.join(['(%s, %s)'] * len(keys))}))"
        )
        params: list[Any] = [part for key in keys for part in key]
    else:
        wanted = "unnest(%b::text[], %b::date[]) as wanted (event_id, occurred_on)"
        params = list(map(list, zip(*keys, strict=True)))
    rows = tx.all(
        "select event_id, occurred_on, epoch, n, body_hash, type, subject, verdict, reason"
        f" from {wanted} join events using (event_id, occurred_on) where store = %s",
        *params,
        store,
    )
    return {
        (row["event_id"], _day(row["occurred_on"])): _Kept(
            row["epoch"], row["n"], row["body_hash"], row["type"], row["subject"], row["verdict"], row["reason"]
        )
        for row in rows
    }


def _latest_of(tx: Transaction, subjects: set[str]) -> dict[str, _Latest]:
    """The latest snapshot of each subject."""
    if not subjects:
        return {}
    columns = "epoch, n, type, body_hash, event_id, same_as"
    latest = "from events where subject = wanted.subject and verdict = 'stored' order by epoch desc, n desc limit 1"
    if tx.is_sqlite:
        marks = ", ".join(["(%s)"] * len(subjects))
        rows: list[Row] = tx.all(
            f"select wanted.subject, {columns} from (select column1 as subject from (values {marks})) as wanted"
            f" join events on events.rowid = (select rowid {latest})",
            *subjects,
        )
    else:
        rows = tx.all(
            f"select wanted.subject, {columns} from unnest(%b::text[]) as wanted (subject)"
            f" cross join lateral (select {columns} {latest}) as latest",
            sorted(subjects),
        )
    return {
        row["subject"]: _Latest(
            (row["epoch"], row["n"]), row["type"], row["body_hash"], row["same_as"] or row["event_id"]
        )
        for row in rows
    }


def add_partitions(tx: Transaction, first: date, months: int) -> list[str]:
    """On PostgreSQL: a partition of events for each month from `first` on, so many; those that were added.

    A month of which the default partition holds events already stays there."""
    if tx.is_sqlite:
        return []
    added = []
    for index in range(first.month - 1, first.month - 1 + months):
        begin = date(first.year + index // 12, index % 12 + 1, 1)
        end = date(begin.year + begin.month // 12, begin.month % 12 + 1, 1)
        name = f"events_{begin:%Y_%m}"
        is_there = tx.one("select to_regclass(%s) as name", name)
        held = tx.one(
            "select 1 as held from events_default where occurred_on >= %s and occurred_on < %s limit 1", begin, end
        )
        if held or (is_there and is_there["name"]):
            continue
        tx.run(f"create table {name} partition of events for values from ('{begin}') to ('{end}')")
        added.append(name)
    return added


def _day(value: Any) -> date:
    """A date as either dialect returns it."""
    return value if isinstance(value, date) else date.fromisoformat(value)
