"""The engine's mailbox for this store: there goes what became of updates, thence comes what its orders are to be told.

One call each, by the thread that sends. An engine that knows no mailbox isn't asked; one that refuses this call alone
is asked again after a while, and all else goes on.
"""

from __future__ import annotations

from datetime import datetime

from loguru import logger

from counterfoil_agent.backoff import Every
from counterfoil_agent.errors import CannotPass, Denied
from counterfoil_agent.outbox import Outbox
from counterfoil_agent.ports import Engine
from counterfoil_agent.update_book import UpdateBook

CONTRACT = "updates"  # as both sides name it at hello
TROUBLE = "trouble:mailbox"
RESULTS_S = 2.0  # how soon results are told
RESULTS_AT_ONCE = 200
REFUSED_S = 60.0


class Mailbox:
    def __init__(self, engine: Engine, outbox: Outbox, every_s: float) -> None:
        self._engine, self._outbox, self._book = engine, outbox, UpdateBook(outbox)
        self._every, self._results_every, self._refused_every = Every(every_s), Every(RESULTS_S), Every(REFUSED_S)
        self._more = self._is_refused = False

    def left_s(self, now: datetime) -> float:
        """Seconds until it is asked again; 0: at once."""
        if self._is_refused:
            return self._refused_every.left_s(now)
        if self._more:
            return 0.0
        left_s = self._every.left_s(now)
        return min(left_s, self._results_every.left_s(now)) if self._book.has_results() else left_s

    def exchange(self, now: datetime) -> None:
        """One call. Raises Retry where the engine is not there."""
        results, room = self._book.results(RESULTS_AT_ONCE), self._book.room()
        for every in (self._every, self._results_every, self._refused_every):
            every.done(now)
        self._more = False
        if not results and not room:
            return
        try:
            page = self._engine.updates(results, room)
        except (Denied, CannotPass) as error:
            if not self._is_refused:
                logger.warning("mailbox refused", cause=error.cause, remedy=error.remedy)
                self._outbox.remember(TROUBLE, str(error))
            self._is_refused = True
            return
        if self._is_refused or self._outbox.recall(TROUBLE) is not None:
            self._outbox.forget(TROUBLE)
        self._is_refused = False
        with self._outbox.writing():
            self._book.told(results)
            self._book.take(page.updates, now)
        self._more = page.more
        if results or page.updates:
            logger.info("mailbox emptied", results=len(results), updates=len(page.updates))
