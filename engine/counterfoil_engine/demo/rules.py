"""The rules file of the town, as its controllers would write it: JSON is YAML too, and its strings are quoted."""

from __future__ import annotations

from typing import Any

from counterfoil_engine.demo.branches import BERLIN, BRANCHES, Branch
from counterfoil_engine.demo.recordings import recorded_orders

STORE, ENTITY = BERLIN.store, BERLIN.entity
RATES = {"USD": "1.25", "JPY": "160", "KWD": "0.35"}
SINCE = {"from": "2020-01-01"}


def town_rules() -> dict[str, Any]:
    """All companies of the town; what somebody edits in Berlin's stock waits for a person there."""
    town = rules()
    for branch in BRANCHES[1:]:
        town["entities"].append(_entity(branch, ((branch.jurisdiction, "domestic"),)))
        town["stores"].append(_store(branch))
        town["warehouses"].append(_warehouse(branch))
        town["pools"].append(_pool(branch))
        row = {"store": branch.store, "code": branch.rate_code, "treatment": "domestic"}
        town["tax_rates"].append({**row, "jurisdiction": branch.jurisdiction, **SINCE})
    town["payment_methods"].append({"store": STORE, "method": BERLIN.method, "gateway": "stripe", **SINCE})
    edited = {"store": STORE, "sweep": "stock", "class": "manual_edit_store"}
    town["healing"] = [{**edited, "heal": "propose", **SINCE}]
    return town


def rules() -> dict[str, Any]:
    """The company in Berlin alone, and what the recorded orders need."""
    sold = {line["sku"] for order in recorded_orders() for line in order["line_items"] if line["sku"]}
    skus = sorted(sold | BERLIN.on_hand.keys())
    untaxed = {line["sku"] for order in recorded_orders() for line in order["line_items"] if not line["taxes"]}
    codes = (
        ("DE-MWST 19%-1", "domestic", "DE"),
        ("DE-MWST 7%-1", "domestic", "DE"),
        ("FR-TVA 20%-1", "oss", "FR"),
        ("CA-QC-*", "domestic", "CA-QC"),
    )
    return {
        "rules": "demo",
        "entities": [_entity(BERLIN, (("DE", "domestic"), ("FR", "oss"), ("CA-QC", "export")))],
        "stores": [_store(BERLIN)],
        "payment_methods": [{"store": "*", "method": m, "gateway": m, **SINCE} for m in ("bacs", "cod", "cheque")],
        "tax_rates": [{"store": "*", "code": c, "treatment": t, "jurisdiction": j, **SINCE} for c, t, j in codes],
        "items": [
            {"store": "*", "sku": sku, "item": sku, "class": "goods", "exempt": sku in untaxed, **SINCE} for sku in skus
        ],
        "guests": [{"store": "*", "policy": "per_country", **SINCE}],
        "fees": [
            {"store": "*", "title": "Gift card*", "reads_as": "gift_card", "provider": "gift-cards", **SINCE},
            {"store": "*", "title": "Loyalty discount", "reads_as": "fee", **SINCE},
        ],
        "rates": [{"book": "EUR", "currency": c, "rate": r, **SINCE} for c, r in RATES.items()],
        "sequence": [{"entity": "*", "method": "*", "invoice_on": "acceptance", **SINCE}],
        "warehouses": [_warehouse(BERLIN)],
        "pools": [_pool(BERLIN)],
    }


def _entity(branch: Branch, registrations: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    return {
        "id": branch.entity,
        "book_currency": branch.currency,
        "zone": branch.zone,
        "country": branch.country,
        "registrations": [{"jurisdiction": j, "treatment": t} for j, t in registrations],
    }


def _store(branch: Branch) -> dict[str, Any]:
    whose = {"id": branch.store, "entity": branch.entity, "pool": branch.pool}
    return {**whose, "start_line": "2026-01-01T00:00:00Z", "switches": {"erp": "on"}}


def _warehouse(branch: Branch) -> dict[str, Any]:
    return {"id": branch.warehouse, "owner": "erp", "entity": branch.entity}


def _pool(branch: Branch) -> dict[str, Any]:
    return {"id": branch.pool, "warehouses": [branch.warehouse]}
