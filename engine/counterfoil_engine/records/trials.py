"""Rules that are tried over what is stored: who asked, how far it is, what it came to."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from counterfoil_engine.records.database import Row, Transaction

_SHOWN = "id, version, since, asked_by, asked_at, state, looked_at, told_at, cause, remedy"


def ask(tx: Transaction, version: str, text: str, since: datetime, who: str) -> int:
    row = tx.one(
        "insert into rule_trials (version, body, since, asked_by, asked_at, state, looked_at, told_at)"
        " values (%s, %s, %s, %s, %s, 'waiting', 0, %s) returning id",
        version,
        text,
        since,
        who,
        tx.now(),
        tx.now(),
    )
    assert row is not None
    return int(row["id"])


def waiting(tx: Transaction) -> Row | None:
    """The oldest that nobody computes yet."""
    return tx.one("select * from rule_trials where state = 'waiting' order by id limit 1")


def begin(tx: Transaction, trial: int) -> bool:
    """Whether it is this process that computes it."""
    sql = "update rule_trials set state = 'running', told_at = %s where id = %s and state = 'waiting'"
    return bool(tx.run(sql, tx.now(), trial))


def tell(tx: Transaction, trial: int, looked_at: int) -> None:
    tx.run("update rule_trials set looked_at = %s, told_at = %s where id = %s", looked_at, tx.now(), trial)


def end(
    tx: Transaction,
    trial: int,
    result: Mapping[str, Any] | None,
    cause: str | None = None,
    remedy: str | None = None,
) -> None:
    tx.run(
        "update rule_trials set state = %s, told_at = %s, result = %s, cause = %s, remedy = %s where id = %s",
        "failed" if result is None else "done",
        tx.now(),
        msgspec.json.encode(result).decode() if result is not None else None,
        cause,
        remedy,
        trial,
    )


def end_silent(tx: Transaction, before: datetime, cause: str, remedy: str) -> int:
    """Those that nobody has told of since a moment have failed: the process that computed them is gone."""
    return tx.run(
        "update rule_trials set state = 'failed', cause = %s, remedy = %s where state = 'running' and told_at < %s",
        cause,
        remedy,
        before,
    )


def read(tx: Transaction, trial: int) -> Row | None:
    return tx.one("select * from rule_trials where id = %s", trial)


def listed(tx: Transaction, limit: int) -> list[Row]:
    """The newest first, without their texts and results."""
    return tx.all(f"select {_SHOWN} from rule_trials order by id desc limit %s", limit)


def prune(tx: Transaction, before: datetime) -> int:
    return tx.run("delete from rule_trials where told_at < %s and state in ('done', 'failed')", before)
