"""What an accepted order asks of the other parties: the tax service's quote, captures on shipment, refunds that the
engine pays, and what the store hears back; the WMS has `due_wms.py`. None of it moves value by itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any

from counterfoil_engine.domain.delivery import Shipment
from counterfoil_engine.domain.documents import Document
from counterfoil_engine.domain.due_documents import DueDocuments, Step
from counterfoil_engine.domain.due_money import gateway_of
from counterfoil_engine.domain.due_wms import day_of, kept_by_wms, wms_steps
from counterfoil_engine.domain.errors import Case
from counterfoil_engine.domain.facts import PartyFact
from counterfoil_engine.domain.keys import natural_id
from counterfoil_engine.domain.money import show


def goods_steps(due: DueDocuments) -> Iterator[Step]:
    """All that is asked of WMS, gateway, tax service and store; what only the ERP hears of returned goods too."""
    if due.known.sequence.tax:
        yield _quote_step(due)
    if not due.known.is_taxed:
        yield from _kept_by_parties(due)
        return
    if due.known.sequence.wms:
        yield from wms_steps(due)
    if due.known.sequence.capture_on == "shipment":
        yield from _capturing(due)
    if due.known.sequence.refunds_by == "engine":
        yield from _refunding(due)
    if due.known.sequence.store_update:
        yield from _telling(due)


def _kept_by_parties(due: DueDocuments) -> Iterator[Step]:
    """An edit has the tax quoted anew, and all that rests on the quote goes until then; what a party doesn't give back
    stands."""
    yield from kept_by_wms(due)
    for kind in ("capture", "refund_order"):
        yield from _kept_by_gateway(due, kind)


# The tax service.


def _quote_step(due: DueDocuments) -> Step:
    slot, day = due.context.slot("tax_quote", "order"), min(due.ordered, due.known.accepted)
    return Step(day, "tax_quote", slot, lambda step: quote_document(due))


def quote_document(due: DueDocuments) -> Document:
    """The question to the tax service, anew with every change of lines or address."""
    named = ("line", "item", "class", "quantity", "net_minor")
    body = {
        "counterparty": due.counterparty(),
        "ship_to_country": due.order.country or None,
        "lines": [{name: line[name] for name in named} for line in due.charge.lines],
    }
    slot, day = due.context.slot("tax_quote", "order"), min(due.ordered, due.known.accepted)
    rule, reason = "tax-quote", "the tax service checks what the store charged"
    return due.document(slot, "tax_quote", due.charge.gross_minor, day, body, rule, reason, party="tax")


def answer_to(quote: Document, facts: Sequence[PartyFact]) -> PartyFact | None:
    """The tax service's latest answer to this very quote; None: it hasn't come."""
    answers = [
        fact
        for fact in facts
        if fact.kind == "tax_quoted"
        and str(fact.body["of"]).startswith(f"{quote.slot}/")
        and fact.body.get("content_hash") in (None, quote.content_hash)
    ]
    return answers[-1] if answers else None


def check_quote(due: DueDocuments, answer: PartyFact) -> Case | None:
    """A case where the quote and what the store charged differ by more than the rule allows."""
    quoted, charged = int(answer.body["tax_minor"]), due.charge.tax_due_minor
    if abs(quoted - charged) <= due.known.sequence.tax_tolerance_minor:
        return None
    currency = due.order.currency
    return Case(
        "tax",
        f"The store charged {show(charged, currency)} of tax, {answer.source} says {show(quoted, currency)}.",
        "Correct the order's address or tax in the store, the item in the tax service, or the tolerance in the rules.",
        money_minor=abs(quoted - charged),
        currency=currency,
    )


def commits(due: DueDocuments, of: Document) -> Iterator[Document]:
    """Tells the tax service of the tax of an invoice or a credit note."""
    if due.known.sequence.tax is None or of.kind not in ("invoice", "credit_note"):
        return
    named = ("line", "type", "item", "class", "quantity", "net_minor")
    lines = [
        {
            **{name: line[name] for name in named},
            "taxes": [
                {name: tax[name] for name in ("treatment", "jurisdiction", "rate", "tax_minor")}
                for tax in line["taxes"]
            ],
        }
        for line in of.body["lines"]
    ]
    slot = due.context.slot("tax_commit", natural_id("-".join(of.slot.split("/")[2:])))
    body = {"of": of.slot, "lines": lines}
    sign = -1 if of.kind == "credit_note" else 1
    rule, reason = "tax-commit", f"the {of.kind.replace('_', ' ')} is posted"
    yield due.document(slot, "tax_commit", sign * of.amount_minor, of.day, body, rule, reason, of.slot, party="tax")


# The gateway and the store.


def _capturing(due: DueDocuments) -> Iterator[Step]:
    """What was authorised is captured as it ships, a part with each shipment, never more than was authorised. What was
    captured stands, though the order was edited since: what it lacks is captured beside it."""
    if not due.known.money.authorisations:
        return
    authorisation, kept = due.known.money.authorisations[0], _kept(due, "capture")
    parts = {part.id: list(_captured_with(part.id, kept)) for part in due.known.shipped.parts}
    of_parts = {natural for naturals in parts.values() for natural in naturals}
    gone = sum(amount for natural, (amount, _) in kept.items() if natural not in of_parts)
    left, owed = authorisation.amount_minor - sum(amount for amount, _ in kept.values()), -gone
    for part in due.known.shipped.parts:
        day = max(due.context.day(part.at), due.known.accepted)
        owed += part.gross_minor - sum(kept[natural][0] for natural in parts[part.id])
        amount, further = min(owed, left), len(parts[part.id])
        if amount > 0:
            owed, left = owed - amount, left - amount
            body = {"gateway": authorisation.source, "authorisation": authorisation.transaction}
            natural = natural_id(f"{part.id}-more-{further}") if further else part.id
            yield _to_gateway(due, "capture", natural, amount, day, body)
    yield from _kept_by_gateway(due, "capture")


def _kept(due: DueDocuments, kind: str) -> dict[str, tuple[int, Mapping[str, Any]]]:
    """By natural id, amount and fields of what was asked of a gateway and couldn't be taken back."""
    facts = ((slot.split("/"), fact) for slot, fact in sorted(due.known.money.kept.items()))
    return {slot[3]: (int(fact.body["amount_minor"]), fact.body["asked"]) for slot, fact in facts if slot[2] == kind}


def _kept_by_gateway(due: DueDocuments, kind: str) -> Iterator[Step]:
    for natural, (amount, asked) in _kept(due, kind).items():
        yield _to_gateway(due, kind, natural, amount, due.known.accepted, asked, is_kept=True)


def _captured_with(part: str, kept: Mapping[str, Any]) -> Iterator[str]:
    """The natural ids of a part's captures that stand: its own, then those of what they lacked."""
    natural, number = part, 0
    while natural in kept:
        yield natural
        number += 1
        natural = natural_id(f"{part}-more-{number}")


def _to_gateway(
    due: DueDocuments,
    kind: str,
    natural: str,
    amount: int,
    day: date,
    asked: Mapping[str, Any],
    is_kept: bool = False,
) -> Step:
    rule, reason = {
        "capture": ("capture-on-shipment", "goods left"),
        "refund_order": ("refund-by-engine", "the store refunds"),
    }[kind]
    body = {**asked, "book_minor": due.convert(amount, day)} if kind == "capture" else asked
    return Step(
        day,
        kind,
        due.context.slot(kind, natural),
        lambda step: replace(
            due.document(step.slot, kind, amount, step.day, body, rule, reason, party="gateway"), is_kept=is_kept
        ),
    )


def _refunding(due: DueDocuments) -> Iterator[Step]:
    """Where the engine pays refunds back: what the store's refund gives, on the transaction that paid. What was paid
    stands, though the store deleted the refund since."""
    kept = _kept(due, "refund_order")
    yield from _kept_by_gateway(due, "refund_order")
    captured = [capture for capture in due.known.money.captured if capture.transaction]
    if not captured:
        return
    charge = captured[0]
    gateway = charge.source or gateway_of(due.context, charge.method, due.context.day(charge.at))
    for credit in due.known.credits:
        refund = credit.refund
        if refund.moved_money or not refund.amount_minor or refund.id in kept:
            continue
        body = {"gateway": gateway, "transaction": charge.transaction, "refund": refund.id}
        yield _to_gateway(due, "refund_order", refund.id, refund.amount_minor, day_of(due, refund.id), body)


def _telling(due: DueDocuments) -> Iterator[Step]:
    """The store hears of each shipment, once, and that the order is complete once all of it has left and money came:
    WooCommerce dates a payment where it completes an order, and what we said ourselves would come back as a claim."""
    shipments = [one for one in due.known.delivery.shipments if one.id not in ("completed", "digital")]
    for shipment in shipments:
        body = {
            "status": None,
            "tracking": shipment.tracking,
            "carrier": shipment.carrier,
            "note": _note(shipment),
        }
        yield _update_step(due, shipment.id, shipment.at, body, "goods left")
    if shipments and due.known.is_delivered and _has_money(due):
        body = {"status": "completed", "tracking": None, "carrier": None, "note": None}
        yield _update_step(due, "completed", max(one.at for one in shipments), body, "all goods left")


def _has_money(due: DueDocuments) -> bool:
    return bool(due.known.money.captured) or not due.order.total_minor


def _update_step(due: DueDocuments, natural: str, at: datetime, body: Mapping[str, Any], reason: str) -> Step:
    return Step(
        max(due.context.day(at), due.known.accepted),
        "store_update",
        due.context.slot("store_update", natural),
        lambda step: due.document(step.slot, "store_update", 0, step.day, body, "store-update", reason, party="store"),
    )


def _note(shipment: Shipment) -> str:
    by = f" by {shipment.carrier}" if shipment.carrier else ""
    tracking = f", tracking {shipment.tracking}" if shipment.tracking else ""
    return f"Shipped from {shipment.warehouse or 'the warehouse'}{by}{tracking}."
