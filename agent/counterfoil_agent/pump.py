"""From the outbox to the engine: hello, batches, verdicts, heartbeats; and what to do where the two disagree.

Agent and engine recognise each other by the last number that the engine holds and that event's id. Where they differ,
one of the two was restored from a backup: the sequence goes on in a new epoch, in which nothing is lost and what comes
twice is known by its id.

What can't pass is halved until the culprit stands alone. That one is then sent packed as a file, and only once the
engine is seen to answer on that very path, its neighbours having gone on, a tombstone with hash and reason takes its
place. More than a few of those in an hour wait for a person: then it isn't one order that is the trouble.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random
from typing import Any

import msgspec
from counterfoil_contracts.versions import greeting, spoken
from loguru import logger

from counterfoil_agent import __version__, mailbox, snapshot
from counterfoil_agent.backoff import Every, Pause, delay_s
from counterfoil_agent.config import EngineSettings, OutboxSettings
from counterfoil_agent.errors import Blocked, CannotPass, CounterfoilError, Denied, OtherEpoch, Retry, TooLarge
from counterfoil_agent.outbox import NO_EPOCH, FreeBytes, Outbox, Position, Row
from counterfoil_agent.ports import Answer, Clock, Engine, Through, Welcome
from counterfoil_agent.uplink import batch_of

CONTRACTS, FEED_URL, EPOCH_WANTED = "contracts", "feed:url", "epoch:wanted"  # what the outbox remembers
DENIED_S = 60.0
TRIES = 3  # as it is, then packed twice
TOMBSTONES_AN_HOUR = 10
TIDY_S = 60.0
EPOCHS_AT_ONCE = 20
NEVER_S = 3600.0


@dataclass(frozen=True)
class Agreed:
    """How agent and engine go on.

    adopt: the engine's epoch is taken over, what waits is renumbered. new_epoch: the reason to ask for one. again: what
    lies above this number is sent again; all: everything that is kept. reread: the store is read again, since what the
    engine lost is no longer kept here.
    """

    adopt: bool = False
    new_epoch: str | None = None
    again: int | None = None
    all_again: bool = False
    reread: bool = False


def agree(ours: Position, theirs: Welcome, id_of: Callable[[int], str | None]) -> Agreed:
    """Compare both sides' memory (E2). id_of: the id of our row of this number in our epoch; None: not kept."""
    through = theirs.stored_through
    if theirs.epoch != ours.epoch:
        if theirs.epoch > ours.epoch and through.n == 0:
            return Agreed(adopt=True)
        if ours.epoch == NO_EPOCH:
            return Agreed(new_epoch="This installation has sent nothing yet, but the engine holds events of its epoch.")
        if theirs.epoch < ours.epoch:
            # Of the later epoch too rows may be pruned already: what they said is read anew.
            return Agreed(new_epoch="The engine went back to an earlier epoch.", all_again=True, reread=True)
        return Agreed(new_epoch="The agent went back to an earlier epoch.")
    if through.n > ours.last.n:
        return Agreed(new_epoch="The agent's last number is lower than the engine's.")
    if through.n >= ours.through.n and through.n == 0:
        return Agreed()
    kept = id_of(max(through.n, 1))
    if kept is None:
        return Agreed(new_epoch="The engine went back further than events are kept.", all_again=True, reread=True)
    if through.n > 0 and kept != through.id:
        return Agreed(new_epoch="One number stands for two events.", all_again=True)
    return Agreed(again=through.n if through.n < ours.through.n else None)


class Pump:
    """All sending to the engine; one thread."""

    def __init__(
        self,
        engine: Engine,
        outbox: Outbox,
        clock: Clock,
        random: Random,
        store: str,
        settings: EngineSettings,
        bounds: OutboxSettings,
        free_bytes: FreeBytes,
        webhook: Callable[[], Mapping[str, Any] | None] = lambda: None,
        stock: Callable[[], Mapping[str, Any] | None] = lambda: None,
        updates: mailbox.Mailbox | None = None,
        sent: Callable[[Sequence[Row], datetime], None] = lambda rows, now: None,
    ) -> None:
        """updates: None: nothing can be told to the store's orders. sent: told of what the engine holds."""
        self._engine, self._outbox, self._clock, self._random = engine, outbox, clock, random
        self._store, self._settings, self._bounds = store, settings, bounds
        self._free_bytes, self._webhook, self._stock = free_bytes, webhook, stock
        self._pause = Pause(random, settings.longest_pause_s)
        self._beat_every, self._tidy_every = Every(settings.heartbeat_s), Every(TIDY_S)
        self._updates, self._speaks_updates = updates, False
        self._sent = sent
        self._limit = settings.batch_events
        self._retain_s = bounds.retain_days * 86_400
        self._told_invalid_s = 0.0
        self.welcomed = False
        self._has_just_agreed = False  # with nothing stored since the two said hello
        self.trouble: CounterfoilError | None = None  # what the engine said last, while it fails

    def step(self) -> float:
        """One exchange with the engine, at most; returns the seconds until the next is due (0: at once). Never raises
        what the engine does wrong."""
        now = self._clock.now()
        if left_s := self._pause.left_s(now):
            return left_s
        try:
            left_s = self._exchange(now)
        except OtherEpoch as error:
            if self.welcomed and self._has_just_agreed:
                # The two find nothing wrong with what is stored, and yet not even the next batch goes in.
                self._outbox.remember(EPOCH_WANTED, "Another event has one of the next numbers.")
            # Paused like a failure: were both to insist, they would ask each other for ever.
            self.welcomed = False
            self._failed(error, None)
            return 0.0
        except (Denied, CannotPass) as error:
            self.welcomed = False
            self._failed(error, DENIED_S)
            return 0.0
        except Retry as error:
            self._failed(error, error.retry_after_s)
            return 0.0
        return left_s

    def _exchange(self, now: datetime) -> float:
        if not self.welcomed:
            self._hello()
            self._worked()
            return 0.0
        if self._beat_every.left_s(now) <= 0:
            self._beat(now)
            self._worked()
            return 0.0
        if self._updates_left_s(now) <= 0 and self._updates is not None:
            self._updates.exchange(now)
            self._worked()
            return 0.0
        rows = self._alone_or_together(self._outbox.batch(self._limit, self._settings.batch_bytes, now))
        if rows:
            self._send(rows)
            return 0.0
        if self._tidy_every.left_s(now) <= 0:
            self._outbox.prune(now, self._retain_s, self._bounds.share_bytes)
            self._tidy_every.done(now)
        return min(self._settings.idle_s, self._beat_every.left_s(now), self._updates_left_s(now))

    def _updates_left_s(self, now: datetime) -> float:
        if self._updates is None or not self._speaks_updates:
            return NEVER_S
        return self._updates.left_s(now)

    def _failed(self, error: CounterfoilError, at_least_s: float | None) -> None:
        wait_s = self._pause.failed(self._clock.now(), at_least_s)
        if self.trouble is None or type(self.trouble) is not type(error):
            logger.warning("engine failed", cause=error.cause, remedy=error.remedy, wait_s=round(wait_s, 1))
            self._outbox.remember("trouble:engine", str(error))
        self.trouble = error

    def _worked(self) -> None:
        if self.trouble is not None:
            logger.info("engine answers again")
            self._outbox.forget("trouble:engine")
        self._pause.worked()
        self.trouble = None

    # -- hello

    def _hello(self) -> None:
        position = self._outbox.position()
        last = position.last
        welcome = self._engine.hello(
            {
                "store": self._store,
                "installation": self._outbox.installation,
                "agent_version": __version__,
                "contracts": spoken() if self._updates is None else greeting(),
                "epoch": position.epoch or None,
                "last": {"n": last.n, "id": last.id} if position.epoch and last.n and last.id else None,
                "known": self._known(),
            }
        )
        agreed = agree(position, welcome, lambda n: self._outbox.id_of(position.epoch, n))
        wanted = self._outbox.recall(EPOCH_WANTED)
        if wanted is not None and agreed.new_epoch is None and not agreed.adopt:
            agreed = replace(agreed, new_epoch=wanted)
        self._prepare(agreed)
        if agreed.new_epoch is not None:
            welcome = self._next_epoch(welcome, agreed.new_epoch)
        with self._outbox.writing():
            if agreed.adopt or agreed.new_epoch is not None:
                for order_id in self._outbox.overtaken():
                    self._outbox.mark(order_id, self._clock.now(), again=True)
                moved = self._outbox.renumber(welcome.epoch)
                self._outbox.forget(EPOCH_WANTED)
                self._outbox.expect(welcome.orders, self._clock.now())
                logger.info("epoch", epoch=welcome.epoch, renumbered=moved, read_again=len(welcome.orders))
            if welcome.contracts:
                self._outbox.remember(CONTRACTS, msgspec.json.encode(welcome.contracts).decode())
            if welcome.feed_url is not None:
                self._outbox.remember(FEED_URL, welcome.feed_url)
            self._outbox.stored_through(welcome.stored_through, self._clock.now())
        if welcome.retain_s is not None:
            self._retain_s = max(self._bounds.retain_days * 86_400, welcome.retain_s)
        self._speaks_updates = mailbox.CONTRACT in welcome.contracts
        self.welcomed = self._has_just_agreed = True

    def _known(self) -> dict[str, int]:
        """Up to where all that the engine stored is surely here: of what came after it tells the orders."""
        position = self._outbox.position()
        return {"epoch": position.epoch if position.through.n else NO_EPOCH, "n": position.through.n}

    def _next_epoch(self, welcome: Welcome, reason: str) -> Welcome:
        """Ask for the epoch after the engine's, until it is one that the outbox hasn't used: an engine restored from a
        backup grants again those that it forgot."""
        for _ in range(EPOCHS_AT_ONCE):
            logger.warning("asking for a new epoch", epoch=welcome.epoch, reason=reason)
            asked = {"store": self._store, "installation": self._outbox.installation, "epoch": welcome.epoch}
            granted = self._engine.new_epoch({**asked, "reason": reason, "known": self._known()})
            welcome = replace(
                granted, retain_s=welcome.retain_s, contracts=welcome.contracts, feed_url=welcome.feed_url
            )
            if welcome.epoch > self._outbox.newest_epoch():
                return welcome
        raise Retry("The engine grants only epochs that were used before.", "It asks on from there by itself.")

    def _prepare(self, agreed: Agreed) -> None:
        """Durable before an epoch is asked for: were the answer lost, the next hello would no longer know why."""
        with self._outbox.writing():
            if agreed.all_again or agreed.again is not None:
                again = self._outbox.unacknowledge(None if agreed.all_again else agreed.again)
                logger.warning("sending again: the engine went back", events=again)
            if agreed.reread:
                self._outbox.forget_latest()
                self._outbox.forget("reread:ended")
                self._outbox.forget("through")  # even that an order is gone may have been lost there

    # -- events

    def _alone_or_together(self, rows: list[Row]) -> list[Row]:
        """What couldn't pass before is sent by itself, so that it can't spoil its neighbours again."""
        if rows and rows[0].tries:
            return rows[:1]
        return [row for place, row in enumerate(rows) if not any(each.tries for each in rows[: place + 1])]

    def _send(self, rows: Sequence[Row]) -> None:
        self._outbox.attempted(rows, self._clock.now())
        try:
            answer = self._engine.events(batch_of([row.encoded(self._store) for row in rows]), rows[0].tries > 0)
        except (TooLarge, Blocked) as error:
            self._cannot_pass(rows, error)
            return
        except OtherEpoch:
            if rows[0].n <= self._outbox.position().through.n:
                # Somebody else's is there, and what the two hold last tells nothing of it.
                self._outbox.remember(EPOCH_WANTED, "Another event has a number that was stored long since.")
            raise
        self._settle(rows, answer)
        self._worked()
        self._limit = min(self._settings.batch_events, self._limit * 2)

    def _settle(self, rows: Sequence[Row], answer: Answer) -> None:
        """Verdicts, watermark and holes, durable together."""
        now = self._clock.now()
        self._has_just_agreed = False
        by_place = {(row.n, row.id): row for row in rows}
        verdicts = [said for said in answer.verdicts if (said.n, said.id) in by_place]
        with self._outbox.writing():
            done = self._outbox.acknowledge(verdicts, now)
            for said in verdicts:
                if said.verdict == "refused":
                    self._bury(by_place[said.n, said.id], f"The engine refused it: {said.reason or 'no reason'}", now)
            # Of an engine that went back the hello finds out what it lost: its holes are no numbers that never were.
            if self._heard(answer.stored_through, now) and answer.holes:
                self._outbox.fill(answer.holes, now)
        if not verdicts:
            raise Retry("The engine answered without a verdict on what was sent.", "Look into the engine's log.")
        self._sent(rows, now)
        logger.info("sent", events=len(rows), stored=done, first=rows[0].n, last=rows[-1].n)

    def _heard(self, through: Through | None, now: datetime) -> bool:
        """What the engine holds, said with any answer: where that doesn't fit ours, both say hello again, and False."""
        if through is None:
            return True
        ours = self._outbox.position()
        kept = self._outbox.id_of(ours.epoch, through.n)
        if through.n < ours.through.n or through.n > ours.last.n or (kept is not None and kept != through.id):
            self.welcomed = False
            return False
        self._outbox.stored_through(through, now)
        return True

    def _cannot_pass(self, rows: Sequence[Row], error: TooLarge | Blocked) -> None:
        if len(rows) > 1:
            self._limit = max(1, len(rows) // 2)
            return
        row, now = rows[0], self._clock.now()
        wait_s = delay_s(row.tries + 1, self._random, first_s=10.0)
        tries = self._outbox.hold(row, now + timedelta(seconds=wait_s))
        logger.bind(subject=f"order {row.order_id}").warning("can't pass", n=row.n, tries=tries, cause=error.cause)
        if tries >= TRIES and self._engine.reaches():
            self._bury(row, error.cause, now)

    def _bury(self, row: Row, reason: str, now: datetime) -> None:
        """Let the number go on without what it said; unless it isn't this event that is the trouble."""
        lately = self._outbox.buried_since(now - timedelta(hours=1))
        if row.type in (snapshot.TOMBSTONE, snapshot.VOID) or lately >= TOMBSTONES_AN_HOUR:
            self._outbox.hold(row, now + timedelta(hours=1))
            logger.error("waits for a person: too much can't pass", n=row.n, tombstones_an_hour=lately, reason=reason)
            return
        self._outbox.bury(row, reason, now)
        logger.bind(subject=f"order {row.order_id}").error("tombstone", n=row.n, reason=reason)

    # -- heartbeat

    def _beat(self, now: datetime) -> None:
        # One that fails isn't tried again at once: the events behind it matter more.
        self._beat_every.done(now)
        body = msgspec.json.encode(self.vital_signs(now))
        trace, span = self._random.getrandbits(128) | 1, self._random.getrandbits(64) | 1
        event = snapshot.envelope(
            self._store,
            event_id=self._outbox.draw_id(),
            event_type=snapshot.HEARTBEAT,
            time=snapshot.iso(now),
            traceparent=f"00-{trace:032x}-{span:016x}-01",
            body=body,
        )
        through = self._engine.heartbeat(event)
        self._told_invalid_s = now.timestamp()
        self._heard(through, now)

    def vital_signs(self, now: datetime) -> dict[str, Any]:
        depth = self._outbox.depth()
        return {
            "depth_events": depth.waiting,
            "oldest_age_s": None if depth.oldest_s is None else max(0.0, round(now.timestamp() - depth.oldest_s, 1)),
            "newest_order_id": self._outbox.newest_order_id(),
            "clock_offset_s": self._engine.clock_offset_s,
            "outbox_bytes": self._outbox.size_bytes(),
            "disk_free_bytes": self._free_bytes(),
            "webhook": self._webhook(),
            "agent_version": __version__[:40],
            "stock": self._stock(),
            "sent_invalid": self._outbox.kept_invalid(self._told_invalid_s),
        }
