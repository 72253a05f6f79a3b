"""Orders by what they are searched by, and documents by their keys and numbers; all by index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from counterfoil_engine.domain.search_terms import Term
from counterfoil_engine.records.database import Transaction


def keep(tx: Transaction, terms: Mapping[str, set[Term]]) -> None:
    """What each subject is found by from now on, besides what it was found by before."""
    rows = sorted((*term, subject) for subject, each in terms.items() for term in each)
    if not rows:
        return
    table, params = tx.given(
        [[kind, term, at.isoformat(timespec="microseconds"), subject] for kind, term, at, subject in rows],
        kind="text",
        term="text",
        at="timestamptz",
        subject="text",
    )
    tx.run(
        f"insert into order_terms (kind, term, at, subject) select kind, term, at, subject from {table} where true"
        " on conflict do nothing",
        *params,
    )


def orders(
    tx: Transaction,
    terms: Sequence[tuple[str, str]],
    after: tuple[datetime, str] | None,
    limit: int,
) -> list[Mapping[str, Any]]:
    """A page of the orders that one of these (kind, term) finds, the newest first, each with its last reading.

    after: at and subject of the last one of the page before."""
    if not terms:
        return []
    # One branch for each kind, so that each reads so many rows of its own part of the index and no more.
    which = " and (at < %s or (at = %s and subject < %s))" if after else ""
    page = f"select kind, at, subject from order_terms where kind = %s and term = %s{which}"
    branches, params = [], list[Any]()
    for kind, term in terms:
        branches.append(f"select * from ({page} order by at desc, subject desc limit %s) as of_{len(branches)}")
        params += [kind, term, *((after[0], after[0], after[1]) if after else ()), limit]
    return tx.all(
        "select f.subject, f.at, f.kind, s.store, s.reading, s.reason, s.currency, s.total_minor, s.looked_at"
        f" from (select subject, at, min(kind) as kind from ({' union all '.join(branches)}) as every_one"
        "  group by subject, at order by at desc, subject desc limit %s) as f"
        " left join subjects s on s.subject = f.subject order by f.at desc, f.subject desc",
        *params,
        limit,
    )


def by_transaction(tx: Transaction, transaction: str) -> list[str]:
    """Orders that a gateway or the store names a transaction of."""
    rows = tx.all(
        "select distinct subject from transactions where transaction_id = %s and subject is not null", transaction
    )
    return [row["subject"] for row in rows]


def documents(tx: Transaction, text: str, limit: int) -> list[Mapping[str, Any]]:
    """Documents that bear this as their key, their slot, or the other party's number."""
    slots, params = tx.among("slot", {text, text.rpartition("/")[0]})
    columns = "id, party, entity, key, kind, about, state, amount_minor, currency, number, day"
    return tx.all(
        f"select * from (select {columns} from intents where {slots} and state <> 'withdrawn'"
        " and (key = %s or slot = %s)"
        f" union select {columns} from intents where number = %s and state <> 'withdrawn') as found"
        " order by id desc limit %s",
        *params,
        text,
        text,
        text,
        limit,
    )


def readings(tx: Transaction, subjects: Sequence[str]) -> list[Mapping[str, Any]]:
    """The last reading of each of these subjects that was looked at."""
    is_asked, params = tx.among("subject", subjects)
    return tx.all(
        f"select subject, store, reading, reason, currency, total_minor, looked_at from subjects where {is_asked}"
        " order by looked_at desc",
        *params,
    )


def stocked(tx: Transaction, sku_key: str) -> list[Mapping[str, Any]]:
    """Pools that have a number for a SKU."""
    return tx.all("select pool, sku, number from ats where sku_key = %s order by pool", sku_key)
