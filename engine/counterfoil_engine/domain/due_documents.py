"""The documents of an accepted order, built in the order in which they change its standing (domain.md, 3 and 4)."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import Any

from counterfoil_engine.domain.charge import Charge, Tender, document_line, with_book
from counterfoil_engine.domain.credit import Credit
from counterfoil_engine.domain.documents import KINDS, Document
from counterfoil_engine.domain.life import Claim, Context
from counterfoil_engine.domain.money import convert
from counterfoil_engine.domain.order import Line, Order, Refund
from counterfoil_engine.domain.postings import journal, tax_role
from counterfoil_engine.domain.standing import Standing


def natural_id(text: str) -> str:
    """A natural id that is safe in a key: the text itself where it is plain, else a hash of it."""
    if re.fullmatch(r"[A-Za-z0-9._-]{1,64}", text):
        return text
    return "x" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:24]


def gateway_of(context: Context, method: str, day: date) -> str:
    """The gateway that a payment method goes by; parks where it has no mapping."""
    what = f"The payment method {method!r}"
    return str(context.rules.look_up("payment_methods", what, day, store=context.store, method=method)["gateway"])


def payment_document(context: Context, claim: Claim, is_accepted: bool) -> Document:
    """The store's claim as a payment: on deposits once the order is accepted, unapplied until then."""
    day = context.day(claim.paid)
    book = context.entity.book_currency
    rate = context.rules.rate(claim.currency, book, day)
    body = {
        "gateway": gateway_of(context, claim.method, day),
        "method": claim.method,
        "transaction": claim.transaction or None,
        "to": "deposits" if is_accepted else "unapplied",
        "inferred": True,
        "book_minor": convert(claim.amount_minor, claim.currency, book, rate),
    }
    return Document(
        slot=context.slot("payment", natural_id(claim.transaction or claim.method or "unnamed")),
        kind="payment",
        party="erp",
        entity=context.entity.id,
        subject=context.subject,
        currency=claim.currency,
        book_currency=book,
        amount_minor=claim.amount_minor,
        day=day,
        body=body,
        journal=journal("payment", body, claim.amount_minor, claim.currency),
        why=f"payment-claimed@{context.rules.version}: the store says it was paid on {day}",
    )


@dataclass(frozen=True)
class _Step:
    """A document still to be booked, and its place: by day, then kind, then `last` and slot."""

    day: date
    kind: str
    slot: str
    book: Callable[[_Step], Document]
    last: bool = False

    @property
    def place(self) -> tuple[date, int, bool, str]:
        return (self.day, KINDS.index(self.kind), self.last, self.slot)


@dataclass
class _Invoiced:
    """An invoiced amount and its book amount, given back in parts that add up to it, to the last minor unit."""

    amount_minor: int = 0
    book_minor: int = 0
    back_minor: int = 0
    back_book_minor: int = 0

    def add(self, amount_minor: int, book_minor: int) -> None:
        self.amount_minor += amount_minor
        self.book_minor += book_minor

    def give_back(self, amount_minor: int) -> int:
        """The book amount of this much, at the invoice's own rate."""
        self.back_minor += amount_minor
        total = round(Fraction(self.book_minor * self.back_minor, self.amount_minor)) if self.amount_minor else 0
        part, self.back_book_minor = total - self.back_book_minor, total
        return part


class DueDocuments:
    """Builds an accepted order's documents and keeps its standing while it does."""

    def __init__(
        self,
        context: Context,
        order: Order,
        charge: Charge,
        credits: Sequence[Credit],
        claim: Claim | None,
        accepted: date,
        deleted: Sequence[Refund] = (),
    ) -> None:
        self.context, self.order, self.charge, self.credits = context, order, charge, credits
        self.claim, self.accepted, self.deleted = claim, accepted, deleted
        self.waits = claim is not None and not claim.proven
        self.ordered = context.day(order.created)
        self.standing = Standing(self._convert)
        self.paid_minor = self.paid_back_minor = 0
        self._invoiced = _Invoiced()
        self._taxed: dict[str, _Invoiced] = defaultdict(_Invoiced)

    def all(self, left: Sequence[Line], cancelled_on: date | None) -> list[Document]:
        """All of them, each followed by the application that it made due.

        left: the lines as the refunds leave them, which a cancellation on cancelled_on takes back. While the payment
        waits for proof nothing is applied, since every level would change with it.
        """
        documents = [self._customer(), self._sales_order()]
        steps = [*self._money_in(), *self._invoicing(), *self._refunding(cancelled_on is not None)]
        if cancelled_on:
            steps += self._cancelling(left, max(cancelled_on, self.accepted))
        for step in sorted(steps, key=lambda step: step.place):
            document = step.book(step)
            documents.append(document)
            if not self.waits:
                documents += self._application(document)
        return documents

    # What is asked for first: the counterparty and the order itself.

    def _customer(self) -> Document:
        """The counterparty: a subject of its own, which this order only asks for (L6)."""
        name, is_guest, order = self._counterparty(), not self.order.customer_id, self.order
        entity = self.context.entity
        body = {
            "counterparty": name,
            "guest": is_guest,
            "country": self._guest_country() if is_guest else None,
            "personal": None if is_guest else {"name": order.name, "email": order.email},
        }
        return Document(
            slot=f"{entity.id}/-/customer/{name}",
            kind="customer",
            party="erp",
            entity=entity.id,
            subject=f"customer {entity.id}/{name}",
            currency=entity.book_currency,
            book_currency=entity.book_currency,
            amount_minor=0,
            day=self.ordered,
            body=body,
            why=f"counterparty@{self.context.rules.version}: an order needs it",
        )

    def _counterparty(self) -> str:
        """A customer's own id; guests share one per country, or one per store, by rule."""
        store = self.context.store
        if self.order.customer_id:
            return f"{store}-{self.order.customer_id}"
        country = self._guest_country()
        return f"{store}-guest-{country}" if country else f"{store}-guest"

    def _guest_country(self) -> str | None:
        """The country whose guests share a counterparty; None where all of the store's do, or it isn't known."""
        row = self.context.rules.find("guests", self.ordered, store=self.context.store)
        if row and row.values.get("policy") == "per_store":
            return None
        return self.order.country if re.fullmatch("[A-Z]{2}", self.order.country) else None

    def _sales_order(self) -> Document:
        counterparty = self._counterparty()
        body = {
            "counterparty": counterparty,
            "ship_to_country": self.order.country or None,
            "lines": list(self.charge.lines),
        }
        self.standing.kept_minor += self.charge.gross_minor
        return self._document(
            self.context.slot("sales_order", "order"),
            "sales_order",
            self.charge.gross_minor,
            min(self.ordered, self.accepted),
            body,
            "sales-order-on-acceptance",
            "the store accepted the order",
            f"{self.context.entity.id}/-/customer/{counterparty}",
        )

    # Money in.

    def _money_in(self) -> Iterator[_Step]:
        if self.claim and self.claim.proven:
            payment = payment_document(self.context, self.claim, True)
            self.paid_minor += payment.amount_minor
            yield _Step(payment.day, "payment", payment.slot, lambda _: self._book_payment(payment))
        for tender in self.charge.tenders:
            self.paid_minor += tender.amount_minor
            slot = self.context.slot("tender", natural_id(tender.line.replace(":", "-")))
            yield _Step(self.accepted, "tender", slot, lambda step, tender=tender: self._book_tender(step, tender))  # type: ignore[misc]

    def _book_payment(self, payment: Document) -> Document:
        self.standing.book("deposits", payment.amount_minor, payment.body["book_minor"])
        return payment

    def _book_tender(self, step: _Step, tender: Tender) -> Document:
        book = self._convert(tender.amount_minor, step.day)
        body = {"tender": "gift_card", "provider": tender.provider, "line": tender.line, "book_minor": book}
        self.standing.book("deposits", tender.amount_minor, book)
        reason = "a negative fee that the rules read as a gift card"
        return self._document(step.slot, "tender", tender.amount_minor, step.day, body, "gift-card-used", reason)

    # Invoicing.

    def _invoicing(self) -> Iterator[_Step]:
        yield _Step(self.accepted, "invoice", self.context.slot("invoice", "acceptance"), self._book_invoice)

    def _book_invoice(self, step: _Step) -> Document:
        """The invoice: what deposits cover at the rate they carry (IFRIC 22), the rest at the rate of its date."""
        gross, sales_order = self.charge.gross_minor, self.context.slot("sales_order", "order")
        book = self.standing.carried("deposits", gross, step.day)
        self._invoiced.add(gross, book)
        lines = with_book(
            self.charge.lines,
            book,
            lambda amount: self._convert(amount, step.day),
            lambda tax: self._convert(tax["tax_minor"], step.day),
        )
        for tax in (tax for line in lines for tax in line["taxes"]):
            self._taxed[tax_role(tax)].add(tax["tax_minor"], tax["tax_book_minor"])
        body = {
            "counterparty": self._counterparty(),
            "sales_order": sales_order,
            "lines": lines,
            "book_minor": book,
        }
        self.standing.book("receivable", -gross, -book)
        self.standing.invoiced_minor += gross
        rule, reason = "invoice-on-acceptance", "revenue is invoiced when the order is accepted"
        return self._document(step.slot, "invoice", gross, step.day, body, rule, reason, sales_order)

    # Refunds: what they credit, and the money that went back.

    def _refunding(self, is_cancelled: bool) -> Iterator[_Step]:
        """A credit note for each refund, and what it paid back: as far as it was captured and isn't kept.

        A deleted refund whose money moved has no credit, but stays paid. All that was paid back waits with the payment.
        """
        kept = 0 if is_cancelled else self.charge.gross_minor
        money_minor = self.paid_minor - self.charge.tenders_minor
        all_refunds = [*self.credits, *(Credit(refund, (), 0) for refund in self.deleted)]
        for credit in sorted(all_refunds, key=lambda credit: (credit.refund.created, int(credit.refund.id))):
            refund = credit.refund
            day = max(self.context.day(refund.created), self.accepted)
            kept = max(0, kept - credit.gross_minor)
            if refund not in self.deleted:
                yield _Step(
                    day,
                    "credit_note",
                    self.context.slot("credit_note", refund.id),
                    lambda step, credit=credit: self._book_credit(step, credit),  # type: ignore[misc]
                )
            if self.waits:
                continue
            # What a gift card paid goes back to a gift card: money goes back only as far as money came in.
            left = min(self.paid_minor - self.paid_back_minor - kept - credit.tender_minor, money_minor)
            amount = refund.amount_minor if refund.moved_money else min(refund.amount_minor, max(0, left))
            money_minor -= amount
            self.paid_back_minor += amount + credit.tender_minor
            if amount:
                yield _Step(
                    day,
                    "refund_payment",
                    self.context.slot("refund_payment", refund.id),
                    lambda step, credit=credit, amount=amount: self._book_refund(step, credit, amount),  # type: ignore[misc]
                )
            if credit.tender_minor:
                yield _Step(
                    day,
                    "refund_payment",
                    self.context.slot("tender", f"refund-{refund.id}"),
                    lambda step, credit=credit: self._book_tender_back(step, credit),  # type: ignore[misc]
                )

    def _book_credit(self, step: _Step, credit: Credit) -> Document:
        self.standing.kept_minor -= credit.gross_minor
        return self._credit_note(step, self._lines(credit.lines), credit.gross_minor, credit.refund.id)

    def _book_refund(self, step: _Step, credit: Credit, amount_minor: int) -> Document:
        carried = self.standing.carried("refunds_owed", amount_minor, step.day)
        body = {
            "gateway": gateway_of(self.context, self.claim.method if self.claim else self.order.method, step.day),
            "refund": credit.refund.id,
            "claim": not credit.refund.moved_money,
            "book_minor": self._convert(amount_minor, step.day),
            "carried_book_minor": carried,
        }
        self.standing.book("refunds_owed", -amount_minor, -carried)
        reason = f"the store's refund {credit.refund.id}, as far as captured and not kept"
        return self._document(step.slot, "refund_payment", amount_minor, step.day, body, "refund-claimed", reason)

    def _book_tender_back(self, step: _Step, credit: Credit) -> Document:
        amount, tender = credit.tender_minor, self.charge.tenders[0]
        carried = self.standing.carried("refunds_owed", amount, step.day)
        body = {
            "tender": "gift_card",
            "provider": tender.provider,
            "line": tender.line,
            "book_minor": -self._convert(amount, step.day),
            "carried_book_minor": -carried,
        }
        self.standing.book("refunds_owed", -amount, -carried)
        reason = f"with the store's refund {credit.refund.id}"
        return self._document(step.slot, "tender", -amount, step.day, body, "gift-card-given-back", reason)

    # Cancellation: what is still open, taken back; its credit note comes after all others.

    def _cancelling(self, left: Sequence[Line], day: date) -> Iterator[_Step]:
        amount = self.charge.gross_minor - sum(credit.gross_minor for credit in self.credits)
        lines = self._lines(left)
        yield _Step(
            day,
            "cancellation",
            self.context.slot("cancellation", "order"),
            lambda step: self._book_cancellation(step, lines, amount),
        )
        if amount:
            latest = max([day, *(self.context.day(credit.refund.created) for credit in self.credits)])
            yield _Step(
                latest,
                "credit_note",
                self.context.slot("credit_note", "cancellation"),
                lambda step: self._credit_note(step, lines, amount, "cancellation"),
                last=True,
            )

    def _book_cancellation(self, step: _Step, lines: Sequence[Mapping[str, Any]], amount_minor: int) -> Document:
        sales_order = self.context.slot("sales_order", "order")
        self.standing.kept_minor -= amount_minor
        body = {"sales_order": sales_order, "lines": list(lines)}
        rule, reason = "cancellation", "the store cancelled the order"
        return self._document(step.slot, "cancellation", amount_minor, step.day, body, rule, reason, sales_order)

    # What they share.

    def _lines(self, lines: Sequence[Line]) -> list[dict[str, Any]]:
        return [document_line(self.context, self.order, line, self.ordered) for line in lines]

    def _credit_note(self, step: _Step, lines: Sequence[Mapping[str, Any]], gross_minor: int, of: str) -> Document:
        """A credit note over what was invoiced, at the invoice's own rates; the last one takes what is left of it."""
        invoice, invoiced = self.context.slot("invoice", "acceptance"), self._invoiced
        book = invoiced.give_back(gross_minor)
        body = {
            "counterparty": self._counterparty(),
            "invoice": invoice,
            "refund": of,
            "lines": with_book(
                lines,
                book,
                lambda amount: invoiced.book_minor * amount // invoiced.amount_minor if invoiced.amount_minor else 0,
                lambda tax: self._taxed[tax_role(tax)].give_back(tax["tax_minor"]),
            ),
            "book_minor": book,
        }
        self.standing.book("receivable", gross_minor, book)
        self.standing.invoiced_minor -= gross_minor
        reason = "the store cancelled the order" if of == "cancellation" else f"the store's refund {of}"
        return self._document(step.slot, "credit_note", gross_minor, step.day, body, "credit-note", reason, invoice)

    def _application(self, of: Document) -> Iterator[Document]:
        """Level what a document changed: an application of its own, if there is anything to move."""
        moves = self.standing.apply(of.day)
        if moves:
            natural = of.slot.split("/", 2)[2]
            yield self._document(
                self.context.slot("application", natural),
                "application",
                sum(move["amount_minor"] for move in moves),
                of.day,
                {"of": of.slot, "moves": moves},
                "application",
                f"levels what {natural} changed",
                of.slot,
            )

    def _document(
        self,
        slot: str,
        kind: str,
        amount_minor: int,
        day: date,
        body: Mapping[str, Any],
        rule: str,
        reason: str,
        *after: str,
    ) -> Document:
        return Document(
            slot=slot,
            kind=kind,
            party="erp",
            entity=self.context.entity.id,
            subject=self.context.subject,
            currency=self.order.currency,
            book_currency=self.context.entity.book_currency,
            amount_minor=amount_minor,
            day=day,
            body=body,
            journal=journal(kind, body, amount_minor, self.order.currency),
            after=after,
            why=f"{rule}@{self.context.rules.version}: {reason}",
            number=self.order.number,
        )

    def _convert(self, amount_minor: int, day: date) -> int:
        book = self.context.entity.book_currency
        rate = self.context.rules.rate(self.order.currency, book, day)
        return convert(amount_minor, self.order.currency, book, rate)
