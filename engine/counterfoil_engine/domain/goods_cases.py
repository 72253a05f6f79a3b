"""Cases of an order's goods: what will not come, what left and isn't paid for, what came back, what the WMS refused.

They hold nothing back. Each ends by itself once what its remedy says has happened: a refund, a receipt, an order set
right in the store.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from decimal import Decimal

from counterfoil_engine.domain.delivery import Quantities, plain
from counterfoil_engine.domain.documents import Document
from counterfoil_engine.domain.due_documents import DueDocuments
from counterfoil_engine.domain.due_wms import asked_of
from counterfoil_engine.domain.errors import Case
from counterfoil_engine.domain.parts import not_shipped


def goods_cases(due: DueDocuments, documents: Iterable[Document]) -> Iterator[Case]:
    """All of them, for what is due by these documents."""
    if due.known.cancelled_at is None:
        yield from _missing(due)
    yield from _sent_in_vain(due)
    yield from _refused(due, documents)
    yield from _elsewhere(due)


def _missing(due: DueDocuments) -> Iterator[Case]:
    """Goods that weren't there when they were picked, and that no refund gives back yet."""
    known = due.known
    short = known.delivery.found_missing()
    if not short:
        return
    open_quantities = _open(due)
    to_come = asked_of(due)
    for quantities in (known.delivery.left_with(), short):
        for name, quantity in quantities.items():
            to_come[name] -= quantity
    for name in sorted(open_quantities):
        missing = min(short[name], open_quantities[name] - max(Decimal(0), to_come[name]))
        if missing > 0:
            yield Case(
                "refund",
                f"{plain(missing)} of line {name} could not be picked, and it isn't refunded.",
                "Refund it in the store, or let the warehouse ship it once it is there.",
                currency=due.order.currency,
            )


def _open(due: DueDocuments) -> dict[str, Decimal]:
    """By line, what the customer waits for: neither shipped nor refunded."""
    known, shipped = due.known, due.known.delivery.shipped()
    waited = {line.id or "": line.quantity - shipped[line.id or ""] for line in due.charge.sold if line.type == "item"}
    for quantities in not_shipped(due.charge.sold, known.credits, known.delivery).values():
        for name, quantity in quantities.items():
            waited[name] -= quantity
    return waited


def _sent_in_vain(due: DueDocuments) -> Iterator[Case]:
    """What left though it isn't of the order, or after it was cancelled, as far as it hasn't come back; and what came
    back though nothing gives it back."""
    known, delivery = due.known, due.known.delivery
    back: dict[str, Decimal] = defaultdict(Decimal, delivery.received())
    if known.cancelled_at is None:
        for line in (line for credit in known.credits for line in credit.lines):
            if line.id in back:
                back[line.id] -= line.quantity
    for surplus in delivery.surplus:
        if _less(back, surplus.line, surplus.quantity) > 0:
            yield surplus.case
    if known.cancelled_at is not None:
        yield from _left_after_cancellation(due, back)
        return
    for name, quantity in sorted(back.items()):
        if quantity > 0:
            yield Case(
                "refund",
                f"{plain(quantity)} of line {name} came back, and no refund says what becomes of it.",
                "Refund it in the store, or send it out anew; stock has it back already.",
                currency=due.order.currency,
            )


def _less(back: dict[str, Decimal], name: str, quantity: Decimal) -> Decimal:
    """What is left of a quantity once what came back of it is taken off."""
    came = max(Decimal(0), min(back[name], quantity))
    back[name] -= came
    return quantity - came


def _left_after_cancellation(due: DueDocuments, back: dict[str, Decimal]) -> Iterator[Case]:
    cancelled = due.known.cancelled_at
    left: dict[str, Decimal] = defaultdict(Decimal)
    for shipment in due.known.delivery.shipments:
        if cancelled and shipment.at > cancelled and shipment.id not in ("completed", "digital"):
            for name, quantity in shipment.quantities.items():
                left[name] += quantity
    for name in sorted(left):
        gone = _less(back, name, left[name])
        if gone > 0:
            yield Case(
                "conflict",
                f"{plain(gone)} of line {name} left after the order was cancelled, and nothing of it is charged.",
                "Let it come back and be received, or set the order back to processing in the store and charge it.",
                currency=due.order.currency,
            )


def _refused(due: DueDocuments, documents: Iterable[Document]) -> Iterator[Case]:
    """Cancellations that the WMS refused, as long as it may still ship what nobody wants any more."""
    delivery = due.known.delivery
    asked = {one.slot.split("/")[3]: one for one in documents if one.kind == "cancellation" and one.party == "wms"}
    for natural, fact in sorted(delivery.refused.items()):
        if natural not in asked or not _may_ship(asked[natural], delivery.found_missing()):
            continue
        yield Case(
            "conflict",
            f"{fact.source} refused to leave out what was cancelled, refunded or edited away:"
            f" {str(fact.body.get('reason'))[:200]}.",
            "Stop it in the warehouse, or let it go and be received again; or take the change back in the store.",
            money_minor=due.order.total_minor,
            currency=due.order.currency,
        )


def _may_ship(asked: Document, missing: Quantities) -> bool:
    return any(Decimal(line["quantity"]) > missing.get(line["line"], Decimal(0)) for line in asked.body["lines"])


def _elsewhere(due: DueDocuments) -> Iterator[Case]:
    """What the WMS kept goes to another country than the order says now, and hasn't all left."""
    delivery = due.known.delivery
    left = delivery.left_with()
    for kept in delivery.kept.values():
        is_here = any(Decimal(line["quantity"]) > left.get(name, Decimal(0)) for name, line in kept.lines.items())
        if is_here and kept.country != (due.order.country or None):
            yield Case(
                "conflict",
                f"The WMS goes on with what it released for {kept.country or 'nowhere'}, and the order is for"
                f" {due.order.country or 'nowhere'} now.",
                "Have the warehouse change the label, or set the address back; once the goods have left this is over.",
                money_minor=due.order.total_minor,
                currency=due.order.currency,
            )
