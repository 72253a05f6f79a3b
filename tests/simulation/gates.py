"""Every durable and every network step of the parts is a gate, by name; what happens there is decided from outside.

    agent.commit.before  agent.commit.after        the outbox's transactions
    engine.commit.before engine.commit.after       the engine's, those that write
    line.events.before   line.events.after         agent → engine: hello, epoch, events, heartbeat
    shop.orders.before   shop.orders.after         agent → shop: orders, order, refunds
    erp.post.before      erp.post.after            engine → ERP: post, find, list, periods, health
    wms.facts.before     wms.facts.after           engine → WMS, `gateway.…`, `tax.…`: post, find, facts, health

A party that crashes there raises `Crash`; it is no Exception, so nothing of the party can catch it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

Party = Literal["agent", "engine"]


class Crash(BaseException):
    """A process died here. party: whose."""

    def __init__(self, party: Party, gate: str) -> None:
        super().__init__(f"{party} dies at {gate}")
        self.party, self.gate = party, gate


def party_of(gate: str) -> Party:
    """Whose process passes this gate."""
    return "agent" if gate.startswith(("agent.", "line.", "shop.")) else "engine"


class Defect(Exception):
    """A fault of our own code, planted for a while; whoever meets it is to live on."""


class Gates:
    """Counts the gates that are passed. at: called with each gate's name; it may raise Crash or let others act."""

    def __init__(self, at: Callable[[str], None] = lambda gate: None) -> None:
        self.at, self.passed = at, 0

    def __call__(self, gate: str) -> None:
        self.passed += 1
        self.at(gate)

    def point(self, name: str) -> None:
        """A gate of the engine's database, as `fakes.faults.crashing` names it: before commit, after commit."""
        when, _, what = name.partition(" ")
        self(f"engine.{what}.{when}")
