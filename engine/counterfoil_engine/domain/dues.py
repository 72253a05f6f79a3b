"""What ought to exist for an order: `dues(facts, rules, as_of) -> documents`, each in its slot. Pure.

An order that can't go on parks: what stood before still stands (the dues of its longest beginning that doesn't park),
money that moved is due all the same, and the case says why. So the same facts always give the same documents, whenever
and however often they are looked at (I6).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from zoneinfo import ZoneInfo

from counterfoil_engine.domain.charge import Charge, charge_of
from counterfoil_engine.domain.credit import credits_of
from counterfoil_engine.domain.documents import KINDS, Document, Dues, Proof
from counterfoil_engine.domain.due_documents import DueDocuments, payment_document
from counterfoil_engine.domain.errors import Case, Parked
from counterfoil_engine.domain.facts import OrderFacts
from counterfoil_engine.domain.life import (
    Claim,
    Context,
    Moment,
    accepted_since,
    claim_of,
    deleted_payments,
    read_moments,
    standing_refunds,
    taxed_before,
    why_not_accepted,
)
from counterfoil_engine.domain.money import show
from counterfoil_engine.domain.order import Order
from counterfoil_engine.domain.proof import document_proofs, equation, header_proof, refund_proof, require
from counterfoil_engine.domain.rules import Rules


@dataclass
class _Result:
    """What one attempt came to, filled as it goes, so that a parked order still shows the proofs it got to."""

    reading: str = "parked"
    reason: str = ""
    documents: list[Document] = field(default_factory=list)
    proofs: list[Proof] = field(default_factory=list)
    waits: tuple[str, ...] = ()
    unproven: bool = False


def dues(facts: OrderFacts, rules: Rules, as_of: datetime) -> Dues:
    """What ought to exist for this order by these facts and rules, as seen at as_of (UTC).

    Never raises: whatever can't be read or mapped comes back as a case, with what stood before.
    """
    result, cases = _Result(), []
    moments: list[Moment] = []
    day: date | None = None
    try:
        context = Context(facts.store, facts.order_id, rules, rules.entity(facts.store), as_of)
        moments = read_moments(facts, rules, as_of)
        day = _latest_day(context, moments)
        cases = _attempt(context, moments, moments, result)
        if cases:
            result.documents = _what_stood(context, moments)
    except Parked as parked:
        cases = [parked.case]
        result.reading, result.reason = "parked", parked.cause
    last = next((moment.order for moment in reversed(moments) if moment.order), None)
    documents = [_taken_over(document, facts.store, rules) for document in result.documents]
    return Dues(
        subject=facts.subject,
        reading=result.reading,
        reason=result.reason,
        currency=last.currency if last else "",
        total_minor=last.total_minor if last else 0,
        documents=tuple(sorted(documents, key=_place)),
        cases=tuple(cases),
        proofs=tuple(result.proofs),
        waits=result.waits,
        unproven=result.unproven,
        rules_version=rules.version,
        day=day,
    )


def _place(document: Document) -> tuple[date, int, str]:
    """By accounting date, then kind, then slot; an application goes with the document that made it due."""
    if document.kind == "application":
        kind = document.body["of"].split("/")[2]
        return (document.day, KINDS.index(kind), document.body["of"] + "~")
    return (document.day, KINDS.index(document.kind), document.slot)


def _latest_day(context: Context, moments: Sequence[Moment]) -> date | None:
    if not moments:
        return None
    last = moments[-1]
    if last.snapshot.kind == "order" and last.order:
        return context.day(last.order.modified)
    return context.day(last.snapshot.read_at)


def _taken_over(document: Document, store: str, rules: Rules) -> Document:
    """What was made before the store's start line counts as posted (R3)."""
    zone = ZoneInfo(rules.entity(store).zone)
    if document.day < rules.store(store).start_line.astimezone(zone).date():
        return replace(document, taken_over=True)
    return document


def _what_stood(context: Context, moments: Sequence[Moment]) -> list[Document]:
    """The documents of the longest beginning that doesn't park, and the money of all facts."""
    for length in range(len(moments) - 1, 0, -1):
        result = _Result()
        if not moments[length - 1].fault and not _attempt(context, moments[:length], moments, result):
            return result.documents
    try:
        return _money_only(context, moments)
    except Parked:
        return []


def _money_only(context: Context, moments: Sequence[Moment]) -> list[Document]:
    claim = claim_of(moments)
    if not claim or not claim.proven:
        return []
    return [payment_document(context, claim, accepted_since(context, moments, claim) is not None)]


def _attempt(context: Context, known: Sequence[Moment], all_moments: Sequence[Moment], result: _Result) -> list[Case]:
    """The dues of the moments known, with the money of all; fills the result. Returns the cases that park it."""
    try:
        _read(context, known, all_moments, result)
    except _Cases as several:
        result.reading, result.reason = "parked", several.cases[0].cause
        return several.cases
    except Parked as parked:
        result.reading, result.reason = "parked", parked.cause
        return [parked.case]
    return []


class _Cases(Exception):
    def __init__(self, cases: list[Case]) -> None:
        self.cases = cases


def _read(context: Context, known: Sequence[Moment], all_moments: Sequence[Moment], result: _Result) -> None:
    if not known:
        result.reading, result.reason = "filtered", "Nothing is due: nothing of the order is known."
        return
    last = known[-1]
    if last.fault:
        raise last.fault
    order = last.order
    if order is None:
        result.reading, result.reason = why_not_accepted("gone")
        return
    if order.is_test:
        result.reading, result.reason = "filtered", "Nothing is due: the order was paid in test mode."
        return
    claim = claim_of(all_moments)
    result.proofs.append(header_proof(order, claim))
    accepted = accepted_since(context, known, claim)
    if claim and not claim.proven:
        result.waits = (f"watermark {context.store}",)
    if accepted is None and not claim:
        result.reading, result.reason = why_not_accepted(last.status)
        return
    _check_thrown_away(last, order, claim.amount_minor if claim else 0, known)
    if accepted is None:
        assert claim is not None
        result.reading, result.reason = "waiting", "Money came in for an order that isn't accepted yet."
        result.unproven = True
        result.documents = [payment_document(context, claim, False)] if claim.proven else []
        result.proofs.append(equation("captured", claim.amount_minor, claim.amount_minor))
        return
    _accepted(context, known, order, claim, accepted, result)


def _check_thrown_away(last: Moment, order: Order, paid_minor: int, known: Sequence[Moment]) -> None:
    """Trash and 404 are no cancellations: with money held it is a conflict, and documents stand."""
    held_minor = paid_minor - sum(amount for _, amount in order.refund_totals)
    if last.status not in ("trash", "gone") or held_minor <= 0:
        return
    happened = "moved to the trash" if last.status == "trash" else "deleted for good"
    conflict = Case(
        "conflict",
        f"The order was {happened} in the store while {show(held_minor, order.currency)} is held for it.",
        "Restore the order in the store, or refund and cancel it there first; its documents stand until then.",
        money_minor=held_minor,
        currency=order.currency,
    )
    unknown = standing_refunds(known)[1]
    raise _Cases([conflict, *([_missing_refund(order, unknown)] if unknown else [])])


def _missing_refund(order: Order, unknown: Sequence[str]) -> Case:
    listed = dict(order.refund_totals)
    amount = sum(listed.get(refund_id, 0) for refund_id in unknown)
    names = ", ".join(unknown[:5])
    return Case(
        "data",
        f"Refund {names} of {show(amount, order.currency)} is known by its summary alone: its lines are missing.",
        "Let the agent read the refund in full (it does so with the order), or add its file to the rehearsal.",
        money_minor=amount,
        currency=order.currency,
    )


def _accepted(
    context: Context, known: Sequence[Moment], order: Order, claim: Claim | None, accepted: datetime, result: _Result
) -> None:
    """An accepted order's documents, proven from the header to the journal."""
    status = known[-1].status
    refunds, unknown = standing_refunds(known)
    if unknown:
        raise _Cases([_missing_refund(order, unknown)])
    require(result.proofs[0], order)
    if claim and claim.currency != order.currency:
        raise _other_currency(order, claim)
    charge = charge_of(context, order, taxed_before(known[:-1]))
    result.proofs += _charge_proofs(order, charge)
    credits, left = credits_of(order, charge.sold, refunds, charge.tenders_minor, status == "refunded")
    result.proofs.append(refund_proof(order, credits))
    for proof in result.proofs:
        require(proof, order)
    if status == "refunded" and sum(credit.refund.amount_minor for credit in credits) < order.total_minor:
        raise _not_refunded(order)
    tenders_minor = charge.tenders_minor - sum(credit.tender_minor for credit in credits)
    _check_thrown_away(known[-1], order, tenders_minor + (claim.amount_minor if claim else 0), known)
    is_cancelled = _is_cancelled(known[-1], claim)
    due = DueDocuments(context, order, charge, credits, claim, context.day(accepted), deleted_payments(known))
    cancelled_on = _cancelled_on(context, known, claim) if is_cancelled else None
    result.documents = due.all(left, cancelled_on)
    result.unproven = claim is not None
    claimed = claim.amount_minor if claim and claim.proven else 0
    result.proofs += document_proofs(result.documents, due.standing, claimed, not due.waits)
    for proof in result.proofs:
        require(proof, order)
    _check_paid_back(order, due)
    result.reading = "cancelled" if is_cancelled else "posted"
    result.reason = (
        "The store cancelled it after it was accepted."
        if is_cancelled
        else f"Accepted on {context.day(accepted)}: {show(order.total_minor, order.currency)}."
    )


def _charge_proofs(order: Order, charge: Charge) -> list[Proof]:
    tender_net = sum(line.net_minor for line in order.lines if line.id in {tender.line for tender in charge.tenders})
    by_rate = sum(tax for line in charge.sold for _, tax in line.taxes)
    return [
        equation("lines_net", sum(line["net_minor"] for line in charge.lines), order.net_minor - tender_net),
        equation("tax_split", by_rate, charge.tax_due_minor),
    ]


def _not_refunded(order: Order) -> Parked:
    return Parked(
        "The order's status is refunded, but its refunds don't add up to its total.",
        "Write the missing refund in the store, or correct the status.",
        "refund",
        money_minor=order.total_minor,
        currency=order.currency,
    )


def _check_paid_back(order: Order, due: DueDocuments) -> None:
    """More paid back than came in and is not kept: a case `refund`."""
    if due.paid_back_minor > 0 and due.paid_minor - due.paid_back_minor < due.standing.kept_minor:
        raise Parked(
            f"{show(due.paid_back_minor, order.currency)} was paid back, though"
            f" {show(due.standing.kept_minor, order.currency)} of the order is kept"
            f" and {show(due.paid_minor, order.currency)} came in.",
            "Find the payment that is missing, or the refund that was too much.",
            "refund",
            money_minor=due.paid_back_minor,
            currency=order.currency,
        )


def _is_cancelled(moment: Moment, claim: Claim | None) -> bool:
    return moment.status in ("cancelled", "trash", "gone") or (moment.status == "failed" and not claim)


def _other_currency(order: Order, claim: Claim) -> Parked:
    return Parked(
        f"The order was paid in {claim.currency} and is in {order.currency} now.",
        "Set the order back to the currency in which it was paid, or cancel and refund it and write a new one.",
        "conflict",
        money_minor=claim.amount_minor,
        currency=claim.currency,
    )


def _cancelled_on(context: Context, known: Sequence[Moment], claim: Claim | None) -> date:
    """The date of the first snapshot of the last unbroken run that says cancelled."""
    found = known[-1]
    for moment in reversed(known):
        if not _is_cancelled(moment, claim):
            break
        found = moment
    if found.snapshot.kind == "gone" or found.order is None:
        return context.day(found.snapshot.read_at)
    return context.day(found.order.modified)
