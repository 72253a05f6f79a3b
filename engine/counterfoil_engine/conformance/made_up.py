"""Made-up orders, and their documents as the engine would make them. Pure: nothing here talks to the ERP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from counterfoil_engine.conformance.company import Company
from counterfoil_engine.domain.charge import with_book
from counterfoil_engine.domain.documents import Document
from counterfoil_engine.domain.money import convert
from counterfoil_engine.domain.postings import journal, mirrored
from counterfoil_engine.domain.tie_out import Net
from counterfoil_engine.ports import Posting
from counterfoil_engine.work.wire import wire_document

Json = dict[str, Any]


@dataclass(frozen=True)
class Paper:
    """A document under its key. reverses: the key of what it undoes."""

    document: Document
    key: str
    posting: Posting
    reverses: str | None = None

    @property
    def kind(self) -> str:
        return self.document.kind

    @property
    def amount_minor(self) -> int:
        return int(self.posting.document["amount_minor"])

    @property
    def moved(self) -> Net:
        """Debits less credits by role and currency, in minor units of the currency and of the book currency: what the
        engine's own journal says of it."""
        lines = mirrored(self.document.journal) if self.reverses else self.document.journal
        net: dict[tuple[str, str], tuple[int, int]] = {}
        for line in lines:
            place = line.role, self.document.currency
            minor, book = net.get(place, (0, 0))
            minor += line.debit_minor - line.credit_minor
            net[place] = minor, book + line.book_debit_minor - line.book_credit_minor
        return {place: amounts for place, amounts in net.items() if amounts != (0, 0)}

    def changed(self, **fields: Any) -> Paper:
        """The same with other fields on the line, under the same key and hash: what no engine would send."""
        sent = Posting(self.key, self.posting.content_hash, {**self.posting.document, **fields})
        return Paper(self.document, self.key, sent, self.reverses)


class Order:
    """One order of a store that nobody has. number: its own in the run; rate: units of currency for one of book."""

    def __init__(self, company: Company, run: str, number: int, currency: str, rate: Decimal, day: date) -> None:
        self.company, self.currency, self.rate, self.day = company, currency, rate, day
        self.id = f"{run}-{number}"
        self.counterparty = f"{company.store}-{self.id}"

    def book(self, amount_minor: int) -> int:
        return convert(amount_minor, self.currency, self.company.book_currency, self.rate)

    def slot(self, kind: str, natural: str) -> str:
        return f"{self.company.store}/{self.id}/{kind}/{natural}"

    # Lines

    def line(
        self, net_minor: int, tax_minor: int, rate: int = 0, kind: str = "item", quantity: str = "1", name: str = ""
    ) -> Json:
        """A line with one tax, of the company's rates the first or second, or none where the tax is 0."""
        is_item = kind == "item"
        tax = {
            "treatment": "domestic",
            "jurisdiction": self.company.jurisdiction,
            "rate": self.company.rates[rate],
            "tax_minor": tax_minor,
        }
        return {
            "line": name or f"{kind}:{1 + rate}",
            "type": kind,
            "item": self.company.item if is_item else None,
            "class": self.company.item_class if is_item else None,
            "quantity": quantity,
            "net_minor": net_minor,
            "taxes": [tax] if tax_minor else [],
        }

    # Documents, a kind each

    def customer(self, name: str = "Trial Customer", **body: Any) -> Paper:
        entity = self.company.entity
        fields = {
            "counterparty": self.counterparty,
            "guest": False,
            "country": None,
            "personal": {"name": name, "email": "trial@example.com"},
            **body,
        }
        slot, subject = f"{entity}/-/customer/{self.counterparty}", f"customer {entity}/{self.counterparty}"
        return self._paper("customer", "", 0, fields, slot=slot, subject=subject, currency=self.company.book_currency)

    def sales_order(self, lines: Sequence[Json], **body: Any) -> Paper:
        fields = {
            "counterparty": self.counterparty,
            "ship_to_country": self.company.country,
            "lines": list(lines),
            **body,
        }
        return self._paper("sales_order", "order", gross(lines), fields)

    def payment(self, amount_minor: int, natural: str = "tr-1", **body: Any) -> Paper:
        fields = {
            "gateway": self.company.gateway,
            "method": self.company.method,
            "transaction": f"{self.id}-{natural}",
            "to": "deposits",
            "inferred": False,
            "book_minor": self.book(amount_minor),
            **body,
        }
        return self._paper("payment", natural, amount_minor, fields)

    def tender(self, amount_minor: int, natural: str = "card-1") -> Paper:
        """A gift card used; below 0: given back."""
        fields = {"tender": "gift_card", "provider": "trial", "line": "fee:9", "book_minor": self.book(amount_minor)}
        if amount_minor < 0:
            fields["carried_book_minor"] = fields["book_minor"]
        return self._paper("tender", natural, amount_minor, fields)

    def invoice(self, part: str, lines: Sequence[Json], **body: Any) -> Paper:
        fields = {
            "counterparty": self.counterparty,
            "sales_order": self.slot("sales_order", "order"),
            **self._booked(lines),
            **body,
        }
        return self._paper("invoice", part, gross(lines), fields)

    def cancellation(self, lines: Sequence[Json]) -> Paper:
        fields = {"sales_order": self.slot("sales_order", "order"), "lines": list(lines)}
        return self._paper("cancellation", "order", gross(lines), fields)

    def credit_note(self, part: str, refund: int, lines: Sequence[Json]) -> Paper:
        fields = {
            "counterparty": self.counterparty,
            "invoice": self.slot("invoice", part),
            "refund": refund,
            **self._booked(lines),
        }
        return self._paper("credit_note", f"{refund}-{part}", gross(lines), fields)

    def returned(self, refund: int, quantity: str, line: str) -> Paper:
        back = {"line": line, "item": self.company.item, "quantity": quantity}
        return self._paper("return", f"rc-{refund}", 0, {"refund": refund, "lines": [back], "received": True})

    def refund_payment(self, amount_minor: int, refund: int, carried_book_minor: int | None = None) -> Paper:
        """carried_book_minor: what refunds_owed carries, where that isn't what leaves clearing."""
        book = self.book(amount_minor)
        fields = {
            "gateway": self.company.gateway,
            "refund": refund,
            "claim": False,
            "book_minor": book,
            "carried_book_minor": book if carried_book_minor is None else carried_book_minor,
        }
        return self._paper("refund_payment", str(refund), amount_minor, fields)

    def application(self, of: Paper, amount_minor: int, debit: str, credit: str, exchange_book_minor: int = 0) -> Paper:
        """exchange_book_minor: by so much the debit is carried above the credit in book currency."""
        natural = of.document.slot.split("/", 2)[2]
        return self._paper(
            "application", natural, amount_minor, self._moves(of, amount_minor, debit, credit, exchange_book_minor)
        )

    def transfer(self, of: Paper, amount_minor: int, debit: str, credit: str) -> Paper:
        return self._paper("transfer", "shortfall", amount_minor, self._moves(of, amount_minor, debit, credit, 0))

    def _moves(self, of: Paper, amount_minor: int, debit: str, credit: str, exchange_book_minor: int) -> Json:
        book = self.book(amount_minor)
        move = {
            "debit": debit,
            "credit": credit,
            "amount_minor": amount_minor,
            "debit_book_minor": book + exchange_book_minor,
            "credit_book_minor": book,
        }
        return {"of": of.document.slot, "moves": [move]}

    def fee(self, amount_minor: int) -> Paper:
        fields = {
            "gateway": self.company.gateway,
            "transaction": f"{self.id}-tr-1",
            "book_minor": self.book(amount_minor),
        }
        return self._paper("fee", "tr-1", amount_minor, fields)

    def payout(self, amount_minor: int) -> Paper:
        payout = f"po-{self.id}"
        fields = {"gateway": self.company.gateway, "payout": payout, "book_minor": self.book(amount_minor)}
        slot, subject = f"{self.company.entity}/-/payout/{payout}", f"payout {self.company.gateway}/{payout}"
        return self._paper("payout", payout, amount_minor, fields, slot=slot, subject=subject)

    def dispute(self, amount_minor: int, state: str) -> Paper:
        fields = {
            "gateway": self.company.gateway,
            "dispute": f"dp-{self.id}",
            "transaction": f"{self.id}-tr-1",
            "state": state,
            "book_minor": self.book(amount_minor),
        }
        return self._paper("dispute", f"dp-1-{state}", amount_minor, fields)

    def reversal(self, of: Paper) -> Paper:
        """What undoes a document."""
        key = f"{of.key}/reversal"
        line = wire_document(of.document, key, self.company.store, self.day, reverses=of.key)
        return Paper(of.document, key, Posting(key, of.document.content_hash, line), of.key)

    def _booked(self, lines: Sequence[Json]) -> Json:
        """Lines with amounts in book currency that add up to the document's."""
        book = self.book(gross(lines))
        return {
            "lines": with_book(lines, book, self.book, lambda tax: self.book(tax["tax_minor"])),
            "book_minor": book,
        }

    def _paper(
        self,
        kind: str,
        natural: str,
        amount_minor: int,
        body: Mapping[str, Any],
        slot: str | None = None,
        subject: str | None = None,
        currency: str | None = None,
    ) -> Paper:
        currency = currency or self.currency
        document = Document(
            slot=slot or self.slot(kind, natural),
            kind=kind,
            party="erp",
            entity=self.company.entity,
            subject=subject or f"order {self.company.store}/{self.id}",
            currency=currency,
            book_currency=self.company.book_currency,
            amount_minor=amount_minor,
            day=self.day,
            body=body,
            journal=journal(kind, body, amount_minor, currency),
            why="conformance: a trial, not a sale",
            number=self.id,
        )
        key = f"{document.slot}/r1"
        posting = Posting(key, document.content_hash, wire_document(document, key, self.company.store, self.day))
        return Paper(document, key, posting)


def gross(lines: Sequence[Mapping[str, Any]]) -> int:
    return sum(line["net_minor"] + sum(tax["tax_minor"] for tax in line["taxes"]) for line in lines)
