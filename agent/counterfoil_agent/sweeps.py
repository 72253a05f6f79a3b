"""Answers to the engine's sweeps: what the store has, by digests and totals, asked and answered over one mailbox.

One thread does it, one request to the store or to the engine a step. A question is worked on by a generator that yields
the seconds to leave before its next request: that is the budget of what is read over REST. Nothing of it is durable: a
question that was lost is handed out again. It writes nothing into the store, and only reads the stock book.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Protocol

import msgspec
from loguru import logger

from counterfoil_agent import changes, sweep_tree
from counterfoil_agent.backoff import Every
from counterfoil_agent.digests import Sweep, differing, small_buckets
from counterfoil_agent.errors import CounterfoilError, Denied, NotThere, Retry
from counterfoil_agent.outbox import NO_EPOCH, Outbox
from counterfoil_agent.ports import Ask, Clock, Digested, OrderTotals, Plugin, Store, StoreStock
from counterfoil_agent.pump import CONTRACTS
from counterfoil_agent.snapshot import iso
from counterfoil_agent.stock_book import StockBook, sku_key
from counterfoil_agent.sweep_tree import Seen

CONTRACT = "sweeps"  # as both sides name it at hello
POLL_S = 20.0  # between two questions whether anything is asked
DENIED_S = 300.0
LOOK_FRESH_S = 600.0  # how long what the store was seen to have answers for the buckets opened after it
TRIES, AGAIN_S = 3, 10.0
MOST_ITEMS = 5_000
NOTED_AT_ONCE = 1_000
MOST_ON_THEIR_WAY = 10_000
DAY_PAGE = 100
DRAFTS = ("auto-draft", "draft", "checkout-draft", "new")

Task = Mapping[str, Any]
Answer = dict[str, Any]
Work = Generator[float, None, Answer]


class SweepLine(Protocol):
    """The engine's mailbox of sweeps. May raise Unavailable, RateLimited or Denied."""

    def exchange(self, answers: list[Answer], limit: int) -> list[Task]:
        """Give the answers, take what else is asked."""


class Unanswerable(CounterfoilError):
    """What is asked can't be said now; cause and remedy go to the engine."""


class Sweeper:
    """All questions of sweeps; for one thread. held: why stock isn't written now, None: it is."""

    def __init__(
        self,
        line: SweepLine,
        outbox: Outbox,
        clock: Clock,
        store: Store,
        plugin: Plugin | None,
        stock: StoreStock | None,
        held: Callable[[], str | None],
        poll_s: float = POLL_S,
    ) -> None:
        self._line, self._outbox, self._clock, self._store = line, outbox, clock, store
        self._plugin, self._stock, self._held = plugin, stock, held
        self._book = StockBook(outbox)
        self._poll_s, self._poll_every = poll_s, Every(poll_s)
        self._denied_every: Every | None = None
        self._task: Task | None = None
        self._work: Work | None = None
        self._resume_at: datetime | None = None
        self._tries = 0
        self._answers: list[Answer] = []
        self._looked: tuple[datetime, dict[str, Seen]] | None = None

    def step(self) -> float:
        """One request, at most; returns the seconds until there is something to do again (0: at once)."""
        now = self._clock.now()
        if self._work is not None:
            left_s = 0.0 if self._resume_at is None else (self._resume_at - now).total_seconds()
            if left_s > 0:
                return left_s
            self._go_on(now)
            return 0.0
        if not self._is_spoken():
            return self._poll_s
        if self._denied_every is not None and (left_s := self._denied_every.left_s(now)):
            return left_s
        if not self._answers and (left_s := self._poll_every.left_s(now)):
            return left_s
        return self._exchange(now)

    def _is_spoken(self) -> bool:
        kept = self._outbox.recall(CONTRACTS)
        return kept is not None and CONTRACT in msgspec.json.decode(kept, type=dict[str, int])

    def _exchange(self, now: datetime) -> float:
        self._poll_every.done(now)
        try:
            tasks = self._line.exchange(self._answers, 1)
        except Denied as error:
            logger.warning("sweeps refused", cause=error.cause, remedy=error.remedy)
            self._answers, self._denied_every = [], Every(DENIED_S)
            self._denied_every.done(now)
            return DENIED_S
        except CounterfoilError as error:
            if not isinstance(error, Retry):  # the answer can't pass: it is asked again, and worked out anew
                self._answers = []
            return AGAIN_S
        self._answers, self._denied_every = [], None
        if not tasks:
            return self._poll_s
        self._begin(tasks[0], now)
        return 0.0

    # -- one question

    def _begin(self, task: Task, now: datetime) -> None:
        ways = {
            "stock_digest": self._stock_digest,
            "stock_items": self._stock_items,
            "order_totals": self._order_totals,
            "order_day": self._order_day,
            "fetch": self._fetch,
        }
        self._task, self._work, self._resume_at, self._tries = task, ways[task["kind"]](task), now, 0

    def _go_on(self, now: datetime) -> None:
        assert self._work is not None and self._task is not None
        try:
            self._resume_at = now + timedelta(seconds=next(self._work))
        except StopIteration as ended:
            self._answered(ended.value)
        except (Retry, NotThere) as error:
            self._tries += 1
            if self._tries >= TRIES:
                self._answered({"failed": _said(error)})
                return
            task, tries = self._task, self._tries
            self._begin(task, now)
            pause_s = error.retry_after_s if isinstance(error, Retry) else None
            self._tries, self._resume_at = tries, now + timedelta(seconds=pause_s or AGAIN_S)
        except CounterfoilError as error:
            self._answered({"failed": _said(error)})

    def _answered(self, said: Answer) -> None:
        assert self._task is not None
        head = {"task": self._task["task"], "kind": self._task["kind"], "at": iso(self._store_now())}
        self._answers.append({**head, **said})
        logger.info("sweep answered", kind=self._task["kind"], failed="failed" in said)
        self._task = self._work = None

    def _store_now(self) -> datetime:
        """By the store's clock, where the plugin says it: days of creation are its own."""
        return self._plugin.store_now() if self._plugin is not None and self._by_plugin else self._clock.now()

    # -- stock

    def _stock_digest(self, task: Task) -> Work:
        is_new = task["prefixes"] == [""]
        seen = yield from self._look(float(task.get("pause_s", 0)), is_new)
        told, count = sweep_tree.buckets(self._lines(seen), task["prefixes"])
        more = {"count": count} if is_new else {}
        return {**self._place(), "buckets": told, **more}

    def _stock_items(self, task: Task) -> Work:
        seen = yield from self._look(float(task.get("pause_s", 0)), False)
        return {**self._place(), "items": sweep_tree.items(self._lines(seen), task["prefixes"], MOST_ITEMS)}

    def _lines(self, seen: Mapping[str, Seen]) -> Iterator[sweep_tree.Line]:
        return sweep_tree.lines(self._outbox, seen, says_sales=self._by_plugin)

    @property
    def _by_plugin(self) -> bool:
        return self._plugin is not None and changes.uses_plugin(self._outbox)

    def _place(self) -> Answer:
        version, epoch = self._book.feed_place()
        position = self._outbox.position()
        has_place = position.epoch != NO_EPOCH and position.last.n > 0
        return {
            "by": "plugin" if self._by_plugin else "rest",
            "engine_epoch": epoch,
            "fed_through": version,
            "applied_through": self._book.applied_through(),
            "waiting": self._book.waiting_count(),
            "place": {"epoch": position.epoch, "n": position.last.n} if has_place else None,
        }

    def _look(self, pause_s: float, is_new: bool) -> Generator[float, None, dict[str, Seen]]:
        """What the store has where something else was written: now, or as it was looked a moment ago."""
        self._refuse_what_is_held()
        now = self._clock.now()
        if not is_new and self._looked and now - self._looked[0] < timedelta(seconds=LOOK_FRESH_S):
            return self._looked[1]
        self._looked = None
        seen = yield from (self._look_by_plugin() if self._by_plugin else self._look_over_rest(pause_s))
        self._looked = (self._clock.now(), seen)
        return seen

    def _refuse_what_is_held(self) -> None:
        held = self._held()
        if held is not None or not self._book.has_catalogue:
            why = WHY_HELD.get(held or "", "its catalogue has not been read yet")
            raise Unanswerable(
                f"The store's stock can't be compared: {why}.",
                "See what it waits for: counterfoil-agent status.",
            )

    def _look_by_plugin(self) -> Generator[float, None, dict[str, Seen]]:
        """Digests of all, computed in the store's database by one query; only buckets that differ are opened."""
        assert self._plugin is not None
        sweep, seen = Sweep(small_buckets(self._book.expected())), dict[str, Seen]()
        listed: list[Digested] = []
        while sweep.to_open:
            prefix = sweep.to_open.pop()
            if len(prefix) < sweep_tree.LAST_DIGITS:
                sweep.to_open += differing(sweep.ours, self._plugin.buckets(prefix), prefix)
            else:
                items = self._plugin.bucket(prefix)
                listed += items
                for item in items:
                    self._note(seen, item.stock_id, item.number, item.version)
            if len(listed) >= NOTED_AT_ONCE or not sweep.to_open:
                self._note_listed(listed)
                listed = []
            yield 0.0
        return seen

    def _note_listed(self, listed: Sequence[Digested]) -> None:
        """What the store has and offers, so that the next digests agree where nothing was edited. One write to the disk
        for many: it takes longer than all else."""
        with self._outbox.writing():
            for item in listed:
                self._book.swept(item.stock_id, item.stock, item.status)

    def _look_over_rest(self, pause_s: float) -> Generator[float, None, dict[str, Seen]]:
        """Page by page; what is below the number may have been sold since, which the engine knows."""
        if self._stock is None:
            raise Unanswerable("This agent has nothing to do with stock.", "Set stock.switch in its configuration.")
        seen: dict[str, Seen] = {}
        cursor: str | None = ""
        while cursor is not None:
            page, cursor = self._stock.page(cursor)
            for item in page:
                if item.id == item.stock_id and item.quantity is not None:
                    self._note(seen, item.stock_id, item.quantity, None)
            yield pause_s
        return seen

    def _note(self, seen: dict[str, Seen], stock_id: int, number: Decimal, version: int | None) -> None:
        written = self._book.written_to(stock_id)
        if written is None or _is_over(written[3], self._clock.now()):
            return
        sku, had, its_version, _ = written
        if number != had and version in (None, its_version):
            seen[sku_key(sku)] = Seen(sweep_tree.text_of(number), its_version)

    # -- orders

    def _order_totals(self, task: Task) -> Work:
        yield 0.0
        if not self._by_plugin:
            return {"by": "rest", "totals": None, "on_their_way": self._on_their_way(())}
        assert self._plugin is not None
        told: OrderTotals = self._plugin.totals(task["first"], task["last"])
        return {
            "by": "plugin",
            "totals": [list(row) for row in told.rows],
            "on_their_way": self._on_their_way(told.open_orders),
        }

    def _order_day(self, task: Task) -> Work:
        day = datetime.combine(date.fromisoformat(task["day"]), time(0), UTC)
        orders: dict[int, list[Any]] = {}
        for status in ("any", "trash"):
            number, pages = 1, 1
            while number <= pages:
                ask = Ask(
                    "created",
                    day,
                    day + timedelta(days=1, seconds=-1),
                    "trash" if status == "trash" else "any",
                    by_id=True,
                    page=number,
                    size=DAY_PAGE,
                )
                page = self._store.page(ask)
                for row in page.rows:
                    orders[row.order_id] = _amounts(row.order_id, row.raw, is_there=status != "trash")
                number, pages = number + 1, page.pages
                yield float(task.get("pause_s", 0)) if not self._by_plugin else 0.0
        open_orders: Sequence[int] = ()
        if self._plugin is not None and self._by_plugin:
            open_orders = self._plugin.totals(task["day"], task["day"]).open_orders
        return {"orders": list(orders.values()), "on_their_way": self._on_their_way(open_orders)}

    def _on_their_way(self, open_orders: Sequence[int]) -> list[int]:
        """Orders of which a row of the log, a mark or an event waits."""
        rows = self._outbox.all(
            "select order_id from rows where acked_s is null and order_id > 0 union select order_id from marks"
            " union select order_id from missing limit ?",
            (MOST_ON_THEIR_WAY,),
        )
        return sorted({row[0] for row in rows} | {order for order in open_orders if order > 0})[:MOST_ON_THEIR_WAY]

    def _fetch(self, task: Task) -> Work:
        yield 0.0
        now = self._clock.now()
        with self._outbox.writing():
            for order_id in task["orders"]:
                self._outbox.mark(order_id, now, again=True)
        return {}


class _Refund(msgspec.Struct):
    total: Any = "0"


class _Order(msgspec.Struct):
    currency: Any = ""
    total: Any = "0"
    total_tax: Any = "0"
    status: Any = ""
    refunds: list[_Refund] = []


def _amounts(order_id: int, raw: bytes, is_there: bool) -> list[Any]:
    """As the engine takes an order of a day. What can't be read is told as nothing that an order could be."""
    try:
        order = msgspec.json.decode(raw, type=_Order)
        refunds = -sum((Decimal(str(one.total)) for one in order.refunds), Decimal(0))
        amounts = [sweep_tree.text_of(Decimal(str(each))) for each in (order.total, refunds, order.total_tax)]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, InvalidOperation):
        return [order_id, "", "0", "0", "0", is_there]
    return [order_id, str(order.currency)[:10], *amounts, is_there and order.status not in DRAFTS]


WHY_HELD = {
    "off": "the agent doesn't write it (stock.switch)",
    "preview": "its first numbers wait for a yes",
    "brake": "too many products would sell out at once, so numbers wait for a person",
    "copy": "the shop may be a copy of the one that was paired",
    "went-back": "the shop went back to a backup",
}


def _said(error: CounterfoilError) -> dict[str, str]:
    return {"cause": error.cause[:1000], "remedy": error.remedy[:1000] or "Look into the agent's log."}


def _is_over(expires_at: str | None, now: datetime) -> bool:
    """Whether the number's end has come: then the store offers the share that the policy leaves for silence."""
    try:
        return expires_at is not None and datetime.fromisoformat(expires_at) <= now
    except (ValueError, TypeError):
        return False
