"""Bad days of a WMS, a gateway and a tax service, of the lines to them, and of the engine as it speaks with them."""

from __future__ import annotations

from collections import deque
from random import Random
from typing import TYPE_CHECKING

from simulation import wires
from simulation.actors import gateways
from simulation.parties import SOURCES

if TYPE_CHECKING:
    from simulation.storm import Simulation

FAULTS_OF_A_CALL = ("fail_before_commit", "fail_halfway", "fail_after_commit", "cut_before_commit", "cut_after_commit")


def bad_day(simulation: Simulation, random: Random) -> str:
    """Calls to it fail, before and after it did what it was asked; or it is slow, or commits once nobody listens."""
    kind, parties = random.choice(list(SOURCES)), simulation.world.parties
    assert parties is not None
    if random.random() < 0.3:
        parties.change(kind, slow_call_ms=random.choice((500, 40_000)))
        simulation.after(random.uniform(20, 200), lambda: parties.change(kind, slow_call_ms=0))
        return f"the {kind} is slow"
    if random.random() < 0.3:
        parties.change(kind, fault="cut_then_commit", fault_times=random.randint(1, 2), commit_delay_s=40.0)
        simulation.after(60, lambda: parties.change(kind, commit_delay_s=0.0))
        return f"the {kind} commits late"
    fault = random.choice((*FAULTS_OF_A_CALL, "down", "rate_limit"))
    where = random.choice(("post", "all"))
    parties.change(kind, fault=fault, fault_times=random.randint(1, 5), fault_on=where)
    return f"the {kind}: {fault} on {where}"


def bad_line(simulation: Simulation, random: Random) -> str:
    kind = random.choice(list(SOURCES))
    calls = [random.choice((*wires.FAULTS, None)) for _ in range(random.randint(1, 5))]
    simulation.next_calls[kind] = deque(calls)
    return f"to the {kind}: {', '.join(call or 'good' for call in calls)}"


def late_facts(simulation: Simulation, random: Random) -> str:
    """It tells what happened late and out of order, some of it twice, a few in a page."""
    kind, parties = random.choice(list(SOURCES)), simulation.world.parties
    assert parties is not None
    late_s, twice, page = random.choice((0.0, 30.0, 300.0)), random.randint(0, 3), random.randint(1, 4)
    parties.change(kind, late_facts_s=late_s, doubled_facts=twice, page_facts=page)
    return f"the {kind}: up to {late_s:.0f} s late, {twice} twice, {page} in a page"


def engine_dies(simulation: Simulation, random: Random) -> str:
    """While it asks or is told something, or writes down what it was told."""
    gate = f"{random.choice(list(SOURCES))}.{random.choice(('post', 'facts', ''))}"
    if random.random() < 0.5:
        gate = "listener engine.commit"
        gateways.take_fee(simulation, random)  # so that there is something to write down
    simulation.deaths.append([gate, random.randint(1, 9)])
    return f"at {gate}…"


HAPPENINGS = {
    "a party has a bad day": (0, bad_day),
    "the line to a party is bad": (0, bad_line),
    "a party tells late": (0, late_facts),
    "the engine dies at a party": (0, engine_dies),
}
FAULTS = tuple(HAPPENINGS)


def heal(simulation: Simulation) -> None:
    if parties := simulation.world.parties:
        for kind in SOURCES:
            parties.change(kind, fault=None, fault_times=None, slow_call_ms=0, commit_delay_s=0.0)
            parties.change(kind, late_facts_s=0.0, page_facts=200)
