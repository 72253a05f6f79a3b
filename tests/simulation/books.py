"""What a world has come to, read from the parties' own files: the ERP's documents and ledger, the engine's ledger."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]


def rows(path: Path, sql: str, *values: Any) -> list[Row]:
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(sql, values)]


def erp_documents(folder: Path) -> list[Row]:
    """In the order in which they were posted."""
    return rows(folder / "erp.sqlite", "select * from documents order by id")


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


ERP_JOURNAL = "select d.key, d.slot, j.role, d.currency, j.* from journal j join documents d on d.id = j.document"


def erp_ledger(folder: Path) -> dict[tuple[str, str], tuple[int, int]]:
    return by_role(rows(folder / "erp.sqlite", ERP_JOURNAL))


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
    """By slot, the ERP's document that stands in it."""
    found: dict[str, Row] = {}
    for document in erp_documents(folder):
        if document["reverses"]:
            found.pop(document["slot"], None)
        else:
            found[document["slot"]] = document
    return found


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
