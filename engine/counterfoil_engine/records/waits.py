"""Who waits for what, and how results and watermarks wake them (L2).

A wait is written under the row lock of what it waits for, after looking once more, so that no wake-up falls between
the look and the wait. An hourly pass looks again; what it has to free counts as a defect.
"""

from __future__ import annotations

from collections.abc import Sequence

from counterfoil_engine.records.database import Transaction
from counterfoil_engine.records.work import mark_due

DEFECTS = "waits freed by the hourly pass"


def result_key(party: str, entity: str, key: str) -> str:
    return f"result {party} {entity} {key}"


def wait_for_result(tx: Transaction, intent_id: int, party: str, entity: str, key: str) -> bool:
    """Let an intent wait for the result of another; False where the result is there already."""
    lock = "" if tx.is_sqlite else " for update"
    row = tx.one(
        "select state from intents where party = %s and entity = %s and key = %s and state <> 'withdrawn'" + lock,
        party,
        entity,
        key,
    )
    if row is not None and row["state"] == "done":
        return False
    _insert(tx, result_key(party, entity, key), f"intent {intent_id}", party, entity, key, None, None)
    return True


def wait_for_watermark(tx: Transaction, subject: str, store: str, epoch: int, n: int) -> bool:
    """Let a subject wait until the store's watermark has passed (epoch, n); False where it has already."""
    lock = "" if tx.is_sqlite else " for update"
    row = tx.one("select stored_through from epochs where store = %s and epoch = %s" + lock, store, epoch)
    if row is not None and row["stored_through"] >= n:
        return False
    _insert(tx, f"watermark {store}", f"subject {subject}", None, None, None, epoch, n)
    return True


def _insert(tx: Transaction, on_key: str, waiter: str, *needs: str | int | None) -> None:
    tx.run(
        "insert into waits (on_key, waiter, party, entity, key, epoch, n, since)"
        " values (%s, %s, %s, %s, %s, %s, %s, %s)"
        " on conflict (on_key, waiter) do update set epoch = excluded.epoch, n = excluded.n",
        on_key,
        waiter,
        *needs,
        tx.now(),
    )


def forget(tx: Transaction, waiters: Sequence[str]) -> None:
    """The waiters wait no longer: withdrawn, or looked at anew."""
    for waiter in waiters:
        tx.run("delete from waits where waiter = %s", waiter)


def wake_by_results(tx: Transaction, party: str, entity: str, keys: Sequence[str]) -> None:
    """Free the intents that waited for these results; called in the transaction that writes the results."""
    if keys:
        table, params = tx.given([[result_key(party, entity, key)] for key in sorted(keys)], result="text")
        tx.run(f"delete from waits where on_key in (select result from {table})", *params)


def wake(tx: Transaction, key: str) -> None:
    """Mark the subjects due whose wait for this `watermark <store>` has ended.

    Called in the transaction that raises the watermark, while it holds the epoch's row."""
    rows = tx.all(
        "delete from waits where on_key = %s and exists (select 1 from epochs where epochs.store = %s"
        " and (epochs.epoch > waits.epoch or (epochs.epoch = waits.epoch and epochs.stored_through >= waits.n)))"
        " returning waiter",
        key,
        key.removeprefix("watermark "),
    )
    mark_due(tx, [row["waiter"].removeprefix("subject ") for row in rows], "live")


def check_again(tx: Transaction) -> list[str]:
    """Free every wait whose cause has ended; each one is a wake-up that was lost, and is counted as a defect."""
    freed = [
        f"{row['waiter']} on {row['on_key']}"
        for row in tx.all(
            "delete from waits where exists (select 1 from intents where intents.party = waits.party"
            " and intents.entity = waits.entity and intents.key = waits.key and intents.state = 'done')"
            " returning waiter, on_key"
        )
    ]
    lost = tx.all(
        "delete from waits where exists (select 1 from epochs where 'watermark ' || epochs.store = waits.on_key"
        " and epochs.epoch = waits.epoch and epochs.stored_through >= waits.n) returning waiter, on_key"
    )
    mark_due(tx, [row["waiter"].removeprefix("subject ") for row in lost], "repair")
    freed += [f"{row['waiter']} on {row['on_key']}" for row in lost]
    if freed:
        tx.run(
            "insert into counters (name, value) values (%s, %s)"
            " on conflict (name) do update set value = counters.value + excluded.value",
            DEFECTS,
            len(freed),
        )
    return freed


def defects(tx: Transaction) -> int:
    """How many waits the hourly pass had to free, ever: 0 where no wake-up is lost."""
    row = tx.one("select value from counters where name = %s", DEFECTS)
    return int(row["value"]) if row else 0
