"""The plugin's change log into the outbox: each row read once, its moves with exactly one event, then acknowledged.

* Rows of one order are served by one read of it over REST, but for those that carry what the order was when they were
  written (money, deletions): these become events of their own, before that read.
* An event and the rows and moves that it holds are one transaction (`taken.py`); the plugin is told after it.
* Stock that was edited by hand belongs to no order: an event of its own.
* The plugin's fingerprint is pinned at the first answer. A copy of the store, or a store that went back to a backup,
  is not read on, neither here nor over REST, until a person says so.
* A plugin that doesn't answer to its name any more for a while is gone: the store is read over REST alone, as before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from random import Random
from typing import Any

import msgspec
from loguru import logger

from counterfoil_agent import snapshot, taken
from counterfoil_agent.backoff import Every, Pause, delay_s
from counterfoil_agent.config import PluginSettings
from counterfoil_agent.errors import CounterfoilError, Denied, NotThere, Retry, Stop, Unreadable
from counterfoil_agent.gone import Gone
from counterfoil_agent.outbox import Known, Outbox, Row
from counterfoil_agent.ports import Absent, Clock, LoggedMove, LogPage, LogRow, Plugin
from counterfoil_agent.pump import CONTRACTS, EPOCH_WANTED
from counterfoil_agent.stock_book import StockBook

PAGE_ROWS = 1000
APART_S = 0.5  # between two reads of the log, however often it is nudged
HELD_LOOK_S = 60.0
UNSURE_S = 60.0  # so long a plugin that fails may be that of a copy: its next answer tells
GONE_AFTER_S = 120.0  # a plugin that is being updated is away for some seconds
BACK_FOR_S = 3600.0  # how long after it was away orders of that time may still be read
FINGERPRINT, HEAD, HELD = "plugin:fingerprint", "plugin:head", "plugin:held"
THERE, LOST, BACK = "plugin:there", "plugin:lost", "plugin:back"
COPY, WENT_BACK = "copy", "went-back"
TROUBLE = "trouble:plugin"
DENIED_S = 60.0

WHY = {
    COPY: (
        "The shop is not the one that was paired: it may be a copy.",
        "If it is a copy, stop this agent. If it is the real shop, pair the plugin again (WooCommerce, Counterfoil),"
        " set the new key, and run counterfoil-agent accept-restored-store.",
    ),
    WENT_BACK: (
        "The shop went back: its log ends before what was acknowledged, so it was restored from a backup.",
        "See that it is the real shop, then run counterfoil-agent accept-restored-store: it goes on in a new epoch.",
    ),
}

Whole = Callable[[int, Known, Sequence[bytes] | None], "tuple[snapshot.Head, snapshot.Event] | Absent"]


@dataclass
class Group:
    """Rows of one object, in their order, with the moves of each."""

    object: str
    object_id: int
    rows: list[LogRow]
    moves: dict[int, list[LoggedMove]]

    def moves_of(self, rows: Sequence[LogRow]) -> list[LoggedMove]:
        return [move for row in rows for move in self.moves.get(row.id, ())]


class _Kept(msgspec.Struct):
    order: msgspec.Raw
    refunds: list[msgspec.Raw] = []


class _Edit(msgspec.Struct):
    # "from" is a keyword in Python.
    before: str | None = msgspec.field(default=None, name="from")
    to: str | None = None
    how: Any = None
    user: Any = None


def held(outbox: Outbox) -> Stop | None:
    """Why the store isn't served until a person has looked; None: it is."""
    kept = outbox.recall(HELD)
    return Stop(*WHY[kept], "conflict") if kept in WHY else None


def uses_plugin(outbox: Outbox) -> bool:
    """Whether the plugin serves this store now: then its moves count, and it guards the writes of stock."""
    return outbox.recall(THERE) == "1"


def accept_restored_store(outbox: Outbox) -> None:
    """A person says that this is the store to go on with: in a new epoch, with everything looked at again."""
    with outbox.writing():
        if outbox.recall(HELD) is None:
            return
        for key in (HELD, HEAD, FINGERPRINT, "reread:ended"):
            outbox.forget(key)
        taken.forget_all(outbox)
        outbox.remember(EPOCH_WANTED, "The store was restored from a backup, and a person said to go on.")
        outbox.remember("stock:again", "1")


class Changes:
    """One thread's reading of the log: one group of rows a step. `nudge` may be called from any thread.

    whole: reads an order with its refunds over REST."""

    def __init__(
        self,
        plugin: Plugin,
        outbox: Outbox,
        clock: Clock,
        random: Random,
        settings: PluginSettings,
        gone: Gone,
        whole: Whole,
    ) -> None:
        self._plugin, self._outbox, self._clock, self._random = plugin, outbox, clock, random
        self._gone, self._whole, self._book = gone, whole, StockBook(outbox)
        self._every, self._held_every = Every(settings.poll_s), Every(HELD_LOOK_S)
        self._groups: deque[Group] = deque()
        self._off: dict[tuple[str, int], tuple[int, datetime]] = {}  # groups that failed: how often, until when
        self._nudges, self._answered = 0, 0  # how many words came; how many of them the last read is an answer to
        self._again = False  # the last page was full
        self._asked: datetime | None = None
        self._pause = Pause(random)
        self.trouble: CounterfoilError | None = None  # what the plugin said last, while it fails
        self._fails_since: datetime | None = None
        self.heard: Callable[[int, datetime], None] = lambda order_id, at: None  # told of orders, and when they changed

    def nudge(self) -> None:
        self._nudges += 1

    @property
    def is_well(self) -> bool:
        """Whether the log tells what happens, so that polling is but a safety net."""
        return self.trouble is None and uses_plugin(self._outbox) and self._outbox.recall(LOST) is None

    def has_all_moves(self, now: datetime) -> bool:
        """Whether an order that is read apart from the log had all its moves told there. Not where the plugin is away,
        or was a moment ago: then the order's lines have to speak for themselves."""
        back = self._outbox.recall(BACK)
        return self.is_well and (back is None or now.timestamp() - float(back) >= BACK_FOR_S)

    def is_still_ours(self, now: datetime) -> bool:
        """Asked just before the shop is read over REST: its address may lead to a copy since the log was read last.
        Where the plugin doesn't answer, the log is read next (`is_unsure`)."""
        if not self.is_well:
            return True
        try:
            page = self._plugin.changes(1)
        except Denied as error:
            if error.slug == COPY:
                self._hold(COPY, now)
            return error.slug != COPY
        except NotThere:
            return True
        except Retry as error:
            self._failed(error, now, error.retry_after_s)
            return False
        return self._is_ours(page, now)

    def is_unsure(self, now: datetime) -> bool:
        """Whether the plugin has begun to fail just now: it may not be the paired shop that fails. Later a plugin that
        still says nothing holds up no order."""
        since = self._fails_since
        is_expected = self._outbox.recall(THERE) != "0"  # it served this store, or nobody has asked it yet
        return since is not None and is_expected and (now - since).total_seconds() < UNSURE_S

    def left_s(self, now: datetime) -> float:
        if self._outbox.recall(HELD):
            return self._held_every.left_s(now)
        if self._groups or self._owed() is not None or self._has_places():
            return 0.0
        if left_s := self._pause.left_s(now):
            return left_s
        if self._nudges == self._answered and not self._again and not taken.has_more_to_tell(self._outbox):
            return self._every.left_s(now)
        apart_s = 0.0 if self._asked is None else APART_S - (now - self._asked).total_seconds()
        return min(max(0.0, apart_s), APART_S)

    def step(self, now: datetime) -> None:
        """Read a page, or take one group of it. May raise what the store's REST API raises; the plugin's own failures
        don't stop what is read over REST."""
        if self._groups:
            self._next_group(now)
            return
        if self._pay(now):
            return
        try:
            self._read(now)
        except NotThere as error:
            self._answered = self._nudges
            self._every.done(now)
            self._lost(error, now)
        except Denied as error:
            if error.slug == COPY:
                self._hold(COPY, now)
            else:
                self._failed(error, now, DENIED_S)
        except Retry as error:
            self._failed(error, now, error.retry_after_s)
        else:
            self._pause.worked()
            if self.trouble is not None:
                logger.info("the plugin answers again")
                self._outbox.forget(TROUBLE)
            self.trouble = self._fails_since = None

    def _failed(self, error: CounterfoilError, now: datetime, at_least_s: float | None) -> None:
        wait_s = self._pause.failed(now, at_least_s)
        if self.trouble is None or type(self.trouble) is not type(error):
            logger.warning("the plugin failed", cause=error.cause, remedy=error.remedy, wait_s=round(wait_s, 1))
            self._outbox.remember(TROUBLE, str(error))
        self.trouble, self._fails_since = error, self._fails_since or now

    # -- a page of the log

    def _read(self, now: datetime) -> None:
        """Tell what was taken, then ask for what is new."""
        if self._outbox.recall(HELD) == WENT_BACK:
            self._held_every.done(now)
            return
        if self._outbox.recall(HELD) is None:
            taken.tell(self._outbox, self._plugin)
            if self._nudges == self._answered and not self._again and self._every.left_s(now) > 0:
                return
        nudges = self._nudges
        page = self._plugin.changes(PAGE_ROWS)
        self._asked, self._answered = now, nudges
        self._found(now)
        if not self._is_ours(page, now):
            return
        new, moves = self._new_of(page)
        self._groups.extend(self._grouped(new, moves, now))
        self._again = len(page.rows) >= PAGE_ROWS and bool(self._groups)  # there may be more behind them
        self._every.done(now)

    def _new_of(self, page: LogPage) -> tuple[list[LogRow], list[LoggedMove]]:
        """Rows and moves that aren't taken yet. A request of more than a minute is read while it goes on, and may add
        moves to its row after that."""
        moves = [move for move in page.moves if not taken.is_taken(self._outbox, move.move_id)]
        moved = {move.row_id for move in moves}
        new = [row for row in page.rows if row.id in moved or not taken.is_taken(self._outbox, row.event_id)]
        known = {row.id for row in page.rows} - {row.id for row in new}
        shown_again = [row.event_id for row in page.rows if row.id in known]
        taken.is_shown_again(self._outbox, shown_again + [move.move_id for move in page.moves if move.row_id in known])
        return new, moves

    def _is_ours(self, page: LogPage, now: datetime) -> bool:
        kept = self._outbox.recall(FINGERPRINT)
        if kept is not None and kept != page.fingerprint:
            self._hold(COPY, now)
            return False
        head = int(self._outbox.recall(HEAD) or 0)
        if page.head < head or any(taken.is_another(self._outbox, row) for row in page.rows if row.id <= head):
            self._hold(WENT_BACK, now)
            return False
        if self._outbox.recall(HELD):
            logger.info("the shop is the paired one again")
        with self._outbox.writing():
            self._outbox.remember(FINGERPRINT, page.fingerprint)
            self._outbox.forget(HELD)
        return True

    def _hold(self, why: str, now: datetime) -> None:
        """Read nothing on. A shop that went back stays held until a person has looked, whatever it says later."""
        self._held_every.done(now)
        if self._outbox.recall(HELD) != WENT_BACK:
            if self._outbox.recall(HELD) != why:
                logger.error("held", cause=WHY[why][0], remedy=WHY[why][1])
            self._outbox.remember(HELD, why)

    def _found(self, now: datetime) -> None:
        if not uses_plugin(self._outbox):
            logger.info("the plugin serves this shop")
        with self._outbox.writing():
            self._outbox.remember(THERE, "1")
            if self._outbox.recall(LOST) is not None:
                self._outbox.forget(LOST)
                self._outbox.remember(BACK, str(now.timestamp()))

    def _lost(self, error: NotThere, now: datetime) -> None:
        since = self._outbox.recall(LOST)
        if since is None:
            self._outbox.remember(LOST, str(now.timestamp()))
        elif uses_plugin(self._outbox) and now.timestamp() - float(since) >= GONE_AFTER_S:
            self._outbox.remember(THERE, "0")
            logger.warning("the plugin is gone, REST alone from now on", cause=error.cause, remedy=error.remedy)

    def _grouped(self, rows: Sequence[LogRow], moves: Sequence[LoggedMove], now: datetime) -> list[Group]:
        """Orders first, in the order of each one's first row; without those that failed a moment ago."""
        self._off = {key: off for key, off in self._off.items() if off[1] > now - timedelta(hours=1)}
        by_row: dict[int, list[LoggedMove]] = {}
        for move in moves:
            by_row.setdefault(move.row_id, []).append(move)
        groups: dict[tuple[str, int], Group] = {}
        for row in sorted(rows, key=lambda row: row.id):
            key = (row.object, row.object_id)
            if key in self._off and self._off[key][1] > now:
                continue
            group = groups.setdefault(key, Group(*key, [], {}))
            group.rows.append(row)
            group.moves[row.id] = by_row.get(row.id, [])
        return sorted(groups.values(), key=lambda group: not _is_order(group))

    def _next_group(self, now: datetime) -> None:
        group = self._groups[0]
        if not _is_order(group):
            self._take_others(now)
            return
        try:
            self._take_order(group, now)
        except (Retry, Denied):
            # Where one order makes the shop fail, its neighbours must not wait for it.
            tries = self._off.get((group.object, group.object_id), (0, now))[0] + 1
            until = now + timedelta(seconds=max(1.0, delay_s(tries, self._random, longest_s=3600.0)))
            self._off[group.object, group.object_id] = (tries, until)
            self._groups.popleft()
            raise
        self._off.pop((group.object, group.object_id), None)
        self._groups.popleft()

    def _note(self, group: Group, rows: Sequence[LogRow], event: Row | None, now: datetime) -> None:
        taken.note(self._outbox, rows, group.moves_of(rows), event, now)
        head = max([int(self._outbox.recall(HEAD) or 0), *(row.id for row in rows)])
        self._outbox.remember(HEAD, str(head))

    # -- an order's rows

    def _take_order(self, group: Group, now: datetime) -> None:
        """Rows that carry the order first, one event each; then one read for all others. Each is durable at once."""
        with suppress(ValueError):  # it is only for a trace
            self.heard(group.object_id, datetime.fromisoformat(group.rows[0].at))
        carrying = [row for row in group.rows if row.payload is not None or row.kind == "deleted"]
        others = [row for row in group.rows if row not in carrying]
        is_deleted = any(row.kind == "deleted" for row in carrying)
        is_bare = bool(others)
        for row in carrying:
            # After a deletion there is nothing left to be read: what the others moved goes along with it.
            along = others if row.kind == "deleted" else []
            if not self._take_carried(group, row, along, now):
                others.append(row)
        if is_bare and not is_deleted:
            self._take_read(group, others, now)
        elif others and not is_deleted:
            with self._outbox.writing():
                moves = [move.raw for move in group.moves_of(others)]
                self._note(group, others, self._append_moves(group.object_id, moves, now), now)

    def _take_carried(self, group: Group, row: LogRow, along: Sequence[LogRow], now: datetime) -> bool:
        """What the order was until this row's next change; False where the engine is told of a later state already."""
        rows = [*along, row]
        moves = [move.raw for move in group.moves_of(rows)]
        event = _kept_order(row, group.object_id, moves)
        if event is not None and self._is_past(event):
            event = None
        if event is None and row.kind != "deleted":
            return False
        with self._outbox.writing():
            appended = (
                self._append(event, now, by_log=True) if event else self._append_moves(group.object_id, moves, now)
            )
            self._note(group, rows, appended, now)
            if row.kind == "deleted" and not self._outbox.known(group.object_id).gone:
                self._deleted(group.object_id, row, now)
        return True

    def _is_past(self, event: snapshot.Event) -> bool:
        """Whether a later state was read over REST meanwhile: an older one after it would revive what is over. Rows of
        the log are in their order."""
        known = self._outbox.known(event.order_id)
        if known.latest is None or not event.modified or not known.modified:
            return False
        return event.modified < known.modified or (event.modified == known.modified and not known.by_log)

    def _deleted(self, order_id: int, row: LogRow, now: datetime) -> None:
        if self._outbox.known(order_id).latest is None:
            return  # of an order that was never sent there is nothing to take back
        if self._speaks("gone", 2):
            self._gone.deleted(order_id, row.event_id, row.at)
        else:
            self._outbox.miss(order_id, now)

    def _take_read(self, group: Group, rows: Sequence[LogRow], now: datetime) -> None:
        order_id = group.object_id
        known, moves = self._outbox.known(order_id), [move.raw for move in group.moves_of(rows)]
        try:
            found = self._whole(order_id, known, moves)
        except Unreadable as error:
            self._take_unreadable(group, rows, error, now)
            return
        with self._outbox.writing():
            if isinstance(found, Absent):
                self._note(group, rows, self._append_moves(order_id, moves, now), now)
                if known.latest is not None and not known.gone:
                    self._outbox.miss(order_id, now)
                return
            head, event = found
            if snapshot.is_draft(head) and known.latest is None and not moves:
                self._note(group, rows, None, now)
                return
            self._note(group, rows, self._append(event, now), now)
            self._outbox.seen(order_id, snapshot.moment_of(head.date_created_gmt), None, bool(head.refunds))

    def _take_unreadable(self, group: Group, rows: Sequence[LogRow], error: Unreadable, now: datetime) -> None:
        """The order can't be sent, its moves can: the basis must not wait for somebody to mend a plugin."""
        moves = [move.raw for move in group.moves_of(rows)]
        with self._outbox.writing():
            self._append(snapshot.unreadable_event(group.object_id, error), now)
            self._note(group, rows, self._append_moves(group.object_id, moves, now), now)
        logger.bind(subject=f"order {group.object_id}").error("unreadable", cause=error.cause)

    def _append_moves(self, order_id: int, moves: Sequence[bytes], now: datetime) -> Row | None:
        if not moves or not self._speaks("stock", 1):
            return None
        return self._append(snapshot.stock_event(0, "", moves, order_id), now)

    # -- products and their stock

    def _take_others(self, now: datetime) -> None:
        """All groups that ask nothing of the store, together: an import of many products is one write to the disk."""
        with self._outbox.writing():
            for group in self._groups:
                if not _is_order(group):
                    self._take_other(group, now)
        self._groups = deque(group for group in self._groups if _is_order(group))

    def _take_other(self, group: Group, now: datetime) -> None:
        for row in group.rows:
            moves = [move.raw for move in group.moves_of([row])]
            appended = None
            if row.kind == "set" and group.object_id > 0:
                sku = self._book.sku_of(group.object_id) or ""
                moves.append(_set_move(row, sku))
                if self._speaks("stock", 1):
                    appended = self._append(snapshot.stock_event(group.object_id, sku, moves), now)
            elif moves:
                appended = self._append_moves_of_none(moves, now)
            self._note(group, [row], appended, now)
            if group.object == "product" and group.object_id > 0:
                # Its SKU, or who manages its stock, may have changed.
                self._book.look_again(group.object_id, now)

    def _append_moves_of_none(self, moves: Sequence[bytes], now: datetime) -> Row | None:
        return self._append(snapshot.stock_event(0, "", moves), now) if self._speaks("stock", 1) else None

    # -- what is owed for tombstones

    def _owed(self) -> taken.Owed | None:
        """Moves that the engine waits for; a store without the plugin has none."""
        if not uses_plugin(self._outbox):
            return None
        owed = taken.next_owed(self._outbox)
        return owed if owed is not None and self._speaks("stock", 1) else None

    def _pay(self, now: datetime) -> bool:
        if (owed := self._owed()) is not None:
            taken.pay(self._outbox, owed, now)
            return True
        if self._has_places():
            taken.tell_places(self._outbox, now)
            return True
        return False

    def _has_places(self) -> bool:
        there = taken.has_places_to_tell(self._outbox)
        return there and uses_plugin(self._outbox) and self._speaks("stock", 1)

    def _speaks(self, contract: str, version: int) -> bool:
        """Whether the engine knows this contract; an engine that was never reached is taken for one of today."""
        kept = self._outbox.recall(CONTRACTS)
        return kept is None or msgspec.json.decode(kept, type=dict[str, int]).get(contract, 0) >= version

    def _append(self, event: snapshot.Event, now: datetime, by_log: bool = False) -> Row | None:
        row = self._outbox.append(event, now, by_log)
        if row is not None:
            named = "stock" if event.type == snapshot.STOCK else "order"
            log = logger.bind(subject=f"{named} {event.order_id}")
            log.info("read", type=event.type, epoch=row.epoch, n=row.n)
        return row


def _is_order(group: Group) -> bool:
    return group.object == "order" and 0 < group.object_id <= snapshot.LARGEST_ID


def _kept_order(row: LogRow, order_id: int, moves: Sequence[bytes]) -> snapshot.Event | None:
    """The order as a row carries it; None where what it carries is no order that can be read."""
    if row.payload is None:
        return None
    try:
        kept = msgspec.json.decode(row.payload, type=_Kept)
        event = snapshot.order_event(bytes(kept.order), [bytes(refund) for refund in kept.refunds], moves)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, Unreadable):
        logger.bind(subject=f"order {order_id}").warning("what a row carries can't be read", row=row.id)
        return None
    return event if event.order_id == order_id else None


def _set_move(row: LogRow, sku: str) -> bytes:
    """The move of an edit: by how much the stock changed, who did it and how, as far as the plugin saw it."""
    quantity, edit = "0", _Edit()
    try:
        edit = msgspec.json.decode(row.payload or b"{}", type=_Edit)
        change = Decimal(edit.to or "") - Decimal(edit.before or "0")
        quantity = format(change.normalize(), "f") if change.is_finite() else "0"
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, InvalidOperation):
        pass
    move = {
        "move_id": row.event_id,
        "order_item_id": 0,
        "stock_id": row.object_id,
        "sku": sku[:500],
        "quantity": quantity[:40],
        "kind": "set",
        "at": row.at,
        "how": edit.how[:40] if isinstance(edit.how, str) else None,
        "user_id": edit.user if isinstance(edit.user, int) and 0 <= edit.user <= snapshot.LARGEST_ID else None,
    }
    return msgspec.json.encode(move)
