"""The sweep of a store's orders: control totals by day, the orders of days that differ, and a second snapshot (S2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Protocol

import msgspec

from counterfoil_engine.domain.breaks import STANDING, Found, InFlight
from counterfoil_engine.domain.errors import Parked
from counterfoil_engine.domain.order_sweep import (
    Control,
    Total,
    confirmed,
    control_told,
    days_that_differ,
    days_to_look_at,
    judge_day,
    signature,
    total_told,
    totals_of,
)
from counterfoil_engine.work.sweep import Impossible, Question, Row, Run

DAYS = 35
LONGEST_REQUEST_S = 300
MOST_FETCHED = 500  # orders of one question
MOST_OLDER = 60  # days before those, on which breaks stand


class ControlRecords(Protocol):
    """Orders' amounts by their facts (`records/order_controls.py`)."""

    def catch_up(self, tx: Any, store: str) -> bool: ...
    def of_days(self, tx: Any, store: str, first: date, last: date) -> list[tuple[str, Control]]: ...


class BreakDays(Protocol):
    """Days of breaks (`records/breaks.py`)."""

    def days_of(
        self, tx: Any, sweep: str, stores: Sequence[str], states: Sequence[str], before: date, limit: int
    ) -> list[date]: ...


class FetchRecords(Protocol):
    """Questions to the agent (`records/sweeps.py`)."""

    def asked_orders(self, tx: Any, store: str) -> set[int]: ...
    def ask(
        self, tx: Any, store: str, sweep_id: int | None, kind: str, body: Mapping[str, Any], due_at: Any
    ) -> None: ...


class OrderSweep:
    """notes: `suspected`: day → subject → in which way it differed in the first snapshot."""

    def __init__(self, controls: ControlRecords, breaks: BreakDays) -> None:
        self._controls, self._breaks = controls, breaks

    def begin(self, tx: Any, run: Run) -> Sequence[Question]:
        start = run.rules.store(run.store).start_line.date()
        days = days_to_look_at(tx.now().date(), int(run.settings.get("days", DAYS)), start)
        if days is None:
            return ()
        older = self._breaks.days_of(tx, run.sweep, run.covers, STANDING, days[0], MOST_OLDER)
        run.looks_at(days[0], older)
        totals = Question("order_totals", {"first": days[0].isoformat(), "last": days[1].isoformat()})
        return [totals, *(_of_day(run, day.isoformat()) for day in older)]

    def take(self, tx: Any, run: Run, task: Row, said: Mapping[str, Any]) -> Sequence[Question]:
        while self._controls.catch_up(tx, run.store):
            pass
        asked = msgspec.json.decode(task["body"])
        if task["kind"] == "order_totals":
            return self._totals(tx, run, asked, said)
        return self._day(tx, run, asked["day"], said)

    def _totals(self, tx: Any, run: Run, asked: Mapping[str, Any], said: Mapping[str, Any]) -> Sequence[Question]:
        first, last = date.fromisoformat(asked["first"]), date.fromisoformat(asked["last"])
        ours = totals_of(self._controls.of_days(tx, run.store, first, last))
        run.notes["compared"] = sum(total.count for total in ours.values())
        if said.get("totals") is None:  # over REST all days have to be read, slowly
            days = [first.fromordinal(day).isoformat() for day in range(first.toordinal(), last.toordinal() + 1)]
        else:
            days = days_that_differ(ours, _totals(run.store, asked, said["totals"]))
        return [_of_day(run, day) for day in days]

    def _day(self, tx: Any, run: Run, day: str, said: Mapping[str, Any]) -> Sequence[Question]:
        if "orders" not in said:
            raise _half(run.store)
        theirs = [control_told(str(row[0]), *row[1:]) for row in said["orders"]]
        on_their_way = {str(order) for order in said.get("on_their_way", ())}
        its_day = date.fromisoformat(day)
        ours = [one for _, one in self._controls.of_days(tx, run.store, its_day, its_day)]
        differ = judge_day(run.store, its_day, ours, theirs, on_their_way)
        found = [one for one in differ if isinstance(one, Found)]
        suspected = run.notes.setdefault("suspected", {})
        is_second = day in suspected
        if is_second or not found:
            run.in_flight += [one for one in differ if isinstance(one, InFlight)]
        if is_second:
            twice, once = confirmed(suspected.pop(day), found)
            run.found += twice
            run.in_flight += once
        if is_second or not found:
            return ()
        suspected[day] = {one.subject: signature(one) for one in found}
        return [_of_day(run, day, float(run.settings.get("longest_request_s", LONGEST_REQUEST_S)))]


def read_again(fetch: FetchRecords) -> Any:
    """The repair of orders: their agent reads them again, and sends them as any other change."""

    def repair(tx: Any, store: str, subjects: Sequence[str]) -> None:
        asked = fetch.asked_orders(tx, store)
        wanted = sorted({int(name.rpartition("/")[2]) for name in subjects} - asked)
        for first in range(0, len(wanted), MOST_FETCHED):
            fetch.ask(tx, store, None, "fetch", {"orders": wanted[first : first + MOST_FETCHED]}, tx.now())

    return repair


def _of_day(run: Run, day: str, after_s: float = 0.0) -> Question:
    return Question("order_day", {"day": day, "pause_s": run.pause_s}, after_s)


def _totals(store: str, asked: Mapping[str, Any], rows: Sequence[Sequence[Any]]) -> dict[tuple[str, str], Total]:
    """What the store told, which has to be of the days that were asked, each once."""
    told: dict[tuple[str, str], Total] = {}
    for day, currency, *amounts in rows:
        if not asked["first"] <= day <= asked["last"] or (day, currency) in told:
            raise _half(store)
        try:
            told[day, currency] = total_told(currency, *amounts)
        except Parked as error:
            raise Impossible(
                f"{store} told totals of {day} that can't be right. {error.cause}",
                "Look at that day's orders in the store; somebody may have changed one in its database.",
                "data",
            ) from None
    return told


def _half(store: str) -> Impossible:
    return Impossible(
        f"{store} told half an answer, or another than was asked: its days don't fit.",
        "Sweep again. If it stays, update the store's plugin and its agent.",
        "contract",
    )
