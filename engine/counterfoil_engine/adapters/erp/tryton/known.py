"""What the documents of a batch refer to in Tryton, looked up together: a question a kind, however many documents."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from counterfoil_engine.adapters.erp.tryton.books import Books, Item, Period, Refusal
from counterfoil_engine.ports import Posting

NOBODY = "nobody"  # the party of what belongs to no order that stands in Tryton


@dataclass(frozen=True)
class Partner:
    """A party, and its first address."""

    id: int
    address: int | None


@dataclass(frozen=True)
class Sale:
    """A sale order. lines, quantities: by the store's line; the id of the sale's line, and how many were ordered."""

    id: int
    key: str
    state: str
    partner: Partner
    lines: Mapping[str, int] = field(default_factory=dict)
    quantities: Mapping[str, Decimal] = field(default_factory=dict)


def identifier_of(counterparty: str) -> str:
    """The identifier of a party, which moves with it when it is merged into another one."""
    return f"counterfoil {counterparty}"


def slot_of(key: str) -> str:
    """`eu1/1001/invoice/1` of `eu1/1001/invoice/1/r2`."""
    return re.sub(r"/r[1-9][0-9]*(/reversal)?$", "", key)


class Known:
    """Read once for a batch. Raises Unavailable or RateLimited while it is made, and Refusal when it is asked."""

    def __init__(self, books: Books, postings: Sequence[Posting]) -> None:
        self._books, self._read = books, books.tryton.read
        documents = [posting.document for posting in postings]
        self.periods = books.periods()
        self.countries = self._countries(documents)
        self._items = books.items({name for document in documents for name in _items_of(document)})
        self._partners = self._partners_of(documents)
        self.sales_by_key = self._sales({place for document in documents if (place := _order_of(document))})
        self.sales = self._standing_by_slot()
        self._invoiced = self._invoice_parties(documents)
        self._of_old = self._old_partners(documents)
        self.customer_location = self._customer_location(documents)

    # What vouchers ask

    def partner(self, counterparty: str) -> Partner:
        """The party of a counterparty. Raises Refusal."""
        if found := self._partners.get(identifier_of(counterparty)):
            return found
        raise Refusal(
            "data",
            f"The counterparty {counterparty} isn't in Tryton: no party bears its identifier.",
            "Post its customer document first; where the party was deleted, retry the customer.",
        )

    def partner_of(self, document: Mapping[str, Any]) -> Partner:
        """Whom an invoice or a credit note is for. Raises Refusal."""
        refers = document.get("sales_order")
        sale = self.sales.get(refers) if refers else None
        found = sale.partner if sale else self._invoiced.get(document.get("invoice", ""))
        sale = sale or self.sale_of(document)
        found = found or self._old_partner(document) or (sale.partner if sale else None) or self.nobody
        if found is None:
            raise Refusal(
                "data",
                f"Neither {refers or document.get('invoice')} nor another document of the order stands in Tryton.",
                "Post the sales order first, or make the party of orders taken over (counterfoil erp setup tryton).",
            )
        return found

    def party_of(self, document: Mapping[str, Any]) -> Partner:
        """Whose account a move levels. Raises Refusal."""
        sale = self.sale_of(document)
        found = sale.partner if sale else self._old_partner(document) or self.nobody
        if found is None:
            raise Refusal(
                "data",
                "The account needs a party, and no sale of the order stands in Tryton.",
                "Post the sales order first, or make the party of orders taken over (counterfoil erp setup tryton).",
            )
        return found

    def sale_of(self, document: Mapping[str, Any]) -> Sale | None:
        """The newest sale of the document's order."""
        place = _order_of(document)
        found = [sale for slot, sale in self.sales.items() if place and slot.startswith(f"{place}/")]
        return max(found, key=lambda sale: sale.id, default=None)

    def sale_line(self, sales_order: str | None, line: str) -> str | None:
        """The sale's line that an invoice's is of."""
        sale = self.sales.get(sales_order) if sales_order else None
        found = sale.lines.get(line) if sale else None
        return f"sale.line,{found}" if found else None

    def item(self, name: str | None) -> Item:
        """A product that can be sold by the piece. Raises Refusal."""
        found = self._items.get(name or "")
        code = self._books.names.items.get(name or "", name)
        if found is None:
            raise Refusal(
                "missing_mapping",
                f"The item {name!r} isn't in Tryton: no product has the code {code!r}.",
                f"Make the product there, or name its code under [items] in {self._books.names.path}.",
            )
        if not found.is_sold:
            raise Refusal(
                "missing_mapping",
                f"The product {found.code} can't be sold in Tryton.",
                "Set it to salable there, or map the item to another product.",
            )
        if not found.is_by_the_piece:
            raise Refusal(
                "missing_mapping",
                f"The product {found.code} is sold in another unit than pieces in Tryton, and shops count pieces.",
                "Give it a sales unit that counts pieces, or map the item to a product that has one.",
            )
        return found

    def period(self, day: date) -> Period:
        """The open period of a day. Raises Refusal."""
        for period in self.periods:
            if period.first <= day <= period.last:
                if period.is_open:
                    return period
                raise Refusal(
                    "closed_period",
                    f"The period of {day} is closed in Tryton.",
                    "It is posted on the first open day after it by itself; or open the period there.",
                )
        raise Refusal(
            "closed_period", f"Tryton has no period for {day}.", "Make the fiscal year and its periods in Tryton."
        )

    @property
    def nobody(self) -> Partner | None:
        """Who stands for customers of orders that were taken over."""
        return self._partners.get(identifier_of(NOBODY))

    # Looking up

    def _countries(self, documents: Iterable[Mapping[str, Any]]) -> dict[str, int]:
        codes = {document["country"] for document in documents if document.get("country")}
        if not codes:
            return {}
        rows = self._read("model.country.country.search_read", [("code", "in", sorted(codes))], 0, None, None, ["code"])
        return {row["code"]: row["id"] for row in rows}

    def _partners_of(self, documents: Iterable[Mapping[str, Any]]) -> dict[str, Partner]:
        names = {document["counterparty"] for document in documents if document["kind"] == "sales_order"}
        rows = self._read(
            "model.party.identifier.search_read",
            [("code", "in", sorted({identifier_of(name) for name in {*names, NOBODY}}))],
            *(0, None, [("id", "ASC")], ["code", "party", "party.addresses"]),
            active_test=False,  # those of a party that was merged stand at the other one, and are inactive
        )
        return {row["code"]: _partner(row) for row in rows}

    def _sales(self, orders: Iterable[str]) -> dict[str, Sale]:
        """All sales of these orders, by key."""
        wanted = sorted(orders)
        if not wanted:
            return {}
        like = ["OR", *[("reference", "like", f"{literal(order)}/sales\\_order/%") for order in wanted]]
        rows = self._read(
            "model.sale.sale.search_read",
            self._books.of_company(like, ("state", "not in", ["draft", "quotation"])),
            *(0, None, [("id", "ASC")], ["reference", "state", "party", "party.addresses", "lines"]),
        )
        rows = [row for row in rows if not row["reference"].endswith("/reversal")]
        lines = self._lines([line for row in rows for line in row["lines"]])
        found = {}
        for row in rows:
            of_sale = [lines[line] for line in row["lines"] if line in lines]
            found[row["reference"]] = Sale(
                row["id"],
                row["reference"],
                row["state"],
                _partner(row),
                {name: line for name, line, _ in reversed(of_sale)},
                {name: quantity for name, _, quantity in reversed(of_sale)},
            )
        return found

    def _lines(self, ids: Sequence[int]) -> dict[int, tuple[str, int, Decimal]]:
        if not ids:
            return {}
        rows = self._read("model.sale.line.read", ids, ["description", "quantity"])
        return {
            row["id"]: ((row["description"] or "").partition(" ")[0], row["id"], Decimal(str(row["quantity"] or 0)))
            for row in rows
        }

    def _standing_by_slot(self) -> dict[str, Sale]:
        """The newest of each slot, one that stands before one that was cancelled."""
        by_slot: dict[str, Sale] = {}
        for key, sale in self.sales_by_key.items():
            other = by_slot.get(slot_of(key))
            if other is None or other.state == "cancelled" or sale.state != "cancelled":
                by_slot[slot_of(key)] = sale
        return by_slot

    def _invoice_parties(self, documents: Iterable[Mapping[str, Any]]) -> dict[str, Partner]:
        slots = {slot for document in documents if (slot := document.get("invoice")) and _order_of(document) is None}
        if not slots:
            return {}
        like = ["OR", *[("reference", "like", f"{literal(slot)}/r%") for slot in sorted(slots)]]
        rows = self._read(
            "model.account.invoice.search_read",
            self._books.of_company(like),
            *(0, None, [("id", "ASC")], ["reference", "party", "party.addresses"]),
        )
        return {slot_of(row["reference"]): _partner(row) for row in rows}

    def _old_partners(self, documents: Iterable[Mapping[str, Any]]) -> dict[str, Partner]:
        """By number: whom the sales and invoices are for that another connector posted."""
        numbers = sorted({number for document in documents for number in document.get("taken_over", {}).values()})
        return {
            row["number"]: _partner(row)
            for model in ("sale.sale", "account.invoice")
            if numbers
            for row in self._read(
                f"model.{model}.search_read",
                self._books.of_company(("number", "in", numbers)),
                *(0, None, [("id", "ASC")], ["number", "party", "party.addresses"]),
            )
        }

    def _old_partner(self, document: Mapping[str, Any]) -> Partner | None:
        """Raises Refusal where what an invoice or a credit note rests on isn't there any more."""
        numbers: Mapping[str, str] = document.get("taken_over", {})
        of = numbers.get(document.get("invoice") or document.get("sales_order") or "")
        if of is not None and of not in self._of_old:
            raise Refusal(
                "data",
                f"No document of old stands under the number {of} in Tryton, which this one refers to.",
                "Look what became of it, or link what was taken over anew: counterfoil erp taken-over STORE --link.",
            )
        return next((self._of_old[number] for number in numbers.values() if number in self._of_old), None)

    def _customer_location(self, documents: Iterable[Mapping[str, Any]]) -> int | None:
        if not any(document["kind"] == "return" for document in documents):
            return None
        rows = self._read("model.stock.location.search_read", [("type", "=", "customer")], 0, 1, None, ["id"])
        return rows[0]["id"] if rows else None


def _partner(row: Mapping[str, Any]) -> Partner:
    addresses = (row.get("party.") or {}).get("addresses") or ()
    return Partner(row["party"], addresses[0] if addresses else None)


def _items_of(document: Mapping[str, Any]) -> Iterable[str]:
    return (line["item"] for line in document.get("lines", ()) if line.get("item"))


def _order_of(document: Mapping[str, Any]) -> str | None:
    """`eu1/1001`, where the document is about an order and needs its sale."""
    if document["store"] is None or document["order"] is None or document["kind"] in ("fee", "payout"):
        return None
    return f"{document['store']}/{document['order']}"


def literal(text: str) -> str:
    """Text within a pattern."""
    return re.sub(r"([\\%_])", r"\\\1", text)
