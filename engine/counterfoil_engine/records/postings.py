"""Money on gateways' clearings that has a result, as payouts' lines find it: by id, by reference, by amount.

It follows the journal: what is booked there is here, what is reversed stands no longer. A payout that waits for an id
is named to whoever books one. Both lock the id's row (`settlement_ids`) before they look, so that neither misses the
other (L2).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from counterfoil_engine.domain.documents import Document
from counterfoil_engine.domain.settlement.ledger import posting_of
from counterfoil_engine.domain.settlement.lines import SettlementLine
from counterfoil_engine.domain.settlement.posted import Posting
from counterfoil_engine.domain.settlement.similar import plain, tokens
from counterfoil_engine.ports import Intent, SeenPosting
from counterfoil_engine.records.database import Row, Transaction
from counterfoil_engine.records.intents import document_of
from counterfoil_engine.records.work import mark_due

NEAR_LINES_MAX = 200  # of a payout, for which likely postings are looked for beside those that a reference names
NEAR_MAX = 50  # postings for each of them
_NEAR_DAYS = 14
_AT_ONCE = 5000  # values in one statement
_REGROUP_S = 60  # an edit reverses a payment and posts it anew: the payout waits for both


def book(tx: Transaction, intents: Sequence[Intent]) -> set[str]:
    """Intents that have a result now: what they are to payouts. Returns the payouts that waited for one of them."""
    known = [one for one in intents if one.document and one.party == "erp"]
    undone = [(one.entity, one.slot) for one in known if one.reverses]
    if undone:
        _undo(tx, undone)
    return stand(tx, [(one.id, one.document) for one in known if not one.reverses and one.document])


def stand(tx: Transaction, documents: Sequence[tuple[int, Document]]) -> set[str]:
    """Documents that stand, each with its intent's id: posted, or taken over."""
    made = [(intent_id, one, posting) for intent_id, one in documents if (posting := posting_of(one))]
    return _make(tx, made) if made else set()


def _undo(tx: Transaction, slots: Sequence[tuple[str, str]]) -> None:
    table, params = tx.given(sorted(set(slots)), of_entity="text", of_slot="text")
    rows = tx.all(
        f"update postings set stands = 0 from {table} where entity = of_entity and slot = of_slot and stands = 1"
        " returning settled_by",
        *params,
    )
    settled = {row["settled_by"] for row in rows if row["settled_by"]}
    mark_due(tx, settled, "repair", tx.now() + timedelta(seconds=_REGROUP_S))


def _make(tx: Transaction, made: Sequence[tuple[int, Document, Posting]]) -> set[str]:
    ids = {(posting.source, id, one.entity, posting.slot) for _, one, posting in made for id in posting.ids}
    awaited = {(posting.source, id) for _, _, posting in made for id in awaited_by(posting.ids, posting.reference)}
    lock_ids(tx, awaited)
    rows = {
        (one.entity, posting.slot): (
            one.entity,
            posting.slot,
            intent_id,
            posting.source,
            posting.kind,
            posting.currency,
            posting.amount_minor,
            posting.day.isoformat(),
            plain(posting.reference),
        )
        for intent_id, one, posting in made
    }
    columns = dict.fromkeys(("entity", "slot"), "text") | {"intent_id": "bigint"}
    columns |= dict.fromkeys(("source", "kind", "currency"), "text") | {"amount_minor": "bigint"}
    columns |= dict.fromkeys(("day", "reference"), "text")
    names = ", ".join(columns)
    table, params = tx.given([rows[place] for place in sorted(rows)], **columns)
    settled = tx.all(
        f"insert into postings ({names}, stands) select {names}, 1 from {table} where true"
        " on conflict (entity, slot) do update set intent_id = excluded.intent_id, source = excluded.source,"
        " kind = excluded.kind, currency = excluded.currency, amount_minor = excluded.amount_minor,"
        " day = excluded.day, reference = excluded.reference, stands = 1 returning settled_by",
        *params,
    )
    if ids:
        table, params = tx.given(sorted(ids), source="text", id="text", entity="text", slot="text")
        tx.run(
            f"insert into posting_ids (source, id, entity, slot) select * from {table} where true"
            " on conflict do nothing",
            *params,
        )
    return {row["settled_by"] for row in settled if row["settled_by"]} | _waiting(tx, awaited)


def awaited_by(ids: Iterable[str], reference: str | None) -> set[str]:
    """What a payout's line waits for, and a posting is waited for by: its ids, and each number in its reference."""
    return {*ids, *(f"reference {name}" for name in names_of(reference))}


def lock_ids(tx: Transaction, ids: Collection[tuple[str, str]]) -> None:
    """Lock the rows of ids (source, id), in their order."""
    for part in _parts(ids):
        table, params = tx.given(part, source="text", id="text")
        tx.run(
            f"insert into settlement_ids (source, id) select source, id from {table} where true order by source, id"
            " on conflict (source, id) do update set id = excluded.id",
            *params,
        )


def _waiting(tx: Transaction, ids: Collection[tuple[str, str]]) -> set[str]:
    if not ids:
        return set()
    table, params = tx.given(sorted(ids), of_source="text", of_id="text")
    sql = f"select distinct subject from {table} join payout_waits on source = of_source and id = of_id"
    return {row["subject"] for row in tx.all(sql, *params)}


# What looks at payouts read.


def of_lines(
    tx: Transaction, subject: str, entity: str, source: str, lines: Sequence[SettlementLine]
) -> list[tuple[SeenPosting, Posting]]:
    """All that is posted and that these lines may be for sure: by any id, or by reference."""
    slots: set[str] = set()
    for part in _parts({id for line in lines for id in line.ids}):
        among, params = tx.among("id", part)
        sql = f"select slot from posting_ids where source = %s and {among} and entity = %s"
        slots.update(row["slot"] for row in tx.all(sql, source, *params, entity))
    for part in _parts({name for line in lines for name in names_of(line.reference)}):
        among, params = tx.among("reference", part)
        sql = f"select slot from postings where source = %s and {among} and reference <> '' and entity = %s"
        slots.update(row["slot"] for row in tx.all(sql, source, *params, entity))
    return of_slots(tx, subject, entity, source, slots)


def of_slots(
    tx: Transaction, subject: str, entity: str, source: str, slots: Iterable[str]
) -> list[tuple[SeenPosting, Posting]]:
    """What stands in these slots and isn't the payout's own.

    Each statement asks one table by its key: joined, PostgreSQL scans what it last saw empty once for each row."""
    found: list[tuple[SeenPosting, Posting]] = []
    for part in _parts(set(slots)):
        among, params = tx.among("slot", part)
        sql = f"select intent_id, settled_by from postings where entity = %s and {among} and source = %s and stands = 1"
        found += _read(tx, subject, tx.all(sql, entity, *params, source))
    return sorted(found, key=lambda one: one[0])


def near_lines(
    tx: Transaction, subject: str, entity: str, source: str, lines: Sequence[SettlementLine]
) -> list[tuple[SeenPosting, Posting]]:
    """What unmatched lines most likely are, by amount and date: of the first lines, the nearest few each."""
    found: dict[int, tuple[SeenPosting, Posting]] = {}
    for line in lines[:NEAR_LINES_MAX]:
        amounts = [(line.currency, line.gross_minor)]
        if line.other_minor is not None and line.other_currency:
            amounts.append((line.other_currency, line.other_minor))
        for currency, amount in amounts:
            spread = abs(amount) // 10 + 100
            rows = tx.all(
                "select intent_id, settled_by from postings where source = %s and kind = %s and currency = %s"
                " and amount_minor between %s and %s and entity = %s and stands = 1 and settled_by is null"
                " and day between %s and %s and slot not like %s"
                " order by abs(amount_minor - %s), day desc, slot limit %s",
                source,
                line.kind,
                currency,
                amount - spread,
                amount + spread,
                entity,
                (line.at - timedelta(days=_NEAR_DAYS)).isoformat(),
                (line.at + timedelta(days=_NEAR_DAYS)).isoformat(),
                f"{entity}/-/%",  # what a payout's line stands for itself is no order's
                amount,
                NEAR_MAX,
            )
            found |= {seen[0]: (seen, posting) for seen, posting in _read(tx, subject, rows)}
    return [found[intent_id] for intent_id in sorted(found)]


def of_seen(tx: Transaction, seen: Sequence[SeenPosting]) -> list[Posting]:
    """The postings as an earlier look saw them, whatever has become of them."""
    rows: dict[int, str] = {}
    for part in _parts({intent_id for intent_id, _ in seen}):
        among, params = tx.among("id", part, "bigint")
        said = tx.all(f"select id, document from intents where {among}", *params)
        rows |= {row["id"]: row["document"] for row in said}
    return [_posting(rows[intent_id], counts) for intent_id, counts in seen if rows.get(intent_id)]


def slot_of(tx: Transaction, entity: str, source: str, document: str) -> Mapping[str, Any] | None:
    """A standing posting of this gateway, by its slot or by its key (`…/r1`)."""
    slots = {document, document.rpartition("/")[0]}
    among, params = tx.among("slot", slots)
    return tx.one(
        "select slot, kind, currency, amount_minor, settled_by from postings"
        f" where stands = 1 and entity = %s and source = %s and {among}",
        entity,
        source,
        *params,
    )


def settle(tx: Transaction, subject: str, entity: str, slots: Collection[str]) -> None:
    """These are the postings that the payout's lines are; what were before, and aren't, are free again."""
    known = {row["slot"] for row in tx.all("select slot from postings where settled_by = %s", subject)}
    for changed, value in ((known - set(slots), None), (set(slots) - known, subject)):
        for part in _parts(changed):
            among, params = tx.among("slot", part)
            tx.run(f"update postings set settled_by = %s where entity = %s and {among}", value, entity, *params)


def wait_for(tx: Transaction, subject: str, source: str, lines: Sequence[SettlementLine]) -> None:
    """The payout waits for postings that may be one of these lines, and for no others. Locks their ids' rows, so that
    what is read from here on lacks nothing that was written without knowing of it."""
    ids = {id for line in lines for id in awaited_by(line.ids, line.reference)}
    lock_ids(tx, {(source, id) for id in ids})
    tx.run("delete from payout_waits where subject = %s", subject)
    for part in _parts(ids):
        table, params = tx.given([(source, id, subject) for id in part], source="text", id="text", who="text")
        tx.run(f"insert into payout_waits (source, id, subject) select * from {table} where true", *params)


def names_of(reference: str | None) -> set[str]:
    """What a reference may name: itself, or a number in it (as `Postings.named_by` reads it)."""
    found = {plain(reference), *(word for word in tokens(reference) if any(map(str.isdigit, word)))}
    return found - {""}


def _parts(values: Iterable[Any]) -> Iterator[list[Any]]:
    """In order, so many that one statement can bear them."""
    ordered = sorted(values)
    for start in range(0, len(ordered), _AT_ONCE):
        yield ordered[start : start + _AT_ONCE]


def _read(tx: Transaction, subject: str, rows: Sequence[Row]) -> list[tuple[SeenPosting, Posting]]:
    """Postings with their documents, but for those of the payout itself."""
    settled_by = {row["intent_id"]: row["settled_by"] for row in rows}
    among, params = tx.among("id", settled_by, "bigint")
    said = tx.all(f"select id, document from intents where {among} and about <> %s", *params, subject)
    found = []
    for row in said:
        counts = settled_by[row["id"]] in (None, subject)
        found.append(((row["id"], counts), _posting(row["document"], counts)))
    return found


def _posting(document: str, counts: bool) -> Posting:
    posting = posting_of(document_of(document))
    assert posting is not None
    return posting if counts else replace(posting, reference=None)
