"""What people put beside a body that could not be read: a fact of its own, which counts from its arrival on.

The event stays as it came. A correction stands right after each event of the body that it corrects, so that whatever
the store says later supersedes it, and the same said again does not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from counterfoil_engine.domain.readers import READERS
from counterfoil_engine.records.database import Row, Transaction
from counterfoil_engine.records.sequences import lock_store

TYPE = "counterfoil.order.v1"  # what a correction is read as

_EVENT = "e.subject, e.event_id, e.epoch, e.n, e.occurred_at, e.received_at, e.arrival"


def beside(tx: Transaction, subjects: Sequence[str], rows: list[Row], through_arrival: int | None) -> list[Row]:
    """The subjects' facts, by (epoch, n), with their corrections put among them."""
    is_wanted, params = tx.among("c.subject", subjects)
    found = tx.all(
        f"select {_EVENT}, p.stored_through, c.id, c.body as corrected, c.arrival as corrected_at from corrections c"
        " join events e on e.store = c.store and e.subject = c.subject"
        " and (e.event_id = c.event_id or e.same_as = c.event_id)"
        f" join epochs p on p.store = e.store and p.epoch = e.epoch where {is_wanted} order by c.id",
        *params,
    )
    corrections = [_as_event(row) for row in found]
    if through_arrival is not None:
        corrections = [row for row in corrections if row["arrival"] <= through_arrival]
    if not corrections:
        return rows
    return sorted([*rows, *corrections], key=lambda row: (row["epoch"], row["n"]))


def _as_event(row: Row) -> Row:
    return {
        **{name: row[name] for name in ("subject", "epoch", "n", "occurred_at", "received_at", "stored_through")},
        "event_id": f"correction {row['id']} of {row['event_id']}",
        "type": TYPE,
        "body": row["corrected"],
        "same_as": None,
        "arrival": max(row["arrival"], row["corrected_at"]),
    }


def latest(tx: Transaction, subject: str) -> Mapping[str, Any] | None:
    """What is newest of a subject, as it is read now: event_id (of the event that holds the body), type, body, its
    hash, the contract's fault with it, and when it came. None: nothing came of it."""
    event = tx.one(
        "select store, event_id, same_as, type, body, body_hash, reason, occurred_at, received_at from events"
        " where subject = %s order by epoch desc, n desc, arrival desc limit 1",
        subject,
    )
    if event is None:
        return None
    holder = event["same_as"] or event["event_id"]
    before = tx.one(
        "select body, body_hash from corrections where subject = %s and event_id = %s order by id desc limit 1",
        subject,
        holder,
    )
    body = event["body"]
    if body is None:
        held = tx.one("select body from events where store = %s and event_id = %s", event["store"], holder)
        body = held["body"] if held else b""
    known = {"body": body, "body_hash": event["body_hash"], "type": event["type"], "reason": event["reason"]}
    if before:
        known |= {"body": before["body"], "body_hash": before["body_hash"], "type": TYPE, "reason": None}
    return {**event, **known, "event_id": holder, "body": bytes(known["body"])}


def add(
    tx: Transaction, store: str, subject: str, event_id: str, body: bytes, proposed_by: str, who: str, reason: str
) -> int:
    """Keep a correction; its number."""
    lock_store(tx, store)
    row = tx.one("update stores set arrival = arrival + 1 where store = %s returning arrival", store)
    assert row is not None and TYPE in READERS
    kept = tx.one(
        "insert into corrections (store, subject, event_id, type, arrival, body, body_hash, proposed_by, approved_by,"
        " reason, at) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) returning id",
        store,
        subject,
        event_id,
        TYPE,
        row["arrival"],
        body,
        hashlib.sha256(body).hexdigest(),
        proposed_by,
        who,
        reason,
        tx.now(),
    )
    assert kept is not None
    return int(kept["id"])


def of_subject(tx: Transaction, subject: str) -> list[Mapping[str, Any]]:
    """Who corrected what of it, without the bodies."""
    return tx.all(
        "select id, event_id, proposed_by, approved_by, reason, at from corrections where subject = %s order by id",
        subject,
    )
