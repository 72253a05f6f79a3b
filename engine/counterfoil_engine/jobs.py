"""The schedule: what has to happen by the clock alone. One process at a time leads; each job can be called by hand.

again       every 5 s    marks due the subjects whose moment has come (L5)
statistics  every 10 s   tells the database's planner what a burst has changed
alive       every 60 s   a sign of life, so that a restore knows since when to ask each ERP (R4)
waits       every hour   looks at every wait again; what it has to free counts as a defect (L2)
sweeps      every 60 s   begins the sweeps that are due by rule
objectives  every 60 s   judges what had its time, draws up budgets, tells of alerts
kpis        every hour   measures the days that are over
retention   every 6 h    prunes looks, heartbeats and what stock needs no more, adds partitions for the months to come
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from apscheduler.schedulers.background import BackgroundScheduler  # type: ignore[import-untyped]
from loguru import logger

from counterfoil_engine.ports import Records

KEPT_DAYS = 90  # of looks that made nothing, of heartbeats, of moves and closed order lines
_MOST_PARTS = 500  # of stock in one run, a transaction each


@dataclass(frozen=True)
class Jobs:
    """The jobs over one engine.

    prune: what retention removes and adds, by the moment before which it may; prune_stock: a part of that, and whether
    more is left. refresh: the planner's statistics. note: keeps the count of signs of life where a restore of the
    database doesn't reach. sweeps: begins those that are due, how many. objectives, kpis: see `work/slo.py`,
    `work/kpis.py`."""

    records: Records
    prune: Callable[[Any, Any], None]
    prune_stock: Callable[[Any, Any], bool]
    refresh: Callable[[Any], object]
    note: Callable[[int], object] = lambda lives: None
    sweeps: Callable[[], int] = lambda: 0
    objectives: Callable[[], None] = lambda: None
    kpis: Callable[[], int] = lambda: 0

    def again(self) -> int:
        """How many subjects were marked due."""
        with self.records.transaction() as tx:
            return self.records.looks.mark_again(tx)

    def statistics(self) -> None:
        with self.records.transaction() as tx:
            self.refresh(tx)

    def alive(self) -> None:
        with self.records.transaction() as tx:
            lives = self.records.identity.alive(tx)
        if lives:
            self.note(lives)

    def waits(self) -> list[str]:
        """The waits that had to be freed: none, where no wake-up is lost."""
        with self.records.transaction() as tx:
            freed = self.records.waits.check_again(tx)
        if freed:
            logger.error("waits freed that nobody woke", waits=freed[:20], number=len(freed))
        return freed

    def retention(self) -> None:
        with self.records.transaction() as tx:
            self.prune(tx, tx.now() - timedelta(days=KEPT_DAYS))
        for _ in range(_MOST_PARTS):
            with self.records.transaction() as tx:
                if not self.prune_stock(tx, tx.now() - timedelta(days=KEPT_DAYS)):
                    return

    def step(self) -> int:
        """Every job once, by hand; how many subjects became due."""
        self.statistics()
        self.alive()
        self.waits()
        self.retention()
        return self.again()


def schedule(jobs: Jobs, leads: Callable[[], bool], failed: Callable[[], None]) -> BackgroundScheduler:
    """A scheduler, not yet started, whose jobs run only while this process leads.

    failed: called after a job raised, so that a broken connection is opened anew."""

    def led(job: Callable[[], object]) -> Callable[[], None]:
        def run() -> None:
            try:
                if leads():
                    job()
            except Exception:
                logger.exception("job failed")
                failed()

        return run

    scheduler = BackgroundScheduler(
        timezone="UTC",
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        executors={"default": {"type": "threadpool", "max_workers": 1}},
    )
    scheduler.add_job(led(jobs.again), "interval", seconds=5)
    scheduler.add_job(led(jobs.statistics), "interval", seconds=10)
    scheduler.add_job(led(jobs.alive), "interval", seconds=60)
    scheduler.add_job(led(jobs.sweeps), "interval", seconds=60)
    scheduler.add_job(led(jobs.objectives), "interval", seconds=60)
    scheduler.add_job(led(jobs.kpis), "interval", hours=1)
    scheduler.add_job(led(jobs.waits), "interval", hours=1)
    scheduler.add_job(led(jobs.retention), "interval", hours=6)
    return scheduler
