"""Other rules tried over many stored orders: how many a second, and that memory doesn't grow with them.

    python bench/try_rules.py [--orders N] [--processes N] [--sqlite]

Every recorded order, again and again under other ids, lies in a database of its own. Over all of them other rules are
tried as `counterfoil rules try` does: rules that touch every order (another account for all goods), so that the dues of
each are computed twice, and rules that touch the orders with one SKU. Resident memory is that of all processes
together, after the first tenth and at the end.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import resource
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from counterfoil_engine import demo
from counterfoil_engine.ports import Incoming
from counterfoil_engine.trial import try_rules
from counterfoil_engine.work.receive import judge
from loguru import logger
from measure import (
    InstantErp,
    Orders,
    SystemClock,
    an_engine,
    migrated,
    postgresql,
    rss_mb,
    rules_text,
    tell,
)

GOAL_S, GOAL_GROWTH = 180.0, 1.2
SINCE = datetime(2020, 1, 1, tzinfo=UTC)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=100_000)
    parser.add_argument("--processes", type=int, default=None, help="default: one a core")
    parser.add_argument("--sqlite", action="store_true", help="in a file; else on PostgreSQL")
    asked = parser.parse_args()
    logger.remove()
    with _place(asked.sqlite) as url:
        print(f"try_rules: {asked.orders:,} orders come in …", file=sys.stderr)
        come_in(url, asked.orders)
        goods = '"class": "goods"'
        every = rules_text().replace(goods, '"class": "merchandise"')
        some = rules_text().replace(goods, '"class": "merchandise"', 1)
        ok = True
        for what, text in (("every order", every), ("orders with one SKU", some)):
            ok &= measured(
                url, what, text.replace('"rules": "demo"', '"rules": "tried"'), asked.orders, asked.processes
            )
    return 0 if ok else 1


@contextlib.contextmanager
def _place(is_sqlite: bool) -> Iterator[str]:
    if not is_sqlite:
        with postgresql() as url:
            yield url
        return
    with tempfile.TemporaryDirectory() as folder:
        yield f"sqlite:///{Path(folder) / 'engine.sqlite'}"


def come_in(url: str, orders: int, at_once: int = 500) -> None:
    """The recorded orders in turn, each as often as it takes."""
    with migrated(url) as database:
        engine = an_engine(database, InstantErp())
        several = [Orders("eu1", order) for order in demo.recorded_orders()]
        engine.events.greet("eu1", uuid.uuid4().hex, "1", {"order": [1]})
        for first in range(0, orders, at_once):
            places = range(first, min(first + at_once, orders))
            judged = [judge("eu1", several[n % len(several)].event(n + 1, 1001 + n)) for n in places]
            engine.events.append("eu1", [each for each in judged if isinstance(each, Incoming)])
        if not database.is_sqlite:
            with database.transaction() as tx:
                tx.run("analyze")  # what autovacuum does within a minute


def measured(url: str, what: str, text: str, orders: int, processes: int | None) -> bool:
    memory, cpu_before_s = Memory(orders), _cpu_s()
    began = time.perf_counter()
    said = try_rules(url, text, SINCE, SystemClock(), processes=processes, told=memory.note)
    took_s, cpu_s = time.perf_counter() - began, _cpu_s() - cpu_before_s
    assert said["subjects"] == orders, said["subjects"]
    growth = memory.end_mb / memory.tenth_mb
    touched: dict[str, Any] = {each["how"]: 0 for each in said["documents"]}
    for each in said["documents"]:
        touched[each["how"]] += each["documents"]
    told = ", ".join(f"{count:,} {how}" for how, count in touched.items()) or "nothing"
    print(f"rules that touch {what}: {said['differ']:,} of {orders:,} orders differ ({told})")
    tell("  speed", f"{orders / took_s:,.0f} orders/s: 100,000 in {took_s * 100_000 / orders:.0f} s", f"{GOAL_S:.0f} s")
    tell("  processor time of all processes", f"{cpu_s * 1000 / orders:.2f} ms an order")
    tell(
        "  resident memory of all processes",
        f"{memory.tenth_mb:.0f} MB after a tenth, {memory.end_mb:.0f} MB at the end: {growth:.2f} ×",
        f"at most {GOAL_GROWTH} ×",
    )
    return took_s * 100_000 / orders <= GOAL_S and growth <= GOAL_GROWTH


def _cpu_s() -> float:
    """Of this process and of those that it started and that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


class Memory:
    """The resident memory once a tenth of the orders is done, and when all are."""

    def __init__(self, orders: int) -> None:
        self.tenth_mb = self.end_mb = 0.0
        self._orders = orders

    def note(self, done: int) -> None:
        if not self.tenth_mb and done * 10 >= self._orders:
            self.tenth_mb = self._mb()
        if done >= self._orders:
            self.end_mb = self._mb()

    @staticmethod
    def _mb() -> float:
        return rss_mb() + sum(rss_mb(child.pid or "self") for child in multiprocessing.active_children())


if __name__ == "__main__":
    sys.exit(main())
