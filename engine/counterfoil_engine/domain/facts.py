"""What came: the facts of one order, as the store and the other parties said them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal


@dataclass(frozen=True)
class Snapshot:
    """One whole reading of an order by the store's agent.

    kind: "order" (body = {"order": {…}, "refunds": [{…}, …]}, verbatim) or "gone" (body = {"order_id": …, …}).
    epoch, n: the place in the store's sequence; read_at: when the agent read it, UTC. proven: the store's watermark
    has passed it, so that nothing before it is missing. Numbers in body are int or Decimal, never float.
    """

    kind: Literal["order", "gone"]
    epoch: int
    n: int
    read_at: datetime
    body: Mapping[str, Any]
    proven: bool = True


Party = Literal["wms", "gateway", "tax"]


@dataclass(frozen=True)
class PartyFact:
    """One fact as a WMS, a gateway or a tax service said it (`contracts/facts/<kind>.v1.json`); it never changes.

    source: which of them (`stripe`, `hub-berlin`); id: the source's own; at: when it happened, UTC. arrival: its place
    in the engine's order of commit. Numbers in body are int or Decimal, never float.
    """

    party: Party
    source: str
    id: str
    kind: str
    at: datetime
    body: Mapping[str, Any]
    arrival: int = 0


@dataclass(frozen=True)
class OrderFacts:
    """All snapshots of one order, by (epoch, n), and the other parties' facts of it, by arrival. store and order_id
    name it: `order eu1/1001`.

    arrival: how far the store's events had come in of those that are read here."""

    store: str
    order_id: str
    snapshots: tuple[Snapshot, ...]
    arrival: int = 0
    party_facts: tuple[PartyFact, ...] = ()

    @property
    def subject(self) -> str:
        return f"order {self.store}/{self.order_id}"

    @property
    def party_arrival(self) -> int:
        """How far the other parties' facts had come in of those that are read here."""
        return max((fact.arrival for fact in self.party_facts), default=0)

    @property
    def is_known(self) -> bool:
        """Whether anybody has said anything of it: a gateway may speak of its money before the store does."""
        return bool(self.snapshots or self.party_facts)

    @property
    def unproven_at(self) -> tuple[int, int] | None:
        """The place of the first snapshot that something before may be missing of."""
        return next(((each.epoch, each.n) for each in self.snapshots if not each.proven), None)
