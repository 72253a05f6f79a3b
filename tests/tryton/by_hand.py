"""What an accountant does in Tryton by hand, over its own API: nothing posted is ever deleted or changed there, so a
document is cancelled, copied, or cancelled and made anew."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from counterfoil_engine.adapters.erp.tryton.names import NameMap
from counterfoil_engine.adapters.erp.tryton.rpc import Tryton
from counterfoil_sandbox.erp_journal import Line

INVOICE, MOVE = "account.invoice", "account.move"


class ByHand:
    """In one company's books, which lets invoices be cancelled; the same acts as in the sandbox's."""

    def __init__(self, client: Tryton, names: NameMap) -> None:
        self._client, self._names = client, names
        domain = [("party.name", "=", names.company)]
        (self._company,) = client.read("model.company.company.search", domain, 0, 1, None)
        client.context["company"] = self._company

    def delete(self, key: str) -> None:
        """Cancel it, which is as near as Tryton lets anybody come: the books are as if it were not there."""
        model, record = self._document(key)
        self._cancel(model, record)

    def copy(self, key: str, with_key: bool) -> str:
        """Post a document once more, under a number of its own; with_key: its reference is copied too."""
        model, record = self._document(key)
        return self._posted(model, self._copied(model, record, key if with_key else None))

    def move(self, key: str, role: str, to: str) -> str:
        """Cancel an invoice, and make it anew with the tax of one role on another; its new number."""
        model, record = self._document(key)
        made = self._copied(model, record, key)
        if model == INVOICE:
            domain = [("invoice", "=", made), ("description", "=", role)]
            taxes = self._client.read("model.account.invoice.tax.search", domain, 0, None, None)
            values = {"account": self._account(to), "tax": None, "description": to}
            self._client.write("model.account.invoice.tax.write", taxes, values)
        else:
            domain = [("move", "=", made), ("account", "=", self._account(role))]
            lines = self._client.read("model.account.move.line.search", domain, 0, None, None)
            self._client.write("model.account.move.line.write", lines, {"account": self._account(to)})
        number = self._posted(model, made)
        self._cancel(model, record)
        return number

    def book(self, entity: str, day: date, currency: str, book_currency: str, lines: Sequence[Line]) -> str:
        """A manual journal in the book currency; returns its number. A role that isn't mapped: an account of theirs."""
        assert currency == book_currency
        search = self._client.read
        (journal,) = search("model.account.journal.search", [("type", "=", "general")], 0, 1, None)
        domain = [("company", "=", self._company), ("start_date", "<=", day), ("end_date", ">=", day)]
        (period,) = search("model.account.period.search", domain, 0, 1, None)
        (party,) = search("model.party.party.search", [("name", "=", "Orders taken over")], 0, 1, None)
        rows = []
        for line in lines:
            account = self._account(line.role)
            row = {"debit": _amount(line.book_debit_minor), "credit": _amount(line.book_credit_minor)}
            (needs,) = search("model.account.account.read", [account], ["party_required"])
            rows.append({**row, "account": account, "party": party if needs["party_required"] else None})
        values = {"company": self._company, "journal": journal, "period": period, "date": day}
        values |= {"description": "Correction", "lines": [("create", rows)]}
        (made,) = self._client.write(f"model.{MOVE}.create", [values])
        return self._posted(MOVE, made)

    def _document(self, key: str) -> tuple[str, int]:
        """The record that stands for a document: an invoice, or else a move."""
        for model, field in ((INVOICE, "reference"), (MOVE, "description")):
            domain = [("company", "=", self._company), (field, "=", key)]
            if found := self._client.read(f"model.{model}.search", domain, 0, 1, [("id", "ASC")]):
                return model, int(found[0])
        raise LookupError(f"Nothing in Tryton bears the key {key}.")

    def _copied(self, model: str, record: int, key: str | None) -> int:
        if model == MOVE:
            return int(self._client.write(f"model.{model}.copy", [record], {"description": key})[0])
        (was,) = self._client.read(f"model.{model}.read", [record], ["accounting_date", "payment_term_date"])
        days = {name: was[name] for name in ("accounting_date", "payment_term_date")}
        return int(self._client.write(f"model.{model}.copy", [record], {"reference": key, **days})[0])

    def _posted(self, model: str, record: int) -> str:
        self._client.write(f"model.{model}.post", [record])
        (row,) = self._client.read(f"model.{model}.read", [record], ["number"])
        return str(row["number"])

    def _cancel(self, model: str, record: int) -> None:
        """What it is reconciled with is open again first."""
        of = [("move.origin", "=", f"{model},{record}")] if model == INVOICE else [("move", "=", record)]
        lines = self._client.read("model.account.move.line.search_read", of, 0, None, None, ["reconciliation"])
        if reconciled := sorted({line["reconciliation"] for line in lines if line["reconciliation"]}):
            self._client.write("model.account.move.reconciliation.delete", reconciled)
        if model == INVOICE:
            self._client.write(f"model.{model}.cancel", [record])
            return
        context: dict[str, Any] = {"active_model": model, "active_id": record, "active_ids": [record]}
        session, _, _ = self._client.write("wizard.account.move.cancel.create", **context)
        asked = {"default": {"description": None, "reversal": True}}
        self._client.write("wizard.account.move.cancel.execute", session, asked, "cancel", **context)
        self._client.write("wizard.account.move.cancel.delete", session)

    def _account(self, role: str) -> int:
        """Of a role; of one that no account of ours stands for, one of the chart's own."""
        codes, kind = self._names.accounts, ("type.expense", "=", True)
        one = ("code", "=", codes[role]) if role in codes else ("code", "not in", list(codes.values()))
        domain = [("company", "=", self._company), one, *([] if role in codes else [kind])]
        return int(self._client.read("model.account.account.search", domain, 0, 1, None)[0])


def _amount(minor: int) -> Decimal:
    return Decimal(minor) / 100
