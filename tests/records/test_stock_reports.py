"""How a store's stock stands, as `counterfoil status` tells it; and the event that a person passes over."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from counterfoil_engine.bootstrap import build
from counterfoil_engine.cli import show
from counterfoil_engine.ports import Drifted, Rejected, Written
from counterfoil_engine.records import heartbeats, reports, store_writes
from counterfoil_engine.records.database import Database
from fakes.clock import FakeClock
from fakes.stock import StockWorld

WRITES = {
    "writes_by": "plugin",
    "switch": "on",
    "exposed": False,
    "held": None,
    "version": 0,
    "waiting": 0,
    "plugin": {"version": "0.1.0", "waiting_rows": 0, "newest_order_id": 1001, "missing_hooks": []},
}


@pytest.fixture
def world(database: Database, clock: FakeClock) -> StockWorld:
    world = StockWorld(database, clock)
    world.position("MUG", 10)
    world.publish()
    return world


def _beat(world: StockWorld, **stock: Any) -> None:
    with world.database.transaction() as tx:
        beat = {"depth_events": 0, "oldest_age_s": None, "newest_order_id": None, "stock": WRITES | stock}
        heartbeats.keep(tx, "eu1", json.dumps(beat).encode())


def _status(world: StockWorld) -> dict[str, Any]:
    with world.database.transaction() as tx:
        said = reports.status(tx, {"eu1": "eu", "eu2": "eu"})
    return {**said, "four_eyes": {"says": "Four eyes are not in force.", "waiting": 0}}


def _stock(world: StockWorld) -> dict[str, Any]:
    [line] = [line for line in _status(world)["stores"] if line["store"] == "eu1"]
    return line["stock"]


def test_a_store_that_has_all_is_well(world: StockWorld, capsys: pytest.CaptureFixture[str]) -> None:
    world.sell("eu1", "1001", "46", "MUG", 1)
    world.publish()
    with world.database.transaction() as tx:
        written = Written("mug", (1 << 40) + 2, 9, "applied", 9, as_of=tx.now() - timedelta(seconds=4))
        store_writes.note(tx, "eu1", [written])
        store_writes.note_drift(tx, "eu1", [Drifted("cup", "CUP", 3, 4, "instock")])
    _beat(world, version=(1 << 40) + 2)
    stock = _stock(world)
    assert (stock["pool"], stock["writes_by"], stock["exposed"], stock["held"]) == ("eu", "plugin", False, None)
    assert (stock["is_behind"], stock["in_excess"], stock["uncounted_events"]) == (False, {"skus": 0, "units": 0}, 0)
    assert (stock["basis"], stock["edits_a_day"]) == ({"epoch": 1, "n": 1}, 1)
    assert (stock["freshness"]["writes"], stock["freshness"]["p50_s"], stock["freshness"]["p95_s"]) == (1, 5, 5)
    assert stock["last_write"]["verdict"] == "applied"
    assert not [said for said in _status(world)["problems"] if "stock" in said]
    show.status(_status(world))
    told = " ".join(capsys.readouterr().out.split())
    assert "plugin, on" in told and "mug 9, applied" in told and "p50 5 s p95 5 s" in told
    assert "eu1, age of numbers when confirmed, 7 days: 5 s: 1." in told


def test_a_store_without_the_plugin_is_exposed_by_what_it_offers_in_excess(
    world: StockWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    with world.database.transaction() as tx:
        store_writes.note(tx, "eu1", [Written("mug", (1 << 40) + 1, 10, "applied", 10)])
    world.sell("eu2", "7", "9", "MUG", 3)
    world.publish()
    _beat(world, writes_by="rest", exposed=True, version=(1 << 40) + 1, plugin=None, waiting=1)
    stock = _stock(world)
    assert (stock["exposed"], stock["is_behind"], stock["in_excess"]) == (True, True, {"skus": 1, "units": 3})
    assert not [said for said in _status(world)["problems"] if "exposed" in said], "it is how it is"
    show.status(_status(world))
    assert "yes, 3 units of 1 SKUs in excess" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("held", ["preview", "brake", "copy", "went-back", "something new"])
def test_what_waits_for_a_person_is_a_problem_with_its_remedy(world: StockWorld, held: str) -> None:
    _beat(world, held=held)
    [said] = [said for said in _status(world)["problems"] if said.startswith("Store eu1: ")]
    assert said.endswith(".") and len(said) > 50


def test_an_agent_that_holds_versions_of_another_life_is_behind(world: StockWorld) -> None:
    _beat(world, version=(7 << 40) + 1)
    assert _stock(world)["is_behind"]


def test_numbers_of_another_engine_that_a_store_keeps_are_a_problem_with_its_remedy(world: StockWorld) -> None:
    _beat(world, newer_skus=3)
    assert _stock(world)["newer_skus"] == 3
    (said,) = [said for said in _status(world)["problems"] if "later numbers" in said]
    assert "of 3 SKUs" in said and "counterfoil confirm" in said
    _beat(world)
    assert not [said for said in _status(world)["problems"] if "later numbers" in said]


def test_hooks_that_are_missing_are_a_problem(world: StockWorld) -> None:
    _beat(world, plugin=WRITES["plugin"] | {"missing_hooks": ["woocommerce_new_order"]})  # type: ignore[operator]
    assert any("woocommerce_new_order" in said for said in _status(world)["problems"])


def test_an_event_that_holds_the_count_is_a_problem_until_a_person_passes_it_over(world: StockWorld) -> None:
    commands = build(world.database, world.clock, {}).commands()
    world.sell("eu1", "1001", "46", "MUG", 1)
    world.take_in("eu1", world.event("eu1", "1002", None))
    world.sell("eu1", "1003", "47", "MUG", 2)
    stock = _stock(world)
    assert (stock["basis_held"], stock["exposed"], stock["uncounted_events"]) == (True, True, 2)
    assert any("counterfoil stock pass-over eu1" in said for said in _status(world)["problems"])
    assert commands.pass_over("eu1") == {"store": "eu1", "epoch": 1, "n": 3}
    assert not _stock(world)["basis_held"]
    world.publish()
    assert world.number("MUG") == 7
    with world.database.transaction() as tx:
        [audit] = tx.all("select what, detail from audit")
    assert (audit["what"], json.loads(audit["detail"])) == ("pass over", {"epoch": 1, "n": 3, "store": "eu1"})
    with pytest.raises(Rejected, match="Nothing holds"):
        commands.pass_over("eu1")
    with pytest.raises(Rejected, match="ever said hello"):
        commands.pass_over("nowhere")


@pytest.mark.parametrize(("silent_after_s", "is_silent"), [(3600, False), (0, True)])
def test_an_agent_is_silent_once_it_was_not_heard_for_as_long_as_the_settings_allow(
    world: StockWorld, clock: FakeClock, silent_after_s: int, is_silent: bool
) -> None:
    world.sell("eu1", "1001", "46", "MUG", 1)
    said = build(world.database, clock, {}, silent_after_s=silent_after_s).commands().status()
    [line] = [line for line in said["stores"] if line["store"] == "eu1"]
    assert line["connected"] is not is_silent
    assert any("eu1 is silent" in problem for problem in said["problems"]) is is_silent


def test_two_events_that_hold_the_count_are_passed_over_one_by_one(world: StockWorld) -> None:
    commands = build(world.database, world.clock, {}).commands()
    world.sell("eu1", "1001", "46", "MUG", 1)
    for order in ("1002", "1003"):
        world.take_in("eu1", world.event("eu1", order, None))
    assert commands.pass_over("eu1")["n"] == 2
    assert _stock(world)["basis_held"]
    assert commands.pass_over("eu1")["n"] == 3
    assert not _stock(world)["basis_held"]
