"""What the engine tells an order of the store: a note for the store's own people, a status, a tracking number. Once.

The order itself remembers what it was told. Its meta data `_counterfoil_updates` lists the last keys, each with a part
of its content's hash; that write comes last and is the durable mark. A note bears its key's end in brackets. So
whoever finds the order half told, after a crash between any two calls, goes on from there:

    read the order · its key is there? done · read the notes · write the note, unless it is there · status and meta data

A status only leads forward. A call whose answer is lost may still be carried out for a while: that long nothing is
read, nor sent again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

from loguru import logger

from counterfoil_agent.backoff import Pause, delay_s
from counterfoil_agent.errors import Blocked, CounterfoilError, Denied, Retry, Unreadable
from counterfoil_agent.outbox import Outbox
from counterfoil_agent.ports import Absent, Clock, OrderState, StoreOrders, Update
from counterfoil_agent.update_book import UpdateBook, Waiting

TOLD, TRACKING = "_counterfoil_updates", "_counterfoil_tracking"
MOST_TOLD = 20  # kept in an order
FINAL = ("completed", "refunded", "cancelled", "trash")
TROUBLE = "trouble:updates"
UNKNOWN_TRIES, UNKNOWN_S = 4, 60.0  # how often an order has to be unknown, and how long apart, until that is believed
UNREADABLE_TRIES = 5
DENIED_S = 60.0
NEVER_S = 3600.0


@dataclass
class Refused(Exception):
    """The order stays as it is; reason: why, a sentence."""

    reason: str
    outcome: str = "refused"


class Updates:
    """Tells the store's orders what waits in the book; one update a step, four calls at most. By the thread that reads
    the store, so that the store is asked one thing at a time. lag_s: how long a lost call may still be carried out."""

    def __init__(self, orders: StoreOrders, outbox: Outbox, clock: Clock, random: Random, lag_s: float) -> None:
        self._orders, self._outbox, self._clock, self._random = orders, outbox, clock, random
        self._book, self._lag_s = UpdateBook(outbox), lag_s
        self._pause = Pause(random)  # while the store lets nothing be written, it can still be read

    def left_s(self, now: datetime) -> float:
        due_s = self._book.next_due_s()
        return NEVER_S if due_s is None else max(due_s - now.timestamp(), self._pause.left_s(now), 0.0)

    def step(self, now: datetime) -> None:
        """Raises Retry where the store is not there, or asks for a pause."""
        waiting = self._book.next(now)
        if waiting is None:
            return
        key = waiting.update.key
        if under_way_s := self._under_way_s(waiting, now):
            self._book.put_off(key, now + timedelta(seconds=under_way_s), waiting.tries)
            return
        try:
            self._tell(waiting.update)
        except Refused as refused:
            self._settle(waiting.update, refused.outcome, refused.reason)
        except Blocked as error:
            self._settle(waiting.update, "refused", error.cause)
        except Denied as error:
            self._denied(waiting, error)
        except (Unreadable, _Unknown) as error:
            self._look_again(waiting, error, now)
        except Retry:
            # Where one order makes the store fail, its neighbours must not wait for it.
            self._put_off(waiting, max(1.0, delay_s(waiting.tries + 1, self._random)), now)
            raise
        else:
            self._settle(waiting.update, "applied", None)

    def _under_way_s(self, waiting: Waiting, now: datetime) -> float:
        """How long a call that nobody saw the end of may still be carried out."""
        if waiting.called_s is None:
            return 0.0
        passed_s = now.timestamp() - waiting.called_s
        return max(0.0, self._lag_s - passed_s) if passed_s >= 0 else self._lag_s

    # -- one update

    def _tell(self, update: Update) -> None:
        state = self._orders.state(update.order_id)
        if isinstance(state, Absent):
            raise _Unknown(update.order_id)
        if bears(state, update):
            return
        status = next_status(state, update.status)
        if update.note is not None and not any(mark_of(update.key) in note for note in self._notes(update)):
            self._book.calling(update.key, self._clock.now())
            self._orders.add_note(update.order_id, f"{update.note} {mark_of(update.key)}")
        self._book.calling(update.key, self._clock.now())
        self._orders.change(update.order_id, status, meta_of(state, update))

    def _notes(self, update: Update) -> Sequence[str]:
        return self._orders.notes(update.order_id)

    # -- what came of it

    def _settle(self, update: Update, outcome: str, reason: str | None) -> None:
        self._book.settle(update.key, outcome, reason, self._clock.now())
        self._works()
        log = logger.bind(subject=f"order {update.order_id}", document=update.key)
        log.info("told") if outcome == "applied" else log.warning("not told", outcome=outcome, reason=reason)

    def _denied(self, waiting: Waiting, error: Denied) -> None:
        self._book.answered(waiting.update.key)
        wait_s = self._pause.failed(self._clock.now(), DENIED_S)
        if self._outbox.recall(TROUBLE) is None:
            logger.warning("may not write", cause=error.cause, remedy=error.remedy, wait_s=round(wait_s, 1))
        self._outbox.remember(TROUBLE, str(error))

    def _look_again(self, waiting: Waiting, error: CounterfoilError, now: datetime) -> None:
        """An order that can't be read now may be there all the same: only often enough it is believed."""
        most = UNREADABLE_TRIES if isinstance(error, Unreadable) else UNKNOWN_TRIES
        if waiting.tries + 1 >= most:
            self._settle(waiting.update, "refused", error.cause)
        else:
            self._put_off(waiting, UNKNOWN_S, now)

    def _put_off(self, waiting: Waiting, wait_s: float, now: datetime) -> None:
        self._book.put_off(waiting.update.key, now + timedelta(seconds=wait_s), waiting.tries + 1)

    def _works(self) -> None:
        self._pause.worked()
        if self._outbox.recall(TROUBLE) is not None:
            logger.info("may write again")
            self._outbox.forget(TROUBLE)


class _Unknown(CounterfoilError):
    def __init__(self, order_id: int) -> None:
        super().__init__(f"The store says that it doesn't know order {order_id}.", "Look for it in the store's trash.")


# What an order bears, and what it may become: pure.


def bears(state: OrderState, update: Update) -> bool:
    """Whether the order was told this already. Raises Refused where it bears the key with another content (K3)."""
    for line in state.told:
        key, _, content = line.rpartition(" ")
        if key == update.key:
            if content != update.hash[: len(content)]:
                raise Refused("It was told so under this key already.", "other_content")
            return True
    return False


def next_status(state: OrderState, wanted: str | None) -> str | None:
    """The status to set; None: it stays. Raises Refused where that would not lead forward."""
    if state.status == "trash":
        raise Refused("The order is in the store's trash.")
    if wanted is None or wanted == state.status:
        return None
    if state.status in FINAL:
        raise Refused(f"The order is {state.status} in the store, so it is not set to {wanted}.")
    return wanted


def mark_of(key: str) -> str:
    """What tells a note in its order: the end of its key, which people can look for."""
    return f"[Counterfoil {key.split('/', 3)[-1]}]"


def meta_of(state: OrderState, update: Update) -> Mapping[str, Any]:
    """The meta data to write: the keys that the order was told, and its tracking numbers where they change."""
    meta: dict[str, Any] = {TOLD: [*state.told, f"{update.key} {update.hash[:16]}"][-MOST_TOLD:]}
    tracking = [each for each in state.tracking if each.get("key") not in (update.reverses, update.key)]
    if update.tracking is not None:
        tracking.append({"key": update.key, "tracking": update.tracking, "carrier": update.carrier or ""})
    if tracking != list(state.tracking):
        meta[TRACKING] = tracking[-MOST_TOLD:]
    return meta
