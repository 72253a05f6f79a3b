"""What a worker costs: the engine's own time for an order of four documents, and looks against jobs of a queue.

    python bench/worker.py [--orders N] [--facts N] [--skip …]

An order: its fact is looked at, four documents (sales order, invoice, payment, application) are posted to an ERP that
answers at once, and the results are looked at. With one worker and with four (processes, each with a lane of its own),
on PostgreSQL; then once more with many facts stored before. Time within the ERP's calls doesn't count.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from counterfoil_engine.records.database import Database
from loguru import logger
from measure import (
    InstantErp,
    Orders,
    SystemClock,
    an_engine,
    backends,
    cpu_s,
    fill,
    in_turn,
    migrated,
    postgresql,
    tell,
)

GOAL_MS, GOAL_FLAT, GOAL_TIMES = 5.0, 1.2, 5.0

FILLER = """
insert into events (store, event_id, occurred_on, epoch, n, type, subject, arrival, received_at, occurred_at, body,
  body_hash, verdict)
select 'eu1', md5(place::text), current_date, 1, place, 'counterfoil.order.v1', 'order eu1/' || 100000000 + place,
  place, now(), now(), convert_to(repeat(md5(place::text), 12), 'utf8'), md5(place::text) || md5(place::text), 'stored'
from generate_series(%s, %s) as place"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=400, help="orders in a round")
    parser.add_argument("--facts", type=int, default=1_000_000, help="stored before, for the look at flatness")
    parser.add_argument("--skip", nargs="*", default=[], choices=["orders", "flat", "queue"])
    asked = parser.parse_args()
    logger.remove()
    ok = True
    if "orders" not in asked.skip:
        ok &= orders_of(asked.orders)
    if "flat" not in asked.skip:
        ok &= flat(asked.orders, asked.facts)
    if "queue" not in asked.skip:
        ok &= against_a_queue(asked.orders * 5)
    return 0 if ok else 1


# An order of four documents.


class Bench:
    """One database with an engine; each round brings new orders and works them off."""

    def __init__(self, url: str, database: Database) -> None:
        self.url, self._erp = url, InstantErp()
        self.engine = an_engine(database, self._erp, rest_s=0.0)
        self._orders, self._next = Orders("eu1"), 1
        self.cpu_ms = 0.0

    def bring(self, orders: int) -> None:
        fill(self.engine, self._orders, self._next, 1000 + self._next, orders)
        self._next += orders
        with self.engine.records.transaction() as tx:
            tx.run("analyze")  # what autovacuum does within a minute

    def one_worker_ms(self, orders: int) -> float:
        """Milliseconds an order, outside the ERP."""
        self.bring(orders)
        before_s, documents = self._erp.spent_s, self._erp.documents
        pids = [os.getpid(), *backends(self.url)]
        cpu_before_s, began = cpu_s(*pids), time.perf_counter()
        while all_of(self.engine.step_look, self.engine.step_post):
            pass
        took_s = time.perf_counter() - began - (self._erp.spent_s - before_s)
        self.cpu_ms = (cpu_s(*pids) - cpu_before_s) * 1000 / orders
        made = self._erp.documents - documents
        assert made >= 4 * orders, f"{made} documents of {orders} orders"
        return took_s * 1000 / orders

    def four_workers_ms(self, orders: int) -> float:
        """Milliseconds from the first look to the last result, an order."""
        self.engine.give_back()
        self.bring(orders)
        return worked_off_s(self.url, 4) * 1000 / orders


def all_of(*steps: Callable[[], bool]) -> bool:
    """Each step as long as it does something, one after the other; whether any did."""
    did = False
    for step in steps:
        while step():
            did = True
    return did


def orders_of(orders: int) -> bool:
    with postgresql() as url, migrated(url) as database:
        bench = Bench(url, database)
        bench.one_worker_ms(60)
        one, four = in_turn(lambda: bench.one_worker_ms(orders), lambda: bench.four_workers_ms(orders))
    tell("an order of four documents, one worker", f"{one:.1f} ms", f"at most {GOAL_MS:.0f} ms")
    tell("  of that processor time, worker and database", f"{bench.cpu_ms:.1f} ms")
    tell("an order of four documents, four workers", f"{four:.1f} ms", f"at most {GOAL_MS:.0f} ms")
    return one <= GOAL_MS and four <= GOAL_MS


def worked_off_s(url: str, workers: int) -> float:
    """How long so many processes take to work everything off, from when all of them are ready."""
    context = multiprocessing.get_context("spawn")
    ready, go = context.Barrier(workers + 1), context.Event()
    processes = [context.Process(target=work, args=(url, lane, workers, ready, go)) for lane in range(workers)]
    for process in processes:
        process.start()
    ready.wait(timeout=120)
    began = time.perf_counter()
    go.set()
    for process in processes:
        process.join()
    assert all(process.exitcode == 0 for process in processes)
    return time.perf_counter() - began - 0.05  # what the last one to end waited for nothing


def work(url: str, lane: int, lanes: int, ready: Any, go: Any) -> None:
    """A worker's process: looks, and one of the lanes, until nothing is left to do."""
    logger.remove()
    database = Database(url, SystemClock())
    erp = InstantErp()
    erp.lanes = lanes
    engine = an_engine(database, erp, rest_s=0.0)
    poster, looker = engine.posters("DE01")[lane], engine.looker()
    looker.preview("order eu1/1001")  # rules are read once
    ready.wait()
    go.wait()
    while True:
        if not all_of(looker.step, poster.step):
            with engine.records.transaction() as tx:
                left = tx.one(
                    "select (select count(*) from work) + (select count(*) from intents where state in"
                    " ('ready', 'sent')) as left_over"
                )
            if not left or not left["left_over"]:
                break
            time.sleep(0.02)
    poster.give_back()


# Flat.


def flat(orders: int, facts: int) -> bool:
    with postgresql() as few_url, postgresql() as many_url, migrated(few_url) as few, migrated(many_url) as many:
        few_bench, many_bench = Bench(few_url, few), Bench(many_url, many)
        for bench in (few_bench, many_bench):
            bench.one_worker_ms(60)
        store(many, 1_000_001, facts)
        store(few, 1_000_001, 1000)
        few_ms, many_ms = in_turn(lambda: few_bench.one_worker_ms(orders), lambda: many_bench.one_worker_ms(orders))
    tell("an order over 1,000 stored facts", f"{few_ms:.1f} ms")
    tell(f"an order over {facts:,} stored facts", f"{many_ms:.1f} ms")
    tell("ratio", f"{many_ms / few_ms:.2f}", f"at most {GOAL_FLAT}")
    return many_ms / few_ms <= GOAL_FLAT


def store(database: Database, first: int, facts: int) -> None:
    """Facts of other orders, above what the benchmark numbers; in steps, since a commit of all of them is none."""
    for begin in range(0, facts, 100_000):
        with database.transaction() as tx:
            tx.run(FILLER, first + begin, first + min(begin + 100_000, facts) - 1)
    database.peewee.connection().commit()
    with database.transaction() as tx:
        tx.run("analyze events")


# Looks against the jobs of a queue.


def against_a_queue(count: int) -> bool:
    """An empty look (claimed, nothing to do, finished) against an empty job; and looks at orders that are as due."""
    with postgresql() as url, postgresql() as other_url, migrated(url) as database:
        bench = Bench(url, database)
        jobs = procrastinate_jobs(other_url)
        orders = count // 5
        bench.one_worker_ms(orders)
        subjects = [f"order eu1/{1001 + place}" for place in range(orders)]
        empty, real, queue = in_turn(
            lambda: looks_a_second(bench, [f"customer DE01/eu1-{place}" for place in range(count)]),
            lambda: looks_a_second(bench, subjects),
            lambda: jobs(count),
        )
    tell("empty looks", f"{empty:,.0f}/s")
    tell("looks at orders (facts read, dues computed, ledger compared, look kept)", f"{real:,.0f}/s")
    tell("procrastinate's empty jobs, concurrency 10", f"{queue:,.0f}/s")
    tell("empty looks to empty jobs", f"{empty / queue:.1f} ×", f"at least {GOAL_TIMES:.0f} ×")
    tell("looks at orders to empty jobs", f"{real / queue:.1f} ×")
    return empty / queue >= GOAL_TIMES


def looks_a_second(bench: Bench, subjects: list[str]) -> float:
    engine = bench.engine
    with engine.records.transaction() as tx:
        engine.records.work.mark_due(tx, subjects, "live")
    began = time.perf_counter()
    while engine.step_look():
        pass
    return len(subjects) / (time.perf_counter() - began)


def procrastinate_jobs(url: str) -> Callable[[int], float]:
    """Jobs a second of procrastinate, which is in the extra `bench`."""
    import procrastinate

    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url))

    @app.task(name="nothing")
    async def nothing() -> None:
        pass

    async def prepare() -> None:
        async with app.open_async():
            await app.schema_manager.apply_schema_async()

    async def run(count: int) -> float:
        async with app.open_async():
            await app.tasks["nothing"].configure().batch_defer_async(*[{} for _ in range(count)])
            began = time.perf_counter()
            await app.run_worker_async(concurrency=10, wait=False, listen_notify=False, install_signal_handlers=False)
            return count / (time.perf_counter() - began)

    asyncio.run(prepare())
    return lambda count: asyncio.run(run(count))


if __name__ == "__main__":
    sys.exit(main())
