"""What an order's page shows beside its story: when documents came and went, payouts, raw forms. Reads only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from counterfoil_engine.records.database import Transaction


def times(tx: Transaction, subject: str) -> list[Mapping[str, Any]]:
    """Each document of a subject: to whom it goes, and when it was made, sent and answered."""
    return tx.all(
        "select key, kind, party, entity, state, rules_version, made_at, sent_at, result_at from intents"
        " where about = %s order by id",
        subject,
    )


def settled(tx: Transaction, subject: str) -> list[Mapping[str, Any]]:
    """Money of a subject on gateways' clearings, and the payout that each was in; null: in none yet."""
    return tx.all(
        "select distinct p.slot, p.kind, p.source, p.amount_minor, p.currency, p.day, p.settled_by, p.stands"
        " from intents i join postings p on p.entity = i.entity and p.slot = i.slot where i.about = %s order by p.slot",
        subject,
    )


def fact(tx: Transaction, subject: str, epoch: int, n: int) -> Mapping[str, Any] | None:
    """A fact as the store said it; where its body is the same as an earlier one's, that one's."""
    row = tx.one(
        "select e.store, e.type, e.received_at, e.occurred_at, e.body, e.same_as from events e"
        " where e.subject = %s and e.epoch = %s and e.n = %s",
        subject,
        epoch,
        n,
    )
    if row is None or row["body"] is not None or row["same_as"] is None:
        return row
    before = tx.one(
        "select body from events where subject = %s and event_id = %s and body is not null", subject, row["same_as"]
    )
    return {**row, "body": before["body"] if before else None}


def party_fact(tx: Transaction, subject: str, party: str, source: str, fact_id: str) -> Mapping[str, Any] | None:
    """A fact as another party said it, of this subject alone."""
    return tx.one(
        "select kind, occurred_at, received_at, body from party_facts where party = %s and source = %s and id = %s"
        " and subject = %s",
        party,
        source,
        fact_id,
        subject,
    )


def document(tx: Transaction, subject: str, key: str) -> Mapping[str, Any] | None:
    """A document of a subject as it is sent: its latest intent of that key."""
    return tx.one(
        "select key, kind, party, entity, state, number, rules_version, document, made_at, sent_at, result_at, attempts"
        " from intents where about = %s and key = %s order by id desc limit 1",
        subject,
        key,
    )
