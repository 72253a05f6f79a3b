"""The sandbox ERP's page: its documents, journal, balances and switches, as plain HTML."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from flask import Flask, render_template, request

from counterfoil_sandbox.erp_modes import FAULTS

if TYPE_CHECKING:
    from counterfoil_sandbox.books import Books
    from counterfoil_sandbox.erp import SandboxErp

PAGE_SIZE = 25

# ISO 4217: the currencies whose minor unit isn't a hundredth.
_NO_DECIMALS = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_DECIMALS = {
    code: decimals
    for decimals, codes in ((0, _NO_DECIMALS), (3, "BHD IQD JOD KWD LYD OMR TND"), (4, "CLF UYW"))
    for code in codes.split()
}


def add_routes(app: Flask, erp: SandboxErp) -> None:
    app.jinja_env.filters["money"] = money
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True

    @app.after_request
    def guard(answer: Any) -> Any:
        # What shoppers wrote is escaped; should a tag slip through, the browser still runs nothing.
        answer.headers["Content-Security-Policy"] = (
            "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
        )
        answer.headers["X-Content-Type-Options"] = "nosniff"
        return answer

    @app.get("/")
    def page() -> str:
        before = request.args.get("before", "")
        is_id = before.isascii() and before.isdigit() and len(before) <= 18
        documents = erp.books.newest(int(before) if is_id else None, PAGE_SIZE)
        lines: dict[int, list[Any]] = {}
        for line in erp.books.journal_lines([row["id"] for row in documents]):
            lines.setdefault(line["document"], []).append(line)
        return render_template(
            "erp.html",
            erp=erp,
            documents=documents,
            lines=lines,
            older=documents[-1]["id"] if len(documents) == PAGE_SIZE else None,
            is_first=not is_id,
            count=erp.books.count(),
            books=_trial_balances(erp.books),
            closed=erp.books.closed_periods(),
            faults=FAULTS,
        )

    @app.get("/documents/<int:document_id>")
    def document(document_id: int) -> Any:
        row = erp.books.document(document_id) if document_id < 2**62 else None
        if row is None:
            return render_template("erp_document.html", row=None), 404
        body = json.dumps(json.loads(row["body"]), indent=2)
        return render_template("erp_document.html", row=row, lines=erp.books.journal_lines([row["id"]]), body=body)


def money(amount_minor: int, currency: str) -> str:
    """An amount with its currency's decimals; thousands parted by a thin space; a dash for nothing."""
    if amount_minor == 0:
        return "–"
    decimals = _DECIMALS.get(currency, 2)
    whole, part = divmod(abs(amount_minor), 10**decimals)
    shown = f"{whole:,}".replace(",", "\u2009") + (f".{part:0{decimals}}" if decimals else "")
    return ("−" if amount_minor < 0 else "") + shown


def _trial_balances(books: Books) -> list[dict[str, Any]]:
    """A table an entity: its roles, and the sums that have to be equal, a currency and in book currency."""
    currencies = books.book_currencies()
    tables: dict[str, dict[str, Any]] = {
        entity: {"entity": entity, "book": book, "rows": [], "sums": {}} for entity, book in currencies.items()
    }
    for (entity, role, currency), balance in books.balances().items():
        table = tables[entity]
        table["rows"].append((role, currency, balance))
        for name, debit, credit in (
            (currency, balance.debit_minor, balance.credit_minor),
            (f"{table['book']} (books)", balance.book_debit_minor, balance.book_credit_minor),
        ):
            total = table["sums"].setdefault(name, [name[:3], 0, 0])
            total[1] += debit
            total[2] += credit
    return list(tables.values())
