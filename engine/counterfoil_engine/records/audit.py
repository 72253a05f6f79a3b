"""What people decided, as a chain of hashes (`domain/audit.py`). It only grows: nothing here changes or removes a row.

Entries are appended under a lock that lasts until the transaction ends, so that two writers can't give one place twice.
Append last in a transaction: who holds this lock should wait for no row. Rows from before the chain get their places
before the first entry that is appended.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from counterfoil_engine.domain.audit import BEGINNING, Entry, entry_hash
from counterfoil_engine.records.database import Transaction, as_time

LOCK = 7036


def append(tx: Transaction, who: str, what: str, detail: Mapping[str, Any]) -> None:
    """Keep what somebody decided, after all that was kept before."""
    n, previous = head(tx, locked=True)
    text, now = json.dumps(detail, default=str, sort_keys=True), tx.now()
    entry = Entry(n + 1, _text(now), who, what, json.loads(text))
    tx.run(
        "insert into audit (at, who, what, detail, n, hash) values (%s, %s, %s, %s, %s, %s)",
        now,
        who,
        what,
        text,
        entry.n,
        entry_hash(previous, entry),
    )


def head(tx: Transaction, locked: bool = False) -> tuple[int, str]:
    """The last entry's place and hash; what came before the chain gets its places first. locked: until the end."""
    unchained = "select * from audit where hash is null order by id"
    if not tx.is_sqlite and (locked or tx.one(f"{unchained} limit 1")):
        tx.run("select pg_advisory_xact_lock(%s)", LOCK)
    last = tx.one("select n, hash from audit where hash is not null order by n desc limit 1")
    n, previous = (int(last["n"]), last["hash"]) if last else (0, BEGINNING)
    for row in tx.all(unchained):
        entry = _entry({**row, "n": n + 1, "hash": ""})
        n, previous = entry.n, entry_hash(previous, entry)
        tx.run("update audit set n = %s, hash = %s where id = %s and hash is null", n, previous, row["id"])
    return n, previous


def entries(tx: Transaction, after: int = 0, limit: int = 1000, since: datetime | None = None) -> list[Entry]:
    """Entries in the order of the chain, from the one after this place on; since: only those of then or later."""
    head(tx)
    when, told = (" and at >= %s", [since]) if since else ("", [])
    return [
        _entry(row)
        for row in tx.all(f"select * from audit where n > %s{when} order by n limit %s", after, *told, limit)
    ]


def _entry(row: Mapping[str, Any]) -> Entry:
    at = as_time(row["at"])
    assert at is not None
    return Entry(int(row["n"]), _text(at), row["who"], row["what"], json.loads(row["detail"]), row["hash"] or "")


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
