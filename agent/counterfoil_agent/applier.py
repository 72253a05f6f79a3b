"""Down: the engine's numbers from the feed into the stock book and into the store, and back what became of them.

One thread does all of it but the waiting (`long_poll.py`), one bounded call a step; jobs take turns. Every step can be
done again: the feed's place is kept with its numbers, a number waits until the store's answer to it is kept, and the
store ignores what is older than what it has. Between two calls nothing is remembered that isn't in the book, but how
fast the store is.

What holds numbers back: the switch, a first push that nobody has accepted (`preview.py`), the brake (`brake.py`), a
store that may be a copy or went back (`changes.py`). Held numbers are replaced by newer ones; none is written late.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any, Literal

import msgspec
from loguru import logger

from counterfoil_agent import brake, changes, preview
from counterfoil_agent.backoff import Every, Pause
from counterfoil_agent.config import StockSettings
from counterfoil_agent.digests import Sweep, differing, small_buckets
from counterfoil_agent.errors import CannotPass, CounterfoilError, Denied, NotThere, Retry, Unreadable
from counterfoil_agent.feed import NO_POOL
from counterfoil_agent.long_poll import LongPoll
from counterfoil_agent.outbox import Outbox
from counterfoil_agent.ports import Clock, Digested, Feed, FeedPage, Plugin, StockAnswer, StoreStock
from counterfoil_agent.snapshot import iso
from counterfoil_agent.stock_book import PASS, READ, StockBook, Waiting

PAGE_NUMBERS = 2000
REPORT_AT_ONCE = 2000
MOST_LISTED = 5000
AGAIN_S = (30.0, 120.0, 600.0, 1800.0)  # after the 1st, 2nd, … failure of one number
CHECK_AFTER_S = 3.0  # how long after a write without a guard it is read once more
DENIED_S = 60.0
LOOK_S = 60.0  # how often to look whether what was held may go on
MEANWHILE_S = 1.0  # how often to look, while the engine is waited for, whether something else is due
HASTY_S = 60.0  # how long an engine that doesn't wait isn't asked to
HEALTH_S = 300.0
RELOOK_MOST = 500  # products to be looked at one by one; beyond that the whole catalogue is read
FIRST_ITEMS = 100  # in the first write, before it is known how fast the store is
NEVER_S = 3600.0
COMPLETE, CURSOR, BY = "feed:complete", "catalogue:cursor", "catalogue:by"
LISTS, SWEPT, SWEEP_WANTED, HEALTH = "stock:lists", "sweep:ended", "sweep:wanted", "plugin:health"
TROUBLE, BRAKE, AGAIN, NO_POOL_SAID = "trouble:stock", "stock:brake", "stock:again", "stock:no-pool"

Party = Literal["engine", "shop"]


@dataclass(frozen=True)
class Job:
    """name; whom it asks; seconds until it is due (0: now); what it does in one step."""

    name: str
    party: Party
    left_s: Callable[[datetime], float]
    run: Callable[[datetime], None]


@dataclass(frozen=True)
class _Asked:
    """What the engine is waited for with, and since when."""

    version: int
    engine_epoch: int | None
    wait_s: float
    began_s: float


@dataclass
class Pace:
    """How many items a call takes, so that the store is busy for about aim_s with it."""

    aim_s: float
    size: int = FIRST_ITEMS

    def took(self, items: int, seconds: float) -> None:
        # A short call says nothing of a long one: it may grow, and only shrinks by what it took itself.
        if items >= self.size or seconds > self.aim_s:
            self.size = max(1, int(items * min(2.0, max(0.25, self.aim_s / max(seconds, 0.001)))))

    def failed(self) -> None:
        self.size = max(1, self.size // 2)


class Applier:
    """All that has to do with the store's stock; one thread, but for `wake`, `status` and what is asked of the book."""

    def __init__(
        self,
        feed: Feed,
        outbox: Outbox,
        clock: Clock,
        random: Random,
        settings: StockSettings,
        plugin: Plugin | None,
        store: Callable[[], StoreStock | None],
        monotonic: Callable[[], float] = time.monotonic,
        waiting_feed: Feed | None = None,
    ) -> None:
        """store: the way to write now; None: it isn't known yet whether the plugin is there. waiting_feed: another line
        to the feed, for the thread that waits; None: the feed can be used by two threads."""
        self._feed, self._outbox, self._clock, self._settings = feed, outbox, clock, settings
        self._plugin, self._store, self._monotonic = plugin, store, monotonic
        self.book = StockBook(outbox)
        self._pauses: dict[str, Pause] = {"engine": Pause(random), "shop": Pause(random)}
        self._poll_every, self._look_every = Every(settings.idle_s), Every(LOOK_S)
        self._hasty_every, self._is_hasty = Every(HASTY_S), False
        self._lists_every, self._health_every = Every(LOOK_S), Every(HEALTH_S)
        self._pace: dict[str, Pace] = {}
        self._sweep: Sweep | None = None
        self._more, self._may_be_due, self._last = False, True, 0
        self._told: dict[str, CounterfoilError] = {}  # what each party said last, while it fails
        self._long_poll, self._asked = LongPoll(waiting_feed or feed), _Asked(0, None, 0.0, 0.0)
        self._feed_job = Job("feed", "engine", self._feed_left_s, self._poll)
        self._jobs = (
            Job("write", "shop", self._write_left_s, self._write),
            Job("check", "shop", self._check_left_s, self._check),
            Job("report", "engine", self._report_left_s, self._report),
            self._feed_job,
            Job("relook", "shop", self._relook_left_s, self._relook),
            Job("catalogue", "shop", self._catalogue_left_s, self._read_catalogue),
            Job("sweep", "shop", self._sweep_left_s, self._sweep_on),
            Job("health", "shop", self._health_left_s, self._ask_health),
        )

    def wake(self) -> None:
        """A person let something go on: look at once. From any thread."""
        self._may_be_due = True

    def step(self, waits: bool = False) -> float:
        """Do one thing that is due, at most; returns the seconds until something else is (0: at once). Never raises
        what engine or store do wrong. waits: where nothing is due, the engine answers only when there is."""
        now = self._clock.now()
        waits = waits and self._settings.wait_s > 0 and not (self._is_hasty and self._hasty_every.left_s(now))
        if self._settings.switch == "off":
            return NEVER_S
        job, left_s = self._next(now, waits)
        if job is not None:
            self._run(job, lambda: job.run(now), now)
            return 0.0
        if self._long_poll.is_under_way:
            if self._long_poll.has_ended(MEANWHILE_S):
                self._run(self._feed_job, self._take_waited_for, now)
            return 0.0
        if not waits or self._pauses["engine"].left_s(now):
            return left_s
        self._begin_to_wait()
        return 0.0

    def _next(self, now: datetime, waits: bool) -> tuple[Job | None, float]:
        """The jobs take turns. Where the engine is asked to wait, that it will be due isn't what the wait is for."""
        soonest_s = NEVER_S
        for offset in range(len(self._jobs)):
            place = (self._last + offset) % len(self._jobs)
            job = self._jobs[place]
            left_s = max(job.left_s(now), self._pauses[job.party].left_s(now))
            if left_s <= 0:
                self._last = place + 1
                return job, 0.0
            if not waits or job is not self._feed_job or self._pauses["engine"].left_s(now):
                soonest_s = min(soonest_s, left_s)
        return None, soonest_s

    def _run(self, job: Job, act: Callable[[], None], now: datetime) -> None:
        try:
            act()
        except (Retry, Denied, CannotPass, NotThere, Unreadable) as error:
            self._failed(job, error, now)
        else:
            self._pauses[job.party].worked()
            if self._told.pop(job.party, None) is not None:
                logger.info("stock goes on", party=job.party)
                self._remember_trouble()

    def _failed(self, job: Job, error: CounterfoilError, now: datetime) -> None:
        at_least_s = error.retry_after_s if isinstance(error, Retry) else DENIED_S
        wait_s = self._pauses[job.party].failed(self._clock.now(), at_least_s)
        said = self._told.get(job.party)
        if said is None or (type(said), said.cause) != (type(error), error.cause):
            logger.warning(
                "stock failed", job=job.name, cause=error.cause, remedy=error.remedy, wait_s=round(wait_s, 1)
            )
        self._told[job.party] = error
        if isinstance(error, Denied) and error.slug == NO_POOL:
            self._outbox.remember(NO_POOL_SAID, "1")
        self._remember_trouble()

    def _remember_trouble(self) -> None:
        said = [str(e) for e in self._told.values() if not (isinstance(e, Denied) and e.slug == NO_POOL)]
        self._outbox.remember(TROUBLE, " ".join(said)) if said else self._outbox.forget(TROUBLE)

    # -- from the engine

    def _feed_left_s(self, now: datetime) -> float:
        if self._long_poll.is_under_way:
            return NEVER_S
        return 0.0 if self._more else self._poll_every.left_s(now)

    def _poll(self, now: datetime) -> None:
        version, epoch = self.book.feed_place()
        self._keep_page(self._feed.poll(version, epoch, 0.0, PAGE_NUMBERS), version, epoch)

    def _begin_to_wait(self) -> None:
        self._asked = _Asked(*self.book.feed_place(), self._settings.wait_s, self._monotonic())
        self._long_poll.begin(self._asked.version, self._asked.engine_epoch, self._asked.wait_s, PAGE_NUMBERS)

    def _take_waited_for(self) -> None:
        asked, page = self._asked, self._long_poll.take()
        # The API itself tells numbers too, but waits for none: then it is asked every idle_s, as without waiting.
        says_nothing = (page.version, page.engine_epoch) == (asked.version, asked.engine_epoch)
        self._is_hasty = says_nothing and self._monotonic() - asked.began_s < asked.wait_s / 2
        self._hasty_every.done(self._clock.now())
        self._keep_page(page, asked.version, asked.engine_epoch)

    def _keep_page(self, page: FeedPage, version: int, epoch: int | None) -> None:
        """version, epoch: what it was asked from."""
        self._poll_every.done(self._clock.now())
        if page.resync and (version, epoch) != (0, page.engine_epoch):
            logger.warning("the engine's numbers are read anew", engine_epoch=page.engine_epoch)
            self.book.begin_anew(page.engine_epoch)
            self._outbox.forget(COMPLETE)
            self._more = True
            return
        if page.numbers or (page.version, page.engine_epoch) != (version, epoch):
            self.book.take_page(page)
            self._may_be_due = True
            logger.info("numbers taken", skus=len(page.numbers), version=page.version)
        self._more = page.more
        if not page.more:
            self._outbox.remember(COMPLETE, "1")
            if self._outbox.recall(NO_POOL_SAID) is not None:
                self._outbox.forget(NO_POOL_SAID)

    # -- into the store

    def held(self) -> str | None:
        """Why not everything is written: copy, went-back, preview, brake."""
        kept = self._outbox.recall(changes.HELD)
        if kept is not None:
            return kept
        if not self._is_accepted():
            return "preview"
        return "brake" if self._outbox.recall(BRAKE) is not None else None

    def _is_accepted(self) -> bool:
        return self._settings.switch == "on" and self._outbox.recall(preview.ACCEPTED) is not None

    def _write_left_s(self, now: datetime) -> float:
        if self._may_be_due:
            return 0.0
        due_s = self.book.next_due_s()
        left_s = self._look_every.left_s(now)
        return left_s if due_s is None or due_s <= now.timestamp() else min(left_s, due_s - now.timestamp())

    def _write(self, now: datetime) -> None:
        """One call to the store, if anything may go there."""
        self._may_be_due = False
        self._look_every.done(now)
        store = self._store()
        if store is None or not self.book.has_catalogue or self._outbox.recall(changes.HELD) is not None:
            return
        self._begin_again()
        if not self._may_write(now):
            return
        settled = self.book.settle_unwritable(now)
        batch = self._batch(store, now)
        self._may_be_due = bool(batch) or settled > 0
        if batch:
            self._write_batch(store, batch)

    def _begin_again(self) -> None:
        if self._outbox.recall(AGAIN) is not None:
            with self._outbox.writing():
                logger.warning("all numbers are written again", skus=self.book.write_all_again())
                self._outbox.forget(AGAIN)

    def _may_write(self, now: datetime) -> bool:
        if self._settings.switch != "on":
            return False
        if self._is_accepted():
            return True
        if self._outbox.recall(COMPLETE) and preview.accepts(self._settings.accept_when, self._outbox):
            self._outbox.remember(preview.ACCEPTED, iso(now))
            logger.info("first push accepted by rule")
            return True
        return False

    def _batch(self, store: StoreStock, now: datetime) -> list[Waiting]:
        held = brake.held(self._outbox, self._settings, now)
        if held is None:
            if self._outbox.recall(BRAKE) is not None:
                self._outbox.forget(BRAKE)
                logger.info("brake off")
        elif self._outbox.recall(BRAKE) is None:
            logger.error("brake", cause=held.sentence(), remedy="Look, then counterfoil-agent release-brake.")
        if held is not None:
            self._outbox.remember(BRAKE, held.sentence())
        not_zeroing = None if held is None else brake.released(self._outbox)
        size = min(self._pace_of(store).size, store.most_items, self._settings.most_items)
        return self.book.waiting(size, now, not store.is_guarded, not_zeroing)

    def _pace_of(self, store: StoreStock) -> Pace:
        return self._pace.setdefault(store.name, Pace(self._settings.call_s))

    def _write_batch(self, store: StoreStock, batch: Sequence[Waiting]) -> None:
        pace, began_s = self._pace_of(store), self._monotonic()
        try:
            answers = store.write([waiting.write() for waiting in batch])
        except (Retry, Denied, NotThere):
            pace.failed()
            self._may_be_due = True
            raise
        took_s = self._monotonic() - began_s
        pace.took(len(batch), took_s)
        now = self._clock.now()
        done = list(zip(batch, answers, strict=True))
        self.book.record(done, now, AGAIN_S)
        applied = [waiting for waiting, answer in done if answer.verdict == "applied"]
        self._tell_newer([answer for answer in answers if answer.verdict == "older" and answer.reason])
        if not store.is_guarded and applied:
            self.book.check_later(applied, (now + timedelta(seconds=CHECK_AFTER_S)).timestamp())
        logger.info("stock written", by=store.name, skus=len(batch), applied=len(applied), took_ms=int(took_s * 1000))

    def _tell_newer(self, answers: Sequence[StockAnswer]) -> None:
        """An own number that is newer is met in passing; one of another engine stands until a person acts."""
        if answers:
            logger.warning(
                "the shop has newer numbers",
                skus=len(answers),
                cause="Another engine wrote them, or the agent was put back to a backup and hasn't caught up.",
                remedy="If it stays so, run counterfoil confirm on the engine: its numbers are above all others then.",
            )

    # -- what was written without a guard

    def _check_left_s(self, now: datetime) -> float:
        due_s = self.book.next_check_s()
        return NEVER_S if due_s is None else max(0.0, due_s - now.timestamp())

    def _check(self, now: datetime) -> None:
        """Read once more what was written over REST, and put right what somebody raised over it meanwhile."""
        store = self._store()
        batch = self.book.to_check(now, REPORT_AT_ONCE if store is None else store.most_items)
        if store is None or store.is_guarded:
            for waiting in batch:
                self.book.checked(waiting, None)
            return
        found = store.quantities([waiting.write() for waiting in batch])
        raised = []
        for waiting in batch:
            stock = found.get(waiting.stock_id)
            if stock is not None and stock > waiting.number:
                self.book.note_drift(waiting.sku, waiting.number, stock, None)
                raised.append(waiting)
            self.book.checked(waiting, stock)
        # What is below the number was sold since; the engine hears of it by the order.
        if raised and self._is_accepted():
            answers = store.write([waiting.write() for waiting in raised])
            corrected = [
                StockAnswer(each.stock_id, "corrected", each.stock) if each.verdict == "applied" else each
                for each in answers
            ]
            self.book.record(list(zip(raised, corrected, strict=True)), self._clock.now(), AGAIN_S)

    # -- back to the engine

    def _report_left_s(self, now: datetime) -> float:
        if self.book.has_report():
            return 0.0
        return self._lists_every.left_s(now) if self.book.has_catalogue else NEVER_S

    def _report(self, now: datetime) -> None:
        """What became of numbers; and, where they changed, the SKUs that the store doesn't know, or knows twice."""
        told, drift = self.book.unreported(REPORT_AT_ONCE), self.book.drift(REPORT_AT_ONCE)
        body: dict[str, Any] = {
            "writes": [_told_write(each) for each in told],
            "drift": [{**each, "found": _whole(each["found"])} for each in drift],
            "unknown": None,
            "doubled": None,
        }
        lists = self._lists(now)
        if lists is not None:
            body |= lists[1]
        if not (told or drift or lists):
            return
        self._feed.report(body)
        with self._outbox.writing():
            self.book.reported(told)
            self.book.drift_told(drift)
            if lists is not None:
                self._outbox.remember(LISTS, lists[0])

    def _lists(self, now: datetime) -> tuple[str, dict[str, Any]] | None:
        """(hash, lists) where they are another than was told; looked at once a minute."""
        if not self.book.has_catalogue or self._lists_every.left_s(now) > 0:
            return None
        self._lists_every.done(now)
        if self._outbox.recall(COMPLETE) is None:
            return None
        lists = {"unknown": self.book.unknown(MOST_LISTED), "doubled": self.book.doubled(MOST_LISTED)}
        digest = hashlib.sha256(msgspec.json.encode(lists)).hexdigest()
        return None if digest == self._outbox.recall(LISTS) else (digest, lists)

    # -- what the store sells

    def _catalogue_left_s(self, now: datetime) -> float:
        if self.book.feed_place()[1] is None:
            return NEVER_S  # whoever has no numbers for this store needs to know nothing of what it sells
        if self._store() is None or self._outbox.recall(changes.HELD) is not None:
            return self._settings.idle_s
        if self._outbox.recall(CURSOR) is not None:
            return 0.0
        read = self._outbox.recall(READ)
        passed_s = NEVER_S * 24 * 365 if read is None else now.timestamp() - float(read)
        return 0.0 if passed_s < 0 else max(0.0, self._settings.catalogue_h * 3600 - passed_s)

    def _read_catalogue(self, now: datetime) -> None:
        """One page; where it stands is durable with what it says."""
        store = self._store()
        if store is None:
            return
        cursor = self._outbox.recall(CURSOR)
        if cursor is None or self._outbox.recall(BY) != store.name:
            cursor = ""
            with self._outbox.writing():
                self._outbox.remember(PASS, str(int(self._outbox.recall(PASS) or 0) + 1))
                self._outbox.remember(BY, store.name)
                self._outbox.remember(CURSOR, "")
                self.book.looked()
        seen_pass = int(self._outbox.recall(PASS) or 1)
        items, following = store.page(cursor)
        with self._outbox.writing():
            self.book.take_items(items, seen_pass)
            if not store.is_guarded:
                self.book.raised(items)
            if following is not None:
                self._outbox.remember(CURSOR, following)
            else:
                self.book.end_pass(seen_pass, now)
                self._outbox.forget(CURSOR)
                logger.info("catalogue read", by=store.name)
        self._may_be_due = True

    def _relook_left_s(self, now: datetime) -> float:
        if self._outbox.recall(CURSOR) is not None or self.book.next_relook() is None:
            return NEVER_S
        return self._settings.idle_s if self._store() is None else 0.0

    def _relook(self, now: datetime) -> None:
        store, item_id = self._store(), self.book.next_relook()
        if store is None or item_id is None:
            return
        if self.book.relooks() > RELOOK_MOST:
            self._outbox.remember(CURSOR, "")
            self._outbox.forget(BY)
            return
        item = store.item(item_id, self.book.parent_of(item_id))
        with self._outbox.writing():
            if item is None:
                self.book.drop_item(item_id)
            else:
                self.book.take_items([item], 0)
            self.book.looked(item_id)
        self._may_be_due = True

    # -- sweeps

    def sweep_soon(self) -> None:
        """Compare with the store at the next step, and read its catalogue anew."""
        with self._outbox.writing():
            self._outbox.remember(SWEEP_WANTED, "1")
            self._outbox.remember(CURSOR, "")
            self._outbox.forget(BY)

    def _sweep_left_s(self, now: datetime) -> float:
        if self._plugin is None or not changes.uses_plugin(self._outbox) or not self.book.has_catalogue:
            return NEVER_S
        if self._outbox.recall(changes.HELD) is not None:
            return LOOK_S
        if self._sweep is not None or (self._outbox.recall(SWEEP_WANTED) and self._outbox.recall(CURSOR) is None):
            return 0.0
        ended = self._outbox.recall(SWEPT)
        if ended is None:
            return 0.0
        passed_s = now.timestamp() - float(ended)
        return 0.0 if passed_s < 0 else max(0.0, self._settings.sweep_h * 3600 - passed_s)

    def _sweep_on(self, now: datetime) -> None:
        """Open one bucket; what it lists that isn't as written is drift, for the engine to give a new version."""
        assert self._plugin is not None
        sweep = self._sweep = self._sweep or Sweep(small_buckets(self.book.expected()))
        prefix = sweep.to_open[-1]
        if len(prefix) < 4:
            opened = differing(sweep.ours, self._plugin.buckets(prefix), prefix)
            sweep.to_open.pop()
            sweep.to_open += opened
        else:
            listed = self._plugin.bucket(prefix)
            sweep.to_open.pop()
            self._compare(prefix, listed, sweep, now)
        sweep.opened += 1
        if not sweep.to_open:
            self._sweep = None
            with self._outbox.writing():
                self._outbox.remember(SWEPT, str(now.timestamp()))
                self._outbox.forget(SWEEP_WANTED)
            logger.info("swept", opened=sweep.opened, listed=sweep.items, drifted=sweep.drifted)

    def _compare(self, prefix: str, listed: Sequence[Digested], sweep: Sweep, now: datetime) -> None:
        with self._outbox.writing():
            for item in listed:
                sweep.items += 1
                if self.book.sku_of(item.stock_id) != item.sku:
                    self.book.look_again(item.stock_id, now)
                written = self.book.written_to(item.stock_id)
                if written is not None and not _is_over(written[3], now):
                    sku, number, version, _ = written
                    if (item.number, item.version) != (Decimal(number), version):
                        self.book.note_drift(sku, number, item.number, item.status)
                        sweep.drifted += 1
                self.book.swept(item.stock_id, item.stock, item.status)
            there = {item.stock_id for item in listed}
            if sweep.ours.get(prefix, (0, 0))[0] > len(there):
                for stock_id in self.book.managing_in(prefix):
                    if stock_id not in there:
                        self.book.look_again(stock_id, now)

    # -- how the plugin is

    def _health_left_s(self, now: datetime) -> float:
        there = self._plugin is not None and changes.uses_plugin(self._outbox)
        return self._health_every.left_s(now) if there else NEVER_S

    def _ask_health(self, now: datetime) -> None:
        assert self._plugin is not None
        self._health_every.done(now)
        health = self._plugin.health()
        told = {
            "version": health.version,
            "waiting_rows": health.waiting_rows,
            "newest_order_id": health.newest_order_id,
            "missing_hooks": list(health.missing_hooks),
        }
        self._outbox.remember(HEALTH, msgspec.json.encode(told).decode())

    def accept_preview(self, now: datetime) -> None:
        self._outbox.remember(preview.ACCEPTED, iso(now))
        self.wake()

    def release_brake(self) -> None:
        brake.release(self._outbox)
        self.wake()


def status(outbox: Outbox, settings: StockSettings, has_plugin: bool) -> dict[str, Any]:
    """How the store's stock is written, as a heartbeat tells it; from any process that can read the outbox."""
    book, there = StockBook(outbox), has_plugin and changes.uses_plugin(outbox)
    is_off = settings.switch == "off"
    is_accepted = settings.switch == "on" and outbox.recall(preview.ACCEPTED) is not None
    held = outbox.recall(changes.HELD)
    if held is None and not is_off:
        held = "preview" if not is_accepted else "brake" if outbox.recall(BRAKE) is not None else None
    health = outbox.recall(HEALTH) if there else None
    return {
        "writes_by": "off" if is_off else "plugin" if there else "rest",
        "switch": settings.switch,
        "exposed": is_accepted and not there,
        "held": held,
        "version": book.applied_through(),
        "waiting": book.waiting_count(),
        "newer_skus": book.newer_skus(),
        "plugin": None if health is None else msgspec.json.decode(health),
    }


def _told_write(each: Mapping[str, Any]) -> dict[str, Any]:
    at = datetime.fromtimestamp(each["at_s"], UTC)
    return {
        "sku": each["sku"],
        "version": each["version"],
        "number": each["number"],
        "verdict": each["verdict"],
        "stock": _whole(each["stock"]),
        "reason": each["reason"],
        "at": iso(at),
        "as_of": each["as_of"],
    }


def _whole(text: str | None) -> int | None:
    """Whole units of a quantity; a fraction is no unit that could be sold."""
    return None if text is None else int(Decimal(text) // 1)


def _is_over(expires_at: str | None, now: datetime) -> bool:
    """Whether the number's end has come: then the plugin offers the share that the policy leaves for silence."""
    if expires_at is None:
        return False
    try:
        return datetime.fromisoformat(expires_at) <= now
    except (ValueError, TypeError):
        return False
