"""The money of an accepted order: payments, tenders, refunds paid, fees and disputes, each on its own date."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date

from counterfoil_engine.domain.charge import Tender
from counterfoil_engine.domain.credit import Credit
from counterfoil_engine.domain.documents import Document
from counterfoil_engine.domain.due_documents import DueDocuments, Step
from counterfoil_engine.domain.keys import natural_id
from counterfoil_engine.domain.life import Context
from counterfoil_engine.domain.money import convert
from counterfoil_engine.domain.money_moves import Capture, Dispute, GatewayFee, GatewayRefund
from counterfoil_engine.domain.postings import journal


def gateway_of(context: Context, method: str, day: date) -> str:
    """The gateway that a payment method goes by; parks where it has no mapping."""
    what = f"The payment method {method!r}"
    return str(context.rules.look_up("payment_methods", what, day, store=context.store, method=method)["gateway"])


def payment_document(context: Context, capture: Capture, is_accepted: bool, number: str | None = None) -> Document:
    """Money in: on deposits once the order is accepted, unapplied until then. A capture that failed is negative.
    number: the order's as it is shown."""
    day, book = context.day(capture.at), context.entity.book_currency
    rate = context.rules.rate(capture.currency, book, day)
    gateway = _gateway(context, capture, day)
    is_claim = capture.source is None
    body = {
        "gateway": gateway,
        "method": capture.method,
        "transaction": capture.transaction or None,
        "to": "deposits" if is_accepted else "unapplied",
        "inferred": is_claim,
        "book_minor": convert(capture.amount_minor, capture.currency, book, rate),
    }
    who = "the store says it was paid" if is_claim else f"{gateway} captured it"
    if capture.amount_minor < 0:
        who = f"{gateway} says that it failed"
    return Document(
        slot=context.slot("payment", capture.id),
        kind="payment",
        party="erp",
        entity=context.entity.id,
        subject=context.subject,
        currency=capture.currency,
        book_currency=book,
        amount_minor=capture.amount_minor,
        day=day,
        body=body,
        journal=journal("payment", body, capture.amount_minor, capture.currency),
        why=f"payment-{'claimed' if is_claim else 'captured'}@{context.rules.version}: {who} on {day}",
        number=number,
        known_as=capture.known_as,
    )


def _gateway(context: Context, capture: Capture, day: date) -> str:
    """The gateway that has the money; a claim that a gateway confirmed needs no mapping."""
    if capture.source:
        return capture.source
    if capture.confirmed_by:
        return capture.confirmed_by
    return gateway_of(context, capture.method, day)


def money_steps(due: DueDocuments) -> Iterator[Step]:
    """All steps of an order's money."""
    yield from _money_in(due)
    yield from _money_back(due)
    for fee in due.known.money.fees:
        yield _fee_step(due, fee)
    for dispute in due.known.money.disputes:
        if dispute.state != "inquiry" and dispute.withdrawn_minor and dispute.currency == due.order.currency:
            yield _dispute_step(due, dispute)


def _money_in(due: DueDocuments) -> Iterator[Step]:
    for capture in due.known.money.captured:
        is_own = capture.currency == due.order.currency
        payment = payment_document(due.context, capture, is_own, due.order.number)
        if is_own:
            due.paid_minor += payment.amount_minor
        yield Step(payment.day, "payment", payment.slot, lambda _, payment=payment: _book_payment(due, payment))  # type: ignore[misc]
    for tender in due.charge.tenders:
        due.paid_minor += tender.amount_minor
        slot = due.context.slot("tender", natural_id(tender.line.replace(":", "-")))
        yield Step(due.known.accepted, "tender", slot, lambda step, tender=tender: _book_tender(due, step, tender))  # type: ignore[misc]


def _book_payment(due: DueDocuments, payment: Document) -> Document:
    if payment.body["to"] == "deposits":
        due.standing.book("deposits", payment.amount_minor, payment.body["book_minor"])
    return payment


def _book_tender(due: DueDocuments, step: Step, tender: Tender) -> Document:
    book = due.convert(tender.amount_minor, step.day)
    body = {"tender": "gift_card", "provider": tender.provider, "line": tender.line, "book_minor": book}
    due.standing.book("deposits", tender.amount_minor, book)
    reason = "a negative fee that the rules read as a gift card"
    return due.document(step.slot, "tender", tender.amount_minor, step.day, body, "gift-card-used", reason)


# Money back.


def _money_back(due: DueDocuments) -> Iterator[Step]:
    """What went back: what the gateway says, else what the store claims, as far as it was captured and isn't kept.

    A deleted refund whose money moved has no credit, but stays paid. Claims wait with the payment.
    """
    known, context = due.known, due.context
    kept = 0 if known.cancelled_on else due.charge.gross_minor
    money_minor = due.paid_minor - due.charge.tenders_minor
    said = {refund.refund for refund in known.money.refunds if refund.refund}
    all_refunds = [*known.credits, *(Credit(refund, (), 0) for refund in known.deleted)]
    for refund in known.money.refunds:
        money_minor -= refund.amount_minor
        due.paid_back_minor += refund.amount_minor
        slot = context.slot("refund_payment", refund.id)
        day = max(context.day(refund.at), known.accepted)
        yield Step(day, "refund_payment", slot, lambda step, refund=refund: _book_gateway_refund(due, step, refund))  # type: ignore[misc]
    for credit in sorted(all_refunds, key=lambda credit: (credit.refund.created, int(credit.refund.id))):
        refund_ = credit.refund
        day = max(context.day(refund_.created), known.accepted)
        kept = max(0, kept - credit.gross_minor)
        if known.money.waits:
            continue
        amount = 0
        if refund_.id not in said and (refund_.moved_money or not known.money.speaking):
            # What a gift card paid goes back to a gift card: money goes back only as far as money came in.
            left = min(due.paid_minor - due.paid_back_minor - kept - credit.tender_minor, money_minor)
            amount = refund_.amount_minor if refund_.moved_money else min(refund_.amount_minor, max(0, left))
        money_minor -= amount
        due.paid_back_minor += amount + credit.tender_minor
        if amount:
            yield Step(
                day,
                "refund_payment",
                context.slot("refund_payment", refund_.id),
                lambda step, credit=credit, amount=amount: _book_refund(due, step, credit, amount),  # type: ignore[misc]
            )
        if credit.tender_minor:
            yield Step(
                day,
                "refund_payment",
                context.slot("tender", f"refund-{refund_.id}"),
                lambda step, credit=credit: _book_tender_back(  # type: ignore[misc]
                    due, step, credit.tender_minor, f"with the store's refund {credit.refund.id}"
                ),
            )
    yield from _tender_of_cancelled(due)


def _tender_of_cancelled(due: DueDocuments) -> Iterator[Step]:
    """What a gift card paid of a cancelled order is on the card again: no refund could say so, since the store's total,
    and so its refunds, are without it."""
    left = due.charge.tenders_minor - sum(credit.tender_minor for credit in due.known.credits)
    if due.known.cancelled_on is None or left <= 0 or due.known.money.waits:
        return
    due.paid_back_minor += left
    day = max(due.known.cancelled_on, due.known.accepted)
    slot, reason = due.context.slot("tender", "cancellation"), "the store cancelled the order"
    yield Step(day, "refund_payment", slot, lambda step: _book_tender_back(due, step, left, reason), last=True)


def _book_refund(due: DueDocuments, step: Step, credit: Credit, amount_minor: int) -> Document:
    captures = due.known.money.captures
    method = captures[0].method if captures else due.order.method
    reason = f"the store's refund {credit.refund.id}, as far as captured and not kept"
    gateway = _gateway(due.context, captures[0], step.day) if captures else gateway_of(due.context, method, step.day)
    is_claim, ids = not credit.refund.moved_money, captures[0].known_as if captures else ()
    return _paid_back(due, step, gateway, credit.refund.id, amount_minor, is_claim, reason, ids)


def _book_gateway_refund(due: DueDocuments, step: Step, refund: GatewayRefund) -> Document:
    happened = "says that it failed" if refund.amount_minor < 0 else "paid it back"
    of = refund.refund or refund.id
    reason = f"{refund.source} {happened}"
    return _paid_back(due, step, refund.source, of, refund.amount_minor, False, reason, refund.known_as)


def _paid_back(
    due: DueDocuments,
    step: Step,
    gateway: str,
    of: str,
    amount_minor: int,
    is_claim: bool,
    reason: str,
    known_as: tuple[str, ...],
) -> Document:
    book = due.convert(amount_minor, step.day)
    carried = due.standing.carried("refunds_owed", amount_minor, step.day) if amount_minor > 0 else book
    body = {
        "gateway": gateway,
        "refund": of,
        "claim": is_claim,
        "book_minor": book,
        "carried_book_minor": carried,
    }
    due.standing.book("refunds_owed", -amount_minor, -carried)
    rule = "refund-claimed" if is_claim else "refund-paid"
    document = due.document(step.slot, "refund_payment", amount_minor, step.day, body, rule, reason)
    return replace(document, known_as=known_as)


def _book_tender_back(due: DueDocuments, step: Step, amount: int, reason: str) -> Document:
    tender = due.charge.tenders[0]
    carried = due.standing.carried("refunds_owed", amount, step.day)
    body = {
        "tender": "gift_card",
        "provider": tender.provider,
        "line": tender.line,
        "book_minor": -due.convert(amount, step.day),
        "carried_book_minor": -carried,
    }
    due.standing.book("refunds_owed", -amount, -carried)
    return due.document(step.slot, "tender", -amount, step.day, body, "gift-card-given-back", reason)


# What gateways keep, and what is disputed.


def _fee_step(due: DueDocuments, fee: GatewayFee) -> Step:
    day = due.context.day(fee.at)
    return Step(day, "fee", due.context.slot("fee", fee.id), lambda _: fee_document(due.context, fee))


def fee_document(context: Context, fee: GatewayFee) -> Document:
    """A gateway's fee, on its own date, in the currency in which it was taken."""
    day, book = context.day(fee.at), context.entity.book_currency
    rate = context.rules.rate(fee.currency, book, day)
    body = {
        "gateway": fee.source,
        "transaction": fee.transaction,
        "book_minor": convert(fee.amount_minor, fee.currency, book, rate),
    }
    return Document(
        slot=context.slot("fee", fee.id),
        kind="fee",
        party="erp",
        entity=context.entity.id,
        subject=context.subject,
        currency=fee.currency,
        book_currency=book,
        amount_minor=fee.amount_minor,
        day=day,
        body=body,
        journal=journal("fee", body, fee.amount_minor, fee.currency),
        why=f"fee@{context.rules.version}: {fee.source} kept it on {day}",
    )


def _dispute_step(due: DueDocuments, dispute: Dispute) -> Step:
    day = max(due.context.day(dispute.at), due.known.accepted)
    slot = due.context.slot("dispute", natural_id(f"{dispute.id}-{dispute.state}"))
    return Step(day, "dispute", slot, lambda step: _book_dispute(due, step, dispute))


def _book_dispute(due: DueDocuments, step: Step, dispute: Dispute) -> Document:
    """Opened: what was withdrawn is disputed; won: it came back; lost: a loss once invoiced, else off the deposits."""
    amount, book = dispute.withdrawn_minor, due.convert(dispute.withdrawn_minor, step.day)
    is_early = dispute.state == "lost" and not due.has_invoiced
    if is_early:
        carried = due.standing.carried("deposits", amount, step.day)
        due.standing.book("deposits", -amount, -carried)
        due.paid_minor -= amount
    body = {
        "gateway": dispute.source,
        "dispute": dispute.id,
        "transaction": dispute.transaction,
        "state": dispute.state,
        "book_minor": book,
        **({"loss": "deposits", "carried_book_minor": carried} if is_early else {}),
    }
    reason = f"{dispute.source} says that dispute {dispute.id} was {dispute.state}"
    return due.document(step.slot, "dispute", amount, step.day, body, "dispute", reason)
