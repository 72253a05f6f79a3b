"""One question to the feed that the engine answers only when there is something, on a thread of its own.

So whoever asked goes on with what comes due meanwhile: a product that was just added gets its first number now, and not
after the wait. The thread touches nothing but the line to the engine, and is left alone when the agent stops: what it
would bring is asked for again.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future, wait

from counterfoil_agent.ports import Feed, FeedPage


class LongPoll:
    """feed: for its thread alone. One question at a time; begun, awaited and taken by one thread."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._answer: Future[FeedPage] | None = None

    @property
    def is_under_way(self) -> bool:
        """Whether a question was asked whose answer wasn't taken yet."""
        return self._answer is not None

    def begin(self, version: int, engine_epoch: int | None, wait_s: float, limit: int) -> None:
        answer: Future[FeedPage] = Future()

        def ask() -> None:
            try:
                answer.set_result(self._feed.poll(version, engine_epoch, wait_s, limit))
            except Exception as error:
                answer.set_exception(error)

        self._answer = answer
        threading.Thread(target=ask, name="long poll", daemon=True).start()

    def has_ended(self, within_s: float) -> bool:
        """Whether the answer is there; waits so long for it."""
        assert self._answer is not None
        return bool(wait([self._answer], within_s).done)

    def take(self) -> FeedPage:
        """The answer. Raises what the feed raised."""
        assert self._answer is not None
        answer, self._answer = self._answer, None
        return answer.result()
