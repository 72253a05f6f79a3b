"""Rules tried over what is stored, for people who don't wait at a terminal: asked here, computed by one process, read
when it is done. Writes nothing but what it came to."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol

from loguru import logger

from counterfoil_engine.domain.errors import CounterfoilError, DatabaseUnavailable
from counterfoil_engine.domain.rules import Rules
from counterfoil_engine.ports import Caller, Rejected, Transactions

SILENT_AFTER = timedelta(minutes=10)
OPEN_MAX = 20  # that wait at once
SHOWN = 20
TOLD_EACH = 500  # orders

Row = Mapping[str, Any]
Tries = Callable[[str, datetime, Callable[[int], None]], Mapping[str, Any]]
"""What differs by these rules over all orders since a moment; tells how many orders it has looked at."""


class TrialRecords(Protocol):
    """Trials as kept (`records/trials.py`)."""

    def ask(self, tx: Any, version: str, text: str, since: datetime, who: str) -> int: ...
    def waiting(self, tx: Any) -> Row | None: ...
    def begin(self, tx: Any, trial: int) -> bool: ...
    def tell(self, tx: Any, trial: int, looked_at: int) -> None: ...
    def end(
        self,
        tx: Any,
        trial: int,
        result: Mapping[str, Any] | None,
        cause: str | None = None,
        remedy: str | None = None,
    ) -> None: ...
    def end_silent(self, tx: Any, before: datetime, cause: str, remedy: str) -> int: ...
    def read(self, tx: Any, trial: int) -> Row | None: ...
    def listed(self, tx: Any, limit: int) -> list[Row]: ...


class Trials:
    """parse: raises where a text is no rules. tries: see `Tries`."""

    def __init__(
        self, records: Transactions, trials: TrialRecords, parse: Callable[[str], Rules], tries: Tries
    ) -> None:
        self._records, self._trials, self._parse, self._tries = records, trials, parse, tries

    def ask(self, text: str, since: datetime, caller: Caller) -> int:
        """The number of a new trial. Rejects what is no rules, and the one too many."""
        try:
            version = self._parse(text).version
        except CounterfoilError as error:
            raise Rejected(error.cause, error.remedy, slug="rules") from None
        with self._records.transaction() as tx:
            waits = [row for row in self._trials.listed(tx, OPEN_MAX + 1) if row["state"] == "waiting"]
            if len(waits) >= OPEN_MAX:
                raise Rejected(f"{OPEN_MAX} trials wait already.", "Try again when some are done.", slug="request")
            return self._trials.ask(tx, version, text, since, caller.name)

    def step(self) -> bool:
        """Compute one that waits; whether one did."""
        with self._records.transaction() as tx:
            cause = "The process that computed it has ended."
            self._trials.end_silent(tx, tx.now() - SILENT_AFTER, cause, "Try the rules again.")
            row = self._trials.waiting(tx)
            if row is None or not self._trials.begin(tx, row["id"]):
                return False
        self._compute(row)
        return True

    def _compute(self, row: Row) -> None:
        last = [0]

        def told(looked_at: int) -> None:
            if looked_at - last[0] < TOLD_EACH:
                return
            last[0] = looked_at
            with self._records.transaction() as tx:
                self._trials.tell(tx, row["id"], looked_at)

        try:
            result = self._tries(row["body"], _moment(row["since"]), told)
        except DatabaseUnavailable:
            raise
        except CounterfoilError as error:
            with self._records.transaction() as tx:
                self._trials.end(tx, row["id"], None, error.cause, error.remedy)
            logger.warning("trial failed", trial=row["id"], cause=error.cause)
            return
        with self._records.transaction() as tx:
            self._trials.end(tx, row["id"], result)
        logger.info("tried", trial=row["id"], version=row["version"], differ=result["differ"])

    def show(self, trial: int) -> Mapping[str, Any]:
        """A trial with its text and, once it is done, what would differ."""
        with self._records.transaction() as tx:
            row = self._trials.read(tx, trial)
        if row is None:
            raise Rejected(f"There is no trial {trial}.", "See which there are.", slug="no-such-subject")
        return {**_shown(row), "text": row["body"], "result": json.loads(row["result"]) if row["result"] else None}

    def list(self) -> list[dict[str, Any]]:
        with self._records.transaction() as tx:
            return [_shown(row) for row in self._trials.listed(tx, SHOWN)]


def _shown(row: Row) -> dict[str, Any]:
    names = ("id", "version", "asked_by", "state", "looked_at", "cause", "remedy")
    moments = {name: _moment(row[name]).isoformat() for name in ("since", "asked_at", "told_at")}
    return {**{name: row[name] for name in names}, **moments}


def _moment(value: Any) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(value)
