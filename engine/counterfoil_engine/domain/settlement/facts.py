"""What is known of one payout: its report, what the gateway announced, what is posted, and what people decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from counterfoil_engine.domain.facts import PartyFact
from counterfoil_engine.domain.settlement.lines import Report
from counterfoil_engine.domain.settlement.posted import Postings


@dataclass(frozen=True)
class PayoutFacts:
    """The facts of the subject `payout <source>/<payout>`.

    report: the one that stands; announced: the gateway's payout facts, by arrival; postings: what is posted that a line
    may be; decided: line id → slot, as people said. store: whose documents these are: the entity, which has no store of
    its own for them; empty where the rules don't say.
    """

    source: str
    payout: str
    report: Report | None = None
    announced: tuple[PartyFact, ...] = ()
    postings: Postings = field(default_factory=lambda: Postings(()))
    decided: Mapping[str, str] = field(default_factory=dict)
    store: str = ""
    seen: Sequence[tuple[int, bool]] = ()

    arrival = 0  # what a look saw of it is kept as such (`Reader.keep`)
    unproven_at: tuple[int, int] | None = None

    @property
    def subject(self) -> str:
        return f"payout {self.source}/{self.payout}"

    @property
    def is_known(self) -> bool:
        return bool(self.report or self.announced)

    @property
    def party_arrival(self) -> int:
        return max((fact.arrival for fact in self.announced), default=0)

    @property
    def currency(self) -> str:
        """The payout's; empty where nothing is known."""
        if self.report:
            return self.report.currency
        return str(self.announced[0].body["currency"]) if self.announced else ""
