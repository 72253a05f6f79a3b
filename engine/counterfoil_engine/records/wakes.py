"""Words from whoever wrote to whoever waits for it, so that nobody has to look every few milliseconds.

A transaction tells a word (`tx.tell("stock")`), which is heard once it has committed: on PostgreSQL by NOTIFY, on
SQLite within its one process. A word may be lost, where its teller dies in between or a connection breaks: so who
listens looks for itself every so often, and a word says only that it is worth while to look now.

NOTIFY goes by a statement of its own after the commit: within the transaction, PostgreSQL would let all transactions
that tell something commit one after the other, each waiting for the disk.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import psycopg
from loguru import logger

if TYPE_CHECKING:
    from counterfoil_engine.records.database import Database

CHANNEL = "counterfoil"
STOCK = "stock"  # SKUs were marked: their numbers have to be computed anew
POOL = "pool "  # and its name: it has new versions
_MOST_AT_ONCE = 1_000


def listen(database: Database, about: str) -> LocalEar | ServerEar:
    """An ear for words that begin so; one of its own for each thread that waits. Close it at the end."""
    return LocalEar(database, about) if database.is_sqlite else ServerEar(database.url, about)


class LocalEar:
    """Hears what this process tells itself."""

    def __init__(self, database: Database, about: str) -> None:
        self._database, self._about = database, about
        self._heard: set[str] = set()
        self._changed = threading.Condition()
        database.ears.add(self)

    def tell(self, words: set[str]) -> None:
        wanted = {word for word in words if word.startswith(self._about)}
        if wanted:
            with self._changed:
                self._heard |= wanted
                self._changed.notify_all()

    def hear(self, timeout_s: float) -> frozenset[str]:
        """The words since the last call; waits so long for the first one. Empty: nothing was heard."""
        with self._changed:
            if not self._heard:
                self._changed.wait(timeout_s)
            heard, self._heard = frozenset(self._heard), set()
            return heard

    def close(self) -> None:
        self._database.ears.discard(self)


class ServerEar:
    """Hears what any process tells, over a connection of its own; after it broke, it is opened anew."""

    def __init__(self, url: str, about: str) -> None:
        self._url, self._about = url, about
        self._connection: psycopg.Connection[tuple[str]] | None = None
        self._closed = threading.Event()

    def hear(self, timeout_s: float) -> frozenset[str]:
        """The words since the last call; waits so long for the first one. Empty: nothing was heard, or words may have
        been lost, since the connection is new."""
        try:
            if self._connection is None:
                self._connection = psycopg.connect(self._url, autocommit=True, connect_timeout=5)
                self._connection.execute(f"listen {CHANNEL}")
                return frozenset()
            return self._next(self._connection, timeout_s)
        except psycopg.Error as error:
            logger.warning("can't listen to the database", error=type(error).__name__)
            self._drop()
            self._closed.wait(timeout_s)
            return frozenset()

    def _next(self, connection: psycopg.Connection[tuple[str]], timeout_s: float) -> frozenset[str]:
        heard: set[str] = set()
        for first in connection.notifies(timeout=timeout_s, stop_after=1):
            heard.add(first.payload)
        if heard:
            heard |= {more.payload for more in connection.notifies(timeout=0, stop_after=_MOST_AT_ONCE)}
        return frozenset(word for word in heard if word.startswith(self._about))

    def close(self) -> None:
        self._closed.set()
        self._drop()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
