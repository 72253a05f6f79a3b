"""I6 into an empty engine: the events of a finished world alone, looked at anew, make due what stands in the books."""

from __future__ import annotations

import shutil
import sqlite3
from collections import defaultdict
from collections.abc import Iterable
from contextlib import closing
from typing import TYPE_CHECKING, Any

from counterfoil_engine.bootstrap import build
from counterfoil_engine.records.database import Database

from simulation import books
from simulation.world import empty_engine, parsed_rules

if TYPE_CHECKING:
    from simulation.world import World

Balances = dict[tuple[str, str, str], tuple[int, int]]
"""(order id, role, currency) → net, in the order's and in the book currency; what is at nothing is left out"""


def booked(world: World) -> Balances:
    """By the journal of the engine that lived through it all."""
    lines = books.rows(world.engine_file, "select * from journal")
    return _summed(
        (line["document"].split("/")[1], line["role"], line["currency"], *(line[name] for name in _AMOUNTS))
        for line in lines
    )


def due_afresh(world: World) -> Balances:
    """By a new engine that has nothing but the events; nothing is posted."""
    path = world.folder / "afresh.sqlite"
    shutil.copy(empty_engine(), path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("attach ? as lived", (str(world.engine_file),))
        for table in ("events", "epochs", "stores", "party_facts"):
            connection.execute(f"insert into {table} select * from lived.{table}")
        connection.commit()
    database = Database(f"sqlite:///{path}", world.clock.of("engine"))
    try:
        engine = build(database, world.clock.of("engine"), {}, parse=parsed_rules)
        engine.load_rules(world.rules_text)
        with database.transaction() as tx:
            subjects = [row["subject"] for row in tx.all("select distinct subject from events")]
        orders = [subject for subject in subjects if subject and subject.startswith("order ")]
        documents = [one for found in engine.looker().previews(orders) for one in found.dues.documents]
    finally:
        database.close()
    return _summed(
        (document.slot.split("/")[1], line.role, document.currency, *(getattr(line, name) for name in _AMOUNTS))
        for document in documents
        if not document.taken_over
        for line in document.journal
    )


_AMOUNTS = ("debit_minor", "credit_minor", "book_debit_minor", "book_credit_minor")


def _summed(lines: Iterable[tuple[Any, ...]]) -> Balances:
    net: dict[tuple[str, str, str], list[int]] = defaultdict(lambda: [0, 0])
    for order, role, currency, debit, credit, book_debit, book_credit in lines:
        pair = net[order, role, currency]
        pair[0] += debit - credit
        pair[1] += book_debit - book_credit
    return {place: (pair[0], pair[1]) for place, pair in net.items() if pair != [0, 0]}
