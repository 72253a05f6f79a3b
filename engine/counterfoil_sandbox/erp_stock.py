"""The sandbox ERP's stock: positions by warehouse and SKU, read in full pages or by what changed since.

Rows are kept as they were put, however odd: what a real ERP says wrongly has to be sayable here.
"""

from __future__ import annotations

import json
import re
import secrets
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from counterfoil_sandbox.erp_journal import Refusal

PAGE_ROWS = 1_000
MOST_ROWS = 20_000  # put at once

_SCHEMA = """
create table if not exists stock (
  id integer primary key, warehouse text not null, sku text not null, row text not null, seq integer not null,
  unique (warehouse, sku)
);
create index if not exists stock_seq on stock (seq);
create table if not exists stock_generation (name text not null);
"""
_CURSOR = re.compile(r"(full|since):([0-9]{1,18}):([0-9]{1,18}):([0-9T:.+-]{1,40})", re.ASCII)


class Forgotten(Exception):
    """The token is of other stock than this: all has to be read."""


class Stock:
    """Positions. path: an SQLite file, or in memory; now: the ERP's clock. Safe to call from several threads."""

    def __init__(self, path: str = ":memory:", *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now, self._lock = now, threading.RLock()
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=10)
        self._connection.executescript(_SCHEMA)
        if not self._connection.execute("select 1 from stock_generation").fetchone():
            self._connection.execute("insert into stock_generation values (?)", (secrets.token_hex(4),))
        self._generation = str(self._connection.execute("select name from stock_generation").fetchone()[0])

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def put(self, rows: Sequence[Any]) -> int:
        """Set positions, each whole; one without as_of gets this moment. How many."""
        if len(rows) > MOST_ROWS:
            raise Refusal("contract", f"{len(rows)} rows are too many at once.", f"Put at most {MOST_ROWS}.")
        at = self._now().astimezone(UTC).isoformat()
        with self._lock:
            self._connection.execute("begin immediate")
            try:
                for row in rows:
                    self._put(row, at)
                self._connection.execute("commit")
            except BaseException:
                self._connection.execute("rollback")
                raise
        return len(rows)

    def _put(self, row: Any, at: str) -> None:
        if not isinstance(row, Mapping):
            raise Refusal("contract", "A position is no object.", "Put rows as GET /v1/positions gives them.")
        whole = {"as_of": at, "allocated": "0", "damaged": "0", "quarantined": "0", "inbound": [], "lines": [], **row}
        seq = self._last_seq() + 1
        self._connection.execute(
            "insert into stock (warehouse, sku, row, seq) values (?, ?, ?, ?)"
            " on conflict (warehouse, sku) do update set row = excluded.row, seq = excluded.seq",
            (json.dumps(row.get("warehouse")), json.dumps(row.get("sku")), json.dumps(whole), seq),
        )

    def remove(self, warehouse: str, sku: str) -> None:
        """Let the ERP know nothing of an item any more: no full reading names it, and no change says so."""
        with self._lock:
            self._connection.execute(
                "delete from stock where warehouse = ? and sku = ?", (json.dumps(warehouse), json.dumps(sku))
            )

    def page(self, since: str | None, cursor: str | None) -> dict[str, Any]:
        """A page as the contract says: rows, as_of, next, and on the last one the token for what changes later."""
        with self._lock:
            kind, last, through, as_of = self._place(since, cursor)
            column = "id" if kind == "full" else "seq"
            found = self._connection.execute(
                f"select {column}, row from stock where {column} > ? and (? = 'full' or seq <= ?)"  # noqa: S608
                f" order by {column} limit ?",
                (last, kind, through, PAGE_ROWS + 1),
            ).fetchall()
        rows, more = found[:PAGE_ROWS], len(found) > PAGE_ROWS
        return {
            "as_of": as_of,
            "rows": [json.loads(row) for _, row in rows],
            "next": f"{kind}:{rows[-1][0]}:{through}:{as_of}" if more else None,
            "token": None if more else f"{self._generation}-{through}",
        }

    def _place(self, since: str | None, cursor: str | None) -> tuple[str, int, int, str]:
        """What to go on from: full or since, the last row's place, the change to read up to, when it began."""
        if cursor is not None:
            match = _CURSOR.fullmatch(cursor)
            if match is None:
                raise Refusal("contract", "The cursor is not one that this ERP gave.", "Begin again without it.")
            return match[1], int(match[2]), int(match[3]), match[4]
        as_of = self._now().astimezone(UTC).isoformat()
        if since is None:
            return "full", 0, self._last_seq(), as_of
        generation, _, seq = since.partition("-")
        if generation != self._generation or not (seq.isascii() and seq.isdigit() and len(seq) < 18):
            raise Forgotten
        return "since", int(seq), self._last_seq(), as_of

    def _last_seq(self) -> int:
        return int(self._connection.execute("select coalesce(max(seq), 0) from stock").fetchone()[0])
