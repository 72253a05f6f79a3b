"""The agent at work: reads, sends, and does what it is asked, one bounded step after the other.

`step()` does everything in the caller's thread and never sleeps: a simulation drives it with a clock of its own.
`run()` gives reading and sending a thread each, so that a slow shop doesn't hold up what is to be sent, nor the
engine's silence what is to be read. They share nothing but the outbox.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from loguru import logger

from counterfoil_agent import backfill, errands
from counterfoil_agent.backoff import Every
from counterfoil_agent.errands import Errand
from counterfoil_agent.errors import CounterfoilError, Stop
from counterfoil_agent.intake import Intake
from counterfoil_agent.outbox import Outbox
from counterfoil_agent.ports import Clock
from counterfoil_agent.pump import Pump
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
    ) -> None:
        self.outbox, self.intake, self.pump, self.clock = outbox, intake, pump, clock
        self.deliveries, self.listener = deliveries, listener
        self._errands_every = Every(ERRANDS_S)

    def hint(self, order_id: int) -> None:
        """Something said that this order changed; from any thread."""
        self.intake.hint(order_id)

    def step(self) -> float:
        """One step of reading and one of sending; returns the seconds until either has something to do (0: at once).

        Raises Stop where a person has to help first: no room on the disk, a damaged outbox."""
        return min(self.step_store(), self.pump.step())

    def step_store(self) -> float:
        now = self.clock.now()
        if self._errands_every.left_s(now) <= 0:
            self._do_errands()
            self._errands_every.done(now)
        return self.intake.step()

    def run(self, stopping: threading.Event) -> None:
        """Until stopping is set: then each finishes the step it is in."""
        sending = threading.Thread(target=self._keep, args=("sending", self.pump.step, stopping), name="sending")
        sending.start()
        if self.listener is not None:
            self.listener.start()
        try:
            self._keep("reading", self.step_store, stopping)
        finally:
            stopping.set()
            sending.join()
            if self.listener is not None:
                self.listener.stop()

    def _keep(self, what: str, step: Callable[[], float], stopping: threading.Event) -> None:
        while not stopping.is_set():
            try:
                left_s = min(step(), LONGEST_WAIT_S)
            except Stop as error:
                logger.error("can't go on", what=what, cause=error.cause, remedy=error.remedy)
                left_s = STOPPED_S
            except Exception as error:
                # A defect of ours must not end the other half of the work. Only where it happened is told: what an
                # exception says may repeat what a shopper wrote.
                frames = traceback.extract_tb(error.__traceback__)[-5:]
                where = " > ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames)
                logger.error("failed", what=what, error=type(error).__name__, where=where)
                left_s = STOPPED_S
            if left_s > 0:
                stopping.wait(left_s)

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
