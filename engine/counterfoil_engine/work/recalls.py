"""What a party keeps: that it is too late to take a document back is a fact of the order, noted with the refusal.

A WMS has released the goods, a gateway has moved the money. From then on that document stands as it is, and a look asks
for the difference alone (`domain/due_wms.py`, `domain/due_goods.py`).
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any, cast

from counterfoil_engine.domain.errors import Case
from counterfoil_engine.domain.facts import Party
from counterfoil_engine.ports import Intent, NewPartyFact, PartyFactRecords

KINDS = frozenset({"fulfilment", "capture", "refund_order"})  # what can be too late
LONGEST_REASON = 500  # characters, as the contract has it


class Recalls:
    """Hears what a WMS or the gateways of an entity refuse. wms: its name, in the settings and in its facts."""

    def __init__(self, facts: PartyFactRecords, wms: str) -> None:
        self._facts, self._wms = facts, wms

    def refused(self, tx: Any, intent: Intent, case: Case) -> None:
        """Called with each refusal, in the transaction that writes it down; most of them are no such fact.

        Refused twice it is one fact: its hash is of the key, and what came first counts."""
        if intent.reverses is None or intent.kind not in KINDS or case.category != "conflict":
            return
        if intent.document is None:
            return  # adopted after a restore, and not explained yet: it is taken back again once it is
        store, order_id = intent.subject.removeprefix("order ").split("/", 1)
        body, at = intent.document.body, cast(datetime, tx.now())
        source = str(body.get("gateway") or self._wms)
        digest = hashlib.sha256(intent.key.encode()).hexdigest()
        said = {
            "fact": "counterfoil.recall_refused.v1",
            "party": intent.party,
            "source": source,
            "id": f"recall-{digest[:32]}",
            "at": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "store": store,
            "order": order_id,
            "of": intent.reverses,
            "reason": case.cause[:LONGEST_REASON],
            "amount_minor": intent.document.amount_minor,
            "asked": {name: value for name, value in body.items() if name != "personal"},
        }
        raw = json.dumps(said, sort_keys=True, separators=(",", ":"), default=str).encode()
        party = cast(Party, intent.party)
        fact = NewPartyFact(party, source, str(said["id"]), "recall_refused", at, raw, digest, intent.subject)
        self._facts.take(tx, [fact])
