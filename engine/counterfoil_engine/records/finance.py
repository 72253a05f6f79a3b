"""The engine's journal as finance reads it: a gateway's clearing by day, gift cards, what is owed by age, refunds.

Each figure is a pure function over rows that one statement reads; days are posting dates, in the entity's zone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from counterfoil_engine.domain.close import GiftCards, Line, aged
from counterfoil_engine.domain.money import DECIMALS
from counterfoil_engine.domain.settlement.roll_forward import Movement, figure_of
from counterfoil_engine.records.database import Transaction
from counterfoil_engine.records.owed import owed

Row = Mapping[str, Any]

_WITH_KIND = (
    "journal j join intents i on i.party = j.party and i.entity = j.entity and i.key = j.document"
    " and i.state <> 'withdrawn'"
)


# A gateway's clearing


def clearing_movements(tx: Transaction, entity: str, gateway: str, last: date | None = None) -> list[Movement]:
    """What the journal moved on `clearing:<gateway>:<currency>`, by day and figure, to the end of a day."""
    is_clearing, roles = tx.among("j.role", [f"clearing:{gateway}:{currency}" for currency in DECIMALS])
    within = f"j.entity = %s and {is_clearing} and (cast(%s as text) is null or j.posting_date <= %s)"
    until = last.isoformat() if last else None
    told = (entity, *roles, until, until)
    # A payout's own documents say in their body where they belong; all others do by their kind.
    of_orders = tx.all(
        "select j.posting_date, j.currency, i.kind, sum(j.debit_minor - j.credit_minor) as amount_minor"
        f" from {_WITH_KIND} where {within} and substr(j.about, 1, 7) <> 'payout '"
        " group by j.posting_date, j.currency, i.kind",
        *told,
    )
    of_payouts = tx.all(
        "select j.posting_date, j.currency, i.kind, i.document, j.debit_minor - j.credit_minor as amount_minor"
        f" from {_WITH_KIND} where {within} and substr(j.about, 1, 7) = 'payout '",
        *told,
    )
    return list(movements((*of_orders, *of_payouts), gateway))


def movements(rows: Iterable[Row], gateway: str) -> Iterator[Movement]:
    """Journal rows of a clearing, each with its document's kind and, where that matters, the document."""
    for row in rows:
        body = json.loads(row["document"])["body"] if row.get("document") else {}
        day = date.fromisoformat(row["posting_date"])
        yield Movement(gateway, row["currency"], day, figure_of(row["kind"], body), int(row["amount_minor"]))


def gateways(tx: Transaction, entity: str) -> list[str]:
    """Every gateway whose clearing an entity has moved."""
    rows = tx.all("select distinct role from journal where entity = %s and substr(role, 1, 9) = 'clearing:'", entity)
    return sorted({row["role"].split(":", 1)[1].rpartition(":")[0] for row in rows})


# Gift cards


def gift_cards(tx: Transaction, entity: str, first: date, last: date) -> list[GiftCards]:
    """The roll-forward of `gift_cards` over these days, by currency."""
    rows = tx.all(
        "select j.posting_date, j.currency, i.kind, sum(j.credit_minor - j.debit_minor) as amount_minor,"
        " max(case when exists (select 1 from journal b where b.entity = j.entity and b.document = j.document"
        "  and b.role = 'breakage') then 1 else 0 end) as is_breakage"
        f" from {_WITH_KIND} where j.entity = %s and j.role = 'gift_cards' and j.posting_date <= %s"
        " group by j.posting_date, j.currency, i.kind, j.document",
        entity,
        last.isoformat(),
    )
    return gift_card_roll_forward(rows, first)


def gift_card_roll_forward(rows: Iterable[Row], first: date) -> list[GiftCards]:
    """Rows: posting_date, currency, kind, amount_minor (credits less debits), is_breakage.

    Sold with an invoice: issued; a tender uses it, and one given back is used so much less; a document that also books
    breakage is breakage; all else (a sale that was credited, a correction) is adjusted."""
    figures: dict[str, dict[str, int]] = {}
    for row in rows:
        amount = int(row["amount_minor"])
        of = figures.setdefault(
            row["currency"], dict.fromkeys(("opening", "issued", "used", "breakage", "adjusted"), 0)
        )
        if row["posting_date"] < first.isoformat():
            of["opening"] += amount
        elif row["is_breakage"]:
            of["breakage"] -= amount
        elif row["kind"] == "tender":
            of["used"] -= amount
        else:
            of["issued" if row["kind"] == "invoice" else "adjusted"] += amount
    return [GiftCards(currency, *of.values()) for currency, of in sorted(figures.items())]


# What is owed, unapplied or claimed, by age


def owed_by_age(tx: Transaction, entity: str, last: date) -> list[Line]:
    """Deposits, refunds owed and unapplied money at that day's end, by role, currency and age."""
    return list(aged(owed(tx, entity, last), last))


def claims_by_age(tx: Transaction, entity: str, last: date) -> list[Line]:
    """Payments that only the store speaks of, at that day's end: by gateway, currency and age."""
    rows = tx.all(
        "select p.slot, p.source, p.currency, i.about, coalesce(i.posting_date, i.day) as posting_date, p.amount_minor,"
        " i.document from postings p join intents i on i.id = p.intent_id"
        " where p.entity = %s and p.stands = 1 and p.kind = 'charge' and i.kind = 'payment'"
        " and p.settled_by is null and coalesce(i.posting_date, i.day) <= %s order by i.about, posting_date",
        entity,
        last.isoformat(),
    )
    return list(aged(claimed(rows), last))


def claimed(rows: Iterable[Row]) -> Iterator[Row]:
    """Of payments those that rest on the store's word alone."""
    for row in rows:
        if json.loads(row["document"])["body"].get("inferred"):
            yield {**row, "role": f"claims:{row['source']}"}


# Refunds


def refunded(tx: Transaction, entity: str, stores: Sequence[str], since: date | None, limit: int) -> list[str]:
    """Orders that the ledger or a gateway says something was given back of, since a day."""
    from_day = since.isoformat() if since else ""
    said = tx.all(
        "select distinct about as subject from intents where entity = %s and kind in ('credit_note', 'refund_payment')"
        " and state <> 'withdrawn' and day >= %s and substr(about, 1, 6) = 'order '"
        " union select distinct subject from party_facts where kind = 'refunded' and substr(subject, 1, 6) = 'order '"
        " order by subject limit %s",
        entity,
        from_day,
        limit,
    )
    theirs = tuple(f"order {store}/" for store in stores)
    return [row["subject"] for row in said if row["subject"].startswith(theirs)]
