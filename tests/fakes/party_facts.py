"""Facts as a WMS, a gateway or a tax service would say them, made from few words.

captured("evt_1", transaction="ch_1")                  # a gateway that doesn't know the order
captured("evt_1", transaction="ch_1", order="1001")    # one that does
shipment("ship-1", "1001", quantity="2")
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from counterfoil_engine.ports import NewPartyFact
from counterfoil_engine.work.party_facts import judge

MORNING = datetime(2026, 11, 23, 9, tzinfo=UTC)
SOURCES = {"wms": "hub-berlin", "gateway": "stripe", "tax": "taxes"}


def a_fact(party: str, kind: str, id_: str, order: str | None = None, minute: int = 0, **own: Any) -> dict[str, Any]:
    """A fact's body; minute: how long after nine it happened. Own fields replace common ones."""
    return {
        "fact": f"counterfoil.{kind}.v1",
        "party": party,
        "source": SOURCES[party],
        "id": id_,
        "at": (MORNING + timedelta(minutes=minute)).isoformat().replace("+00:00", "Z"),
        "store": "eu1" if order else None,
        "order": order,
        **own,
    }


def captured(id_: str = "evt_1", transaction: str = "ch_1", order: str | None = None, **own: Any) -> dict[str, Any]:
    body = {"authorisation": None, "amount_minor": 1000, "currency": "EUR", "method": "card"}
    return a_fact("gateway", "captured", id_, order, transaction=transaction, **{**body, **own})


def authorised(id_: str = "evt_0", transaction: str = "pi_1", order: str | None = None, **own: Any) -> dict[str, Any]:
    body = {"amount_minor": 1000, "currency": "EUR", "expires_at": None, "method": "card"}
    return a_fact("gateway", "authorised", id_, order, transaction=transaction, **{**body, **own})


def fee(id_: str = "txn_1", transaction: str | None = "ch_1", order: str | None = None, **own: Any) -> dict[str, Any]:
    body = {"amount_minor": 30, "currency": "EUR"}
    return a_fact("gateway", "fee", id_, order, transaction=transaction, **{**body, **own})


def payout(id_: str = "po_1", **own: Any) -> dict[str, Any]:
    body = {"payout": id_, "amount_minor": 970, "currency": "EUR", "paid_on": "2026-11-25"}
    return a_fact("gateway", "payout", id_, **{**body, **own})


def shipment(id_: str = "ship-1", order: str = "1001", quantity: str = "1", **own: Any) -> dict[str, Any]:
    lines = [{"line": "item:46", "quantity": quantity}]
    body = {"warehouse": "BER", "carrier": "DHL", "tracking": "0034", "lines": lines}
    return a_fact("wms", "shipment", id_, order, **{**body, **own})


def raw(body: dict[str, Any]) -> bytes:
    return json.dumps(body).encode()


def judged(body: dict[str, Any]) -> NewPartyFact:
    """The fact as it goes to the records."""
    fact = judge(body["party"], body["source"], raw(body))
    assert isinstance(fact, NewPartyFact), fact
    return fact
