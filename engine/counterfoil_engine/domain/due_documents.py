"""The documents of an accepted order, built in the order in which they change its standing (domain.md, 3 to 5).

This is the frame: the counterparty and the sales order, invoices by part, credit notes, and the application that levels
what each document changed. Money is in `due_money`, goods are in `due_goods`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction
from typing import Any

from counterfoil_engine.domain.charge import Charge, document_line, with_book
from counterfoil_engine.domain.credit import Credit
from counterfoil_engine.domain.delivery import Delivery
from counterfoil_engine.domain.documents import KINDS, Document
from counterfoil_engine.domain.keys import natural_id
from counterfoil_engine.domain.life import Context
from counterfoil_engine.domain.money import convert
from counterfoil_engine.domain.money_moves import Money
from counterfoil_engine.domain.order import Line, Order, Refund
from counterfoil_engine.domain.parts import ACCEPTANCE, CANCELLATION, NO_PARTS, Part, Parts
from counterfoil_engine.domain.postings import GIFT_CARDS, journal, tax_role
from counterfoil_engine.domain.sequence import Sequence as OrderSequence
from counterfoil_engine.domain.standing import Standing


@dataclass(frozen=True)
class Step:
    """A document still to be booked, and its place: by day, then kind, then `last` and slot."""

    day: date
    kind: str
    slot: str
    book: Callable[[Step], Document]
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


@dataclass(frozen=True)
class Accepted:
    """All that is known of an accepted order, read: what its documents are made from.

    parts: what each invoice takes; shipped: what each shipment took. deleted: refunds that the store deleted after it
    had moved their money. cancelled_at, cancelled_on: its cancellation. is_secured: its money is, or its method is
    trusted. is_taxed: False while the tax service's quote is awaited.
    """

    order: Order
    charge: Charge
    credits: Sequence[Credit]
    money: Money
    sequence: OrderSequence
    delivery: Delivery
    parts: Parts
    shipped: Parts
    accepted: date
    deleted: Sequence[Refund] = ()
    cancelled_at: datetime | None = None
    cancelled_on: date | None = None
    is_secured: bool = True
    is_taxed: bool = True

    @property
    def is_unearned(self) -> bool:
        """Whether revenue comes later than the invoice."""
        is_at_once = self.parts.parts[:1] and self.parts.parts[0].id == ACCEPTANCE
        return bool(is_at_once and self.sequence.revenue_on == "shipment" and self.shipped is not NO_PARTS)

    @property
    def is_delivered(self) -> bool:
        """Whether all that is to leave has left."""
        return self.shipped.is_complete


Family = Callable[["DueDocuments"], Iterator[Step]]
"""The steps of one kind of documents."""

Close = Callable[["DueDocuments", Sequence[Document]], Iterator[Document]]

Follow = Callable[["DueDocuments", Document], Iterator[Document]]
"""What a document makes due on its own day: a commit of its tax."""


class DueDocuments:
    """Builds an accepted order's documents and keeps its standing while it does."""

    def __init__(self, context: Context, known: Accepted) -> None:
        self.context, self.known, self.order, self.charge = context, known, known.order, known.charge
        self.ordered = context.day(known.order.created)
        self.standing = Standing(self.convert)
        self.paid_minor = self.paid_back_minor = 0
        self.prepaid_tax_minor: dict[str, int] = defaultdict(int)
        self._invoiced: dict[str, _Invoiced] = defaultdict(_Invoiced)
        self._taxed: dict[tuple[str, str], _Invoiced] = defaultdict(_Invoiced)

    def all(self, families: Sequence[Family], follow: Follow, level: Follow, close: Close) -> list[Document]:
        """All of them, each followed by what it made due itself and by its application, then by what else it levels;
        close: what is due once all of them are booked.

        While a payment waits for proof nothing is applied, since every level would change with it. While the tax isn't
        quoted only the money is posted.
        """
        documents = [self._customer(), *self._sales_order()]
        steps = [step for family in families for step in family(self)]
        if self.known.is_taxed:
            steps += [*self._invoicing(), *self._crediting(), *self._cancelling()]
        for step in sorted(steps, key=lambda step: step.place):
            document = step.book(step)
            documents += [document, *follow(self, document)]
            if not self.known.money.waits:
                documents += self._application(document)
                documents += level(self, document)
        return [*documents, *close(self, documents)]

    # What is asked for first: the counterparty and the order itself.
    def _customer(self) -> Document:
        """The counterparty: a subject of its own, which this order only asks for (L6)."""
        name, is_guest, order = self.counterparty(), not self.order.customer_id, self.order
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

    def counterparty(self) -> str:
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

    def _sales_order(self) -> Iterator[Document]:
        counterparty = self.counterparty()
        body = {
            "counterparty": counterparty,
            "ship_to_country": self.order.country or None,
            "lines": list(self.charge.lines),
        }
        self.standing.kept_minor += self.charge.gross_minor
        if not self.known.is_taxed:
            return
        yield self.document(
            self.context.slot("sales_order", "order"),
            "sales_order",
            self.charge.gross_minor,
            min(self.ordered, self.known.accepted),
            body,
            "sales-order-on-acceptance",
            "the store accepted the order",
            f"{self.context.entity.id}/-/customer/{counterparty}",
        )

    @property
    def has_invoiced(self) -> bool:
        """Whether anything was invoiced so far, whatever was credited since."""
        return bool(self._invoiced)

    # Invoicing: all at acceptance, or a part with each shipment.

    def _invoicing(self) -> Iterator[Step]:
        for part in self.known.parts.parts:
            if not part.lines:
                continue
            day = self.known.accepted if part.id == ACCEPTANCE else max(self.context.day(part.at), self.known.accepted)
            slot = self.context.slot("invoice", part.id)
            yield Step(day, "invoice", slot, lambda step, part=part: self._book_invoice(step, part))  # type: ignore[misc]

    def _book_invoice(self, step: Step, part: Part) -> Document:
        """The invoice: what deposits cover at the rate they carry (IFRIC 22), the rest at the rate of its date."""
        gross, sales_order = part.gross_minor, self.context.slot("sales_order", "order")
        book = self.standing.carried("deposits", gross, step.day)
        self._invoiced[part.id].add(gross, book)
        lines = with_book(
            self._with_discounts(
                self.charge.lines if part.id == ACCEPTANCE else self.lines(part.lines), part, step.day
            ),
            book,
            lambda amount: self.convert(amount, step.day),
            lambda tax: self.convert(tax["tax_minor"], step.day),
        )
        for tax in (tax for line in lines for tax in line["taxes"]):
            self._taxed[part.id, tax_role(tax)].add(tax["tax_minor"], tax["tax_book_minor"])
        body = {
            "counterparty": self.counterparty(),
            "sales_order": sales_order,
            "lines": lines,
            "book_minor": book,
            **({"unearned": True} if self.known.is_unearned else {}),
        }
        self.standing.book("receivable", -gross, -book)
        self.standing.invoiced_minor += gross
        rule, reason = "invoice-on-acceptance", "revenue is invoiced when the order is accepted"
        if part.id != ACCEPTANCE:
            rule, reason = "invoice-on-shipment", f"shipment {part.id} left on {step.day}"
        return self.document(step.slot, "invoice", gross, step.day, body, rule, reason, sales_order)

    def _with_discounts(self, lines: Sequence[Mapping[str, Any]], part: Part, day: date) -> Sequence[Mapping[str, Any]]:
        """Where discounts are shown gross, each line with what coupons took off it; a gift card is no revenue."""
        if self.known.sequence.discounts != "gross":
            return lines
        return [
            {**line, "discount_minor": discount, "discount_book_minor": self.convert(discount, day)}
            if (discount := sold.discount_minor) and line["class"] != GIFT_CARDS
            else line
            for line, sold in zip(lines, part.lines, strict=True)
        ]

    # Refunds: what they take back before its invoice, and what they credit.

    def _crediting(self) -> Iterator[Step]:
        for credit in self.known.credits:
            day = max(self.context.day(credit.refund.created), self.known.accepted)
            yield from self._taking_back(credit.refund.id, day, f"the store's refund {credit.refund.id}")

    def _taking_back(self, of: str, day: date, reason: str) -> Iterator[Step]:
        taken = self.known.parts.taken.get(of)
        if taken is None:
            return
        if taken.before:
            yield Step(
                day,
                "cancellation",
                self.context.slot("cancellation", of),
                lambda step: self._book_cancellation(step, taken.before, reason),
            )
        for part, lines in taken.after:
            yield self._credit_step(of, part, lines, day, reason)

    def _credit_step(
        self, of: str, part: str, lines: Sequence[Line], day: date, reason: str, keeps: bool = False
    ) -> Step:
        """keeps: the value kept went down with another document already."""
        slot = self.context.slot("credit_note", of if part == ACCEPTANCE else natural_id(f"{of}-{part}"))
        parts = {one.id: one for one in self.known.parts.parts}
        invoiced = self.known.accepted if part == ACCEPTANCE else self.context.day(parts[part].at)
        gross = sum(line.gross_minor for line in lines)
        return Step(
            max(day, invoiced),
            "credit_note",
            slot,
            lambda step: self._credit_note(step, self._credited(of, lines), gross, of, part, reason, keeps),
            last=of == CANCELLATION,
        )

    # Cancellation: what is still open, taken back; its credit notes come after all others.

    def _cancelling(self) -> Iterator[Step]:
        if self.known.cancelled_on is None:
            return
        day, reason = max(self.known.cancelled_on, self.known.accepted), "the store cancelled the order"
        slot, taken = self.context.slot("cancellation", "order"), self.known.parts.taken.get(CANCELLATION)
        after = taken.after if taken else ()
        latest = max([day, *(self.context.day(credit.refund.created) for credit in self.known.credits)])
        at_once = self.known.sequence.invoice_on == "acceptance"
        cancelled = after[0][1] if at_once and after else (taken.before if taken else ())
        yield Step(day, "cancellation", slot, lambda step: self._book_cancellation(step, cancelled, reason))
        for part, lines in after:
            if sum(line.gross_minor for line in lines):
                yield self._credit_step(CANCELLATION, part, lines, latest, reason, keeps=at_once)

    def _book_cancellation(self, step: Step, lines: Sequence[Line], reason: str) -> Document:
        sales_order, amount = self.context.slot("sales_order", "order"), sum(line.gross_minor for line in lines)
        self.standing.kept_minor -= amount
        body = {"sales_order": sales_order, "lines": self.lines(lines)}
        return self.document(step.slot, "cancellation", amount, step.day, body, "cancellation", reason, sales_order)

    def _credited(self, of: str, lines: Sequence[Line]) -> list[dict[str, Any]]:
        """A credit note's lines; what was invoiced and never earned is marked."""
        taken = self.known.shipped.taken.get(of) if self.known.is_unearned else None
        if taken is None:
            return self.lines(lines)
        unearned = [{**line, "unearned": True} for line in self.lines(taken.before)]
        return [*unearned, *(line for _, part in taken.after for line in self.lines(part))]

    # What they share.

    def lines(self, lines: Sequence[Line]) -> list[dict[str, Any]]:
        """Lines as documents carry them."""
        return [document_line(self.context, self.order, line, self.ordered) for line in lines]

    def _credit_note(
        self,
        step: Step,
        lines: Sequence[Mapping[str, Any]],
        gross_minor: int,
        of: str,
        part: str,
        reason: str,
        keeps: bool,
    ) -> Document:
        """A credit note over what was invoiced, at the invoice's own rates; the last one takes what is left of it."""
        invoice, invoiced = self.context.slot("invoice", part), self._invoiced[part]
        book = invoiced.give_back(gross_minor) if invoiced.amount_minor else self.convert(gross_minor, step.day)
        body = {
            "counterparty": self.counterparty(),
            "invoice": invoice,
            "refund": of,
            "lines": with_book(
                lines,
                book,
                lambda amount: invoiced.book_minor * amount // invoiced.amount_minor if invoiced.amount_minor else 0,
                lambda tax: self._taxed[part, tax_role(tax)].give_back(tax["tax_minor"]),
            ),
            "book_minor": book,
        }
        if not keeps:
            self.standing.kept_minor -= gross_minor
        self.standing.book("receivable", gross_minor, book)
        self.standing.invoiced_minor -= gross_minor
        return self.document(step.slot, "credit_note", gross_minor, step.day, body, "credit-note", reason, invoice)

    def _application(self, of: Document) -> Iterator[Document]:
        """Level what a document changed: an application of its own, if there is anything to move."""
        moves = self.standing.apply(of.day)
        if moves:
            natural = of.slot.split("/", 2)[2]
            yield self.document(
                self.context.slot("application", natural),
                "application",
                sum(move["amount_minor"] for move in moves),
                of.day,
                {"of": of.slot, "moves": moves},
                "application",
                f"levels what {natural} changed",
                of.slot,
            )

    def document(
        self,
        slot: str,
        kind: str,
        amount_minor: int,
        day: date,
        body: Mapping[str, Any],
        rule: str,
        reason: str,
        *after: str,
        party: str = "erp",
    ) -> Document:
        """A document of this order; rule: the rule that made it due, reason: the sentence for people."""
        return Document(
            slot=slot,
            kind=kind,
            party=party,
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

    def convert(self, amount_minor: int, day: date) -> int:
        book = self.context.entity.book_currency
        rate = self.context.rules.rate(self.order.currency, book, day)
        return convert(amount_minor, self.order.currency, book, rate)
