"""A WMS, a gateway or a tax service in memory: takes documents as the fake ERP does, and tells the facts it was given.

party = FakeParty(clock)
party.facts.append(shipment("ship-1", "1001"))      # a body, or bytes that are none
party.overlap = 2; party.page_facts = 10            # pages begin with facts of the page before
party.down = True; party.too_many = True            # as the fake ERP
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from counterfoil_engine.ports import FactPage
from fakes.erp import FakeErp


@dataclass
class FakeParty(FakeErp):
    facts: list[dict[str, Any] | bytes] = field(default_factory=list)
    page_facts: int = 100
    overlap: int = 0

    def read(self, cursor: str | None) -> FactPage:
        self._answer("read", 1)
        after = int(cursor or 0)
        page = self.facts[max(0, after - self.overlap) : after + self.page_facts]
        last = min(after + self.page_facts, len(self.facts))
        raw = [fact if isinstance(fact, bytes) else json.dumps(fact).encode() for fact in page]
        return FactPage(raw, str(last), last == len(self.facts))
