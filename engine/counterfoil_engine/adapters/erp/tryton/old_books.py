"""What another connector posted into Tryton: found by the reference that it gave sales, invoices and moves (R3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from counterfoil_engine.adapters.erp.tryton.books import Books
from counterfoil_engine.adapters.erp.tryton.vouchers import INVOICE, MOVE, SALE
from counterfoil_engine.domain.money import DECIMALS
from counterfoil_engine.domain.old_references import OldDocument

AT_ONCE = 500
_POSTED = ("state", "in", ["posted", "paid"])


class OldBooks:
    """Raises Unavailable or RateLimited."""

    def __init__(self, books: Books) -> None:
        self._books, self._read = books, books.tryton.read

    def find(self, kind: str, references: Sequence[str]) -> dict[str, list[OldDocument]]:
        """By reference; what none bears is absent."""
        found: dict[str, list[OldDocument]] = {}
        for start in range(0, len(references), AT_ONCE):
            part = list(references[start : start + AT_ONCE])
            for one in self._of_kind(kind, part):
                found.setdefault(one.reference, []).append(one)
        return found

    def _of_kind(self, kind: str, references: Sequence[str]) -> list[OldDocument]:
        named = ("reference", "in", list(references))
        if kind == "sales_order":
            is_one = [named, ("state", "not in", ["draft", "quotation", "cancelled"])]
            return [self._told(row, "sale_date") for row in self._rows(SALE, is_one, "sale_date")]
        if kind in ("invoice", "credit_note"):
            rows = self._rows(INVOICE, [named, _POSTED, ("type", "=", "out")], "accounting_date", "invoice_date")
            wanted = [row for row in rows if (row["total_amount"] < 0) == (kind == "credit_note")]
            return [self._told(row, "accounting_date", "invoice_date") for row in wanted]
        return [self._moved(row) for row in self._moves(references)]

    def _rows(self, model: str, domain: Sequence[Any], *days: str) -> list[Mapping[str, Any]]:
        fields = ["reference", "number", "total_amount", "currency.code", *days]
        return self._read(
            f"model.{model}.search_read", self._books.of_company(*domain), 0, None, [("id", "ASC")], fields
        )

    def _told(self, row: Mapping[str, Any], *days: str) -> OldDocument:
        currency = row["currency."]["code"]
        amount_minor = abs(int(row["total_amount"].scaleb(DECIMALS[currency])))
        day = next(row[name] for name in days if row[name])
        return OldDocument(row["reference"], row["number"], amount_minor, currency, day)

    def _moves(self, references: Sequence[str]) -> list[Mapping[str, Any]]:
        fields = ["description", "number", "date", "lines.debit"]
        domain = self._books.of_company(("description", "in", list(references)), ("state", "=", "posted"))
        return self._read(f"model.{MOVE}.search_read", domain, 0, None, [("id", "ASC")], fields)

    def _moved(self, row: Mapping[str, Any]) -> OldDocument:
        """Money in book currency: a move has no other."""
        book = self._books.currency
        debit = sum((line["debit"] for line in row["lines."]), Decimal(0))
        return OldDocument(row["description"], row["number"], int(debit.scaleb(book.digits)), book.code, row["date"])
