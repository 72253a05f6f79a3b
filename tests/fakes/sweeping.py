"""Sweeps and breaks over one database, as `bootstrap` puts them together, where no whole engine is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from counterfoil_engine.api.sweeps import Sweeping
from counterfoil_engine.records import ats, breaks, facts, identity, order_controls, store_writes, sweeps
from counterfoil_engine.records.database import Database
from counterfoil_engine.records.rules_store import Book
from counterfoil_engine.records.wiring import records_over
from counterfoil_engine.work.breaks import BreakDesk, Breaks, SettleBreak
from counterfoil_engine.work.four_eyes import FourEyes
from counterfoil_engine.work.rules_file import parse_rules
from counterfoil_engine.work.sweep import Sweeps
from counterfoil_engine.work.sweep_orders import OrderSweep, read_again
from counterfoil_engine.work.sweep_stock import StockSweep


def the_breaks(book: Book) -> Breaks:
    return Breaks(
        breaks,
        book,
        {"stock": _write_again, "orders": read_again(sweeps)},
        lambda tx, sweep, store: sweeps.sold_skus(tx, book.current(tx).store(store).pool),
    )


def a_sweeping(database: Database, book: Book | None = None) -> Sweeping:
    records, book = records_over(database), book or Book(parse_rules)
    found = the_breaks(book)
    four_eyes = FourEyes(records, book, [SettleBreak(records, breaks, found)])
    kinds = {"stock": StockSweep(identity, sweeps, ats, facts.facts_of), "orders": OrderSweep(order_controls, breaks)}
    return Sweeping(
        Sweeps(records, sweeps, book, found, kinds),  # type: ignore[arg-type]
        BreakDesk(records, breaks, found, book, four_eyes),
    )


def _write_again(tx: Any, store: str, subjects: Sequence[str]) -> None:
    store_writes.write_again(tx, store, [subject.partition("/")[2] for subject in subjects])
