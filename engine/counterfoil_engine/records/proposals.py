"""What somebody proposed and a second person decides: exactly what would be done, with its hash. Rows stay."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from counterfoil_engine.records.database import Transaction


def add(
    tx: Transaction,
    what: str,
    payload: str,
    payload_hash: str,
    summary: str,
    amounts: str,
    who: str,
    expires_at: datetime,
) -> int:
    """Keep a proposal; its number. payload, amounts: JSON."""
    row = tx.one(
        "insert into proposals (what, payload, payload_hash, summary, amounts, state, proposed_by, proposed_at,"
        " expires_at) values (%s, %s, %s, %s, %s, 'open', %s, %s, %s) returning id",
        what,
        payload,
        payload_hash,
        summary,
        amounts,
        who,
        tx.now(),
        expires_at,
    )
    assert row is not None
    return int(row["id"])


def read(tx: Transaction, proposal: int) -> Mapping[str, Any] | None:
    return tx.one("select * from proposals where id = %s", proposal)


def same(tx: Transaction, payload_hash: str, who: str) -> Mapping[str, Any] | None:
    """What this person proposed already and nobody has decided."""
    return tx.one(
        "select * from proposals where payload_hash = %s and proposed_by = %s and state = 'open' and expires_at > %s",
        payload_hash,
        who,
        tx.now(),
    )


def is_approved(tx: Transaction, payload_hash: str) -> bool:
    """Whether somebody approved exactly this once."""
    return (
        tx.one("select 1 as yes from proposals where payload_hash = %s and state = 'approved'", payload_hash)
        is not None
    )


def listed(tx: Transaction, with_decided: bool, limit: int) -> list[Mapping[str, Any]]:
    """Those that wait, or all of them; the newest first, without their payloads."""
    which, told = ("", []) if with_decided else (" where state = 'open' and expires_at > %s", [tx.now()])
    return tx.all(
        "select id, what, payload_hash, summary, amounts, state, proposed_by, proposed_at, expires_at, decided_by,"
        f" decided_at, reason from proposals{which} order by id desc limit %s",
        *told,
        limit,
    )


def waiting(tx: Transaction) -> int:
    row = tx.one("select count(*) as open from proposals where state = 'open' and expires_at > %s", tx.now())
    return int(row["open"]) if row else 0


def decide(tx: Transaction, proposal: int, state: str, who: str, reason: str | None = None) -> bool:
    """open → approved | rejected; False where somebody decided it already."""
    return bool(
        tx.run(
            "update proposals set state = %s, decided_by = %s, decided_at = %s, reason = %s"
            " where id = %s and state = 'open'",
            state,
            who,
            tx.now(),
            reason,
            proposal,
        )
    )
