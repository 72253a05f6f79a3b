"""Dying after any durable or network step changes nothing in the end.

One scenario runs through the whole chain, shop, agent, engine and ERP: an order, its edit, a refund of part of it; the
cancellation of another. Then once for each of its steps: whoever takes that step dies after it, starts again from its
files, and all goes on. What the ERP holds, what the engine holds, and what was ever stored have to come out the same.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from counterfoil_sandbox.shop import recorded
from loguru import logger
from simulation import books
from simulation.gates import Crash, party_of
from simulation.world import MEMORY, START, Options, World

APART = timedelta(minutes=10)  # each thing happens at its own moment, however long what was before it took


def two_orders(world: World) -> None:
    world.shop.place(recorded("order_simple_paid"))
    world.shop.place(recorded("order_before_edit"))


def an_edit(world: World) -> None:
    world.shop.edit_quantity(1001, 3)


def a_refund_and_a_cancellation(world: World) -> None:
    world.shop.refund(1001, amount="5.00", reason="a scratch")
    world.shop.cancel(1002)


ACTS: tuple[Callable[[World], None], ...] = (two_orders, an_edit, a_refund_and_a_cancellation)


class Died:
    """Lets whoever passes the n-th gate die there, once; 0: nobody. both: the other party's process as well."""

    def __init__(self, world: World, at: int, both: bool = False) -> None:
        self.world, self.at, self.both, self.gate = world, at, both, ""
        world.gates.at = self

    def __call__(self, gate: str) -> None:
        if self.world.gates.passed != self.at:
            return
        self.gate = gate
        party = party_of(gate)
        if self.both and party == "agent":
            self.world.kill("engine")
        raise Crash(party, gate)


def lived(options: Options, die_at: int = 0, both: bool = False) -> tuple[dict[str, Any], World, str]:
    """The scenario to its end; all that has to come out the same, and where somebody died."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        world = World(Path(name), options=options)
        died = Died(world, die_at, both)
        try:
            for place, act in enumerate(ACTS):
                act(world)
                world.come_to_rest()
                world.clock.true = START + (place + 1) * APART
            world.come_to_rest()
        finally:
            world.close()
        return outcome(world.folder), world, died.gate


def outcome(folder: Path) -> dict[str, Any]:
    return {
        "ERP documents": books.erp_content(folder),
        "ERP ledger": books.erp_ledger(folder),
        "engine ledger": books.engine_ledger(folder),
        "intents": sorted((one["key"], one["state"], one["content_hash"]) for one in books.intents(folder)),
        "cases": [(case["subject"], case["category"], case["cause"]) for case in books.open_cases(folder)],
        "facts": [(fact["n"], fact["subject"], fact["body_hash"], fact["verdict"]) for fact in books.facts(folder)],
        "left": books.rows(folder / "engine.sqlite", "select subject from work"),
        "waits": books.rows(folder / "engine.sqlite", "select * from waits"),
    }


@pytest.fixture(autouse=True)
def _quiet():
    logger.disable("counterfoil_engine")
    logger.disable("counterfoil_agent")
    yield
    logger.enable("counterfoil_engine")
    logger.enable("counterfoil_agent")


READING = {"reread_days": 0}  # what the poll finds alone
UNIQUE = Options(poll_s=60, shop=READING)
LATE = Options(poll_s=60, shop=READING, unique_keys=False, commit_delay_s=5.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "every", "both"),
    [(UNIQUE, 1, False), (UNIQUE, 7, True), (LATE, 7, False)],
    ids=["each step", "agent and engine at once", "an ERP without unique keys that commits after its client died"],
)
def test_dying_after_any_step_changes_nothing_in_the_end(options, every, both, capsys):
    expected, world, _ = lived(options)
    steps = world.gates.passed
    assert steps >= 40
    assert expected["cases"] == expected["left"] == expected["waits"] == []
    assert expected["ERP ledger"] == expected["engine ledger"] != {}
    for step in range(1, steps + 1, every):
        came_to, died, gate = lived(options, step, both)
        assert sum(died.lives.values()) > 2, f"nobody died at step {step}"
        keys = [key for key, _, _ in came_to["ERP documents"]]
        assert len(keys) == len(set(keys)), f"dying at step {step} ({gate}) doubled a document"
        for what, value in expected.items():
            assert came_to[what] == value, f"dying at step {step} of {steps} ({gate}) left other {what}"
    with capsys.disabled():
        print(f"\n{steps} steps, died after every {every}. " if every > 1 else f"\n{steps} steps, died after each.")
