"""What a WMS keeps: that it didn't give a fulfilment back is a fact of the order, written down with the refusal.

From then on that fulfilment stands as it is, and a look asks for the difference alone (`domain/due_wms.py`).
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

from counterfoil_engine.domain.errors import Case
from counterfoil_engine.ports import Intent, NewPartyFact, PartyFactRecords

LONGEST_REASON = 500  # characters, as the contract has it


class Recalls:
    """Hears what a WMS refuses. source: its name in the settings and in its facts."""

    def __init__(self, facts: PartyFactRecords, source: str) -> None:
        self._facts, self._source = facts, source

    def refused(self, tx: Any, intent: Intent, case: Case) -> None:
        """Called with each refusal, in the transaction that writes it down; only a fulfilment kept is a fact.

        Said twice it has one content, but for its time: what came first counts."""
        if intent.reverses is None or intent.kind != "fulfilment" or case.category != "conflict":
            return
        if intent.document is None:
            return  # adopted after a restore, and not explained yet: it is asked back again once it is
        store, order_id = intent.subject.removeprefix("order ").split("/", 1)
        at: datetime = tx.now()
        said = {
            "fact": "counterfoil.recall_refused.v1",
            "party": "wms",
            "source": self._source,
            "id": f"recall-{hashlib.sha256(intent.key.encode()).hexdigest()[:32]}",
            "at": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "store": store,
            "order": order_id,
            "of": intent.reverses,
            "reason": case.cause[:LONGEST_REASON],
            "ship_to_country": intent.document.body["ship_to_country"],
            "lines": intent.document.body["lines"],
        }
        body = json.dumps(said, sort_keys=True, separators=(",", ":")).encode()
        digest = hashlib.sha256(intent.key.encode()).hexdigest()
        self._facts.take(
            tx,
            [NewPartyFact("wms", self._source, str(said["id"]), "recall_refused", at, body, digest, intent.subject)],
        )
