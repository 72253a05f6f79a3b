"""Documents for the ERP's tests: one order from customer to refund, in the books of DE01."""

from __future__ import annotations

import hashlib
import json
from typing import Any

Json = dict[str, Any]


def a_document(kind: str, amount_minor: int, slot: str | None = None, revision: int = 1, **fields: Any) -> Json:
    """A document of a kind with its common fields; its hash is of what it holds, as the engine's is."""
    slot = slot or f"eu1/1001/{kind}/1"
    document = {
        "contract": f"counterfoil.{kind}.v1",
        "key": f"{slot}/r{revision}",
        "slot": slot,
        "kind": kind,
        "entity": "DE01",
        "store": "eu1",
        "order": 1001,
        "number": "1001",
        "currency": "EUR",
        "book_currency": "EUR",
        "amount_minor": amount_minor,
        "date": "2026-11-23",
        "event_date": "2026-11-23",
        "content_hash": "",
        "reverses": None,
        "why": "test: so that it can be posted",
        **fields,
    }
    document["content_hash"] = document["content_hash"] or hashlib.sha256(json.dumps(document).encode()).hexdigest()
    return document


def a_customer(counterparty: str = "DE01/eu1-2", **fields: Any) -> Json:
    return a_document(
        "customer",
        0,
        slot=f"DE01/{counterparty.rsplit('/', 1)[-1]}/customer/1",
        counterparty=counterparty,
        guest=False,
        country="DE",
        personal={"name": "Ada Lovelace", "email": "ada@example.com"},
        **fields,
    )


def a_tax(tax_minor: int, rate: str = "19", **fields: Any) -> Json:
    return {
        "treatment": "domestic",
        "jurisdiction": "DE",
        "rate": rate,
        "tax_minor": tax_minor,
        "tax_book_minor": tax_minor,
        **fields,
    }


def a_line(net_minor: int, tax_minor: int | None = None, line_type: str = "item", **fields: Any) -> Json:
    """A line at 19 %, or without tax."""
    is_item = line_type == "item"
    return {
        "line": f"{line_type}:46",
        "type": line_type,
        "item": "SKU-1" if is_item else None,
        "class": "goods" if is_item else None,
        "quantity": "1",
        "net_minor": net_minor,
        "net_book_minor": net_minor,
        "taxes": [] if tax_minor is None else [a_tax(tax_minor)],
        **fields,
    }


LINES = [a_line(2028, 385), a_line(500, 95, "shipping")]


def a_sales_order(lines: list[Json] = LINES, amount_minor: int = 3008, **fields: Any) -> Json:
    return a_document(
        "sales_order", amount_minor, counterparty="DE01/eu1-2", lines=lines, ship_to_country="DE", **fields
    )


def an_invoice(lines: list[Json] = LINES, amount_minor: int = 3008, **fields: Any) -> Json:
    return a_document(
        "invoice",
        amount_minor,
        **{"sales_order": "eu1/1001/sales_order/1", "lines": lines, "book_minor": amount_minor, **fields},
    )


def a_credit_note(lines: list[Json], amount_minor: int, refund: int = 48, **fields: Any) -> Json:
    return a_document(
        "credit_note",
        amount_minor,
        slot=f"eu1/1001/credit_note/{refund}",
        **{"invoice": "eu1/1001/invoice/1", "refund": refund, "lines": lines, "book_minor": amount_minor, **fields},
    )


def a_payment(amount_minor: int = 3008, natural_id: str = "tr-1", **fields: Any) -> Json:
    return a_document(
        "payment",
        amount_minor,
        slot=f"eu1/1001/payment/{natural_id}",
        **{
            "gateway": "stripe",
            "method": "card",
            "transaction": natural_id,
            "to": "deposits",
            "inferred": False,
            "book_minor": amount_minor,
            **fields,
        },
    )


def a_refund_payment(amount_minor: int, **fields: Any) -> Json:
    return a_document(
        "refund_payment",
        amount_minor,
        **{
            "gateway": "stripe",
            "refund": 48,
            "claim": True,
            "book_minor": amount_minor,
            "carried_book_minor": amount_minor,
            **fields,
        },
    )


def an_application(amount_minor: int, debit: str, credit: str, **fields: Any) -> Json:
    move = {
        "debit": debit,
        "credit": credit,
        "amount_minor": amount_minor,
        "debit_book_minor": amount_minor,
        "credit_book_minor": amount_minor,
    }
    return a_document("application", amount_minor, **{"of": "eu1/1001/invoice/1", "moves": [move], **fields})


def reversed_(document: Json, **fields: Any) -> Json:
    """The reversal of a document."""
    return {
        **document,
        "key": f"{document['key']}/reversal",
        "reverses": document["key"],
        "amount_minor": -document["amount_minor"],
        **fields,
    }


def an_order() -> list[Json]:
    """Customer, order, payment, invoice, and the application that settles it."""
    return [
        a_customer(),
        a_sales_order(),
        a_payment(),
        an_invoice(),
        an_application(3008, "deposits", "receivable"),
    ]
