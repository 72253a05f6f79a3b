"""What left a warehouse and was never invoiced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from counterfoil_engine.domain.keys import natural_id
from counterfoil_engine.domain.readers import read_json
from counterfoil_engine.records.database import Transaction

AT_ONCE = 500


def not_invoiced(tx: Transaction, stores: Sequence[str], before: datetime) -> list[Mapping[str, Any]]:
    """Shipments of these stores' orders before a moment that neither an invoice of their own stands for nor one of the
    whole order: subject, source, id. A warehouse's tests are left out."""
    shipped = tx.all(
        "select subject, source, id, body from party_facts f where party = 'wms' and kind = 'shipment'"
        " and occurred_at < %s and not exists (select 1 from intents i where i.party = 'erp'"
        "  and i.slot = substr(f.subject, 7) || '/invoice/acceptance' and i.state = 'done' and i.reverses is null)"
        " order by subject, source, id",
        before,
    )
    mine = [row for row in shipped if row["subject"].removeprefix("order ").split("/")[0] in stores]
    mine = [row for row in mine if not read_json(bytes(row["body"])).get("test")]
    slots = {(row["subject"], row["source"], row["id"]): _slot(row) for row in mine}
    invoiced = _standing(tx, sorted(slots.values()))
    return [
        {"subject": subject, "source": source, "id": id_}
        for (subject, source, id_), slot in slots.items()
        if slot not in invoiced
    ]


def _slot(row: Mapping[str, Any]) -> str:
    return f"{row['subject'].removeprefix('order ')}/invoice/{natural_id(row['source'] + '-' + row['id'])}"


def _standing(tx: Transaction, slots: Sequence[str]) -> set[str]:
    """Of these slots, those of which a document is posted and not reversed."""
    found: set[str] = set()
    for start in range(0, len(slots), AT_ONCE):
        is_named, named = tx.among("i.slot", slots[start : start + AT_ONCE])
        rows = tx.all(
            "select i.slot from intents i where i.party = 'erp' and i.state = 'done' and i.reverses is null"
            f" and {is_named} and not exists (select 1 from intents r where r.party = i.party and r.entity = i.entity"
            "  and r.reverses = i.key and r.state = 'done')",
            *named,
        )
        found |= {row["slot"] for row in rows}
    return found
