"""What sweeps of books read: the journal of what stands, what is on its way, what a case speaks of. Reads only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from counterfoil_engine.records.database import Row, Transaction, as_time

_OF_ERP = "party = 'erp' and entity = %s"


def balances(tx: Transaction, entity: str) -> dict[tuple[str, str], tuple[int, int]]:
    """Debits less credits of each role and currency, and in the book currency, of what stands in the ERP as far as we
    know: what is looked up anew may have been deleted there.

    That it isn't withdrawn goes without saying, but SQLite takes the index of keys only where it is said: else it would
    go through all intents for each line of the journal."""
    rows = tx.all(
        "select j.role, j.currency, sum(j.debit_minor - j.credit_minor) as amount_minor,"
        " sum(j.book_debit_minor - j.book_credit_minor) as book_minor from journal j join intents i"
        " on i.party = j.party and i.entity = j.entity and i.key = j.document and i.state = 'done'"
        " and i.state <> 'withdrawn'"
        " where j.party = 'erp' and j.entity = %s group by j.role, j.currency",
        entity,
    )
    return {(row["role"], row["currency"]): (int(row["amount_minor"]), int(row["book_minor"])) for row in rows}


def on_their_way(tx: Transaction, entity: str) -> frozenset[str]:
    """Keys of what has no result yet."""
    rows = tx.all(f"select key from intents where {_OF_ERP} and state in ('ready', 'sent')", entity)
    return frozenset(row["key"] for row in rows)


def told(tx: Transaction, entity: str) -> frozenset[str]:
    """Keys of which a case says what is wrong: refused, or found in the ERP after a restore and not explained."""
    rows = tx.all(
        f"select key from intents where {_OF_ERP} and (state = 'refused' or (origin = 'adopted' and document is null))",
        entity,
    )
    return frozenset(row["key"] for row in rows)


def taken(tx: Transaction, entity: str) -> frozenset[str]:
    """The ERP's numbers of what stood there before the start line."""
    sql = f"select number from intents where {_OF_ERP} and origin = 'taken_over' and number is not null"
    rows = tx.all(sql, entity)
    return frozenset(row["number"] for row in rows)


def doubt(tx: Transaction, keys: Sequence[str], stores: Sequence[str]) -> list[str]:
    """What was posted may not stand any more: it is looked up, and posted again under its own key where it isn't there.

    stores: whose documents may be sent. Its journal stays, and is not written twice. Returns the keys it goes for."""
    which, named = tx.among("key", keys)
    theirs, owners = tx.among("store", stores)
    rows = tx.all(
        f"update intents set state = 'sent', sent_at = %s, due_at = %s where party = 'erp' and state = 'done'"
        f" and origin <> 'taken_over' and document is not null and {which} and {theirs} returning key",
        tx.now(),
        tx.now(),
        *named,
        *owners,
    )
    return sorted(row["key"] for row in rows)


def posted(tx: Transaction, store: str) -> int:
    """How many documents of a store, or an entity, stand in the ERP as far as we know: a brake takes its share."""
    row = tx.one("select count(*) as many from intents where party = 'erp' and store = %s and state = 'done'", store)
    return int(row["many"]) if row else 0


def last_agreed(tx: Transaction, sweep: str, entity: str, before: int) -> datetime | None:
    """When the last sweep began that ended, of those before this one."""
    row = tx.one(
        "select max(started_at) as at from sweeps where sweep = %s and store = %s and state = 'done' and id < %s",
        sweep,
        entity,
        before,
    )
    return as_time(row["at"]) if row else None


def next_run(tx: Transaction) -> Row | None:
    """The oldest run over books that hasn't ended."""
    return tx.one("select * from sweeps where state = 'running' and sweep in ('erp', 'money') order by id limit 1")


# What is in warehouses


def positions(tx: Transaction, warehouses: Sequence[str]) -> dict[tuple[str, str], Mapping[str, Any]]:
    """(warehouse, SKU's key) → the position as it was read last."""
    which, named = tx.among("warehouse", warehouses)
    rows = tx.all(
        f"select warehouse, sku_key, sku, on_hand, allocated, damaged, quarantined, as_of from positions where {which}",
        *named,
    )
    return {(row["warehouse"], row["sku_key"]): {**row, "as_of": as_time(row["as_of"])} for row in rows}


def read_all_again(tx: Transaction, warehouses: Sequence[str], owners: Mapping[str, str]) -> None:
    """Let the owners of these warehouses be read in full. owners: warehouse → as readings name its owner."""
    which, named = tx.among("owner", sorted({owners[name] for name in warehouses if name in owners}))
    tx.run(f"update position_readings set token = null, full_at = null where {which}", *named)
