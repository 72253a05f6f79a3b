"""The ERP's bad days, and its accountant: faults around a commit, a closed period, an item that is not there yet."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING

from simulation.actors.shoppers import place
from simulation.orders import carried_now
from simulation.rules import ENTITY

if TYPE_CHECKING:
    from simulation.storm import Simulation

KINDS = (
    "down",
    "rate_limit",
    "fail_before_commit",
    "fail_halfway",
    "fail_after_commit",
    "cut_before_commit",
    "cut_after_commit",
    "cut_then_commit",
)


def fail(simulation: Simulation, random: Random) -> str:
    kind, times = random.choice(KINDS), random.randint(1, 3)
    simulation.world.erp.change_modes({"fault": kind, "fault_times": times})
    return f"{kind}, {times} times"


def commit_late(simulation: Simulation, random: Random) -> str:
    """It hangs up on a post and commits it afterwards; the engine has its posters at work all the while."""
    place(simulation, random)
    simulation.world.erp.change_modes({"fault": "cut_then_commit", "fault_times": 1})
    order_id = simulation.world.shop.order_ids()[-1]
    carried_now(simulation, order_id)
    for _ in range(8):
        simulation.world.clock.pass_time(0.3)
        simulation.posts()
    return str(order_id)


def close_period(simulation: Simulation, random: Random) -> str:
    """Up to today or yesterday: what has a date in it goes to the first open day."""
    today = simulation.world.clock.true.date()
    last_day = today - timedelta(days=random.randint(0, 1))
    simulation.world.books.close_period(ENTITY, today.replace(day=1), last_day)
    return f"through {last_day}"


def lose_items(simulation: Simulation, random: Random) -> str:
    simulation.world.books.set_items([], accept_all=False)
    return "no item is known"


def find_items(simulation: Simulation, random: Random) -> None:
    simulation.world.books.set_items([], accept_all=True)


HAPPENINGS = {
    "the ERP fails": (6, fail),
    "the ERP hangs up and commits later": (2, commit_late),
    "a period is closed": (2, close_period),
    "the item master is emptied": (2, lose_items),
    "the item master is filled": (1, find_items),
}
FAULTS = ("the ERP fails", "the ERP hangs up and commits later", "the item master is emptied")


def heal(simulation: Simulation) -> None:
    """The ERP is well, its items are there, and a person retries what was refused for want of them."""
    world = simulation.world
    world.erp.change_modes({"fault": None, "fault_times": None})
    world.books.set_items([], accept_all=True)
    world.clock.pass_time(world.options.commit_delay_s + 1)
    simulation.guarded(lambda: world.engine.engine.commands().retry(None, "missing_mapping"))
