"""Answers to sweeps that can't be right, breaks and their policies, and what begins by itself: on both databases."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from counterfoil_contracts.versions import greeting
from counterfoil_engine.domain.breaks import Found
from counterfoil_engine.domain.stock_sweep import bucket_of, digest_of
from counterfoil_engine.ports import Drifted, Rejected, Written
from counterfoil_engine.records import breaks, identity, store_writes, sweeps
from counterfoil_engine.records.database import Database
from counterfoil_engine.records.wiring import records_over
from counterfoil_engine.work.stock_edits import StockEdits
from counterfoil_engine.work.sweep_schedule import SweepSchedule
from fakes.clock import FakeClock
from fakes.stock import INSTALLATION, StockWorld
from fakes.sweeping import a_sweeping, the_breaks

BASE = 1 << 40
SKUS = {"MUG": 7, "CUP": 3, "JAR": 0}


class World:
    def __init__(self, database: Database, clock: FakeClock) -> None:
        self.database, self.stock = database, StockWorld(database, clock)
        with database.transaction() as tx:
            identity.establish(tx, "here", "an-id", 0)
        self.stock.events.greet("eu1", INSTALLATION, "1", greeting())
        for sku, units in SKUS.items():
            self.stock.position(sku, units)
        self.stock.publish()
        self.sweeping = a_sweeping(database, self.stock.book)
        self.version = max(row.version for row in self.stock.feed("eu1").values())

    def start(self, kind: Any = "stock") -> int:
        return self.sweeping.sweeps.start(kind, "eu1", "anna")

    def task(self) -> Mapping[str, Any]:
        (task,) = self.exchange()
        return task

    def exchange(self, *answers: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        said = self.sweeping.sweeps.exchange("eu1", json.dumps({"limit": 10, "answers": answers}).encode())
        tasks: list[Mapping[str, Any]] = said["tasks"]
        return tasks

    def answer(self, **more: Any) -> dict[str, Any]:
        """An agent's right answer to all buckets; more: what is otherwise."""
        task = more.pop("task", None) or self.task()
        numbers = {**SKUS, **more.pop("numbers", {})}
        told: dict[str, list[Any]] = {}
        for sku, number in numbers.items():
            key = sku.lower()
            row = told.setdefault(bucket_of(key, 2), [bucket_of(key, 2), 0, 0])
            row[1:] = [row[1] + 1, row[2] ^ digest_of(key, number)]
        return {
            "task": task["task"],
            "kind": "stock_digest",
            "at": (self.stock.now()).isoformat(),
            "engine_epoch": 1,
            "fed_through": BASE + self.version,
            "count": len(numbers),
            "buckets": [[name, count, f"{digest:015x}"] for name, count, digest in told.values()],
            **more,
        }

    def run(self, number: int) -> Mapping[str, Any]:
        return self.sweeping.sweeps.show(number)

    def rows(self) -> list[Mapping[str, Any]]:
        listed: list[Mapping[str, Any]] = self.sweeping.desk.listed(None, None, True, 100)["breaks"]
        return listed


@pytest.fixture
def swept(database: Database, clock: FakeClock) -> World:
    return World(database, clock)


def test_a_right_answer_ends_the_sweep_with_nothing_found(swept: World) -> None:
    number = swept.start()
    assert swept.exchange(swept.answer()) == []
    assert (swept.run(number)["state"], swept.run(number)["compared"]) == ("done", 3)


@pytest.mark.parametrize(
    ("otherwise", "cause"),
    [
        ({"count": 4}, "half an answer"),
        ({"buckets": [], "count": 3}, "half an answer"),
        ({"engine_epoch": 2}, "told by another engine"),
        ({"fed_through": BASE + 10**6}, "told by another engine"),
        ({"fed_through": (2 << 40) + 1}, "told by another engine"),
        ({"at": "2026-11-23T03:00:00+00:00"}, "clock of eu1"),
        ({"at": "2031-01-01T00:00:00Z"}, "ahead of the engine's"),
        ({"kind": "order_totals"}, "another question"),
        ({"fed_through": BASE}, "not been read by the agent"),
        ({"failed": {"cause": "The shop can't be reached.", "remedy": "See whether it is up."}}, "can't be reached"),
    ],
)
def test_an_answer_that_cannot_be_right_ends_the_sweep_with_its_cause_and_nothing_is_kept(
    swept: World, otherwise: dict[str, Any], cause: str
) -> None:
    number = swept.start()
    assert swept.exchange(swept.answer(numbers={"MUG": 99}, **otherwise)) == []
    run = swept.run(number)
    assert run["state"] == "failed" and cause in run["cause"] and run["remedy"].endswith(".")
    assert swept.rows() == []
    assert swept.run(swept.start())["state"] == "running", "it can be swept again"


def test_buckets_and_skus_that_were_not_asked_for_are_refused(swept: World) -> None:
    number = swept.start()
    first = bucket_of("mug", 2)
    tasks = swept.exchange(swept.answer(numbers={"MUG": 99}))
    assert [(task["kind"], task["prefixes"]) for task in tasks] == [("stock_items", [first])]
    strange = {"sku": "OTHER-1", "number": "5", "written": 5, "version": 1, "known": 1, "waits": False}
    swept.exchange(swept.answer(task=tasks[0], kind="stock_items", items=[strange]))
    assert swept.run(number)["state"] == "failed" and swept.rows() == []


def test_another_stores_answer_changes_nothing(swept: World) -> None:
    number = swept.start()
    answer = swept.answer(numbers={"MUG": 99})
    swept.stock.events.greet("eu2", INSTALLATION, "1", greeting())
    said = swept.sweeping.sweeps.exchange("eu2", json.dumps({"limit": 5, "answers": [answer]}).encode())
    assert said["tasks"] == [] and swept.run(number)["state"] == "running" and swept.rows() == []


def edit(swept: World, units: int = 3, sku: str = "mug", to_zero: bool = False) -> Found:
    cause = "Somebody edited it."
    return Found("stock", "eu1", f"stock eu/{sku}", "manual_edit_store", cause, "Look.", units=units, to_zero=to_zero)


def record(swept: World, *found: Found) -> None:
    one = the_breaks(swept.stock.book)
    with swept.database.transaction() as tx:
        since = tx.now()
        one.record(tx, "stock", "eu1", found)
        one.heal(tx, "stock", "eu1", since)


def healing(**values: str) -> list[dict[str, str]]:
    return [{"store": "*", "sweep": "stock", "class": "*", "from": "2020-01-01", **values}]


@pytest.mark.parametrize(
    ("rule", "units", "state"),
    [
        (None, 10_000, "healing"),
        ({"heal": "automatic", "within_units": "5"}, 5, "healing"),
        ({"heal": "automatic", "within_units": "5"}, 6, "proposed"),
        ({"heal": "propose"}, 1, "proposed"),
        ({"heal": "four_eyes"}, 1, "proposed"),
    ],
)
def test_a_break_heals_as_its_rule_says(swept: World, rule: dict[str, str] | None, units: int, state: str) -> None:
    if rule:
        swept.stock.load_rules(healing=healing(**rule))
    record(swept, edit(swept, units))
    (row,) = swept.rows()
    assert row["state"] == state
    assert (("mug", "set") in swept.stock.marks()) is (state == "healing")


def test_what_an_agent_finds_edited_by_itself_is_a_break_and_healed_once_its_number_is_confirmed(swept: World) -> None:
    edits = StockEdits(breaks, the_breaks(swept.stock.book), store_writes)
    with swept.database.transaction() as tx:
        edits.note(tx, "eu1", "eu", [], [Drifted("mug", "MUG", 7, 12, "instock")])
    (row,) = swept.rows()
    assert (row["units"], row["state"]) == (5, "healing") and ("mug", "set") in swept.stock.marks()
    with swept.database.transaction() as tx:
        edits.note(tx, "eu1", "eu", [Written("mug", BASE + 9, 7, "applied")], [])
    (row,) = swept.rows()
    assert row["state"] == "healed"


def test_sweeps_begin_by_themselves_once_an_hour_and_only_where_the_agent_answers(swept: World) -> None:
    schedule = SweepSchedule(records_over(swept.database), sweeps, swept.stock.book, swept.sweeping.sweeps)
    assert schedule.step() == 2, "stock and orders of eu1; eu2's agent doesn't speak of sweeps"
    assert schedule.step() == 0
    with swept.database.transaction() as tx:
        tx.run("update sweeps set started_at = %s", tx.now() - timedelta(hours=25))
    assert schedule.step() == 2, "what nobody answered for a day has failed, and is begun anew"
    with swept.database.transaction() as tx:
        rows = tx.all("select cause from sweeps where state = 'failed'")
    assert [row["cause"] for row in rows] == ["The agent of eu1 didn't answer."] * 2


def test_a_store_that_nobody_knows_cannot_be_swept(swept: World) -> None:
    with pytest.raises(Rejected, match="has ever said hello"):
        swept.stock.load_rules(stores=[*swept.stock.rules["stores"], {**swept.stock.rules["stores"][0], "id": "eu3"}])
        swept.sweeping.sweeps.start("stock", "eu3", "anna")


def test_runs_that_are_long_over_are_forgotten_but_the_last_of_each(swept: World) -> None:
    for _ in range(3):
        swept.start()
        swept.exchange(swept.answer())
    with swept.database.transaction() as tx:
        assert sweeps.prune(tx, tx.now() + timedelta(days=1)) == 2


TOTALS: Mapping[str, tuple[list[list[Any]] | None, str]] = {
    "a day that wasn't asked for": ([["2019-01-01", "EUR", 1, "10.00", "0", "1.60"]], "half an answer"),
    "a day told twice": ([["2026-11-23", "EUR", 1, "10.00", "0", "1.60"]] * 2, "half an answer"),
    "amounts of another currency": ([["2026-11-23", "JPY", 1, "10.55", "0", "1.60"]], "can't be right"),
    "no currency at all": ([["2026-11-23", "???", 1, "10.00", "0", "1.60"]], "can't be right"),
}


@pytest.mark.parametrize("name", TOTALS)
def test_totals_of_orders_that_cannot_be_right_end_the_sweep_and_nothing_is_kept(swept: World, name: str) -> None:
    totals, cause = TOTALS[name]
    number = swept.start("orders")
    task = swept.task()
    answer = {"task": task["task"], "kind": "order_totals", "at": swept.stock.now().isoformat(), "totals": totals}
    assert swept.exchange(answer) == []
    run = swept.run(number)
    assert run["state"] == "failed" and cause in run["cause"] and run["remedy"].endswith(".")
    assert swept.rows() == []


def test_half_a_day_of_orders_ends_the_sweep(swept: World) -> None:
    number = swept.start("orders")
    task, at = swept.task(), swept.stock.now().isoformat()
    (day, *_) = swept.exchange({"task": task["task"], "kind": "order_totals", "at": at, "totals": None})
    swept.exchange({"task": day["task"], "kind": "order_day", "at": at})
    assert swept.run(number)["state"] == "failed" and "half an answer" in swept.run(number)["cause"]
    assert swept.rows() == []
