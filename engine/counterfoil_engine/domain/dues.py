"""What ought to exist for an order: `dues(facts, rules, as_of) -> documents`, each in its slot. Pure.

An order that can't go on parks: what stood before still stands (the dues of its longest beginning that doesn't park),
money that moved is due all the same, and the case says why. So the same facts always give the same documents, whenever
and however often they are looked at (I6).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from counterfoil_engine.domain.charge import Charge, charge_of
from counterfoil_engine.domain.credit import credits_of
from counterfoil_engine.domain.delivery import Delivery, delivery_of
from counterfoil_engine.domain.documents import KINDS, Document, Dues, Proof
from counterfoil_engine.domain.due_documents import Accepted, DueDocuments
from counterfoil_engine.domain.due_goods import answer_to, check_quote, commits, goods_steps, quote_document
from counterfoil_engine.domain.due_money import fee_document, money_steps, payment_document
from counterfoil_engine.domain.errors import Case, Parked
from counterfoil_engine.domain.facts import OrderFacts
from counterfoil_engine.domain.goods_cases import goods_cases
from counterfoil_engine.domain.life import (
    Claim,
    Context,
    Moment,
    accepted_since,
    claim_of,
    deleted_payments,
    is_trusted,
    read_moments,
    standing_refunds,
    taxed_before,
    why_not_accepted,
)
from counterfoil_engine.domain.money import show
from counterfoil_engine.domain.money_moves import Money, money_of
from counterfoil_engine.domain.order import Line, Order, Refund
from counterfoil_engine.domain.parts import NO_PARTS, at_acceptance, by_shipment
from counterfoil_engine.domain.proof import document_proofs, equation, header_proof, refund_proof, require
from counterfoil_engine.domain.rules import Rules
from counterfoil_engine.domain.sequence import Sequence as OrderSequence
from counterfoil_engine.domain.sequence import sequence_of
from counterfoil_engine.domain.transfers import earning_steps, prepaid_tax, shortfall


@dataclass
class _Result:
    """What one attempt came to, filled as it goes, so that a parked order still shows the proofs it got to.

    beside: cases that hold nothing back: what is due is due all the same."""

    reading: str = "parked"
    reason: str = ""
    documents: list[Document] = field(default_factory=list)
    proofs: list[Proof] = field(default_factory=list)
    beside: list[Case] = field(default_factory=list)
    waits: tuple[str, ...] = ()
    unproven: bool = False


def dues(facts: OrderFacts, rules: Rules, as_of: datetime) -> Dues:
    """What ought to exist for this order by these facts and rules, as seen at as_of (UTC).

    Never raises: whatever can't be read or mapped comes back as a case, with what stood before.
    """
    facts, early = _happened(facts, as_of)
    result, cases = _Result(beside=list(early)), []
    moments: list[Moment] = []
    day: date | None = None
    try:
        context = Context(facts.store, facts.order_id, rules, rules.entity(facts.store), as_of)
        moments = read_moments(facts, rules, as_of)
        day = _latest_day(context, moments, facts)
        cases = _attempt(context, moments, moments, facts, result)
        if cases:
            result.documents = _what_stood(context, moments, facts)
        cases += [case for case in result.beside if case not in cases]
        if cases:
            result.reading = "parked"
    except Parked as parked:
        cases = [parked.case]
        result.reading, result.reason = "parked", parked.cause
    last = next((moment.order for moment in reversed(moments) if moment.order), None)
    documents = _from_start_line(result.documents, facts.store, rules)
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


AHEAD = timedelta(days=2)  # what is dated further ahead of the look is somebody's wrong clock


def _happened(facts: OrderFacts, as_of: datetime) -> tuple[OrderFacts, list[Case]]:
    """The facts without those of other parties that are dated in the future, and a case for each of these."""
    early = [fact for fact in facts.party_facts if fact.at > as_of + AHEAD]
    if not early:
        return facts, []
    cases = [
        Case(
            "data",
            f"{fact.source} dates its {fact.kind} {fact.id} {fact.at:%Y-%m-%d}, and it was read on {as_of:%Y-%m-%d}.",
            "Correct the date or the clock there and let it be sent under a new id; it counts once that day has come.",
        )
        for fact in early
    ]
    return replace(facts, party_facts=tuple(fact for fact in facts.party_facts if fact not in early)), cases


def _place(document: Document) -> tuple[date, int, str]:
    """By accounting date, then kind, then slot; an application goes with the document that made it due."""
    if document.kind in ("application", "transfer"):
        of, later = document.body["of"], "~" if document.kind == "application" else "~~"
        return (document.day, KINDS.index(of.split("/")[2]), of + later)
    return (document.day, KINDS.index(document.kind), document.slot)


def _latest_day(context: Context, moments: Sequence[Moment], facts: OrderFacts) -> date | None:
    days = [context.day(fact.at) for fact in facts.party_facts]
    if moments:
        last = moments[-1]
        is_read = last.snapshot.kind == "order" and last.order
        days.append(context.day(last.order.modified if is_read and last.order else last.snapshot.read_at))
    return max(days, default=None)


def _from_start_line(documents: Sequence[Document], store: str, rules: Rules) -> list[Document]:
    """What was made before the store's start line counts as posted (R3). But for the customer, who is due with whatever
    else is: that the old connector wrote them a document doesn't say that the ERP knows them by our key."""
    if not documents:
        return []
    zone = ZoneInfo(rules.entity(store).zone)
    first = rules.store(store).start_line.astimezone(zone).date()
    customers = [document for document in documents if document.kind == "customer"]
    others = [
        replace(document, taken_over=True) if document.day < first else document
        for document in documents
        if document.kind != "customer"
    ]
    return others if others and all(document.taken_over for document in others) else [*customers, *others]


def _what_stood(context: Context, moments: Sequence[Moment], facts: OrderFacts) -> list[Document]:
    """The documents of the longest beginning that doesn't park, and the money of all facts."""
    for length in range(len(moments) - 1, 0, -1):
        result = _Result()
        if not moments[length - 1].fault and not _attempt(context, moments[:length], moments, facts, result):
            return result.documents
    try:
        claim = claim_of(moments)
        money = money_of(claim, facts.party_facts, (), context.as_of)
        return _money_only(context, money, accepted_since(context, moments, claim) is not None)
    except Parked:
        return []


def _money_only(context: Context, money: Money, is_accepted: bool) -> list[Document]:
    """Money that moved is posted whatever becomes of its order."""
    return [
        *(payment_document(context, capture, is_accepted) for capture in money.captured),
        *(fee_document(context, fee) for fee in money.fees),
    ]


def _attempt(
    context: Context, known: Sequence[Moment], all_moments: Sequence[Moment], facts: OrderFacts, result: _Result
) -> list[Case]:
    """The dues of the moments known, with the money of all; fills the result. Returns the cases that park it."""
    try:
        _read(context, known, all_moments, facts, result)
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


def _read(
    context: Context, known: Sequence[Moment], all_moments: Sequence[Moment], facts: OrderFacts, result: _Result
) -> None:
    claim = claim_of(all_moments)
    last = known[-1] if known else None
    if last and last.fault:
        raise last.fault
    order = last.order if last else None
    if order is None:
        _without_order(context, known, claim, facts, result)
        return
    if order.is_test:
        result.reading, result.reason = "filtered", "Nothing is due: the order was paid in test mode."
        return
    money = money_of(claim, facts.party_facts, standing_refunds(known)[0], context.as_of)
    result.beside += money.cases
    result.proofs.append(header_proof(order, claim))
    accepted = accepted_since(context, known, claim or _as_claim(order, money))
    if money.waits:
        result.waits = (f"watermark {context.store}",)
    if accepted is None and not money.captures:
        result.reading, result.reason = why_not_accepted(last.status if last else "gone")
        result.documents = _money_only(context, money, False)
        return
    assert last is not None
    paid_minor = sum(capture.amount_minor for capture in money.captures)
    _check_thrown_away(last, order, paid_minor, known)
    if accepted is None:
        result.reading, result.reason = "waiting", "Money came in for an order that isn't accepted yet."
        result.unproven = claim is not None
        result.documents = _money_only(context, money, False)
        result.proofs.append(equation("captured", paid_minor, paid_minor))
        return
    _accepted(context, known, order, claim, money, accepted, facts, result)


def _without_order(
    context: Context, known: Sequence[Moment], claim: Claim | None, facts: OrderFacts, result: _Result
) -> None:
    """The store hasn't told of the order, or has deleted it before anybody read it: money is posted all the same."""
    money = money_of(claim, facts.party_facts, (), context.as_of)
    result.documents = _money_only(context, money, False)
    if result.documents:
        result.reading = "waiting"
        result.reason = "Money came in for an order that the store hasn't told of."
    elif known:
        result.reading, result.reason = why_not_accepted("gone")
    elif facts.party_facts:
        result.reading, result.reason = "waiting", "Others speak of an order that the store hasn't told of."
    else:
        result.reading, result.reason = "filtered", "Nothing is due: nothing of the order is known."


def _as_claim(order: Order, money: Money) -> Claim | None:
    """What a gateway captured accepts an order like the store's own word does."""
    captured = money.captured
    if not captured:
        return None
    first = captured[0]
    return Claim(
        amount_minor=first.amount_minor,
        computed_minor=first.amount_minor,
        currency=first.currency,
        method=first.method,
        transaction=first.transaction,
        paid=first.at,
        proven=True,
    )


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
    context: Context,
    known: Sequence[Moment],
    order: Order,
    claim: Claim | None,
    money: Money,
    accepted: datetime,
    facts: OrderFacts,
    result: _Result,
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
    damages = frozenset(refund.id for refund in refunds if _is_for_damages(context, refund))
    credits, left = credits_of(order, charge.sold, refunds, charge.tenders_minor, status == "refunded", damages)
    result.proofs.append(refund_proof(order, credits))
    for proof in result.proofs:
        require(proof, order)
    if status == "refunded" and sum(credit.refund.amount_minor for credit in credits) < order.total_minor:
        raise _not_refunded(order)
    tenders_minor = charge.tenders_minor - sum(credit.tender_minor for credit in credits)
    paid_minor = sum(capture.amount_minor for capture in money.captures)
    _check_thrown_away(known[-1], order, tenders_minor + paid_minor, known)
    is_cancelled = _is_cancelled(known[-1], claim)
    cancelled = _cancelled_at(known, claim) if is_cancelled else None
    sequence = sequence_of(context, order)
    delivery = _delivery(context, order, charge.sold, sequence, facts, claim)
    shipped = by_shipment(order, charge.sold, credits, delivery, cancelled) if sequence.needs_parts else NO_PARTS
    is_by_shipment = sequence.invoice_on == "shipment" and any(line.type == "item" for line in charge.sold)
    due = DueDocuments(
        context,
        Accepted(
            order=order,
            charge=charge,
            credits=credits,
            money=money,
            sequence=sequence,
            delivery=delivery,
            parts=shipped if is_by_shipment else at_acceptance(charge.sold, credits, left, accepted),
            shipped=shipped,
            accepted=context.day(accepted),
            deleted=deleted_payments(known),
            cancelled_at=cancelled,
            cancelled_on=context.day(cancelled) if cancelled else None,
            is_secured=money.is_secured or is_trusted(context, order),
        ),
    )
    result.beside += _dispute_cases(money)
    _ask_for_tax(due, facts, result)
    result.documents = due.all((money_steps, goods_steps, earning_steps), commits, prepaid_tax, shortfall)
    result.beside += goods_cases(due, result.documents)
    result.unproven = claim is not None and any(capture.source is None for capture in money.captures)
    captured_minor = sum(one.amount_minor for one in money.captured if one.currency == order.currency)
    is_whole = due.known.is_taxed and (not is_by_shipment or shipped.is_complete)
    result.proofs += document_proofs(result.documents, due.standing, captured_minor, not money.waits, is_whole)
    for proof in result.proofs:
        require(proof, order)
    _check_paid_back(order, due, result)
    result.beside += _overpaid(order, due, max(moment.order.total_minor for moment in known if moment.order))
    result.reading = "cancelled" if is_cancelled else "posted"
    result.reason = (
        "The store cancelled it after it was accepted."
        if is_cancelled
        else f"Accepted on {context.day(accepted)}: {show(order.total_minor, order.currency)}."
    )
    if not due.known.is_taxed:
        result.reading, result.reason = "waiting", "The tax service hasn't said yet what tax is due."


def _delivery(
    context: Context,
    order: Order,
    sold: Sequence[Line],
    sequence: OrderSequence,
    facts: OrderFacts,
    claim: Claim | None,
) -> Delivery:
    if not sequence.needs_parts:
        return Delivery()

    def is_digital(line: Line) -> bool:
        row = context.rules.find("items", context.day(order.created), store=context.store, sku=line.key)
        return bool(row and row.values.get("digital"))

    said = [fact for fact in facts.party_facts if fact.party == "wms" and not fact.body.get("test")]
    paid = claim.paid if claim and claim.proven else order.paid
    return delivery_of(order, sold, said, sequence.wms is not None, is_digital, paid)


def _ask_for_tax(due: DueDocuments, facts: OrderFacts, result: _Result) -> None:
    """Where a tax service speaks, its quote has to be there and within tolerance before the order goes on."""
    if due.known.sequence.tax is None:
        return
    answer = answer_to(quote_document(due), facts.party_facts)
    case = check_quote(due, answer) if answer else None
    if case:
        result.beside.append(case)
    due.known = replace(due.known, is_taxed=answer is not None and case is None)


def _dispute_cases(money: Money) -> Iterator[Case]:
    """Each dispute that is open, with the day by which it has to be answered."""
    last = {dispute.id: dispute for dispute in money.disputes}
    for dispute in last.values():
        if dispute.state in ("inquiry", "opened"):
            until = f" until {dispute.answer_by[:10]}" if dispute.answer_by else ""
            what = "An inquiry" if dispute.state == "inquiry" else "A dispute"
            yield Case(
                "conflict",
                f"{what} about {show(dispute.withdrawn_minor, dispute.currency)} is open at {dispute.source}"
                f" ({dispute.id}); it takes evidence{until}.",
                "Send proof of delivery at the gateway, or accept it and refund the order; goods are held meanwhile.",
                money_minor=dispute.withdrawn_minor,
                currency=dispute.currency,
            )


def _is_for_damages(context: Context, refund: Refund) -> bool:
    """Whether the rules read the refund's reason as damages: goodwill, which takes no revenue and no tax back."""
    if refund.lines or not refund.reason:
        return False
    row = context.rules.find("reasons", context.day(refund.created), store=context.store, reason=refund.reason)
    return bool(row and row.values.get("reads_as") == "goodwill")


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


def _check_paid_back(order: Order, due: DueDocuments, result: _Result) -> None:
    """More paid back than came in and is not kept: a case `refund`; what the gateway itself paid is posted."""
    if due.paid_back_minor <= 0 or due.paid_minor - due.paid_back_minor >= due.standing.kept_minor:
        return
    case = Case(
        "refund",
        f"{show(due.paid_back_minor, order.currency)} was paid back, though"
        f" {show(due.standing.kept_minor, order.currency)} of the order is kept"
        f" and {show(due.paid_minor, order.currency)} came in.",
        "Find the payment that is missing, or the refund that was too much.",
        money_minor=due.paid_back_minor,
        currency=order.currency,
    )
    if not due.known.money.refunds:
        raise _Cases([case])
    result.beside.append(case)


def _overpaid(order: Order, due: DueDocuments, most_minor: int) -> Iterator[Case]:
    """More than one payment, and together more than the order comes to; or one above the most that it ever came to:
    what an edit took off since was right when it was paid."""
    amounts = [capture.amount_minor for capture in due.known.money.captured if capture.amount_minor > 0]
    surplus = due.paid_minor - due.paid_back_minor - due.charge.gross_minor
    if surplus > 0 and (len(amounts) > 1 or max(amounts, default=0) > most_minor):
        why = "it was paid more than once" if len(amounts) > 1 else "the gateway took more than it ever came to"
        yield Case(
            "refund",
            f"{show(surplus, order.currency)} more came in than the order comes to: {why}.",
            "Pay the surplus back at the gateway; it is owed to the customer until then.",
            money_minor=surplus,
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


def _cancelled_at(known: Sequence[Moment], claim: Claim | None) -> datetime:
    """The time of the first snapshot of the last unbroken run that says cancelled."""
    found = known[-1]
    for moment in reversed(known):
        if not _is_cancelled(moment, claim):
            break
        found = moment
    if found.snapshot.kind == "gone" or found.order is None:
        return found.snapshot.read_at
    return found.order.modified
