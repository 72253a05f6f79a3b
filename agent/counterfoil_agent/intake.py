"""From the store into the outbox: reads orders, one request at a time, and writes each down before the next is asked.

One thread does all of it. That is what keeps an older snapshot from getting a higher number than a newer one: no two
reads of an order ever overlap, and each is committed before another begins. Webhooks, polls, the re-read, a backfill
and a person's request all only lead to a *mark*, or to a page; whoever delivers a webhook waits for nothing.

* A page of the list tells by each order's bytes whether anything changed. An order without refunds is taken from the
  page; one that has or had refunds is marked and read by itself, its refunds in full with it.
* A page's rows, its marks and how far the walk has come are one transaction.
* Where the store has the plugin, its change log (`changes.py`) tells what happened; polls are a slow safety net then.
* Jobs take turns, so that a long backfill doesn't hold up what happens now, and neither does a flood of webhooks.
* The slow re-read goes through the orders of the last days again: it finds what moves no date (stock notes, deleted
  refunds), and orders that the list no longer has, which go to `gone.py`.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Literal

import msgspec
from loguru import logger

from counterfoil_agent import backfill, changes, snapshot, walk
from counterfoil_agent.backoff import Every, Pause, delay_s
from counterfoil_agent.config import OutboxSettings, PluginSettings, ShopSettings
from counterfoil_agent.errors import CounterfoilError, Denied, Retry, Stop, Unavailable, Unreadable
from counterfoil_agent.gone import Gone
from counterfoil_agent.outbox import FreeBytes, Known, Mark, Outbox
from counterfoil_agent.ports import Absent, Ask, Clock, Column, Listed, OrderNotSupported, Page, Plugin, Store
from counterfoil_agent.updates import Updates
from counterfoil_agent.walk import Walk

MOST_HINTS = 10_000  # beyond that they are dropped: the poll finds what they stood for
REFUND_READS = 3
HELD_LOOK_S = 30.0  # how often to see whether there is room again
DENIED_S = 60.0
NEVER_S = 3600.0


class Reread(msgspec.Struct, frozen=True):
    """Where the slow re-read stands: number of the pass, the day it starts at, status that is being listed."""

    number: int
    floor: datetime
    status: Literal["any", "trash"]
    walk: Walk


@dataclass(frozen=True)
class Job:
    """name; seconds until it is due (0: now); what it does in one step."""

    name: str
    left_s: Callable[[datetime], float]
    run: Callable[[datetime], None]


class Intake:
    """All reading from the store. `hint` may be called from any thread, all else from one."""

    def __init__(
        self,
        store: Store,
        outbox: Outbox,
        clock: Clock,
        random: Random,
        shop: ShopSettings,
        bounds: OutboxSettings,
        free_bytes: FreeBytes,
        plugin: Plugin | None = None,
        plugin_settings: PluginSettings | None = None,
        updates: Updates | None = None,
    ) -> None:
        """updates: what its orders are told by the way, so that the store is asked one thing at a time."""
        self._store, self._outbox, self._clock, self._random = store, outbox, clock, random
        self._shop, self._bounds, self._free_bytes = shop, bounds, free_bytes
        self._plugin_settings = plugin_settings or PluginSettings()
        self.gone = Gone(store, outbox, clock, shop.deletions_an_hour)
        self._pause, self._last = Pause(random), 0
        self._hints: dict[int, None] = {}
        self._hints_lock = threading.Lock()
        self.heard: Callable[[int, datetime], None] = lambda order_id, at: None  # told what the shop's word is about
        self._polls = {status: Every(shop.poll_s) for status in ("any", "trash")}
        self._reread_page = Every(shop.reread_page_s)
        self.held: CounterfoilError | None = None  # why nothing is read: no room
        self.trouble: CounterfoilError | None = None  # what the store said last, while it fails
        self.changes: changes.Changes | None = None
        jobs: list[Job] = []
        if plugin is not None:
            settings = self._plugin_settings
            log = changes.Changes(plugin, outbox, clock, random, settings, self.gone, self._whole)
            self.changes = log
            jobs.append(Job("changes", log.left_s, log.step))
        told = [Job("updates", updates.left_s, updates.step)] if updates is not None else []
        self._jobs = (
            *jobs,
            Job("marks", self._marks_left_s, self._read_marked),
            Job("poll", lambda now: self._poll_left_s("any", now), lambda now: self._poll("any", now)),
            Job("poll trash", lambda now: self._poll_left_s("trash", now), lambda now: self._poll("trash", now)),
            Job("missing", self._missing_left_s, self._probe),
            Job("backfill", self._backfill_left_s, self._backfill),
            Job("reread", self._reread_left_s, self._reread),
            *told,
        )

    def hint(self, order_id: int) -> None:
        """Something said that this order changed. Keeps it in memory: a hint may be lost, the poll loses nothing."""
        self.heard(order_id, self._clock.now())
        with self._hints_lock:
            if len(self._hints) < MOST_HINTS and 0 < order_id <= snapshot.LARGEST_ID:
                self._hints[order_id] = None

    def step(self) -> float:
        """Do one thing that is due, at most; returns the seconds until something else is (0: at once). Never raises
        what the store does wrong."""
        now = self._clock.now()
        if left_s := self._pause.left_s(now):
            return left_s
        if not self._room(now):
            return HELD_LOOK_S
        jobs = self._jobs
        if self.changes is not None and (why := changes.held(self._outbox)) is not None:
            self.held, jobs = why, self._jobs[:1]  # whether it is the paired shop again is all that is asked
        elif self.changes is not None and self.changes.is_unsure(now):
            jobs = self._jobs[:1]
        job, left_s = self._next(now, jobs)
        if job is None:
            return left_s
        if self.changes is not None and job is not self._jobs[0] and not self.changes.is_still_ours(now):
            return 0.0
        try:
            job.run(now)
        except (Retry, Denied) as error:
            self._failed(job, error)
        else:
            self._pause.worked()
            if self.trouble is not None:
                logger.info("store answers again")
                self._outbox.forget("trouble:store")
            self.trouble = None
        return 0.0

    def _next(self, now: datetime, jobs: Sequence[Job]) -> tuple[Job | None, float]:
        """They take turns: the next one after the last that is due; where none is, the seconds until one will be."""
        soonest_s = NEVER_S
        for offset in range(len(jobs)):
            place = (self._last + offset) % len(jobs)
            left_s = jobs[place].left_s(now)
            if left_s <= 0:
                self._last = place + 1
                return jobs[place], 0.0
            soonest_s = min(soonest_s, left_s)
        return None, soonest_s

    def _failed(self, job: Job, error: Retry | Denied) -> None:
        at_least_s = DENIED_S if isinstance(error, Denied) else error.retry_after_s
        wait_s = self._pause.failed(self._clock.now(), at_least_s)
        if self.trouble is None or type(self.trouble) is not type(error):
            logger.warning(
                "store failed", job=job.name, cause=error.cause, remedy=error.remedy, wait_s=round(wait_s, 1)
            )
        self.trouble = error

    def _room(self, now: datetime) -> bool:
        """Whether there is room to write. Where there isn't, nothing is read: what happened stays with the store."""
        free, used = self._free_bytes(), self._outbox.size_bytes()
        if free >= self._bounds.disk_free_bytes and used <= self._bounds.share_bytes:
            self.held = None
            return True
        if self.held is None:
            merged = self._outbox.merge(now) if free > 0 else 0
            logger.error("reading held: no room", disk_free_bytes=free, outbox_bytes=used, merged=merged)
        self.held = Stop(
            f"There is no room for the outbox: {free} bytes free on its disk, {used} bytes in use.",
            "Make room, or raise outbox.share_bytes. Nothing is lost: the shop is read on from where it stopped.",
            "outage",
        )
        return False

    # -- one order by itself

    def _marks_left_s(self, now: datetime) -> float:
        return 0.0 if self._hints or self._outbox.next_mark(now) else NEVER_S

    def _read_marked(self, now: datetime) -> None:
        self._keep_hints(now)
        mark = self._outbox.next_mark(now)
        if mark is None:
            return
        try:
            self._read(mark, now)
        except (Retry, Denied):
            # Where one order makes the shop fail, its neighbours must not wait for it.
            wait_s = max(1.0, delay_s(mark.tries + 1, self._random, longest_s=3600.0))
            self._outbox.put_off(mark, now + timedelta(seconds=wait_s))
            raise

    def _keep_hints(self, now: datetime) -> None:
        with self._hints_lock:
            hints = list(self._hints)
        if hints:
            with self._outbox.writing():
                for order_id in hints:
                    self._outbox.mark(order_id, now)
            with self._hints_lock:
                for order_id in hints:
                    self._hints.pop(order_id, None)

    def _read(self, mark: Mark, now: datetime) -> None:
        known = self._outbox.known(mark.order_id)
        try:
            found = self._whole(mark.order_id, known, self._no_moves())
        except Unreadable as error:
            self._take_unreadable(mark, error, now)
            return
        with self._outbox.writing():
            self._outbox.unmark(mark.order_id)
            if isinstance(found, Absent):
                # Of an order that was never sent there is nothing to take back.
                if known.latest is not None and not known.gone:
                    self._outbox.miss(mark.order_id, now)
                return
            head, event = found
            if snapshot.is_draft(head) and known.latest is None:
                return
            if mark.again:
                self._outbox.forget_latest(mark.order_id)
            self._append(event, now)
            # Compared anew when it is listed next: it may be again as the list had it before this.
            self._outbox.seen(head.id, snapshot.moment_of(head.date_created_gmt), "", bool(head.refunds))

    def _no_moves(self) -> Sequence[bytes] | None:
        """What an event says that was read apart from the plugin's log: no moves, or that moves aren't told here."""
        return () if self.changes is not None and self.changes.has_all_moves(self._clock.now()) else None

    def _whole(
        self, order_id: int, known: Known, moves: Sequence[bytes] | None
    ) -> tuple[snapshot.Head, snapshot.Event] | Absent:
        """The order with its refunds in full. Where one came or went between the two reads, both are read again."""
        for attempt in range(1, REFUND_READS + 1):
            order = self._store.order(order_id)
            if isinstance(order, Absent):
                return order
            head = snapshot.head_of(order)
            if not head.refunds and not known.had_refunds:
                return head, snapshot.order_event(order, [], moves)
            refunds = self._store.refunds(order_id)
            agree = {snapshot.refund_id_of(raw) for raw in refunds} == {refund.id for refund in head.refunds}
            # Where they don't come to agree, they are sent as read, and the engine says what is wrong with it.
            if agree or attempt == REFUND_READS:
                return head, snapshot.order_event(order, refunds, moves)
        raise AssertionError("unreachable")

    def _take_unreadable(self, mark: Mark, error: Unreadable, now: datetime) -> None:
        with self._outbox.writing():
            self._outbox.unmark(mark.order_id)
            self._append(snapshot.unreadable_event(mark.order_id, error), now)
            self._outbox.seen(mark.order_id, None, "", False)
        logger.bind(subject=f"order {mark.order_id}").error(
            "unreadable", cause=error.cause, size_bytes=error.size_bytes
        )

    def _append(self, event: snapshot.Event, now: datetime) -> None:
        row = self._outbox.append(event, now)
        if row is not None:
            logger.bind(subject=f"order {event.order_id}").info("read", type=event.type, epoch=row.epoch, n=row.n)

    # -- pages

    def _turn(self, at: Walk, column: Column, status: str, now: datetime) -> tuple[Walk, Sequence[Listed], bool]:
        """The walk's next page: where it stands once the rows are durable, the rows, and whether they are lean."""
        asked = walk.ask(at, column, status, self._shop.page_orders)
        lean = False
        try:
            page = self._store.page(asked)
        except OrderNotSupported:
            return walk.by_windows(at, now), (), False
        except Unreadable as error:
            logger.warning("page unreadable, its orders are read one by one", cause=error.cause)
            lean, page = True, self._lean_page(asked)
        if page.count > len(page.rows):
            logger.error("listed without an order id", values=page.count - len(page.rows))
        return walk.after(at, asked, page), page.rows, lean

    def _lean_page(self, asked: Ask) -> Page:
        """Ids and times alone: one order that is no JSON must not hide its neighbours."""
        try:
            return self._store.page(replace(asked, lean=True))
        except Unreadable as error:
            raise Unavailable(error.cause, error.remedy) from None

    def _take(self, row: Listed, lean: bool, now: datetime, seen_pass: int = 0) -> None:
        """One order of a page: nothing new, taken as it stands, or marked to be read by itself."""
        known, listed = self._outbox.known(row.order_id), hashlib.sha256(row.raw).hexdigest()
        if seen_pass:
            self._outbox.passed(row.order_id, seen_pass)
        if known.listed == listed and known.latest is not None and not known.gone:
            if seen_pass and known.had_refunds:
                self._outbox.mark(row.order_id, now)
            return
        try:
            head = snapshot.head_of(row.raw)
            if snapshot.is_draft(head) and known.latest is None:
                return
            if lean or head.refunds or known.had_refunds:
                self._outbox.mark(row.order_id, now)
            else:
                self._append(snapshot.order_event(row.raw, [], self._no_moves()), now)
        except Unreadable:
            self._outbox.mark(row.order_id, now)
            return
        # What is marked is as good as read: the mark is durable with this.
        created = snapshot.moment_of(head.date_created_gmt)
        self._outbox.seen(row.order_id, created, None if lean else listed, bool(head.refunds), seen_pass)

    # -- what happens now

    def _poll_key(self, status: str) -> str:
        return f"walk:{status}"

    def _poll_walk(self, status: str, now: datetime) -> Walk:
        kept = self._outbox.recall(self._poll_key(status))
        return walk.decoded(kept) if kept else Walk(self._since(now))

    def _since(self, now: datetime) -> datetime:
        """Where reading begins: as configured, else the day of the first start, which is remembered."""
        if self._shop.since is not None:
            return datetime(self._shop.since.year, self._shop.since.month, self._shop.since.day, tzinfo=UTC)
        kept = self._outbox.recall("since")
        if kept is None:
            kept = now.astimezone(UTC).date().isoformat()
            self._outbox.remember("since", kept)
        return datetime.fromisoformat(kept).replace(tzinfo=UTC)

    def _poll_left_s(self, status: str, now: datetime) -> float:
        kept = self._outbox.recall(self._poll_key(status))
        if kept and walk.decoded(kept).under_way:
            return 0.0
        is_told = self.changes is not None and self.changes.is_well
        every_s = max(self._shop.poll_s, self._plugin_settings.safety_poll_s) if is_told else self._shop.poll_s
        self._polls[status].every_s = every_s
        return self._polls[status].left_s(now)

    def _poll(self, status: str, now: datetime) -> None:
        at = self._poll_walk(status, now)
        if not at.under_way:
            at = walk.begin(at, self._shop.overlap_s, now)
        there, rows, lean = self._turn(at, "modified", status, now)
        with self._outbox.writing():
            for row in rows:
                self._take(row, lean, now)
            self._outbox.remember(self._poll_key(status), walk.encoded(there))
        if not there.under_way:
            self._polls[status].done(now)

    # -- what may be gone

    def _missing_left_s(self, now: datetime) -> float:
        return 0.0 if self._outbox.next_missing(now) else 5.0

    def _probe(self, now: datetime) -> None:
        missing = self._outbox.next_missing(now)
        assert missing is not None
        try:
            self.gone.probe(missing)
        except (Retry, Denied):
            self._outbox.doubt(missing.order_id, "[]", "probing", now + timedelta(seconds=60))
            raise

    # -- a range of days

    def _backfill_left_s(self, now: datetime) -> float:
        return NEVER_S if backfill.under_way(self._outbox) is None else 0.0

    def _backfill(self, now: datetime) -> None:
        at = backfill.under_way(self._outbox)
        assert at is not None
        there = at.walk if at.walk.under_way else walk.begin(at.walk, 0, now)
        there, rows, lean = self._turn(there, "created", at.status, now)
        with self._outbox.writing():
            for row in rows:
                self._take(row, lean, now)
            backfill.advance(self._outbox, at, there, len(rows), now)

    # -- the slow re-read

    def _reread_left_s(self, now: datetime) -> float:
        if not self._shop.reread_days:
            return NEVER_S
        at = self._reread_at()
        if at is not None:
            return self._reread_page.left_s(now)
        ended = float(self._outbox.recall("reread:ended") or 0)
        passed_s = now.timestamp() - ended
        return 0.0 if passed_s < 0 else max(0.0, self._shop.reread_every_h * 3600 - passed_s)

    def _reread_at(self) -> Reread | None:
        kept = self._outbox.recall("reread")
        return msgspec.json.decode(kept, type=Reread) if kept else None

    def _reread(self, now: datetime) -> None:
        at = self._reread_at() or self._new_reread(now)
        there = at.walk if at.walk.under_way else walk.begin(at.walk, 0, now)
        there, rows, lean = self._turn(there, "created", at.status, now)
        with self._outbox.writing():
            for row in rows:
                self._take(row, lean, now, at.number)
            self._reread_on(at, there, now)
        self._reread_page.done(now)

    def _new_reread(self, now: datetime) -> Reread:
        floor = max(self._since(now), (now - timedelta(days=self._shop.reread_days)).replace(microsecond=0))
        number = int(self._outbox.recall("reread:number") or 0) + 1
        return Reread(number, floor, "any", Walk(floor))

    def _reread_on(self, at: Reread, there: Walk, now: datetime) -> None:
        if not there.under_way and at.status == "any":
            at = Reread(at.number, at.floor, "trash", Walk(at.floor, by_id=there.by_id))
        elif there.under_way:
            at = msgspec.structs.replace(at, walk=there)
        else:
            for order_id in self._outbox.not_passed(at.number, at.floor):
                self._outbox.miss(order_id, now)
            self._outbox.forget("reread")
            self._outbox.remember("reread:ended", str(now.timestamp()))
            return
        self._outbox.remember("reread", msgspec.json.encode(at).decode())
        self._outbox.remember("reread:number", str(at.number))

    def status(self, now: datetime) -> dict[str, Any]:
        """How reading goes, for people and monitors."""
        polled = self._outbox.recall(self._poll_key("any"))
        return {
            "read_until": snapshot.iso(walk.decoded(polled).marker) if polled else None,
            "marks": self._outbox.marks_waiting(),
            "held": str(self.held) if self.held else None,
            "trouble": str(self.trouble) if self.trouble else None,
        }
