"""The rules of the world's one store: what the recorded orders need, as a controller would write them."""

from __future__ import annotations

import functools
import json
from typing import Any

from counterfoil_sandbox.shop import recorded

STORE, ENTITY = "eu1", "DE01"
SINCE = {"from": "2020-01-01"}
ORDERS = (
    "order_simple_paid",
    "order_before_edit",
    "order_guest_fr",
    "order_multiline_coupon_fee",
    "order_variation",
    "order_gift_card_negative_fee",
    "order_status_pending",
    "order_status_on-hold",
)

BY_PARTIES: dict[str, dict[str, Any]] = {
    "card": {"tax": "taxes", "tax_tolerance_minor": 2, "invoice_on": "shipment"},
    "held": {"invoice_on": "shipment", "capture_on": "shipment"},
    "wallet": {"invoice_on": "acceptance", "revenue_on": "shipment", "refunds_by": "engine"},
}


@functools.cache
def rules_text(label: str = "one", goods: str = "goods", parties: bool = False) -> str:
    """The rules file: JSON is YAML too. goods: the class of every item, which a controller may rename. parties: whether
    a WMS, a gateway and a tax service speak of orders that are paid in some ways."""
    rules = _rules(label, goods)
    if parties:
        rules["stores"][0]["switches"] = dict.fromkeys(("erp", "wms", "gateway", "tax"), "on")
        rules["payment_methods"] += [{"store": "*", "method": m, "gateway": "stripe", **SINCE} for m in BY_PARTIES]
        rules["sequence"] += [
            {"entity": "*", "method": m, "wms": "hub-berlin", **more, **SINCE} for m, more in BY_PARTIES.items()
        ]
    return json.dumps(rules)


def _rules(label: str, goods: str) -> dict[str, Any]:
    lines = [line for name in ORDERS for line in recorded(name)["line_items"]]
    untaxed = {line["sku"] for line in lines if not line["taxes"]}
    codes = (("DE-MWST 19%-1", "domestic", "DE"), ("DE-MWST 7%-1", "domestic", "DE"), ("FR-TVA 20%-1", "oss", "FR"))
    return {
        "rules": label,
        "entities": [
            {
                "id": ENTITY,
                "book_currency": "EUR",
                "zone": "Europe/Berlin",
                "country": "DE",
                "registrations": [
                    {"jurisdiction": "DE", "treatment": "domestic"},
                    {"jurisdiction": "FR", "treatment": "oss"},
                ],
            }
        ],
        "stores": [
            {
                "id": STORE,
                "entity": ENTITY,
                "pool": "eu",
                "start_line": "2026-11-22T23:00:00Z",
                "switches": {"erp": "on"},
            }
        ],
        "warehouses": [{"id": "BER", "owner": "erp", "entity": ENTITY}],
        "pools": [{"id": "eu", "warehouses": ["BER"]}],
        "payment_methods": [{"store": "*", "method": m, "gateway": m, **SINCE} for m in ("bacs", "cod", "cheque")],
        "tax_rates": [{"store": "*", "code": c, "treatment": t, "jurisdiction": j, **SINCE} for c, t, j in codes],
        "items": [
            {"store": "*", "sku": sku, "item": sku, "class": goods, "exempt": sku in untaxed, **SINCE}
            for sku in sorted({line["sku"] for line in lines if line["sku"]})
        ],
        "guests": [{"store": "*", "policy": "per_country", **SINCE}],
        "fees": [
            {"store": "*", "title": "Gift card*", "reads_as": "gift_card", "provider": "gift-cards", **SINCE},
            {"store": "*", "title": "Loyalty discount", "reads_as": "fee", **SINCE},
        ],
        "sequence": [{"entity": "*", "method": "*", "invoice_on": "acceptance", **SINCE}],
    }
