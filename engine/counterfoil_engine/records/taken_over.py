"""Documents taken over: counted as posted, and the ERP's own numbers of them where they are known (R3)."""

from __future__ import annotations

from collections.abc import Mapping

from counterfoil_engine.domain.old_references import TakenOver
from counterfoil_engine.records.database import Transaction
from counterfoil_engine.records.intents import document_of

_STANDS = "origin = 'taken_over' and party = 'erp' and state = 'done' and reverses is null and document is not null"


def page(tx: Transaction, store: str, after: int, limit: int) -> list[tuple[int, TakenOver, str]]:
    """Those of a store above an id, oldest first: id, document, and the number that is kept of it."""
    rows = tx.all(
        f"select id, key, document, number from intents where {_STANDS} and store = %s and id > %s"
        " order by id limit %s",
        store,
        after,
        limit,
    )
    return [(row["id"], TakenOver(row["key"], store, document_of(row["document"])), row["number"]) for row in rows]


def link(tx: Transaction, numbers: Mapping[int, str]) -> int:
    """Keep the ERP's numbers, by id; how many were new."""
    return sum(
        tx.run(
            f"update intents set number = %s where id = %s and {_STANDS} and number <> %s",
            number,
            row,
            number,
        )
        for row, number in numbers.items()
    )
