"""What an accepted order asks of the WMS: what to ship, what not to ship any more, what is to come back.

What the WMS has released it may keep. A fulfilment that it doesn't give back stands as it is from then on, whatever
becomes of the order, and only the difference is asked for: more goods by a further fulfilment, fewer by a cancellation.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from counterfoil_engine.domain.delivery import OF_KEPT, Quantities, plain
from counterfoil_engine.domain.due_documents import DueDocuments, Step
from counterfoil_engine.domain.keys import natural_id
from counterfoil_engine.domain.money import round_half_up
from counterfoil_engine.domain.order import Line
from counterfoil_engine.domain.parts import CANCELLATION, not_shipped


def wms_steps(due: DueDocuments) -> Iterator[Step]:
    """All that is asked of it, and what the ERP hears of goods that will not leave or came back."""
    yield from _fulfilling(due)
    yield from _not_fulfilling(due)
    yield from _returning(due)


def kept_by_wms(due: DueDocuments) -> Iterator[Step]:
    """What it didn't give back, and what it agreed to leave out of that: they stand whatever else is due."""
    for natural, lines in _kept(due):
        yield _fulfilment(due, natural, lines)
    yield from _left_out_of_kept(due)


def asked_of(due: DueDocuments) -> dict[str, Decimal]:
    """How much of each line the WMS is asked to ship in all, less what it agreed to leave out."""
    asked: dict[str, Decimal] = defaultdict(Decimal)
    for _, lines in _fulfilments(due):
        _add(asked, ((line["line"], Decimal(line["quantity"])) for line in lines))
    delivery, mine = due.known.delivery, {_asking(of) for of in _asked_later(due)}
    for natural, quantities in delivery.left_out.items():
        if natural in mine or natural in delivery.left_out_of_kept:
            _add(asked, quantities.items(), -1)
    return asked


# What is to be shipped.


def _fulfilling(due: DueDocuments) -> Iterator[Step]:
    """What the WMS is to ship: ordered less what was cancelled or refunded before it released the goods. Secured, or
    trusted, and not disputed; what was released stays asked for."""
    known = due.known
    is_begun = known.delivery.released or known.delivery.kept
    if not (is_begun or (known.is_secured and not known.money.is_disputed)):
        return
    for natural, lines in _fulfilments(due):
        yield _fulfilment(due, natural, lines)


def _fulfilment(due: DueDocuments, natural: str, lines: list[dict[str, Any]]) -> Step:
    sales_order, order = due.context.slot("sales_order", "order"), due.order
    kept = due.known.delivery.kept.get(natural)
    body = {
        "sales_order": sales_order,
        "ship_to_country": (kept.country if kept else order.country) or None,
        "lines": lines,
        "personal": {"name": order.name, "email": order.email} if order.name else None,
    }
    rule, reason = "fulfil-when-secured", "the order is secured"
    return Step(
        due.known.accepted,
        "fulfilment",
        due.context.slot("fulfilment", natural),
        lambda step: replace(
            due.document(step.slot, "fulfilment", 0, step.day, body, rule, reason, sales_order, party="wms"),
            is_kept=kept is not None,
        ),
    )


def _fulfilments(due: DueDocuments) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """By natural id: those that the WMS kept, as they are, and a further one of what they lack."""
    lacking = _wanted(due)
    kept = due.known.delivery.kept
    for natural, kept_lines in _kept(due):
        _add(lacking, ((line["line"], Decimal(line["quantity"])) for line in kept_lines), -1)
        yield natural, kept_lines
    for quantities in due.known.delivery.left_out_of_kept.values():
        _add(lacking, quantities.items())
    lines = [
        _goods(mapped, lacking[line.id or ""])
        for line, mapped in zip(due.charge.sold, due.charge.lines, strict=True)
        if line.type == "item" and lacking[line.id or ""] > 0
    ]
    if lines:
        yield (f"more-{len(kept)}" if kept else "order"), lines


def _kept(due: DueDocuments) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    for natural, one in due.known.delivery.kept.items():
        yield natural, [dict(line) for line in one.lines.values()]


def _wanted(due: DueDocuments) -> dict[str, Decimal]:
    """By line, ordered less what was taken back before the WMS released the goods: later than that it is asked."""
    released = due.known.delivery.released
    wanted: dict[str, Decimal] = defaultdict(Decimal)
    _add(wanted, ((line.id or "", line.quantity) for line in due.charge.sold if line.type == "item"))
    for quantities in _unshipped(due, lambda at: released is None or at < released).values():
        _add(wanted, quantities.items(), -1)
    return wanted


def _add(to: dict[str, Decimal], more: Iterable[tuple[str, Decimal]], sign: int = 1) -> None:
    for name, quantity in more:
        to[name] += sign * quantity


# What is not to be shipped any more.


def _not_fulfilling(due: DueDocuments) -> Iterator[Step]:
    """What was cancelled or refunded of goods that haven't left: the ERP hears of it where no other document says so,
    and once goods are released the WMS is asked to leave it out, which it may refuse."""
    fulfilment, sales_order = due.context.slot("fulfilment", "order"), due.context.slot("sales_order", "order")
    for of, quantities in sorted(_unshipped(due, lambda at: True).items()):
        if due.known.sequence.invoice_on == "acceptance" and of != CANCELLATION:
            yield _leave_out(due, of, of, quantities, "erp", sales_order)
    for of, quantities in sorted(_asked_later(due).items()):
        yield _leave_out(due, of, _asking(of), quantities, "wms", fulfilment)
    yield from _leaving_out_of_kept(due)


def _asking(of: str) -> str:
    """The natural id of the WMS's cancellation for a refund, or for the order's own."""
    return natural_id(f"wms-{of}")


def _later(due: DueDocuments) -> dict[str, Quantities]:
    """What was taken back of unshipped goods once the WMS had released some."""
    released = due.known.delivery.released
    return _unshipped(due, lambda at: at >= released) if released is not None else {}


def _asked_later(due: DueDocuments) -> dict[str, Quantities]:
    """Of that, what the WMS could leave out: not what it had found missing before."""
    later = _later(due)
    missing: dict[str, Decimal] = defaultdict(Decimal)
    counted: set[int] = set()
    found: dict[str, Quantities] = {}
    for of in sorted(later, key=lambda of: (_moment_of(due, of), of)):
        for place, (at, quantities) in enumerate(due.known.delivery.missing):
            if at <= _moment_of(due, of) and place not in counted:
                counted.add(place)
                _add(missing, quantities.items())
        asked: dict[str, Decimal] = {}
        for name, quantity in later[of].items():
            known = min(quantity, max(missing[name], Decimal(0)))
            missing[name] -= known
            if quantity > known:
                asked[name] = quantity - known
        if asked:
            found[of] = asked
    return found


def _leaving_out_of_kept(due: DueDocuments) -> Iterator[Step]:
    """Of what the WMS kept, what nobody wants any more and hasn't left: a cancellation beside those that it agreed to,
    which stand."""
    delivery, items = due.known.delivery, _items_kept(due)
    yield from _left_out_of_kept(due)
    there, wanted, left = _still_there(due), _wanted(due), delivery.left_with()
    for quantities in _later(due).values():
        _add(wanted, quantities.items(), -1)
    surplus = {name: there[name] - max(Decimal(0), wanted[name] - left[name]) for name in items}
    quantities = {name: quantity for name, quantity in surplus.items() if quantity > 0}
    if quantities:
        asked_before = len(delivery.left_out_of_kept)
        natural = f"{OF_KEPT}-{asked_before + 1}" if asked_before else OF_KEPT
        yield _leave_out_step(due, natural, quantities, items)


def _left_out_of_kept(due: DueDocuments) -> Iterator[Step]:
    for natural, quantities in due.known.delivery.left_out_of_kept.items():
        yield _leave_out_step(due, natural, quantities, _items_kept(due), is_kept=True)


def _items_kept(due: DueDocuments) -> dict[str, Any]:
    kept = due.known.delivery.kept.values()
    return {name: line["item"] for one in kept for name, line in one.lines.items()}


def _still_there(due: DueDocuments) -> dict[str, Decimal]:
    """By line, what the WMS is asked to ship, has not shipped, doesn't miss, and was not asked to leave out."""
    delivery, there = due.known.delivery, defaultdict[str, Decimal](Decimal)
    for _, lines in _fulfilments(due):
        _add(there, ((line["line"], Decimal(line["quantity"])) for line in lines))
    gone = [*_asked_later(due).values(), *delivery.left_out_of_kept.values()]
    for quantities in (*gone, delivery.left_with(), *(quantities for _, quantities in delivery.missing)):
        _add(there, quantities.items(), -1)
    return there


def _leave_out_step(
    due: DueDocuments, natural: str, quantities: Quantities, items: Mapping[str, Any], is_kept: bool = False
) -> Step:
    """Its lines may not be in the order any more, so they bear no amounts."""
    bare: dict[str, Any] = {"type": "item", "class": None, "net_minor": 0, "taxes": []}
    lines = [
        {"line": name, "item": items.get(name), "quantity": plain(quantity), **bare}
        for name, quantity in sorted(quantities.items())
    ]
    body = {"sales_order": due.context.slot("sales_order", "order"), "lines": lines}
    rule, reason = "cancellation-after-release", "it was released, and isn't in the order any more"
    after, day = due.context.slot("fulfilment", "order"), due.known.accepted
    return Step(
        day,
        "cancellation",
        due.context.slot("cancellation", natural),
        lambda step: replace(
            due.document(step.slot, "cancellation", 0, step.day, body, rule, reason, after, party="wms"),
            is_kept=is_kept,
        ),
    )


def _leave_out(due: DueDocuments, of: str, natural: str, quantities: Quantities, party: str, after: str) -> Step:
    sold = {line.id: line for line in due.charge.sold}
    parts = [_portion(sold[name], quantity) for name, quantity in quantities.items()]
    body = {"sales_order": due.context.slot("sales_order", "order"), "lines": due.lines(parts)}
    amount = sum(line.gross_minor for line in parts)
    rule, reason = "cancellation-before-shipment", "it is not to be shipped any more"
    return Step(
        day_of(due, of),
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


def _moment_of(due: DueDocuments, of: str) -> datetime:
    """When it was refunded, or cancelled."""
    if of == CANCELLATION and due.known.cancelled_at:
        return due.known.cancelled_at
    return next(credit.refund.created for credit in due.known.credits if credit.refund.id == of)


def day_of(due: DueDocuments, of: str) -> date:
    return max(due.context.day(_moment_of(due, of)), due.known.accepted)


# What comes back.


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
            yield _return_step(due, credit.refund.id, day_of(due, credit.refund.id), body, "wms", fulfilment)
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


def _goods(mapped: Mapping[str, Any], quantity: Decimal) -> dict[str, Any]:
    return {"line": mapped["line"], "item": mapped["item"], "quantity": plain(quantity)}


def _portion(line: Line, quantity: Decimal) -> Line:
    """So much of a line, its amounts in proportion, rounded half up."""
    share = quantity / line.quantity if line.quantity else Decimal(0)
    taxes = tuple((rate, round_half_up(Decimal(tax) * share)) for rate, tax in line.taxes)
    net = round_half_up(Decimal(line.net_minor) * share)
    return replace(line, net_minor=net, taxes=taxes, tax_minor=sum(tax for _, tax in taxes), quantity=quantity)
