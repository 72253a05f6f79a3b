"""The agent at work: reads, sends, and does what it is asked, one bounded step after the other.

`step()` does everything in the caller's thread and never sleeps: a simulation drives it with a clock of its own.
`run()` gives reading, sending and stock a thread each, so that a slow shop doesn't hold up what is to be sent, nor the
engine's silence what is to be read. They share nothing but the outbox.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from loguru import logger

from counterfoil_agent import backfill, changes, errands
from counterfoil_agent.applier import Applier
from counterfoil_agent.backoff import Every
from counterfoil_agent.errands import Errand
from counterfoil_agent.errors import CounterfoilError, Stop
from counterfoil_agent.intake import Intake
from counterfoil_agent.nudge import Nudges
from counterfoil_agent.outbox import Outbox
from counterfoil_agent.ports import Clock
from counterfoil_agent.pump import Pump
from counterfoil_agent.sweeps import Sweeper
from counterfoil_agent.traces import Spans
from counterfoil_agent.webhook import Deliveries, Listener

ERRANDS_S = 2.0
LONGEST_WAIT_S = 1.0  # how soon a hint, an errand or the wish to stop is noticed
STOPPED_S = 30.0


class Agent:
    """One store's agent, put together by `bootstrap`."""

    def __init__(
        self,
        outbox: Outbox,
        intake: Intake,
        pump: Pump,
        clock: Clock,
        deliveries: Deliveries | None = None,
        listener: Listener | None = None,
        applier: Applier | None = None,
        sweeper: Sweeper | None = None,
    ) -> None:
        self.outbox, self.intake, self.pump, self.clock = outbox, intake, pump, clock
        self.deliveries, self.listener, self.applier, self.sweeper = deliveries, listener, applier, sweeper
        self.nudges: Nudges | None = None
        self.spans: Spans | None = None
        self._errands_every = Every(ERRANDS_S)
        self._wake = threading.Event()  # something is to be read now

    def hint(self, order_id: int) -> None:
        """Something said that this order changed; from any thread."""
        self.intake.hint(order_id)
        self._wake.set()

    def nudge(self) -> None:
        """The plugin said that something changed; from any thread."""
        if self.intake.changes is not None:
            self.intake.changes.nudge()
            self._wake.set()

    def step(self) -> float:
        """One step of reading, of sending and of stock; returns the seconds until one has something to do (0: at once).

        Raises Stop where a person has to help first: no room on the disk, a damaged outbox."""
        return min(self.step_store(), self.pump.step(), self.step_stock(), self.step_sweep())

    def step_stock(self, waits: bool = False) -> float:
        """waits: where nothing is due, the engine is asked to answer only when there is, which may take a while."""
        return self.applier.step(waits) if self.applier is not None else LONGEST_WAIT_S * 3600

    def step_sweep(self) -> float:
        return self.sweeper.step() if self.sweeper is not None else LONGEST_WAIT_S * 3600

    def step_store(self) -> float:
        now = self.clock.now()
        if self._errands_every.left_s(now) <= 0:
            self._do_errands()
            self._errands_every.done(now)
        return self.intake.step()

    def run(self, stopping: threading.Event) -> None:
        """Until stopping is set: then each finishes the step it is in."""
        sending = threading.Thread(target=self._keep, args=("sending", self.pump.step, stopping), name="sending")
        threads = [sending]
        if self.applier is not None:
            step = partial(self.step_stock, waits=True)
            threads.append(threading.Thread(target=self._keep, args=("stock", step, stopping), name="stock"))
        if self.sweeper is not None:
            threads.append(
                threading.Thread(target=self._keep, args=("sweeping", self.step_sweep, stopping), name="sweeping")
            )
        if self.spans is not None:
            threads.append(threading.Thread(target=self.spans.run, args=(stopping,), name="traces"))
        for thread in threads:
            thread.start()
        for listener in self._listeners():
            listener.start()
        try:
            self._keep("reading", self.step_store, stopping, self._wake)
        finally:
            stopping.set()
            for thread in threads:
                thread.join()
            for listener in self._listeners():
                listener.stop()

    def _listeners(self) -> list[Listener | Nudges]:
        return [each for each in (self.listener, self.nudges) if each is not None]

    def _keep(
        self, what: str, step: Callable[[], float], stopping: threading.Event, wake: threading.Event | None = None
    ) -> None:
        while not stopping.is_set():
            if wake is not None:
                wake.clear()
            try:
                left_s = min(step(), LONGEST_WAIT_S)
            except Stop as error:
                logger.error("can't go on", what=what, cause=error.cause, remedy=error.remedy)
                left_s = STOPPED_S
            except Exception as error:
                if stopping.is_set():
                    return  # the outbox is closed already
                # A defect of ours must not end the other half of the work. Only where it happened is told: what an
                # exception says may repeat what a shopper wrote.
                frames = traceback.extract_tb(error.__traceback__)[-5:]
                where = " > ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames)
                logger.error("failed", what=what, error=type(error).__name__, where=where)
                left_s = STOPPED_S
            if left_s > 0:
                (wake or stopping).wait(left_s)

    def close(self, clean: bool = True) -> None:
        self.outbox.close(clean)

    # -- what a person asks

    def backfill(self, first: date, until: date) -> None:
        backfill.start(self.outbox, first, until, self.clock.now())

    def fetch(self, order_id: int) -> None:
        """Read this order again and send it, even if it didn't change."""
        self.outbox.mark(order_id, self.clock.now(), again=True)

    def allow_deletions(self, count: int | None = None) -> int:
        return self.intake.gone.allow(count, self.clock.now())

    def _do_errands(self) -> None:
        for path, errand in errands.waiting(self.outbox.path):
            self._do(errand)
            path.unlink(missing_ok=True)
            logger.info("errand done", kind=errand.kind)

    def _do(self, errand: Errand) -> None:
        if errand.kind == "backfill" and errand.first is not None and errand.until is not None:
            self.backfill(errand.first, errand.until)
        elif errand.kind == "fetch" and errand.order_id is not None:
            self.fetch(errand.order_id)
        elif errand.kind == "allow-deletions":
            self.allow_deletions(errand.count)
        elif errand.kind == "accept-restored-store":
            self.accept_restored_store()
        elif self.applier is not None:
            self._do_stock(self.applier, errand)

    def accept_restored_store(self) -> None:
        """A person says that the shop, though it isn't as it was, is the one to go on with."""
        changes.accept_restored_store(self.outbox)
        self.pump.welcomed = False  # it says hello again, and asks for the next epoch

    def _do_stock(self, applier: Applier, errand: Errand) -> None:
        if errand.kind == "accept-preview":
            applier.accept_preview(self.clock.now())
        elif errand.kind == "release-brake":
            applier.release_brake()
        elif errand.kind == "sweep":
            applier.sweep_soon()

    def status(self) -> dict[str, Any]:
        """How it is, from inside the process that runs it."""
        now = self.clock.now()
        return {
            **self.pump.vital_signs(now),
            "reading": self.intake.status(now),
            "engine_trouble": _said(self.pump.trouble),
            "backfill": backfill.progress(self.outbox),
        }


def _said(error: CounterfoilError | None) -> str | None:
    return str(error) if error else None
