"""A store's sequences (E1, E2): epochs, the numbers that came, and the watermark, below which nothing is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NoReturn

from counterfoil_engine.ports import Installation, Rejected, Watermark
from counterfoil_engine.records.database import Row, Transaction

MOST_HOLES = 20  # told at a time; the agent sends from the first one on
_NUMBERS_AT_A_TIME = 1000


def lock_store(tx: Transaction, store: str) -> None:
    """Wait for the store's row: one writer at a time (on SQLite the transaction is that already)."""
    if not tx.is_sqlite:
        tx.one("select store from stores where store = %s for update", store)


def current_epoch(tx: Transaction, store: str) -> Row | None:
    """The row of the store's present epoch."""
    return tx.one("select * from epochs where store = %s order by epoch desc limit 1", store)


def watermark_of(epoch: Row) -> Watermark:
    return Watermark(epoch["epoch"], epoch["stored_through"], epoch["through_id"])


def through(tx: Transaction, store: str, epoch: int) -> int:
    row = tx.one("select stored_through from epochs where store = %s and epoch = %s", store, epoch)
    return int(row["stored_through"]) if row else 0


def open_epoch(tx: Transaction, store: str, epoch: int, installation: Installation, reason: str) -> Watermark:
    tx.run(
        "insert into epochs (store, epoch, installation, reason, granted_at) values (%s, %s, %s, %s, %s)",
        store,
        epoch,
        installation,
        reason,
        tx.now(),
    )
    return Watermark(epoch, 0, None)


def taken(tx: Transaction, store: str, epoch: int, wanted: Sequence[int]) -> dict[int, str]:
    """Which of these numbers came already, above the watermark, and the event that each stands for."""
    if not wanted:
        return {}
    sql = "select n, event_id from numbers where store = %s and epoch = %s and n "
    if tx.is_sqlite:
        rows = tx.all(f"{sql} in ({', '.join(['%s'] * len(wanted))})", store, epoch, *wanted)
    else:
        rows = tx.all(f"{sql} = any(%b::bigint[])", store, epoch, list(wanted))
    return {row["n"]: row["event_id"] for row in rows}


def is_empty(tx: Transaction, epoch: Row) -> bool:
    """Whether no number of the epoch has come yet."""
    return not epoch["stored_through"] and not _ahead(tx, watermark_of(epoch), epoch["store"], 1)


def _ahead(tx: Transaction, watermark: Watermark, store: str, limit: int) -> list[Row]:
    """Numbers that came above the watermark, in order, so many at most."""
    return tx.all(
        "select n, event_id from numbers where store = %s and epoch = %s and n > %s order by n limit %s",
        store,
        watermark.epoch,
        watermark.n,
        limit,
    )


def advance(
    tx: Transaction, store: str, watermark: Watermark, numbers: Mapping[int, str], ahead: bool = True
) -> Watermark:
    """Move the watermark over all numbers that follow it without a hole, and keep those that are still ahead of it.

    ahead: whether numbers of earlier batches wait above the watermark."""
    moved = watermark
    while True:
        while moved.n + 1 in numbers:
            moved = Watermark(moved.epoch, moved.n + 1, numbers[moved.n + 1])
        if not ahead:
            break
        waiting = _ahead(tx, moved, store, _NUMBERS_AT_A_TIME)
        if not waiting or waiting[0]["n"] != moved.n + 1:
            break
        for row in waiting:
            if row["n"] == moved.n + 1:
                moved = Watermark(moved.epoch, row["n"], row["event_id"])
    if moved != watermark:
        sql = "update epochs set stored_through = %s, through_id = %s where store = %s and epoch = %s"
        tx.run(sql, moved.n, moved.id, store, moved.epoch)
    if moved != watermark and ahead:
        tx.run("delete from numbers where store = %s and epoch = %s and n <= %s", store, moved.epoch, moved.n)
    kept = [(store, moved.epoch, n, event_id) for n, event_id in sorted(numbers.items()) if n > moved.n]
    if kept:
        sql = "insert into numbers (store, epoch, n, event_id) values (%s, %s, %s, %s) on conflict do nothing"
        tx.run_many(sql, kept)
    return moved


def holes(tx: Transaction, store: str, watermark: Watermark) -> list[tuple[int, int]]:
    """The first ranges of numbers that are missing above the watermark."""
    found: list[tuple[int, int]] = []
    last = watermark.n
    for row in _ahead(tx, watermark, store, _NUMBERS_AT_A_TIME):
        if row["n"] > last + 1 and len(found) < MOST_HOLES:
            found.append((last + 1, row["n"] - 1))
        last = row["n"]
    return found


def no_epoch(store: str) -> NoReturn:
    raise other_epoch(store, "has no epoch yet")


def other_epoch(store: str, how_it_is: str) -> Rejected:
    return Rejected(
        f"The store {store!r} {how_it_is}; what was sent doesn't continue that.",
        "The agent says hello again, compares, and goes on or asks for a new epoch; nothing was kept of this request.",
        slug="epoch",
    )


def other_installation(store: str) -> Rejected:
    return Rejected(
        f"Another installation of the agent serves the store {store!r}.",
        f"Stop one of the two. If this one is to take over: counterfoil handover {store}",
        slug="other-installation",
    )
