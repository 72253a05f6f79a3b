"""What other rules would change: dues by the rules in force and by others, over facts that are there; writes nothing.

Facts come a group at a time, in several processes where there are several groups, and only totals come back: so memory
doesn't grow with the orders, and an order costs its dues once, or twice where the rules differ in what it asked.
"""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from datetime import datetime
from itertools import chain, islice
from multiprocessing import get_context
from typing import Any

from counterfoil_engine.domain.asked import Asked, Likeness
from counterfoil_engine.domain.compare import Differing, differing
from counterfoil_engine.domain.errors import CounterfoilError
from counterfoil_engine.domain.facts import OrderFacts
from counterfoil_engine.domain.rules import Rules
from counterfoil_engine.domain.totals import Totals
from counterfoil_engine.ports import DuesOf

GROUP = 50  # orders that go to a process at once: it holds what it has read of them until all are done

Groups = Iterable[Sequence[OrderFacts]]


class Comparison:
    """The rules in force and others that are tried, as of one moment."""

    def __init__(self, in_force: Rules, tried: Rules, as_of: datetime, dues: DuesOf) -> None:
        self._made_of = in_force, tried, as_of, dues
        self._in_force, self._tried, self._as_of, self._dues = Asked(in_force), Asked(tried), as_of, dues
        self._likeness = Likeness(in_force, tried)

    def __reduce__(self) -> Any:
        """It travels to other processes without what it remembers."""
        return Comparison, self._made_of

    def of(self, group: Sequence[OrderFacts]) -> Totals:
        """What differs over a group of orders."""
        totals = Totals(looked_at=len(group))
        for facts in group:
            if (found := self._of_one(facts)) is not None:
                totals.add(found)
        return totals

    def _of_one(self, facts: OrderFacts) -> Differing | None:
        before = self._dues(facts, self._in_force.as_rules(), self._as_of)
        if all(self._likeness.holds(question) for question in self._in_force.questions):
            return None
        return differing(before, self._dues(facts, self._tried.as_rules(), self._as_of))


def would_change(
    groups: Groups,
    comparison: Comparison,
    processes: int | None = None,
    told: Callable[[int], None] = lambda looked_at: None,
) -> Totals:
    """The totals over all groups, in their order. processes: None: one a core; told: how many orders are done."""
    totals, groups = Totals(), iter(groups)
    first = list(islice(groups, 2))
    processes = (processes or os.cpu_count() or 1) if len(first) > 1 else 1  # one group is not worth a process
    groups = chain(first, groups)
    found = map(comparison.of, groups) if processes == 1 else _in_processes(groups, comparison, processes)
    for each in found:
        totals.merge(each)
        told(totals.looked_at)
    return totals


def _in_processes(groups: Groups, comparison: Comparison, processes: int) -> Iterator[Totals]:
    """Each group's totals, in order; groups are read only as fast as they are computed."""
    pool = ProcessPoolExecutor(processes, get_context("spawn"), _begin, (comparison,))
    waiting: deque[Future[Totals]] = deque()
    try:
        for group in groups:
            waiting.append(pool.submit(_of, group))
            if len(waiting) > 2 * processes:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool:
        raise CounterfoilError(
            "A process that computed dues was ended from outside.",
            "See whether the machine has memory left, then try again.",
            "outage",
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


# In a process of its own.

_mine: Comparison


def _begin(comparison: Comparison) -> None:
    global _mine
    _mine = comparison
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who started it is interrupted, too, and ends it


def _of(group: Sequence[OrderFacts]) -> Totals:
    return _mine.of(group)
