"""What each document becomes in Tryton: the record to make, its values, and the buttons to press. Pure.

A sales order is a sale, an invoice or a credit note an invoice, money and what levels balances a move of the journal, a
customer a party. What has no record of its own there, such as a cancellation, is a note on the record that it is about.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any

import counterfoil_contracts

from counterfoil_engine.adapters.erp.tryton.books import Account, Books, Currency, Refusal
from counterfoil_engine.adapters.erp.tryton.known import Known, Partner, Sale, identifier_of
from counterfoil_engine.domain.documents import JournalLine
from counterfoil_engine.domain.postings import Amounts, credited, earned, journal, mirrored, tax_role
from counterfoil_engine.ports import Posting

KINDS = frozenset(
    {"customer", "sales_order", "payment", "tender", "invoice", "cancellation", "return", "credit_note"}
    | {"refund_payment", "application", "transfer", "fee", "payout", "dispute"}
)
SALE, INVOICE, MOVE, PARTY, RETURN = (
    "sale.sale",
    "account.invoice",
    "account.move",
    "party.party",
    "stock.shipment.out.return",
)
PRICE_DIGITS = Decimal("0.0001")  # of a unit price, unless Tryton's own settings allow more
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True)
class Voucher:
    """One document on its way. model: None for a note on record ("sale.sale,12"), whose
    party it is. ends: the sale whose goods aren't to
    go any more, and the lines that aren't (None: all)."""

    key: str
    content_hash: str
    kind: str
    amount_minor: int
    currency: str
    day: date
    model: str | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    buttons: tuple[str, ...] = ()
    record: str | None = None
    party: int | None = None
    ends: tuple[Sale, frozenset[str] | None] | None = None

    @property
    def about(self) -> str:
        """The order that it belongs to, or whatever else its key begins with: eu1/1001."""
        return "/".join(self.key.split("/")[:2])

    @property
    def stamp(self) -> str:
        """What a record has to say of its document where there is no register of keys."""
        return f"{self.amount_minor} {self.currency} {self.content_hash}"


def require_sound(posting: Posting) -> None:
    """Raise Refusal where the document isn't as its contract says, or doesn't balance."""
    document = posting.document
    kind = document.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise Refusal(
            "contract",
            f"The kind {str(kind)[:40]!r} is none that Tryton's adapter can post.",
            f"Send one of {', '.join(sorted(KINDS))}.",
        )
    if faults := counterfoil_contracts.faults(f"documents/{kind}.v1", dict(document), 3):
        told = "; ".join(str(fault) for fault in faults)
        raise Refusal("contract", f"The {kind} is not as its contract says: {told}.", f"Send it as {kind}.v1 says.")
    _require_sums(kind, document)


def _require_sums(kind: str, document: Mapping[str, Any]) -> None:
    amount_minor = abs(document["amount_minor"])
    if kind in ("sales_order", "invoice", "credit_note", "cancellation"):
        lines = document["lines"]
        total = sum(line["net_minor"] + sum(tax["tax_minor"] for tax in line["taxes"]) for line in lines)
        if total != amount_minor:
            _unbalanced(f"The document's amount is {amount_minor}, its lines add up to {total} (minor units).")
    made = _journal(kind, document)
    debit, credit = sum(line.debit_minor for line in made), sum(line.credit_minor for line in made)
    book_debit, book_credit = sum(line.book_debit_minor for line in made), sum(line.book_credit_minor for line in made)
    if (debit, book_debit) != (credit, book_credit):
        _unbalanced(
            f"Debits are {debit} and credits {credit}, in book currency {book_debit} and {book_credit} (minor units)."
        )
    if document["currency"] == document["book_currency"] and debit != book_debit:
        _unbalanced("Document and book currency are the same, but their amounts differ.")


def _unbalanced(cause: str) -> None:
    raise Refusal("unbalanced", cause, "Correct the document, so that both agree; a difference is never booked away.")


def _journal(kind: str, document: Mapping[str, Any]) -> tuple[JournalLine, ...]:
    """By role; of a reversal its original's, mirrored."""
    currency, amount_minor = document["currency"], document["amount_minor"]
    if document["reverses"] is None:
        return journal(kind, document, amount_minor, currency)
    return mirrored(journal(kind, document, -amount_minor, currency))


class Maker:
    """Makes the vouchers of a batch. known: what the documents of the batch refer to, looked up together."""

    def __init__(self, books: Books, known: Known) -> None:
        self._books, self._known = books, known

    def voucher(self, posting: Posting) -> Voucher:
        """Of a document that is sound. Raises Refusal."""
        document = posting.document
        day = date.fromisoformat(document["date"])
        self._require_book_currency(document)
        base = Voucher(
            posting.key, posting.content_hash, document["kind"], document["amount_minor"], document["currency"], day
        )
        match document["kind"]:
            case "customer" if document["reverses"] is None:
                return self._party(base, document)
            case "customer":
                return self._note(base, None)
            case "sales_order":
                return self._sale(base, document)
            case "cancellation":
                return self._cancellation(base, document)
            case "return":
                return self._return(base, document)
            case "invoice" | "credit_note":
                return self._invoice(base, document)
            case _:
                return self._move(base, document)

    def _require_book_currency(self, document: Mapping[str, Any]) -> None:
        if document["book_currency"] != self._books.currency.code:
            raise Refusal(
                "contract",
                f"The books of {document['entity']} are kept in {self._books.currency.code} in Tryton, "
                f"not in {document['book_currency']}.",
                "Correct the entity's book currency in the rules, or company in the map.",
            )

    # Customers and sales

    def _party(self, base: Voucher, document: Mapping[str, Any]) -> Voucher:
        personal, name = document.get("personal") or {}, document["counterparty"]
        known_as = [identifier_of(name), f"{base.key} {base.content_hash} {base.day}"]
        values: dict[str, Any] = {
            "name": _clean(personal.get("name") or personal.get("company") or name)[:200],
            "identifiers": [("create", [{"code": code} for code in known_as])],
            "addresses": [("create", [{"country": self._known.countries.get(document.get("country") or "")}])],
        }
        if email := _clean(personal.get("email") or ""):
            values["contact_mechanisms"] = [("create", [{"type": "email", "value": email}])]
        return _made(base, PARTY, values)

    def _sale(self, base: Voucher, document: Mapping[str, Any]) -> Voucher:
        if document["reverses"] is not None:
            sale = self._known.sales_by_key.get(document["reverses"])
            return self._note(base, sale, (sale, None) if sale else None)
        partner, books = self._known.partner(document["counterparty"]), self._books
        currency = books.currency_of(document["currency"])
        ships_from = books.names.warehouse
        is_shipped = ships_from is not None and books.names.ships
        values = {
            "company": books.company,
            "reference": base.key,
            "description": f"Order {document['number']}" if books.has_module else base.stamp,
            "party": partner.id,
            "invoice_address": partner.address,
            "shipment_address": partner.address,
            "currency": currency.id,
            "payment_term": None,
            "sale_date": base.day,
            "invoice_method": "manual",
            "shipment_method": "order" if is_shipped else "manual",
            "warehouse": books.warehouse(ships_from)["id"] if ships_from else None,
            "lines": [("create", [row for line in document["lines"] for row in self._sale_lines(line, currency)])],
        }
        buttons = ("quote", "confirm") if document["lines"] else ()
        return _made(base, SALE, values, buttons)

    def _sale_lines(self, line: Mapping[str, Any], currency: Currency) -> list[dict[str, Any]]:
        """The line with the quantity that ships, and what the price of one unit leaves of its amount."""
        net, quantity = currency.amount(line["net_minor"]), Decimal(line["quantity"]) or Decimal(1)
        taxes = [tax for each in line["taxes"] if (tax := self._books.tax(tax_role(each))) is not None]
        row: dict[str, Any] = {"type": "line", "description": line["line"], "taxes": [("add", taxes)]}
        if line["type"] == "item":
            item = self._known.item(line["item"])
            row |= {"product": item.id, "unit": item.unit}
            row["description"] = f"{line['line']} {item.code}"
        price = (net / quantity).quantize(PRICE_DIGITS)
        rest = net - _rounded(price * quantity, currency)
        rows = [{**row, "quantity": float(quantity), "unit_price": price}]
        if rest:
            label = f"{line['line']} rest of the unit price"
            rows.append(
                {"type": "line", "description": label, "quantity": 1.0, "unit_price": rest, "taxes": row["taxes"]}
            )
        return rows

    def _cancellation(self, base: Voucher, document: Mapping[str, Any]) -> Voucher:
        sale = self._known.sales.get(document["sales_order"])
        if document["reverses"] is not None or sale is None:
            return self._note(base, sale)
        whole = frozenset(
            line["line"] for line in document["lines"] if sale.quantities.get(line["line"]) == Decimal(line["quantity"])
        )
        return self._note(base, sale, (sale, whole))

    def _return(self, base: Voucher, document: Mapping[str, Any]) -> Voucher:
        sale, ships_from = self._known.sale_of(document), self._books.names.warehouse
        is_theirs = ships_from is not None and self._books.names.ships
        if document["reverses"] is not None or not document.get("received") or sale is None or not is_theirs:
            return self._note(base, sale)
        warehouse = self._books.warehouse(str(ships_from))
        moves = []
        for line in document["lines"]:
            item = self._known.item(line["item"])
            moves.append(
                {
                    "product": item.id,
                    "unit": item.unit,
                    "quantity": float(Decimal(line["quantity"])),
                    "from_location": self._known.customer_location,
                    "to_location": warehouse["input_location"],
                    "unit_price": Decimal(0),
                    "currency": self._books.currency.id,
                    "company": self._books.company,
                    "planned_date": base.day,
                }
            )
        values = {
            "company": self._books.company,
            "customer": sale.partner.id,
            "contact_address": sale.partner.address,
            "warehouse": warehouse["id"],
            "warehouse_input": warehouse["input_location"],
            "warehouse_storage": warehouse["storage_location"],
            "reference": base.key,
            "incoming_moves": [("create", moves)],
        }
        return replace(_made(base, RETURN, values, ("receive", "do")), party=sale.partner.id)

    def _note(self, base: Voucher, sale: Sale | None, ends: Any = None) -> Voucher:
        about = f"{SALE},{sale.id}" if sale else f"company.company,{self._books.company}"
        partner = sale.partner if sale else self._known.nobody
        return replace(base, record=about, party=partner.id if partner else None, ends=ends)

    # Invoices

    def _invoice(self, base: Voucher, document: Mapping[str, Any]) -> Voucher:
        """An invoice, or a move that books the same where Tryton's own rules would keep it from being exact."""
        books, lines = self._books, document["lines"]
        parts = [(line, _parts(document, line)) for line in lines]
        accounts = books.accounts(role for _, some in parts for role, _, _ in some)
        is_foreign = document["currency"] != document["book_currency"]
        if not lines or (
            not books.has_module and (is_foreign or not all(each.is_revenue for each in accounts.values()))
        ):
            return self._move(base, document)
        partner = self._known.partner_of(document)
        currency = books.currency_of(document["currency"])
        flip = 1 if document["reverses"] is None else -1
        sign = flip if base.kind == "invoice" else -flip  # a credit note's amounts are negative, and so on
        of = document.get("sales_order")
        rows = [
            self._invoice_line(line, of, accounts[role], (-flip * minor, flip * book), currency, place == 0)
            for line, some in parts
            for place, (role, minor, book) in enumerate(some)
        ]
        values: dict[str, Any] = {
            "type": "out",
            "company": books.company,
            "journal": books.journal("revenue"),
            "account": books.account("receivable").id,
            "party": partner.id,
            "invoice_address": partner.address,
            "currency": currency.id,
            # The number's date is the day of posting, since numbers rise with it; it is booked on the document's.
            "accounting_date": base.day,
            "payment_term_date": base.day,
            "reference": base.key,
            "description": _about(document) if books.has_module else base.stamp,
            "lines": [("create", rows)],
            "taxes": [("create", self._taxes(lines, currency, sign))],
        }
        if books.has_module:
            values["counterfoil_amount"] = sign * books.currency.amount(document["book_minor"])
        return _made(base, INVOICE, values, ("post",))

    def _invoice_line(
        self,
        line: Mapping[str, Any],
        sales_order: str | None,
        account: Account,
        amounts: tuple[int, int],
        currency: Currency,
        is_first: bool,
    ) -> dict[str, Any]:
        """amounts: of the line, in minor units, and its debit less credit in book currency. is_first: with the goods;
        else a discount that is shown beside them."""
        amount = currency.amount(amounts[0])
        quantity, price = _exact(abs(amount), Decimal(line["quantity"]) if is_first else Decimal(1), currency)
        row: dict[str, Any] = {
            "type": "line",
            "invoice_type": "out",
            "company": self._books.company,
            "currency": currency.id,
            "account": account.id,
            "description": line["line"] if is_first else f"{line['line']} discount",
            "quantity": float(quantity if amount >= 0 else -quantity),
            "unit_price": price,
            "taxes": [],
        }
        if is_first and line["type"] == "item" and line["item"] is not None:
            item = self._known.item(line["item"])
            row |= {"product": item.id, "unit": item.unit, "description": f"{line['quantity']} × {item.code}"}
        if is_first and (origin := self._known.sale_line(sales_order, line["line"])):
            row["origin"] = origin
        if self._books.has_module:
            row["counterfoil_amount"] = self._books.currency.amount(amounts[1])
        return row

    def _taxes(self, lines: Sequence[Mapping[str, Any]], currency: Currency, sign: int) -> list[dict[str, Any]]:
        """A row by role, with the amounts that were charged, whatever Tryton would calculate."""
        sums: dict[str, list[int]] = {}
        for line in lines:
            for tax in line["taxes"]:
                row = sums.setdefault(tax_role(tax), [0, 0, 0])
                for place, minor in enumerate((line["net_minor"], tax["tax_minor"], tax["tax_book_minor"])):
                    row[place] += sign * minor
        accounts = self._books.accounts(sums)
        rows = []
        for role, (base_minor, tax_minor, book_minor) in sums.items():
            row_: dict[str, Any] = {
                "manual": True,
                "description": role,
                "account": accounts[role].id,
                "tax": self._books.tax(role),
                "base": currency.amount(base_minor),
                "amount": currency.amount(tax_minor),
            }
            if self._books.has_module:
                row_["counterfoil_amount"] = -self._books.currency.amount(book_minor)
            rows.append(row_)
        return rows

    # Moves

    def _move(self, base: Voucher, document: Mapping[str, Any]) -> Voucher:
        books = self._books
        lines = _journal(base.kind, document)
        if not lines:
            return self._note(base, self._known.sale_of(document))
        accounts = books.accounts(line.role for line in lines)
        party = self._known.party_of(document) if any(each.needs_party for each in accounts.values()) else None
        currency = books.currency_of(document["currency"])
        rows = [self._move_line(line, accounts[line.role], currency, party) for line in lines]
        if not books.has_module:
            rows[0]["description"] = base.stamp
        values = {
            "company": books.company,
            "journal": books.journal("general"),
            "period": self._known.period(base.day).id,
            "date": base.day,
            "description": base.key,
            "lines": [("create", rows)],
        }
        return _made(base, MOVE, values, ("post",))

    def _move_line(
        self, line: JournalLine, account: Account, currency: Currency, party: Partner | None
    ) -> dict[str, Any]:
        book = self._books.currency
        row: dict[str, Any] = {
            "account": account.id,
            "debit": book.amount(line.book_debit_minor),
            "credit": book.amount(line.book_credit_minor),
            "description": line.role,
        }
        if account.needs_party and party is not None:
            row["party"] = party.id
        if currency.id != book.id:
            row |= {
                "second_currency": currency.id,
                "amount_second_currency": currency.amount(line.debit_minor - line.credit_minor),
            }
        return row


def _parts(document: Mapping[str, Any], line: Mapping[str, Any]) -> list[Amounts]:
    """A line without its taxes, by role; the first part is there even where it comes to nothing."""
    parts = list(earned(document, line)) if document["kind"] == "invoice" else [credited(line)]
    return [parts[0], *(part for part in parts[1:] if part[1] or part[2])]


def _about(document: Mapping[str, Any]) -> str:
    """For people; with the number of the invoice of old that it credits."""
    of = document.get("taken_over", {}).get(document.get("invoice"))
    return f"Order {document['number']}, of {of}" if of else f"Order {document['number']}"


def _made(base: Voucher, model: str, values: Mapping[str, Any], buttons: tuple[str, ...] = ()) -> Voucher:
    return replace(base, model=model, values=values, buttons=buttons)


def _exact(net: Decimal, quantity: Decimal, currency: Currency) -> tuple[Decimal, Decimal]:
    """Quantity and price of one whose product is the amount to the cent; else one of the whole amount."""
    if quantity > 0:
        price = (net / quantity).quantize(PRICE_DIGITS)
        if abs(price * quantity - net) < Decimal(1).scaleb(-currency.digits) / 2:
            return quantity, price
    return Decimal(1), net


def _rounded(amount: Decimal, currency: Currency) -> Decimal:
    return amount.quantize(Decimal(1).scaleb(-currency.digits))


def _clean(text: str) -> str:
    """Without what a database of texts doesn't hold."""
    return _CONTROL.sub(" ", text).strip()
