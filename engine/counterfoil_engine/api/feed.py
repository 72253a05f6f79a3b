"""Serving the feed: thousands of agents wait here, each at the cost of a line, and of no thread nor connection.

    agent ─▶ listener ─▶ FeedServer ─▶ Readings ─▶ work/feed.py, in a few threads with a connection each
                             ▲ └▶ Waiting
                          watcher: one thread that hears which pool moved, and looks besides

Who asks is answered from a reading; where that says nothing, it waits until its pool moves, and is read for again. All
who were woken by one move are read for together. A word that is lost costs a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import msgspec
from loguru import logger

from counterfoil_engine.api.listener import Bounds, Listener, Reply, Request, refusal
from counterfoil_engine.api.problems import PROBLEMS
from counterfoil_engine.api.requests import opened
from counterfoil_engine.config import Limits
from counterfoil_engine.domain.errors import CounterfoilError, Unavailable
from counterfoil_engine.ports import Clock, Ear, Rejected
from counterfoil_engine.work.feed import Answered, Asked, Feed

THREADS = 3
LOOK_S = 1.0
AGAIN_S = 0.05  # where a number is being computed at this moment
STOP_LOOK_S = 0.1
STOP_S = 5.0  # to answer those who wait
ASK_BYTES = 4_096
MOST_OF_STORE = 4  # that wait at once; an agent that was cut off asks anew before its old line is known to be dead
AT_ONCE = 1_000  # questions of one reading
ON_THE_WAY_BYTES = 67_108_864  # of answers that are not taken yet, before others are read
QUEUED_BYTES = 33_554_432  # of writes, packed, that wait for a thread
_OPEN_FILES = 65_536
POOL = "pool "


class FeedServer:
    """The feed over HTTP. secrets: by store. ear: hears of pools that moved; closed at the end. look_s: between two
    looks at the pools' versions, for words that were lost."""

    def __init__(
        self,
        feed: Feed,
        secrets: Mapping[str, tuple[str, ...]],
        limits: Limits,
        clock: Clock,
        ear: Ear,
        look_s: float = LOOK_S,
        bounds: Bounds = Bounds(),  # noqa: B008  (frozen)
    ) -> None:
        self._feed, self._secrets, self._clock, self._ear, self._look_s = feed, secrets, clock, ear, look_s
        self._limits, self._ask_limits = limits, replace(limits, unpacked_bytes=ASK_BYTES)
        self._threads = ThreadPoolExecutor(THREADS, "feed")
        self._waiting, self._readings = Waiting(), Readings(feed, self._threads)
        self._queued_bytes = 0
        self._listener = Listener(self.handle, clock.now, replace(bounds, body_bytes=limits.body_bytes))

    def run(
        self,
        host: str,
        port: int,
        stop: threading.Event,
        share: bool = False,
        serves: Callable[[int], object] = lambda port: None,
    ) -> None:
        """Serve until stopped. share: the port, with other processes. serves: told the port once it is open. Raises
        OSError where the address can't be had."""
        asyncio.run(self._run(host, port, stop, share, serves))

    async def _run(
        self, host: str, port: int, stop: threading.Event, share: bool, serves: Callable[[int], object]
    ) -> None:
        _allow_many_lines()
        try:
            serves(await self._listener.start(host, port, share))
            watcher = threading.Thread(
                target=self._watch, args=(asyncio.get_running_loop(), stop), name="feed watcher", daemon=True
            )
            watcher.start()
            while not stop.is_set():
                await asyncio.sleep(STOP_LOOK_S)
            self._waiting.dismiss()
            await self._listener.stop(STOP_S)
            watcher.join(timeout=2 * self._look_s)
        finally:
            self._ear.close()
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def handle(self, request: Request) -> Reply:
        """Any request; what goes wrong is an answer too."""
        route = ROUTES.get((request.method, request.path))
        if route is None:
            return _no_route(request)
        try:
            return await route(self, request)
        except Exception as error:
            return refusal(error, request, request.path)

    # Routes

    async def _ask(self, request: Request) -> Reply:
        if len(request.body) > ASK_BYTES:
            raise Rejected(f"The body is larger than {ASK_BYTES} bytes.", "Ask as the contract says.", slug="too-large")
        store, raw = self._opened(request, self._ask_limits)
        asked = self._feed.asked(store, raw)
        began = time.monotonic()
        answered = await self._answer(asked, began + asked.wait_s)
        if not answered.rows:
            return Reply(answered.body)
        waited_ms = round((time.monotonic() - began) * 1000)
        logger.info("told", store=store, pool=answered.pool, rows=answered.rows, waited_ms=waited_ms)
        return Reply(answered.body, done=partial(self._readings.gone, answered))

    async def _answer(self, asked: Asked, until: float) -> Answered:
        """What changed, as soon as something did; at the end of the time, that nothing has."""
        was_woken = False
        while True:
            tick = self._waiting.tick
            answered = await self._readings.read(asked, was_woken)
            left_s = until - time.monotonic()
            if not answered.says_nothing or left_s <= 0:
                return answered
            if answered.again:
                await asyncio.sleep(min(left_s, AGAIN_S))
                continue
            was_woken = await self._waiting.for_move(answered.pool, asked.store, tick, left_s)
            if not was_woken:
                return answered

    async def _writes(self, request: Request) -> Reply:
        if self._queued_bytes + len(request.body) > QUEUED_BYTES:
            raise Unavailable("More answers of stores wait than can be kept now.", "It is sent again by itself.")
        self._queued_bytes += len(request.body)
        try:
            said = await asyncio.get_running_loop().run_in_executor(self._threads, self._keep_writes, request)
        finally:
            self._queued_bytes -= len(request.body)
        return Reply(msgspec.json.encode(said))

    def _keep_writes(self, request: Request) -> dict[str, Any]:
        store, raw = self._opened(request, self._limits)
        said = self._feed.writes(store, raw)
        logger.info("noted", store=store, **said)
        return said

    async def _health(self, request: Request) -> Reply:
        await asyncio.get_running_loop().run_in_executor(self._threads, self._feed.versions)
        return Reply(b'{"ok":true}')

    def _opened(self, request: Request, limits: Limits) -> tuple[str, bytes]:
        now = self._clock.now()
        return opened(request.method, request.path, request.headers, lambda: request.body, self._secrets, now, limits)

    # The watcher

    def _watch(self, loop: asyncio.AbstractEventLoop, stop: threading.Event) -> None:
        known: Mapping[str, int] = {}
        looked = 0.0
        while not stop.is_set():
            moved = {word.removeprefix(POOL) for word in self._ear.hear(self._look_s)}
            if not moved or time.monotonic() - looked > self._look_s:
                try:
                    versions = self._feed.versions()
                    looked = time.monotonic()
                except CounterfoilError as error:
                    logger.warning("can't look at the pools", cause=error.cause)
                    stop.wait(self._look_s)
                    continue
                moved |= {pool for pool, version in versions.items() if known.get(pool) != version}
                known = versions
            if moved:
                with contextlib.suppress(RuntimeError):  # the loop has ended
                    loop.call_soon_threadsafe(self._waiting.moved, moved)


ROUTES = {
    ("POST", "/v1/feed"): FeedServer._ask,
    ("POST", "/v1/feed/writes"): FeedServer._writes,
    ("GET", "/v1/health"): FeedServer._health,
}


def _no_route(request: Request) -> Reply:
    allowed = [method for method, path in ROUTES if path == request.path]
    slug = "method" if allowed else "no-such-path"
    error = Rejected(f"{PROBLEMS[slug][1]}.", "Look at the API's description: engine.openapi.yaml.", slug=slug)
    return refusal(error, request, "")._replace(headers={"Allow": ", ".join(allowed)} if allowed else {})


class Waiting:
    """Who waits for which pool to move. Belongs to the loop's thread.

    tick: counts moves; who has read after a tick and sees that its pool moved since need not wait."""

    def __init__(self) -> None:
        self.tick = 0
        self._moved: dict[str, int] = {}
        self._by_pool: dict[str, set[asyncio.Future[bool]]] = {}
        self._by_store: dict[str, deque[asyncio.Future[bool]]] = {}
        self._is_over = False

    def moved(self, pools: set[str]) -> None:
        self.tick += 1
        for pool in pools:
            self._moved[pool] = self.tick
            for waiter in self._by_pool.pop(pool, ()):
                _tell(waiter, True)

    def dismiss(self) -> None:
        """Let all go, for good."""
        self._is_over = True
        for waiters in self._by_pool.values():
            for waiter in waiters:
                _tell(waiter, False)

    async def for_move(self, pool: str, store: str, since_tick: int, timeout_s: float) -> bool:
        """Whether the pool moved after that tick, within the time."""
        if self._moved.get(pool, 0) > since_tick:
            return True
        if self._is_over:
            return False
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[bool] = loop.create_future()
        timer = loop.call_later(timeout_s, _tell, waiter, False)
        self._by_pool.setdefault(pool, set()).add(waiter)
        of_store = self._by_store.setdefault(store, deque())
        of_store.append(waiter)
        if len(of_store) > MOST_OF_STORE:
            _tell(of_store[0], False)
        try:
            return await waiter
        finally:
            timer.cancel()
            self._by_pool.get(pool, set()).discard(waiter)
            of_store.remove(waiter)
            if not of_store:
                self._by_store.pop(store, None)


def _tell(waiter: asyncio.Future[bool], moved: bool) -> None:
    if not waiter.done():
        waiter.set_result(moved)


class Readings:
    """Reads for many at once, in a few threads. Belongs to the loop's thread.

    Those who were woken go before those who come; nothing is read while too many bytes are on their way."""

    def __init__(self, feed: Feed, threads: ThreadPoolExecutor) -> None:
        self._feed, self._threads = feed, threads
        self._woken: deque[_Question] = deque()
        self._came: deque[_Question] = deque()
        self._running = 0
        self._is_due = False
        self._bytes = 0

    async def read(self, asked: Asked, was_woken: bool) -> Answered:
        """Raises Rejected or Unavailable. An answer with rows counts as on its way until it is `gone`."""
        loop = asyncio.get_running_loop()
        question = _Question(asked, loop.create_future())
        (self._woken if was_woken else self._came).append(question)
        self._start_soon(loop)
        try:
            return await question.answer
        except asyncio.CancelledError:
            if not question.answer.cancelled() and question.answer.exception() is None:
                self.gone(question.answer.result())  # it came as the line broke
            raise

    def gone(self, answered: Answered) -> None:
        if answered.rows:
            self._bytes -= len(answered.body)
        if self._woken or self._came:
            self._start_soon(asyncio.get_running_loop())

    def _start_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        """In the loop's next round, so that all whom one move woke are there."""
        if not self._is_due:
            self._is_due = True
            loop.call_soon(self._start)

    def _start(self) -> None:
        self._is_due = False
        while self._running < THREADS and self._bytes < ON_THE_WAY_BYTES:
            taken = self._take()
            if not taken:
                return
            self._running += 1
            loop = asyncio.get_running_loop()
            job = loop.run_in_executor(self._threads, self._feed.answers, [one.asked for one in taken])
            job.add_done_callback(partial(self._answered, taken))

    def _take(self) -> list[_Question]:
        taken: list[_Question] = []
        for queue in (self._woken, self._came):
            while queue and len(taken) < AT_ONCE:
                question = queue.popleft()
                if not question.answer.done():  # else the line is gone
                    taken.append(question)
        return taken

    def _answered(self, taken: list[_Question], job: asyncio.Future[Any]) -> None:
        self._running -= 1
        error = asyncio.CancelledError() if job.cancelled() else job.exception()
        found: dict[int, Answered | Rejected] = {} if error else job.result()
        for place, question in reversed(list(enumerate(taken))):
            if question.answer.done():
                continue
            answer = error or found.get(place)
            if answer is None:
                self._woken.appendleft(question)  # there were too many rows: it is next
            elif isinstance(answer, Answered):
                self._bytes += len(answer.body) if answer.rows else 0
                question.answer.set_result(answer)
            elif isinstance(answer, asyncio.CancelledError):
                question.answer.cancel()
            else:
                question.answer.set_exception(answer)
        self._start_soon(asyncio.get_running_loop())


class _Question:
    __slots__ = ("answer", "asked")

    def __init__(self, asked: Asked, answer: asyncio.Future[Answered]) -> None:
        self.asked, self.answer = asked, answer


def _allow_many_lines() -> None:
    """As many open files as this process may have, up to a bound."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
