"""What books and other parties keep alike: documents in an SQLite file, found by key, listed since a moment."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any


class DocumentStore:
    """A table `documents` with id, key, number, content_hash and posted_at at least. All methods may be called from
    several threads."""

    def __init__(self, path: str, schema: str) -> None:
        """path: an SQLite file, or ":memory:"."""
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=10)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("pragma journal_mode = wal")
        self._connection.execute("pragma foreign_keys = on")
        self._connection.executescript(schema)

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def find(self, keys: Sequence[str]) -> list[dict[str, str]]:
        """All documents that bear one of the keys, several where keys aren't unique."""
        found = []
        for start in range(0, len(keys), 500):
            part = keys[start : start + 500]
            marks = ",".join("?" * len(part))
            found += self._rows(f"select * from documents where key in ({marks}) order by id", part)  # noqa: S608
        return [_found(row) for row in found]

    def since(self, moment: datetime, after: int, limit: int) -> tuple[list[dict[str, str]], int | None]:
        """A page of the documents posted at or after a moment, and the cursor of the next (None: none is left).

        What was made by hand without a key is nobody's."""
        rows = self._rows(
            "select * from documents where key <> '' and posted_at >= ? and id > ? order by id limit ?",
            (stamp(moment), after, limit + 1),
        )
        more = len(rows) > limit
        return [_found(row) for row in rows[:limit]], rows[limit - 1]["id"] if more else None

    def count(self) -> int:
        return int(self._rows("select count(*) as n from documents")[0]["n"])

    def _rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[sqlite3.Row]:
        with self._lock:
            return self._connection.execute(sql, parameters).fetchall()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One writing transaction at a time; all of it or nothing."""
        with self._lock:
            self._connection.execute("begin immediate")
            try:
                yield
            except BaseException:
                self._connection.execute("rollback")
                raise
            self._connection.execute("commit")


def stamp(moment: datetime) -> str:
    """Of one width and zone, so that text compares as time does."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _found(row: sqlite3.Row) -> dict[str, str]:
    return {name: row[name] for name in ("key", "number", "content_hash", "posted_at")}
