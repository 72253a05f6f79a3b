"""What a period's check reads: the journal by role, what is owed and since when, what is late, held, or not in the ERP.

Days are texts (ISO 8601), as the journal and the intents keep them, in the entity's zone. Reads only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from counterfoil_engine.domain.close import GiftCards, Line
from counterfoil_engine.domain.settlement.open_items import OpenItem
from counterfoil_engine.domain.settlement.roll_forward import Movement
from counterfoil_engine.domain.tie_out import Booked
from counterfoil_engine.records import finance, open_items
from counterfoil_engine.records.database import Transaction
from counterfoil_engine.records.facts import facts_of_group
from counterfoil_engine.records.owed import owed as owed
from counterfoil_engine.records.shipments import not_invoiced as not_invoiced

Row = Mapping[str, Any]

FACTS_AT_ONCE = 200
KEYS_AT_ONCE = 500


def snapshot(tx: Transaction) -> None:
    """From here on the transaction sees one moment; has to be its first statement."""
    if not tx.is_sqlite:
        tx.run("set transaction isolation level repeatable read")


def by_role(tx: Transaction, entity: str, first: date, last: date) -> list[Row]:
    """Opening balance (debits less credits), debits, credits and closing balance of each role, in both currencies."""
    return tx.all(
        "select role, currency, book_currency,"
        " sum(case when posting_date < %s then debit_minor - credit_minor else 0 end) as opening_minor,"
        " sum(case when posting_date >= %s then debit_minor else 0 end) as debit_minor,"
        " sum(case when posting_date >= %s then credit_minor else 0 end) as credit_minor,"
        " sum(debit_minor - credit_minor) as closing_minor,"
        " sum(case when posting_date < %s then book_debit_minor - book_credit_minor else 0 end) as book_opening_minor,"
        " sum(case when posting_date >= %s then book_debit_minor else 0 end) as book_debit_minor,"
        " sum(case when posting_date >= %s then book_credit_minor else 0 end) as book_credit_minor,"
        " sum(book_debit_minor - book_credit_minor) as book_closing_minor"
        " from journal where entity = %s and posting_date <= %s"
        " group by role, currency, book_currency order by role, currency, book_currency",
        *[first.isoformat()] * 6,
        entity,
        last.isoformat(),
    )


def to_date(tx: Transaction, entity: str) -> list[Row]:
    """Debits less credits of each role and currency, of all that was ever booked."""
    return tx.all(
        "select role, currency, sum(debit_minor - credit_minor) as balance_minor from journal where entity = %s"
        " group by role, currency order by role, currency",
        entity,
    )


def subjects_of_role(tx: Transaction, entity: str, role: str, currency: str, first: date, last: date) -> list[str]:
    """The subjects that moved a role in these days, by name."""
    rows = tx.all(
        "select distinct about from journal where entity = %s and role = %s and currency = %s"
        " and posting_date between %s and %s order by about",
        entity,
        role,
        currency,
        first.isoformat(),
        last.isoformat(),
    )
    return [row["about"] for row in rows]


# Reports that a check shows line by line: figures of the entity's month.


def clearings(tx: Transaction, entity: str, last: date) -> list[Movement]:
    """What moved on every gateway's clearing to that day's end."""
    return [
        movement
        for gateway in finance.gateways(tx, entity)
        for movement in finance.clearing_movements(tx, entity, gateway, last)
    ]


def waiting(tx: Transaction, entity: str, last: date) -> list[OpenItem]:
    """What stood on clearings at that day's end, in no payout's report of that day or before."""
    return open_items.of_entity(tx, entity, last)


def held(tx: Transaction, last: date) -> dict[tuple[str, str], int]:
    """What gateways kept by their daily statements to that day's end, by source and currency."""
    return open_items.held(tx, last)


def claims(tx: Transaction, entity: str, last: date) -> list[Line]:
    """Payments at that day's end of which no gateway speaks, by age."""
    return finance.claims_by_age(tx, entity, last)


def gift_cards(tx: Transaction, entity: str, first: date, last: date) -> list[GiftCards]:
    return finance.gift_cards(tx, entity, first, last)


def taxed(tx: Transaction, entity: str, first: date, last: date) -> Iterator[Row]:
    """Kind, sign (-1: a reversal) and lines of the invoices and credit notes dated into these days."""
    for row in tx.all(
        "select i.kind, i.about, case when i.reverses is null then 1 else -1 end as sign, i.document from intents i"
        " where i.entity = %s and i.party = 'erp' and i.state = 'done' and i.kind in ('invoice', 'credit_note')"
        " and i.posting_date between %s and %s and i.document is not null",
        entity,
        first.isoformat(),
        last.isoformat(),
    ):
        document = json.loads(row["document"])
        yield {**row, "lines": document["body"].get("lines", ()), "currency": document["currency"]}


def late(tx: Transaction, entity: str, period: str) -> list[Row]:
    """Documents whose event's day and posting date lie in different months, one of them this one."""
    return tx.all(
        "select key, about, kind, currency, amount_minor, day, posting_date from intents"
        " where entity = %s and state = 'done' and posting_date is not null"
        " and substr(day, 1, 7) <> substr(posting_date, 1, 7)"
        " and (substr(day, 1, 7) = %s or substr(posting_date, 1, 7) = %s) order by key",
        entity,
        period,
        period,
    )


def restatements(tx: Transaction, entity: str) -> list[Row]:
    return tx.all(
        "select subject, slot, version, currency, standing_minor, due_minor from restatements"
        " where entity = %s order by subject, slot",
        entity,
    )


def cases(tx: Transaction, stores: Sequence[str]) -> list[Row]:
    """Open cases of these stores."""
    is_theirs, params = tx.among("store", stores)
    return tx.all(
        "select subject, origin, category, cause, remedy, money_minor, currency, opened_at from cases"
        f" where resolved_at is null and {is_theirs} order by subject, origin, fingerprint",
        *params,
    )


def not_in_erp(tx: Transaction, stores: Sequence[str]) -> list[Row]:
    """Orders of these stores that the rules don't filter and of which no sales order stands: subject, reading, amount,
    currency and when WooCommerce made them (null where that can't be read)."""
    is_theirs, params = tx.among("s.store", stores)
    rows = tx.all(
        "select s.subject, s.store, s.reading, s.total_minor, s.currency from subjects s"
        f" where {is_theirs} and s.reading <> 'filtered' and substr(s.subject, 1, 6) = 'order '"
        " and not exists (select 1 from intents i where i.about = s.subject and i.kind = 'sales_order'"
        "  and i.state = 'done' and i.reverses is null and not exists (select 1 from intents r where r.party = i.party"
        "   and r.entity = i.entity and r.key = i.key || '/reversal' and r.state = 'done')) order by s.subject",
        *params,
    )
    unseen = tx.all(
        "select w.subject from work w where substr(w.subject, 1, 6) = 'order '"
        " and not exists (select 1 from subjects s where s.subject = w.subject) order by w.subject"
    )
    known = [dict(row) for row in rows]
    for row in unseen:
        store = row["subject"].removeprefix("order ").split("/")[0]
        if store in stores:
            known.append({"subject": row["subject"], "store": store, "reading": "not looked at yet"})
    return _dated(tx, known)


def _dated(tx: Transaction, rows: Sequence[dict[str, Any]]) -> list[Row]:
    made: dict[str, str] = {}
    orders = [(row["store"], row["subject"].split("/", 1)[1]) for row in rows]
    for start in range(0, len(orders), FACTS_AT_ONCE):
        for facts in facts_of_group(tx, orders[start : start + FACTS_AT_ONCE]):
            for snapshot_of in facts.snapshots:
                said = snapshot_of.body.get("order")
                if isinstance(said, Mapping) and isinstance(said.get("date_created_gmt"), str):
                    made[facts.subject] = said["date_created_gmt"]
    return [{**row, "made_at": made.get(row["subject"])} for row in rows]


def booked(tx: Transaction, entity: str, first: date, last: date) -> list[Booked]:
    """What was posted to the ERP with a date in these days, each with what it moved.

    What was taken over stands there under keys of its own."""
    return _booked(
        tx, entity, "i.state = 'done' and i.posting_date between %s and %s", first.isoformat(), last.isoformat()
    )


def booked_as(tx: Transaction, entity: str, keys: Sequence[str]) -> list[Booked]:
    """What was posted to the ERP under these keys, on whatever day."""
    return _of_keys(tx, entity, keys, "i.state = 'done'")


def journal_of(tx: Transaction, entity: str, keys: Sequence[str]) -> list[Booked]:
    """What was booked under these keys, whether it stands in the ERP now or not."""
    return _of_keys(tx, entity, keys, "i.posting_date is not null and i.number is not null")


def _of_keys(tx: Transaction, entity: str, keys: Sequence[str], state: str) -> list[Booked]:
    found = []
    for start in range(0, len(keys), KEYS_AT_ONCE):
        is_named, named = tx.among("i.key", keys[start : start + KEYS_AT_ONCE])
        found += _booked(tx, entity, f"{state} and {is_named}", *named)
    return found


def _booked(tx: Transaction, entity: str, which: str, *params: Any) -> list[Booked]:
    posted = (  # not withdrawn: said for the index of keys
        f"i.party = 'erp' and i.entity = %s and i.state <> 'withdrawn' and i.origin <> 'taken_over' and {which}"
    )
    nets: dict[str, dict[tuple[str, str], tuple[int, int]]] = {}
    for line in tx.all(
        "select j.document, j.role, j.currency, sum(j.debit_minor - j.credit_minor) as amount_minor,"
        " sum(j.book_debit_minor - j.book_credit_minor) as book_minor from intents i join journal j"
        f" on j.document = i.key and j.entity = i.entity and j.party = i.party where {posted}"
        " group by j.document, j.role, j.currency",
        entity,
        *params,
    ):
        net = nets.setdefault(line["document"], {})
        net[line["role"], line["currency"]] = (int(line["amount_minor"]), int(line["book_minor"]))
    rows = tx.all(
        "select i.key, i.number, i.kind, i.amount_minor, i.currency, i.about, i.posting_date from intents i"
        f" where {posted} order by i.key",
        entity,
        *params,
    )
    return [
        Booked(
            row["key"],
            row["number"],
            row["kind"],
            row["amount_minor"],
            row["currency"],
            date.fromisoformat(row["posting_date"]),
            nets.get(row["key"], {}),
            row["about"],
        )
        for row in rows
    ]


# What an evidence pack holds beside.


def engine(tx: Transaction) -> Row:
    """Which database this is, and in which life."""
    return tx.one("select id as engine_id, engine_epoch from identity") or {"engine_id": None, "engine_epoch": None}


def documents(tx: Transaction, entity: str, first: date, last: date) -> list[Row]:
    """What was posted with a date in these days."""
    return tx.all(
        "select key, kind, number, about, currency, amount_minor, book_minor, day, posting_date, reverses,"
        " rules_version, content_hash from intents where entity = %s and party = 'erp' and state = 'done'"
        " and posting_date between %s and %s order by key",
        entity,
        first.isoformat(),
        last.isoformat(),
    )


def readings(tx: Transaction, entity: str, first: date, last: date) -> list[Row]:
    """The last reading, with its proofs, of each subject that has such a document."""
    return tx.all(
        "select subject, reading, reason, proofs, rules_version from subjects where subject in (select about from"
        " intents where entity = %s and party = 'erp' and state = 'done' and posting_date between %s and %s)"
        " order by subject",
        entity,
        first.isoformat(),
        last.isoformat(),
    )
