"""The rules in shadow, and what differs by them of each subject that was looked at since they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from counterfoil_engine.domain.compare import Differing
from counterfoil_engine.records.database import Transaction, as_time

MOST_SUBJECTS = 20_000  # a subject more is not kept
_AT_ONCE = 500


def start(tx: Transaction, version: str, text: str, who: str) -> None:
    """Put rules in shadow, in place of those that were; what they found is forgotten."""
    tx.run("delete from shadow")
    tx.run("delete from shadow_differences")
    tx.run(
        "insert into shadow (one, version, body, started_at, started_by) values (1, %s, %s, %s, %s)",
        version,
        text,
        tx.now(),
        who,
    )


def stop(tx: Transaction) -> None:
    """What was found stays until others start."""
    tx.run("update shadow set stopped_at = %s where stopped_at is null", tx.now())


def read(tx: Transaction) -> Mapping[str, Any] | None:
    """version, started_at, started_by, stopped_at of the rules in shadow, now or last."""
    row = tx.one("select version, started_at, started_by, stopped_at from shadow")
    return row and {**row, "started_at": as_time(row["started_at"]), "stopped_at": as_time(row["stopped_at"])}


def text_of(tx: Transaction) -> str:
    row = tx.one("select body from shadow")
    return str(row["body"]) if row else ""


def keep(tx: Transaction, version: str, found: Mapping[str, Differing | None]) -> None:
    """What differs of these subjects now; None: nothing."""
    same = sorted(subject for subject, differs in found.items() if differs is None)
    rows = [
        (subject, msgspec.json.encode(differs).decode())
        for subject, differs in sorted(found.items())
        if differs is not None
    ]
    if same:
        is_same, params = tx.among("subject", same)
        tx.run(f"delete from shadow_differences where {is_same}", *params)
    if rows:
        table, params = tx.given(rows, subject="text", differs="text")
        tx.run(
            "insert into shadow_differences (subject, version, looked_at, differs)"
            f" select subject, %s, %s, differs from {table}"
            " where (select count(*) from (select 1 from shadow_differences limit %s) as there) < %s"
            " or exists (select 1 from shadow_differences there where there.subject = given.subject)"
            " on conflict (subject) do update set version = excluded.version, looked_at = excluded.looked_at,"
            " differs = excluded.differs",
            version,
            tx.now(),
            *params,
            MOST_SUBJECTS,
            MOST_SUBJECTS,
        )


def kept(tx: Transaction, version: str) -> Iterator[Differing]:
    """All that differs, by subject."""
    rows: Sequence[Mapping[str, Any]] = [{"subject": ""}]
    while rows:
        rows = tx.all(
            "select subject, differs from shadow_differences where subject > %s and version = %s"
            " order by subject limit %s",
            rows[-1]["subject"],
            version,
            _AT_ONCE,
        )
        yield from (_read(row["differs"]) for row in rows)


def is_full(tx: Transaction) -> bool:
    row = tx.one("select count(*) as subjects from shadow_differences")
    return bool(row) and int(row["subjects"]) >= MOST_SUBJECTS  # type: ignore[index]


def looked_at(tx: Transaction, since: datetime) -> int:
    """How many orders were looked at since a moment."""
    row = tx.one("select count(*) as subjects from subjects where looked_at >= %s", since)
    return int(row["subjects"]) if row else 0


def _read(differs: str) -> Differing:
    return msgspec.json.decode(differs, type=Differing)
