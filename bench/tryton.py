"""Tryton as the ERP: its own time for an order, the engine's on top, and how fast documents go singly and in batches.

    python bench/tryton.py [--orders N] [--positions N]

A fresh copy of a Tryton with books of its own, served by gunicorn. An order is its customer, sale, payment, invoice and
application. Tryton's time is that within its calls; ours is the rest: contract, vouchers, reading answers. Prints a
line a figure with its goal; the exit status is 1 where a goal is missed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from counterfoil_engine.adapters.erp.tryton import TrytonErp
from counterfoil_engine.ports import Posted, Posting
from sandbox.erp_documents import an_order
from tryton import server as servers
from tryton.needs import NEEDS
from tryton.orders import numbered

KINDS = ("customer", "sale", "payment", "invoice", "application")
WAYS = {"with the module": True, "without the module": False}


class Timed:
    """Counts the seconds that an adapter spends in calls of Tryton."""

    def __init__(self, erp: TrytonErp) -> None:
        self.seconds, line = 0.0, erp.tryton._line
        call = line.call

        def timed(*args: object, **options: object) -> object:
            began = time.perf_counter()
            try:
                return call(*args, **options)  # type: ignore[arg-type]
            finally:
                self.seconds += time.perf_counter() - began

        line.call = timed  # type: ignore[method-assign,assignment]


def posted(erp: TrytonErp, postings: Sequence[Posting]) -> None:
    outcomes = erp.post(postings)
    if wrong := [each for each in outcomes if not isinstance(each, Posted)]:
        raise SystemExit(f"refused: {wrong[0]}")


def singly(erp: TrytonErp, orders: int) -> dict[str, list[float]]:
    """Seconds of each document, by kind."""
    seconds: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for _ in range(orders):
        for kind, posting in zip(KINDS, numbered(an_order()), strict=True):
            seconds[kind].append(_seconds(lambda posting=posting: posted(erp, [posting])))  # type: ignore[misc]
    return seconds


def batched(erp: TrytonErp, orders: int) -> dict[str, float]:
    """Seconds of each kind for all orders, a batch a kind."""
    columns = list(zip(*(numbered(an_order()) for _ in range(orders)), strict=True))
    return {
        kind: _seconds(lambda column=column: posted(erp, column))  # type: ignore[misc]
        for kind, column in zip(KINDS, columns, strict=True)
    }


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def stocked(server: servers.Server, products: int) -> None:
    """So many products with a move each, written into Tryton's tables: a warehouse's history is nobody's to type."""
    servers.execute_in(
        server.database,
        f"""
        insert into product_template (name, type, default_uom, sale_uom, salable, active, consumable)
          select 'Bench ' || n, 'goods', u.id, u.id, true, true, false
          from generate_series(1, {products}) n, (select id from product_uom where name = 'Unit' limit 1) u;
        insert into product_product (template, code, suffix_code, active)
          select id, 'BENCH-' || id, 'BENCH-' || id, true from product_template where name like 'Bench %';
        insert into stock_move (product, unit, quantity, internal_quantity, from_location, to_location, state, company,
            effective_date, planned_date, create_date)
          select p.id, t.default_uom, 5, 5, lost.id, place.storage_location, 'done', 1, '2026-11-01', '2026-11-01',
            now()
          from product_product p join product_template t on t.id = p.template and t.name like 'Bench %',
            (select id from stock_location where type = 'lost_found' limit 1) lost,
            (select storage_location from stock_location where type = 'warehouse' and code = 'MAIN') place;
        analyze;
        """,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=20, help="singly, and in a batch. Defaults to 20")
    parser.add_argument("--positions", type=int, default=100_000, help="read at once. Defaults to 100000")
    options = parser.parse_args()
    if reason := servers.missing():
        print(reason, file=sys.stderr)
        return 2
    missed: list[str] = []

    def say(what: str, figure: str, goal: str = "", ok: bool = True) -> None:
        print(f"{what:<58} {figure:>14}  {goal}{'' if ok else '  MISSED'}", flush=True)
        missed.extend([what] if not ok else [])

    for way, is_with_module in WAYS.items():
        with servers.copied(NEEDS) as server:
            names = server.map_of("DE01", NEEDS["DE01"], ships=False)
            erp = server.erp(names, module=is_with_module, commit_lag_s=0.0)
            singly(erp, 2)
            timed = Timed(erp)
            alone = singly(erp, options.orders)
            whole = sum(map(sum, alone.values()))
            say(f"{way}: Tryton's own time for an order", f"{timed.seconds / options.orders * 1000:.0f} ms")
            ours = (whole - timed.seconds) / timed.seconds
            say(f"{way}: ours on top", f"{ours:.1%}", "at most 10%", ours <= 0.10)
            for kind in KINDS:
                say(f"{way}: {kind}, singly", f"{statistics.median(alone[kind]) * 1000:.0f} ms")
            together = batched(erp, options.orders)
            for kind in KINDS:
                faster = sum(alone[kind]) / together[kind]
                goal = "at least 5 times" if kind == "sale" and is_with_module else ""
                figure = f"{options.orders / together[kind]:.1f}/s"
                say(
                    f"{way}: {kind}, {options.orders} at once: {faster:.1f} times",
                    figure,
                    goal,
                    not goal or faster >= 5,
                )
            faster = whole / sum(together.values())
            goal = "at least 2.5 times" if is_with_module else ""
            figure = f"{options.orders / sum(together.values()):.2f}/s"
            say(
                f"{way}: whole orders, {options.orders} at once: {faster:.1f} times",
                figure,
                goal,
                not goal or faster >= 2.5,
            )
            if is_with_module and options.positions:
                stocked(server, options.positions)
                next(erp.positions())
                seconds = _seconds(lambda erp=erp: sum(len(page.rows) for page in erp.positions()))  # type: ignore[misc]
                rows = sum(len(page.rows) for page in erp.positions())
                say(f"{rows} positions", f"{seconds:.2f} s", "at most 2 s", seconds <= 2 and rows >= options.positions)
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    print(f"load average {load}; {'short of: ' + '; '.join(missed) if missed else 'all goals reached'}")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
