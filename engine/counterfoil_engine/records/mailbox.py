"""The documents that wait for a store: nobody posts them, its agent fetches them, and says later what became of them.

Each function locks what it returns, so that of two requests at once only one hands it out, or takes its result.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from counterfoil_engine.ports import Intent, WorkClass
from counterfoil_engine.records.database import Transaction
from counterfoil_engine.records.intents import as_intent

_HALF_DONE = (
    "(group_id is not null and exists (select 1 from intents begun"
    " where begun.group_id = intents.group_id and begun.ever_sent = 1))"
)


def ready(tx: Transaction, store: str, is_on: bool, work_class: WorkClass, limit: int) -> list[Intent]:
    """What may go now: nothing left that it waits for, and the switch on or its group under way."""
    rows = tx.all(
        "select * from intents where party = 'store' and store = %s and state = 'ready' and class = %s and due_at <= %s"
        f" and (%s = 1 or {_HALF_DONE})"
        " and (select 1 from waits where waits.waiter = 'intent ' || cast(intents.id as text) limit 1) is null"
        f" order by id limit %s{_lock(tx)}",
        store,
        work_class,
        tx.now(),
        int(is_on),
        limit,
    )
    return [as_intent(row) for row in rows]


def unanswered(tx: Transaction, store: str, is_on: bool, older_s: float, limit: int) -> list[Intent]:
    """What was handed out so long ago, and has no result: the longest ago first, so that none is starved."""
    rows = tx.all(
        "select * from intents where party = 'store' and store = %s and state = 'sent' and sent_at <= %s"
        f" and (%s = 1 or {_HALF_DONE}) order by sent_at, id limit %s{_lock(tx)}",
        store,
        tx.now() - timedelta(seconds=older_s),
        int(is_on),
        limit,
    )
    return [as_intent(row) for row in rows]


def handed_out(tx: Transaction, store: str, keys: Sequence[str]) -> dict[str, Intent]:
    """Those of these keys, by key, that this store was handed and that have no result yet."""
    if not keys:
        return {}
    named, params = tx.among("key", sorted(set(keys)))
    rows = tx.all(
        f"select * from intents where party = 'store' and store = %s and state = 'sent' and {named}"
        f" order by id{_lock(tx)}",
        store,
        *params,
    )
    return {row["key"]: as_intent(row) for row in rows}


def _lock(tx: Transaction) -> str:
    return "" if tx.is_sqlite else " for update"
