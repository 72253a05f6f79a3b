"""Documents for WMS, gateway and tax service: order 1001 of eu1, four units of one line."""

from __future__ import annotations

from typing import Any

from sandbox.erp_documents import Json, a_document, reversed_

__all__ = ["a_cancellation", "a_capture", "a_fulfilment", "a_quote", "a_refund_order", "a_return", "reversed_"]


def a_fulfilment(quantity: str = "4", revision: int = 1, **fields: Any) -> Json:
    own: Json = {
        "sales_order": "eu1/1001/sales_order/1",
        "ship_to_country": "DE",
        "lines": [{"line": "item:46", "item": "SKU-000011", "quantity": quantity}],
        "personal": None,
    }
    return a_document("fulfilment", 2413, revision=revision, **{**own, **fields})


def a_cancellation(quantity: str = "4", natural_id: str = "1", **fields: Any) -> Json:
    line = {"line": "item:46", "type": "item", "item": "SKU-000011", "class": "goods", "quantity": quantity}
    own: Json = {"sales_order": "eu1/1001/sales_order/1", "lines": [{**line, "net_minor": 2028, "taxes": []}]}
    return a_document("cancellation", 2028, slot=f"eu1/1001/cancellation/{natural_id}", **{**own, **fields})


def a_return(quantity: str = "1") -> Json:
    lines = [{"line": "item:46", "item": "SKU-000011", "quantity": quantity}]
    return a_document("return", 507, refund=1044, lines=lines, received=False)


def a_capture(authorisation: str, amount_minor: int = 2413, natural_id: str = "1", **fields: Any) -> Json:
    own: Json = {"gateway": "stripe", "authorisation": authorisation, "book_minor": amount_minor}
    return a_document("capture", amount_minor, slot=f"eu1/1001/capture/{natural_id}", **{**own, **fields})


def a_refund_order(transaction: str, amount_minor: int = 1000, natural_id: str = "1044") -> Json:
    slot = f"eu1/1001/refund_order/{natural_id}"
    return a_document("refund_order", amount_minor, slot=slot, gateway="stripe", transaction=transaction, refund=1044)


def a_quote(net_minor: int = 2028, country: str = "DE", revision: int = 1) -> Json:
    line = {"line": "item:46", "item": "SKU-000011", "class": "goods", "quantity": "4", "net_minor": net_minor}
    own: Json = {"counterparty": "DE01/c-1", "ship_to_country": country, "lines": [line]}
    return a_document("tax_quote", net_minor, revision=revision, **own)
