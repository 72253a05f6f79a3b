"""Posting: intents are marked sent, carried to a party, and their results written; after a crash they are looked up.

A step of a poster does one thing and never sleeps. In this order:

    breaker open? nothing · restored? adopt what the party holds · sent without result? look it up · else: post a batch

An intent is marked sent over the very connection that holds its lane's lock, before the call (K4). A result, its
journal, the waits it ends and the mark that its subject deserves a look are one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, TypeVar

from loguru import logger

from counterfoil_engine.domain.errors import Case, CounterfoilError, DatabaseUnavailable, Retry, Unavailable
from counterfoil_engine.domain.periods import Period, first_open_day
from counterfoil_engine.domain.rules import Rules
from counterfoil_engine.ports import (
    Found,
    Intent,
    LaneHold,
    LaneLost,
    Outcome,
    Posted,
    PostingParty,
    Records,
    Refused,
    RulesBook,
    Unknown,
)
from counterfoil_engine.work import found, ledger
from counterfoil_engine.work.away import came_back, went_away
from counterfoil_engine.work.draw import Draw
from counterfoil_engine.work.switches import stores_on
from counterfoil_engine.work.wire import posting_of

Answer = TypeVar("Answer")

OPEN_DAY_KEPT_S = 60.0  # how long the answer "this period is open" is believed; a refusal for it heals by itself
HISTORY_PART = 4  # one in so many of a call's documents, where something more urgent goes with it
ADOPTED_AT_ONCE = 500


@dataclass(frozen=True)
class Lane:
    """What a poster serves: a party's documents of one entity, in these buckets."""

    party: str
    entity: str
    buckets: Sequence[int]


Choose = Callable[[Any], tuple[PostingParty, bool]]
"""A transaction → the party that counts now, and whether anything new may be posted there."""


class Poster:
    """Serves one lane. jitter: numbers from 0 up to 1, so that lanes don't come back in step after an outage. choose:
    where the party may be replaced by another; None: it is always the same.

    heard: told of each refusal, in its transaction: what it means for the order may be a fact (`work/recalls.py`)."""

    def __init__(
        self,
        records: Records,
        book: RulesBook,
        receiver: PostingParty,
        lane: Lane,
        hold: LaneHold,
        jitter: Callable[[], float] = lambda: 0.0,
        heard: Callable[[Any, Intent, Case], None] = lambda tx, intent, case: None,
        choose: Choose | None = None,
    ) -> None:
        self._records, self._book, self._receiver = records, book, receiver
        self._choose: Choose = choose or (lambda tx: (receiver, True))
        self._lane, self._hold, self._jitter, self._heard = lane, hold, jitter, heard
        self._draw = Draw()
        self._open_days: dict[date, tuple[date, datetime]] = {}
        self._locked: frozenset[str] = frozenset()  # the entity's periods, when this step began
        self._is_closed = False  # the breaker, when this step began

    def step(self) -> bool:
        """Do the next thing, if there is one; whether anything was done."""
        try:
            return self._next()
        except LaneLost:
            logger.warning("lane lost", party=self._lane.party, entity=self._lane.entity)
            self._hold.forget()
            return False
        except DatabaseUnavailable:
            raise  # the loop around it opens the connection anew, and takes the lane anew
        except Retry as error:
            logger.warning("nothing posted", cause=error.cause)  # no rules are loaded yet
            return False

    def give_back(self) -> None:
        """Hand the lane back cleanly, so that the next poster needn't wait."""
        try:
            self._hold.give_back()
        except LaneLost:
            self._hold.forget()

    def forget(self) -> None:
        """The connection broke: its locks are gone, and the lane is taken anew."""
        self._hold.forget()

    def _next(self) -> bool:
        lane, records = self._lane, self._records
        with records.transaction() as tx:
            if not records.identity.is_confirmed(tx):
                return False  # a copy looks nothing up and sends nothing, not even what its original began (R4)
            allowance = records.breakers.allowance(tx, lane.party, lane.entity)
            rules = self._book.current(tx)
            adopt_since = records.identity.to_adopt(tx, lane.party, lane.entity)
            self._locked = self._periods_locked(tx)
            chosen, may_begin = self._choose(tx)
        if chosen is not self._receiver:
            self._receiver, self._open_days = chosen, {}
        if not allowance:
            return False
        self._is_closed = allowance == records.breakers.FULL
        self._hold.take(lane.buckets, self._receiver.commit_lag_s)
        if adopt_since is not None:
            return self._guarded(lambda: self._adopt(rules, adopt_since))
        limit = min(allowance, self._receiver.batch_size)
        lag_s = self._receiver.commit_lag_s
        with records.transaction() as tx:
            usable, now = self._hold.usable(tx), tx.now()
            lost = records.intents.sent_without_result(tx, lane.party, lane.entity, usable, lag_s, limit)
            batch = self._pick(tx, rules, usable, limit) if may_begin and not lost else []
            refused = records.intents.refused_before(tx, batch)
        if lost:
            return self._guarded(lambda: self._look_up(lost, now))
        if not batch and not self._is_closed:
            return self._guarded(self._ask_whether_it_is_back)
        return bool(batch) and self._guarded(lambda: self._send(self._beside_nothing(batch, refused), now))

    def _pick(self, tx: Any, rules: Rules, buckets: Sequence[int], limit: int) -> list[Intent]:
        """Intents that may go now: live first, history never starved. What it steps over waits anew (K6).

        An order's documents go in several calls, one after the other: beside what is more urgent, history gets a part
        of a call only, or each of them would take as long as a full one."""
        lane, records = self._lane, self._records
        batch: list[Intent] = []
        stores = stores_on(records, tx, rules, lane.party)
        for work_class in self._draw.order():
            room = limit - len(batch)
            if batch and work_class == "history":
                room = min(room, max(1, limit // HISTORY_PART))
            if room <= 0:
                break
            ready = records.intents.ready(tx, lane.party, lane.entity, buckets, stores, work_class, room)
            batch += ledger.may_go(records, tx, ready)
        return batch

    def _guarded(self, work: Callable[[], None]) -> bool:
        """A party that is down opens its breaker; one that answers closes it. The intents are left alone (K7)."""
        lane = self._lane
        try:
            work()
        except DatabaseUnavailable:
            raise  # ours, and not the party's
        except CounterfoilError as error:
            logger.warning("party failed", party=lane.party, entity=lane.entity, cause=error.cause)
            with self._records.transaction() as tx:
                went_away(self._records, tx, lane.party, lane.entity, error, self._jitter())
        else:
            if not self._is_closed:
                with self._records.transaction() as tx:
                    came_back(self._records, tx, lane.party, lane.entity)
        return True

    def _ask_whether_it_is_back(self) -> None:
        """Nothing waits for it that could tell."""
        health = self._receiver.health()
        if not health.ok:
            said = health.detail.rstrip(".") or "it says nothing"
            raise Unavailable(f"{found.SAID[self._lane.party]} isn't back: {said}.", "It is asked again by itself.")

    @staticmethod
    def _call(call: Callable[[], Answer]) -> Answer:
        """An adapter maps every foreign error; one that it missed is treated as an outage and never ends a poster."""
        try:
            return call()
        except CounterfoilError:
            raise
        except Exception as error:
            logger.exception("adapter failed")
            raise Unavailable(
                f"The adapter failed ({type(error).__name__}).", "See the engine's log; it is tried again by itself."
            ) from error

    # Posting.

    def _send(self, batch: Sequence[Intent], now: datetime) -> None:
        """Mark, call, record. A batch that is refused as a whole is halved until the culprit stands alone (K6)."""
        # The event's day, or the first open one after it; chosen now, never compared (R1).
        dated = [replace(intent, posting_date=self._posting_date(intent.day, now)) for intent in batch]
        marked, old_numbers = self._mark(dated)
        if self._receiver.commit_lag_s > 0:
            marked = self._resolve(marked)
        if not marked:
            return
        postings = [posting_of(intent, intent.posting_date or intent.day, old_numbers) for intent in marked]
        try:
            outcomes = self._call(lambda: self._receiver.post(postings))
        except Retry:
            raise
        except CounterfoilError as error:
            if len(marked) > 1:
                middle = len(marked) // 2
                self._send(marked[:middle], now)
                self._send(marked[middle:], now)
                return
            outcomes = [Refused(marked[0].key, Case(error.category, error.cause, error.remedy))]
        self._record(marked, outcomes)

    def _beside_nothing(self, batch: Sequence[Intent], refused: Sequence[Intent]) -> list[Intent]:
        """Of these, those in whose slot nothing stands that was refused: an earlier call may have been carried out
        since. What stands is done, and the next revision, under a key of its own, would be a second one (K1)."""
        records = self._records
        there = self._find(refused) if refused else {}
        stand = [one for one in refused if one.key in there]
        if not stand:
            return list(batch)
        with records.transaction() as tx:
            due = [found.settle_refused(records, tx, one, there[one.key], batch) for one in stand]
            ledger.mark_due(records, tx, set().union(*due))
        slots = {one.slot for one in stand}
        return [one for one in batch if one.slot not in slots]

    def _mark(self, batch: Sequence[Intent]) -> tuple[list[Intent], Mapping[str, str]]:
        """Those that are marked as sent, and by slot the ERP's own numbers of what they rest on and was taken over."""
        records = self._records
        with records.transaction() as tx:
            self._hold.confirm(tx)
            records.periods.share(tx, self._lane.entity)
            chosen, may_begin = self._choose(tx)
            if chosen is not self._receiver:
                return [], {}
            batch = [one for one in batch if may_begin or one.state == "sent"]  # what was begun there ends there
            locked = self._periods_locked(tx)  # one that was locked just now: its documents get another date next time
            open_still = [one for one in batch if str(Period.of(one.posting_date or one.day)) not in locked]
            ids = set(records.intents.mark_sent(tx, open_still))
            marked = [intent for intent in batch if intent.id in ids]
            slots = {slot for one in marked if one.document and one.party == "erp" for slot in one.document.after}
            return marked, records.intents.old_numbers(tx, self._lane.entity, slots)

    def _periods_locked(self, tx: Any) -> frozenset[str]:
        """Only what is posted to a ledger has a period."""
        return self._records.periods.locked(tx, self._lane.entity) if self._lane.party == "erp" else frozenset()

    def _posting_date(self, day: date, now: datetime) -> date:
        """The event's day, or the first one after it that both the engine and the party have open."""
        return first_open_day(day, self._locked, lambda on: self._their_open_day(on, now))

    def _their_open_day(self, day: date, now: datetime) -> date:
        known = self._open_days.get(day)
        if known is None or now - known[1] > timedelta(seconds=OPEN_DAY_KEPT_S):
            known = (self._call(lambda: self._receiver.open_day(self._lane.entity, day)), now)
            self._open_days[day] = known
        return known[0]

    def _record(self, batch: Sequence[Intent], outcomes: Sequence[Outcome]) -> None:
        """A key without an answer is unknown, whatever the others say. What is refused is looked for first: who says
        no, say a firewall, may not know that an earlier call was carried out after all."""
        answers = {outcome.key: outcome for outcome in outcomes}
        refused = [one for one in batch if _is_refused(answers.get(one.key))]
        self._write([one for one in batch if one not in refused], answers)
        if refused:
            self._write(self._absent(refused), answers)

    def _absent(self, refused: Sequence[Intent]) -> Sequence[Intent]:
        try:
            return self._resolve(refused)
        except DatabaseUnavailable:
            raise
        except Retry:
            return refused  # it is asked again before anything else goes into their slots

    def _write(self, batch: Sequence[Intent], answers: Mapping[str, Outcome]) -> None:
        """One transaction for all results."""
        posted: list[tuple[Intent, str]] = []
        due: set[ledger.Due] = set()
        with self._records.transaction() as tx:
            for intent in batch:
                match answers.get(intent.key, Unknown(intent.key)):
                    case Posted(number=number):
                        posted.append((intent, number))
                    case Refused(case=case):
                        is_taken = case.category == "conflict" and intent.reverses is None  # by another content (K3)
                        due |= self._refused(tx, intent, case, ledger.NOT_TOLD if is_taken else None)
                        self._heard(tx, intent, case)
                    case Unknown():
                        self._records.intents.no_answer(tx, [intent])
            ledger.mark_due(self._records, tx, due | ledger.done(self._records, tx, posted))

    def _refused(self, tx: Any, intent: Intent, case: Case, taken_by: str | None = None) -> set[ledger.Due]:
        """As `ledger.refused`. A closed period heals: the next date is chosen anew."""
        if case.category == "closed_period":
            self._open_days.clear()
        return ledger.refused(self._records, tx, intent, case, taken_by)

    # Looking up.

    def _look_up(self, intents: Sequence[Intent], now: datetime) -> None:
        """Sent without result, and too long ago to commit unseen: found is done, absent is sent again; but for what a
        later revision followed before a restore: that it was refused was forgotten then (R4)."""
        absent = self._end_overtaken(self._resolve(intents))
        if absent:
            self._send(absent, now)

    def _resolve(self, intents: Sequence[Intent]) -> list[Intent]:
        """Find every key; write what was found; the intents that the party doesn't hold."""
        there = self._find(intents)
        due: set[ledger.Due] = set()
        with self._records.transaction() as tx:
            for intent in intents:
                if intent.key in there:
                    due |= found.settle(self._records, tx, intent, there[intent.key])
            ledger.mark_due(self._records, tx, due)
        return [intent for intent in intents if intent.key not in there]

    def _find(self, intents: Sequence[Intent]) -> Mapping[str, Sequence[Found]]:
        return self._call(lambda: self._receiver.find([intent.key for intent in intents]))

    def _end_overtaken(self, absent: Sequence[Intent]) -> list[Intent]:
        """What is left to be sent of these."""
        if not absent:
            return []
        records = self._records
        with records.transaction() as tx:
            overtaken = records.intents.overtaken(tx, absent)
            over = [intent for intent in absent if intent.id in overtaken]
            refused = [intent for intent in over if records.intents.refuse(tx, intent, released=True)]
            ledger.mark_due(records, tx, {(intent.work_class, intent.about) for intent in refused})
        return [intent for intent in absent if intent not in over]

    # After a restore.

    def _adopt(self, rules: Rules, since: datetime) -> None:
        """Take what the party holds since the last sign of life into the ledger, before the first post (R4)."""
        lane, records = self._lane, self._records
        bearing: dict[str, list[Found]] = {}
        for one in self._call(lambda: list(self._receiver.list_since(since))):
            owner = one.key.split("/", 1)[0]
            if (rules.stores[owner].entity if owner in rules.stores else owner) == lane.entity:
                bearing.setdefault(one.key, []).append(one)
        held = list(bearing.values())
        for start in range(0, len(held), ADOPTED_AT_ONCE):
            self._adopt_chunk(held[start : start + ADOPTED_AT_ONCE])
        with records.transaction() as tx:
            records.identity.adopted(tx, lane.party, lane.entity, since, len(held))
        logger.info("adopted", party=lane.party, entity=lane.entity, documents=len(held))

    def _adopt_chunk(self, chunk: Sequence[Sequence[Found]]) -> None:
        """chunk: by key, the documents that bear it."""
        with self._records.transaction() as tx:
            due = [found.adopt(self._records, tx, self._lane.party, self._lane.entity, bearing) for bearing in chunk]
            ledger.mark_due(self._records, tx, set().union(*due))


def _is_refused(outcome: Outcome | None) -> bool:
    """Refused, and not since its key is there: that much is sure."""
    return isinstance(outcome, Refused) and outcome.case.category != "conflict"
