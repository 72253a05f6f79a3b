"""What an accepted order asks of the other parties: the tax service's quote, fulfilment, returns, captures on shipment,
refunds that the engine pays, and what the store hears back. None of it moves value by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from counterfoil_engine.domain.delivery import Quantities, Shipment, plain
from counterfoil_engine.domain.documents import Document
from counterfoil_engine.domain.due_documents import DueDocuments, Step
from counterfoil_engine.domain.due_money import gateway_of
from counterfoil_engine.domain.errors import Case
from counterfoil_engine.domain.facts import PartyFact
from counterfoil_engine.domain.keys import natural_id
from counterfoil_engine.domain.money import round_half_up, show
from counterfoil_engine.domain.order import Line
from counterfoil_engine.domain.parts import CANCELLATION, not_shipped


def goods_steps(due: DueDocuments) -> Iterator[Step]:
    """All that is asked of WMS, gateway, tax service and store; what only the ERP hears of returned goods too."""
    if due.known.sequence.tax:
        yield _quote_step(due)
    if not due.known.is_taxed:
        return
    if due.known.sequence.wms:
        yield from _fulfilling(due)
        yield from _not_fulfilling(due)
        yield from _returning(due)
    if due.known.sequence.capture_on == "shipment":
        yield from _capturing(due)
    if due.known.sequence.refunds_by == "engine":
        yield from _refunding(due)
    if due.known.sequence.store_update:
        yield from _telling(due)


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


# The WMS.


def _fulfilling(due: DueDocuments) -> Iterator[Step]:
    """What the WMS is to ship: ordered less what was cancelled or refunded before it released the goods. Secured, or
    trusted, and not disputed; what was released stays asked for."""
    known = due.known
    if not (known.delivery.released or (known.is_secured and not known.money.is_disputed)):
        return
    lines = list(_to_ship(due))
    if not lines:
        return
    slot, sales_order = due.context.slot("fulfilment", "order"), due.context.slot("sales_order", "order")
    body = {
        "sales_order": sales_order,
        "ship_to_country": due.order.country or None,
        "lines": lines,
        "personal": {"name": due.order.name, "email": due.order.email} if due.order.name else None,
    }
    rule, reason = "fulfil-when-secured", "the order is secured"
    yield Step(
        known.accepted,
        "fulfilment",
        slot,
        lambda step: due.document(step.slot, "fulfilment", 0, step.day, body, rule, reason, sales_order, party="wms"),
    )


def _to_ship(due: DueDocuments) -> Iterator[dict[str, Any]]:
    released = due.known.delivery.released
    taken = _unshipped(due, lambda at: released is None or at < released)
    for line, mapped in zip(due.charge.sold, due.charge.lines, strict=True):
        if line.type != "item":
            continue
        quantity = line.quantity - sum(quantities.get(line.id or "", Decimal(0)) for quantities in taken.values())
        if quantity > 0:
            yield _goods(mapped, quantity)


def _not_fulfilling(due: DueDocuments) -> Iterator[Step]:
    """What was cancelled or refunded of goods that haven't left: the ERP hears of it where no other document says so,
    and once goods are released the WMS is asked to leave it out, which it may refuse."""
    released, fulfilment = due.known.delivery.released, due.context.slot("fulfilment", "order")
    sales_order = due.context.slot("sales_order", "order")
    for of, quantities in sorted(_unshipped(due, lambda at: True).items()):
        if due.known.sequence.invoice_on == "acceptance" and of != CANCELLATION:
            yield _leave_out(due, of, of, quantities, "erp", sales_order)
    if released is not None:
        for of, quantities in sorted(_unshipped(due, lambda at: at >= released).items()):
            yield _leave_out(due, of, natural_id(f"wms-{of}"), quantities, "wms", fulfilment)


def _leave_out(due: DueDocuments, of: str, natural: str, quantities: Quantities, party: str, after: str) -> Step:
    sold = {line.id: line for line in due.charge.sold}
    parts = [portion(sold[name], quantity) for name, quantity in quantities.items()]
    body = {"sales_order": due.context.slot("sales_order", "order"), "lines": due.lines(parts)}
    amount = sum(line.gross_minor for line in parts)
    rule, reason = "cancellation-before-shipment", "it is not to be shipped any more"
    return Step(
        _day_of(due, of),
        "cancellation",
        due.context.slot("cancellation", natural),
        lambda step: due.document(step.slot, "cancellation", amount, step.day, body, rule, reason, after, party=party),
    )


def _unshipped(due: DueDocuments, counts: Callable[[datetime], bool]) -> dict[str, Quantities]:
    """By refund (or the cancellation), what it takes of goods that are not shipped, of those whose moment counts."""
    known = due.known
    taken = not_shipped(due.charge.sold, known.credits, known.delivery)
    found = {
        credit.refund.id: taken[credit.refund.id]
        for credit in known.credits
        if counts(credit.refund.created) and taken.get(credit.refund.id)
    }
    if known.cancelled_at and counts(known.cancelled_at):
        shipped = known.delivery.shipped()
        left = {
            line.id or "": line.quantity
            - shipped.get(line.id or "", Decimal(0))
            - sum(quantities.get(line.id or "", Decimal(0)) for quantities in taken.values())
            for line in due.charge.sold
            if line.type == "item"
        }
        if any(quantity > 0 for quantity in left.values()):
            found[CANCELLATION] = {name: quantity for name, quantity in left.items() if quantity > 0}
    return found


def _day_of(due: DueDocuments, of: str) -> date:
    if of == CANCELLATION and due.known.cancelled_at:
        return max(due.context.day(due.known.cancelled_at), due.known.accepted)
    refund = next(credit.refund for credit in due.known.credits if credit.refund.id == of)
    return max(due.context.day(refund.created), due.known.accepted)


def _returning(due: DueDocuments) -> Iterator[Step]:
    """Goods that a refund gives back are expected at the WMS; what it received goes to the ERP."""
    known = due.known
    mapped = {line["line"]: line for line in due.charge.lines}
    taken = not_shipped(due.charge.sold, known.credits, known.delivery)
    fulfilment = due.context.slot("fulfilment", "order")
    for credit in known.credits:
        lines = []
        for line in credit.lines:
            back = line.quantity - taken.get(credit.refund.id, {}).get(line.id or "", Decimal(0))
            if line.type == "item" and line.id in mapped and back > 0:
                lines.append(_goods(mapped[line.id], back))
        if lines:
            body = {"refund": credit.refund.id, "lines": lines, "received": False}
            yield _return_step(due, credit.refund.id, _day_of(due, credit.refund.id), body, "wms", fulfilment)
    for receipt in known.delivery.receipts:
        lines = [_goods(mapped[name], quantity) for name, quantity in receipt.quantities.items() if name in mapped]
        if lines:
            body = {"refund": receipt.refund or "unknown", "lines": lines, "received": True}
            sales_order = due.context.slot("sales_order", "order")
            day = max(due.context.day(receipt.at), known.accepted)
            yield _return_step(due, receipt.id, day, body, "erp", sales_order)


def _return_step(due: DueDocuments, natural: str, day: date, body: Mapping[str, Any], party: str, after: str) -> Step:
    reason = "goods came back" if body["received"] else "goods are to come back"
    return Step(
        day,
        "return",
        due.context.slot("return", natural),
        lambda step: due.document(step.slot, "return", 0, step.day, body, "return", reason, after, party=party),
    )


# The gateway and the store.


def _capturing(due: DueDocuments) -> Iterator[Step]:
    """What was authorised is captured as it ships, a part with each shipment, never more than was authorised."""
    if not due.known.money.authorisations:
        return
    authorisation = due.known.money.authorisations[0]
    transaction, gateway, left = authorisation.transaction, authorisation.source, authorisation.amount_minor
    for part in due.known.shipped.parts:
        amount = min(part.gross_minor, left)
        if amount <= 0:
            continue
        left -= amount
        day = max(due.context.day(part.at), due.known.accepted)
        body = {"gateway": gateway, "authorisation": transaction, "book_minor": due.convert(amount, day)}
        yield Step(
            day,
            "capture",
            due.context.slot("capture", part.id),
            lambda step, body=body, amount=amount: due.document(  # type: ignore[misc]
                step.slot, "capture", amount, step.day, body, "capture-on-shipment", "goods left", party="gateway"
            ),
        )


def _refunding(due: DueDocuments) -> Iterator[Step]:
    """Where the engine pays refunds back: what the store's refund gives, on the transaction that paid."""
    captured = [capture for capture in due.known.money.captured if capture.transaction]
    if not captured:
        return
    charge = captured[0]
    gateway = charge.source or gateway_of(due.context, charge.method, due.context.day(charge.at))
    for credit in due.known.credits:
        refund = credit.refund
        if refund.moved_money or not refund.amount_minor:
            continue
        body = {"gateway": gateway, "transaction": charge.transaction, "refund": refund.id}
        yield Step(
            _day_of(due, refund.id),
            "refund_order",
            due.context.slot("refund_order", refund.id),
            lambda step, body=body, amount=refund.amount_minor: due.document(  # type: ignore[misc]
                step.slot,
                "refund_order",
                amount,
                step.day,
                body,
                "refund-by-engine",
                "the store refunds",
                party="gateway",
            ),
        )


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


def _goods(mapped: Mapping[str, Any], quantity: Decimal) -> dict[str, Any]:
    return {"line": mapped["line"], "item": mapped["item"], "quantity": plain(quantity)}


def portion(line: Line, quantity: Decimal) -> Line:
    """So much of a line, its amounts in proportion, rounded half up."""
    share = quantity / line.quantity if line.quantity else Decimal(0)
    taxes = tuple((rate, round_half_up(Decimal(tax) * share)) for rate, tax in line.taxes)
    net = round_half_up(Decimal(line.net_minor) * share)
    return replace(line, net_minor=net, taxes=taxes, tax_minor=sum(tax for _, tax in taxes), quantity=quantity)
