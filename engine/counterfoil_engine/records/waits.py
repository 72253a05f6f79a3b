"""Who waits for what, and how results and watermarks wake them (L2).

A wait is written under the row lock of what it waits for, after looking once more, so that no wake-up falls between
the look and the wait. An hourly pass looks again; what it has to free counts as a defect.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from counterfoil_engine.records.database import Transaction
from counterfoil_engine.records.work import mark_due

DEFECTS = "waits freed by the hourly pass"

# A document may rest on one of another party: goods leave after the sales order. Named, so that the index on party,
# entity and key serves.
ANY_PARTY = "party in ('erp', 'wms', 'gateway', 'tax', 'store')"


def result_key(entity: str, key: str) -> str:
    return f"result {entity} {key}"


_Place = tuple[str, str]  # entity, key


def wait_for_results(
    tx: Transaction, needs: Sequence[tuple[int, str, str, str]], fresh: Collection[tuple[str, str, str]] = ()
) -> None:
    """Let intents wait for results: id, own party and entity, and the key of what has to be there before, with whatever
    party.

    fresh: intents of this very transaction, which have none. What has its result keeps it, so it needs no lock: many
    orders rest on one customer."""
    asked = {need[2:] for need in needs} - {place[1:] for place in fresh}
    done = _done(tx, asked, "")
    if not tx.is_sqlite:
        done |= _done(tx, asked - done, " for update of intents")
    _insert(
        tx,
        [
            (result_key(entity, key), f"intent {intent_id}", party, entity, key, None, None)
            for intent_id, party, entity, key in needs
            if (entity, key) not in done
        ],
    )


def _done(tx: Transaction, places: Collection[_Place], lock: str) -> set[_Place]:
    if not places:
        return set()
    table, params = tx.given(sorted(places), of_entity="text", of_key="text")
    rows = tx.all(
        f"select entity, key, state from {table} join intents on {ANY_PARTY} and entity = of_entity"
        f" and key = of_key and state <> 'withdrawn' order by id{lock}",
        *params,
    )
    return {(row["entity"], row["key"]) for row in rows if row["state"] == "done"}


def wait_for_watermarks(
    tx: Transaction, subjects: Sequence[str], needs: Sequence[tuple[str, str, int, int]]
) -> list[str]:
    """Of all that was looked at, let those wait that need it: subject, store, and the (epoch, n) to be passed.

    Returns the subjects whose wait is over already. The epochs are locked before anything else is touched that whoever
    raises a watermark, and then wakes, needs too."""
    lock = "" if tx.is_sqlite else " for update"
    passed: dict[tuple[str, int], int] = {}
    for store, epoch in sorted({(store, epoch) for _, store, epoch, _ in needs}):
        row = tx.one("select stored_through from epochs where store = %s and epoch = %s" + lock, store, epoch)
        passed[store, epoch] = row["stored_through"] if row else 0
    forget(tx, [f"subject {subject}" for subject in subjects])
    open_ones = [need for need in needs if passed[need[1], need[2]] < need[3]]
    _insert(
        tx,
        [
            (f"watermark {store}", f"subject {subject}", None, None, None, epoch, n)
            for subject, store, epoch, n in open_ones
        ],
    )
    return sorted({need[0] for need in needs if need not in open_ones})


def _insert(
    tx: Transaction, rows: Sequence[tuple[str, str, str | None, str | None, str | None, int | None, int | None]]
) -> None:
    if not rows:
        return
    table, params = tx.given(
        sorted(set(rows), key=lambda row: row[:2]),
        on_key="text",
        waiter="text",
        party="text",
        entity="text",
        key="text",
        epoch="bigint",
        n="bigint",
    )
    tx.run(
        "insert into waits (on_key, waiter, party, entity, key, epoch, n, since)"
        f" select on_key, waiter, party, entity, key, epoch, n, %s from {table} where true"
        " on conflict (on_key, waiter) do update set epoch = excluded.epoch, n = excluded.n",
        tx.now(),
        *params,
    )


def forget(tx: Transaction, waiters: Sequence[str]) -> None:
    """The waiters wait no longer: withdrawn, or looked at anew."""
    if waiters:
        named, params = tx.among("waiter", waiters)
        tx.run(f"delete from waits where {named}", *params)


def wake_by_results(tx: Transaction, entity: str, keys: Sequence[str]) -> None:
    """Free the intents that waited for these results; called in the transaction that writes the results."""
    if keys:
        named, params = tx.among("on_key", [result_key(entity, key) for key in keys])
        tx.run(f"delete from waits where {named}", *params)


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
            f"delete from waits where exists (select 1 from intents where intents.{ANY_PARTY}"
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
