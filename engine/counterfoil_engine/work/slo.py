"""Objectives at work: once a minute what had its time is judged, budgets are drawn up, and alerts follow.

    judge      counts of what happened since the last time          ┐ one transaction
    changes    an alert for each objective whose budget burns       ┘
    deliver    each message to each sink, again until it came through or a day has passed

An alert and its messages are written in one transaction, and told afterwards: a crash tells one twice rather than
never, and both bear the alert's number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from loguru import logger

from counterfoil_engine.domain import slo as rules_of
from counterfoil_engine.domain.errors import CounterfoilError, Unavailable
from counterfoil_engine.domain.figures import Figure
from counterfoil_engine.domain.slo import Count, Objective, Wanted
from counterfoil_engine.ports import Records, RulesBook
from counterfoil_engine.work.switches import stores_on

LONGEST_PAUSE = timedelta(hours=1)
GIVES_UP_AFTER = timedelta(days=1)


class SloRecords(Protocol):
    """Counts and alerts as kept (`records/slos.py`)."""

    def judge(
        self,
        tx: Any,
        objective: Objective,
        since: datetime,
        until: datetime,
        stores_on: Sequence[str],
        figures: Iterable[Figure],
    ) -> Count: ...
    def judged_until(self, tx: Any, slo: str) -> datetime | None: ...
    def keep(self, tx: Any, slo: str, count: Count, until: datetime) -> None: ...
    def counts(self, tx: Any, objective: Objective) -> dict[int, Count]: ...
    def prune(self, tx: Any, before: datetime) -> int: ...
    def standing(self, tx: Any) -> dict[str, Any]: ...
    def listed(self, tx: Any, is_all: bool, limit: int) -> list[dict[str, Any]]: ...
    def open_alert(self, tx: Any, slo: str, severity: str, cause: str, runbook: str, sinks: Sequence[str]) -> None: ...
    def resolve(self, tx: Any, slo: str, sinks: Sequence[str]) -> None: ...
    def messages_due(self, tx: Any, limit: int = 100) -> list[dict[str, Any]]: ...
    def sent(self, tx: Any, alert_id: int, what: str, sink: str) -> None: ...
    def failed(
        self, tx: Any, alert_id: int, what: str, sink: str, error: str, again_at: datetime, gives_up: bool
    ) -> None: ...
    def untold(self, tx: Any) -> list[Mapping[str, Any]]: ...


class Sink(Protocol):
    """Somewhere that alerts are told."""

    name: str

    def send(self, message: Mapping[str, Any]) -> None:
        """message: id, slo, severity, what (`opened`, `resolved`), cause, runbook (an address), opened_at,
        resolved_at. Raises CounterfoilError where it did not come through: it is sent again."""


class Objectives:
    """All objectives over one engine. figures: how the fleet stands now. runbooks: the address that runbooks stand
    under. sinks: where alerts are told; none: they are shown alone."""

    def __init__(
        self,
        records: Records,
        slos: SloRecords,
        book: RulesBook,
        objectives: Sequence[Objective],
        figures: Callable[[Any, Mapping[str, str]], Sequence[Figure]],
        sinks: Sequence[Sink] = (),
        runbooks: str = "docs/runbooks",
    ) -> None:
        self._records, self._slos, self._book = records, slos, book
        self._objectives, self._figures = objectives, figures
        self._sinks, self._runbooks = {sink.name: sink for sink in sinks}, runbooks.rstrip("/")

    # By the clock

    def step(self) -> None:
        """Judge, open and end alerts, tell of them."""
        self.judge()
        self.deliver()

    def judge(self) -> None:
        with self._records.transaction() as tx:
            now = tx.now()
            figures, stores = self._asked(tx)
            wanted = []
            for objective in self._objectives:
                since = self._slos.judged_until(tx, objective.name)
                if since is None or since < now - timedelta(days=objective.window_days):
                    since = now - timedelta(minutes=1)
                count = self._slos.judge(tx, objective, since, now, stores, figures)
                self._slos.keep(tx, objective.name, count, now)
                wanted += self._wanted(objective, self._slos.counts(tx, objective))
            self._reconcile(tx, wanted)
            longest = max(objective.window_days for objective in self._objectives)
            self._slos.prune(tx, now - timedelta(days=longest + 1))

    def _reconcile(self, tx: Any, wanted: Sequence[Wanted]) -> None:
        standing = {slo: alert["severity"] for slo, alert in self._slos.standing(tx).items()}
        fresh, over = rules_of.changes(wanted, standing)
        for slo in over:
            self._slos.resolve(tx, slo, list(self._sinks))
            logger.info("alert resolved", slo=slo)
        for one in fresh:
            runbook = f"{self._runbooks}/{one.runbook}"
            self._slos.open_alert(tx, one.slo, one.severity, one.cause, runbook, list(self._sinks))
            logger.warning("alert opened", slo=one.slo, severity=one.severity, cause=one.cause)

    @staticmethod
    def _wanted(objective: Objective, counts: Mapping[int, Count]) -> list[Wanted]:
        burn = rules_of.firing(objective, counts)
        if burn is None:
            return []
        count = counts[burn.long_s]
        cause = (
            f"{objective.says} In the last {_span(burn.long_s)} that did not hold for {count.bad} of {count.total}:"
            f" {rules_of.burn_rate(objective, count):.1f} times what the budget of {objective.window_days} days bears."
        )
        return [Wanted(objective.name, burn.severity, cause, objective.runbook)]

    def deliver(self) -> int:
        """Tell what is due; how many messages came through."""
        with self._records.transaction() as tx:
            due = self._slos.messages_due(tx)
        return sum(self._send(message) for message in due)

    def _send(self, message: Mapping[str, Any]) -> bool:
        place = message["id"], message["what"], message["sink"]
        sink = self._sinks.get(message["sink"])
        told = {name: value for name, value in message.items() if name not in ("sink", "tries", "made_at")}
        error = "Its sink is not in the settings any more."
        try:
            if sink is not None:
                sink.send(told)
                with self._records.transaction() as tx:
                    self._slos.sent(tx, *place)
                return True
        except CounterfoilError as failure:
            error = failure.cause
        logger.warning("alert not told", sink=message["sink"], cause=error)
        with self._records.transaction() as tx:
            now = tx.now()
            pause = min(timedelta(minutes=2 ** min(message["tries"], 10)), LONGEST_PAUSE)
            gives_up = sink is None or now - _moment(message["made_at"]) > GIVES_UP_AFTER
            self._slos.failed(tx, *place, error, now + pause, gives_up)
        return False

    # For people and monitors

    def standing(self) -> dict[str, Any]:
        """Each objective with its budget, how fast it burns, and its alert."""
        with self._records.transaction() as tx:
            alerts, untold = self._slos.standing(tx), self._slos.untold(tx)
            return {
                "now": tx.now().isoformat(),
                "objectives": [
                    self._line(objective, self._slos.counts(tx, objective), alerts.get(objective.name))
                    for objective in self._objectives
                ],
                "untold": [dict(row) for row in untold],
            }

    def _line(self, objective: Objective, counts: Mapping[int, Count], alert: Any) -> dict[str, Any]:
        whole = counts[objective.windows_s[-1]]
        return {
            "slo": objective.name,
            "says": objective.says,
            "percent": str(objective.percent),
            "within_s": objective.within_s,
            "window_days": objective.window_days,
            "good": whole.good,
            "total": whole.total,
            "good_percent": round(100 * whole.good / whole.total, 3) if whole.total else None,
            "budget_left": round(rules_of.budget_left(objective, whole), 4),
            "burns": [
                {"window_s": window, "rate": round(rules_of.burn_rate(objective, counts[window]), 2)}
                for window in objective.windows_s
            ],
            "alert": alert,
            "runbook": f"{self._runbooks}/{objective.runbook}",
        }

    def alerts(self, is_all: bool, limit: int) -> dict[str, Any]:
        """Open alerts, or the latest of all, newest first."""
        with self._records.transaction() as tx:
            return {"alerts": self._slos.listed(tx, is_all, limit)}

    def figures(self) -> list[Figure]:
        """How the fleet and its objectives stand."""
        with self._records.transaction() as tx:
            found = list(self._asked(tx)[0])
            for objective in self._objectives:
                counts = self._slos.counts(tx, objective)
                left = rules_of.budget_left(objective, counts[objective.windows_s[-1]])
                found.append(Figure("slo_budget_left_ratio", (objective.name,), left))
                for window in objective.windows_s:
                    rate = rules_of.burn_rate(objective, counts[window])
                    found.append(Figure("slo_burn_rate", (objective.name, _span(window).replace(" ", "")), rate))
            for slo, alert in self._slos.standing(tx).items():
                found.append(Figure("alerts", (slo, alert["severity"]), 1))
            return found

    def _asked(self, tx: Any) -> tuple[Sequence[Figure], list[str]]:
        """The fleet's figures, and the stores whose documents go to the ERP; before any rules: none do."""
        try:
            rules = self._book.current(tx)
        except Unavailable:
            return self._figures(tx, {}), []
        pools = {name: store.pool for name, store in rules.stores.items() if store.pool}
        return self._figures(tx, pools), stores_on(self._records, tx, rules, "erp")


def _span(seconds: int) -> str:
    for unit_s, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds % unit_s == 0:
            return f"{seconds // unit_s} {unit}"
    return f"{seconds} s"


def _moment(value: Any) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(value)
