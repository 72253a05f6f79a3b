"""Planned pauses: a party that is left alone for a while, so that what is due waits in its order. As rows that every
process sees; whoever calls a party asks `breakers.allowance` or `is_held` first."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from counterfoil_engine.records.database import Transaction


def hold(tx: Transaction, party: str, entity: str, reason: str, who: str, until: datetime | None) -> None:
    """From now on nothing goes there; until: the moment at which that ends by itself, None: a person ends it."""
    tx.run(
        "insert into holds (party, entity, reason, held_by, since, until) values (%s, %s, %s, %s, %s, %s)"
        " on conflict (party, entity) do update set reason = excluded.reason, held_by = excluded.held_by,"
        " since = excluded.since, until = excluded.until, released_by = null, released_at = null",
        party,
        entity,
        reason,
        who,
        tx.now(),
        until,
    )


def release(tx: Transaction, party: str, entity: str, who: str) -> bool:
    """What waited goes on; False where it wasn't held."""
    return bool(
        tx.run(
            "update holds set released_by = %s, released_at = %s where party = %s and entity = %s"
            " and released_at is null and (until is null or until > %s)",
            who,
            tx.now(),
            party,
            entity,
            tx.now(),
        )
    )


def is_held(tx: Transaction, party: str, entity: str) -> bool:
    return bool(
        tx.one(
            "select 1 as held from holds where party = %s and entity = %s and released_at is null"
            " and (until is null or until > %s)",
            party,
            entity,
            tx.now(),
        )
    )


def all_of_them(tx: Transaction) -> list[Mapping[str, Any]]:
    """The last pause of each party, over or not."""
    return tx.all("select * from holds order by party, entity")


def queues(tx: Transaction) -> list[Mapping[str, Any]]:
    """Documents without a result and refused ones, by party, entity and state; since when the oldest."""
    each = "select party, entity, state, made_at from intents where state ="
    # Done ones are most of the table: they are left to their own index (`lately`).
    return tx.all(
        "select party, entity, state, count(*) as documents, min(made_at) as oldest"
        f" from ({each} 'ready' union all {each} 'sent' union all {each} 'refused') as open_ones"
        " group by party, entity, state"
    )


def lately(tx: Transaction, party: str, entity: str, since: datetime, most: int) -> list[Mapping[str, Any]]:
    """The newest results of a party since a moment, so many at most: when each was sent and answered."""
    return tx.all(
        "select sent_at, result_at from intents where party = %s and result_at >= %s and entity = %s"
        " and sent_at is not null order by result_at desc limit %s",
        party,
        since,
        entity,
        most,
    )


def places(tx: Transaction) -> list[Mapping[str, Any]]:
    """Parties and entities that anything was ever addressed to, by their lanes and breakers."""
    return tx.all(
        "select party, entity from lanes union select party, entity from breakers union select party, entity from holds"
        " order by party, entity"
    )
