"""What a world has come to, read from the parties' own files: the ERP's documents and ledger, the engine's ledger."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from simulation.rules import ENTITY

Row = Mapping[str, Any]


_open: dict[Path, sqlite3.Connection] | None = None  # while many questions are asked in a row


@contextmanager
def kept_open() -> Iterator[None]:
    """What is asked meanwhile opens each file once. Nothing may be put in a file's place meanwhile."""
    global _open
    _open = {}
    try:
        yield
    finally:
        for connection in _open.values():
            connection.close()
        _open = None


def rows(path: Path, sql: str, *values: Any) -> list[Row]:
    if _open is not None:
        connection = _open[path] = _open.get(path) or sqlite3.connect(path)
        return _read(connection, sql, values)
    with closing(sqlite3.connect(path)) as connection:
        return _read(connection, sql, values)


def _read(connection: sqlite3.Connection, sql: str, values: Sequence[Any]) -> list[Row]:
    cursor = connection.execute(sql, values)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def erp_documents(folder: Path) -> list[Row]:
    """Of our entity, in the order in which they were posted."""
    return rows(folder / "erp.sqlite", "select * from documents where entity = ? order by id", ENTITY)


def erp_content(folder: Path) -> list[tuple[str, str, dict[str, Any]]]:
    """Key, hash and content of each document, by key."""
    return sorted(
        ((row["key"], row["content_hash"], json.loads(row["body"])) for row in erp_documents(folder)),
        key=lambda one: one[0],
    )


def by_role(lines: Iterable[Row]) -> dict[tuple[str, str], tuple[int, int]]:
    """(role, currency) → net, in the order's and in the book currency; roles at nothing left out."""
    net: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for line in lines:
        pair = net[line["role"], line["currency"]]
        pair[0] += line["debit_minor"] - line["credit_minor"]
        pair[1] += line["book_debit_minor"] - line["book_credit_minor"]
    return {role: (pair[0], pair[1]) for role, pair in net.items() if pair != [0, 0]}


ERP_JOURNAL = (
    "select d.key, d.slot, j.role, d.currency, j.* from journal j join documents d on d.id = j.document"
    f" where d.entity = '{ENTITY}'"
)


def erp_ledger(folder: Path, without: Collection[str] = ()) -> dict[tuple[str, str], tuple[int, int]]:
    """without: keys of documents that don't count."""
    return by_role(line for line in rows(folder / "erp.sqlite", ERP_JOURNAL) if line["key"] not in without)


def unexplained(folder: Path) -> list[Row]:
    """What the engine adopted from the ERP, still stands there, and no fact gave its content."""
    return rows(
        folder / "engine.sqlite",
        "select * from intents one where origin = 'adopted' and document is null and state = 'done'"
        " and reverses is null"
        " and not exists (select 1 from intents undone where undone.reverses = one.key and undone.state = 'done')",
    )


def engine_ledger(folder: Path) -> dict[tuple[str, str], tuple[int, int]]:
    return by_role(rows(folder / "engine.sqlite", "select * from journal"))


def intents(folder: Path) -> list[Row]:
    return rows(folder / "engine.sqlite", "select * from intents where state <> 'withdrawn' order by id")


def open_cases(folder: Path) -> list[Row]:
    return rows(folder / "engine.sqlite", "select * from cases where resolved_at is null order by subject, id")


def facts(folder: Path) -> list[Row]:
    """What was stored, in the stores' order."""
    return rows(folder / "engine.sqlite", "select * from events order by store, epoch, n")


def standing(folder: Path) -> dict[str, Row]:
    """By slot, the ERP's document that stands in it: the last one, where there is more than one."""
    found: dict[str, list[Row]] = defaultdict(list)
    for document in erp_documents(folder):
        there = found[document["slot"]]
        if document["reverses"]:
            undone = next((one for one in there if one["key"] == document["reverses"]), None)
            if undone is not None:
                there.remove(undone)
        else:
            there.append(document)
    return {slot: there[-1] for slot, there in found.items() if there}


def paid_by_order(folder: Path) -> dict[int, tuple[int, int]]:
    """Order id → payments and gift cards used, and payments back, as the ERP holds them."""
    sums: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    for document in erp_documents(folder):
        if document["kind"] in ("payment", "tender", "refund_payment"):
            order_id = int(document["slot"].split("/")[1])
            sums[order_id][document["kind"] == "refund_payment"] += document["amount_minor"]
    return {order_id: (pair[0], pair[1]) for order_id, pair in sums.items()}


def by_order(folder: Path) -> dict[int, tuple[int, int]]:
    """Order id → sales orders that stand in the ERP, and invoices less credit notes and their reversals."""
    sums: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    for document in erp_documents(folder):
        order = json.loads(document["body"]).get("order")
        if order is None:
            continue
        pair = sums[int(order)]
        if document["kind"] == "sales_order":
            pair[0] += -1 if document["reverses"] else 1
        elif document["kind"] in ("invoice", "credit_note"):
            pair[1] += document["amount_minor"] * (1 if document["kind"] == "invoice" else -1)
    return {order: (pair[0], pair[1]) for order, pair in sums.items()}
