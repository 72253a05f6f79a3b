"""The engine's own journal: what each result moved, by role, to be tied to the ERP's ledger. It only ever grows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from counterfoil_engine.ports import Intent
from counterfoil_engine.records.database import Transaction


def book(tx: Transaction, intent: Intent) -> None:
    """Write the lines of a document that has a result; of a reversal, the original's lines mirrored."""
    if intent.document is None:
        return
    posting_date = intent.posting_date or intent.day
    tx.run_many(
        "insert into journal (party, entity, document, about, posting_date, role, currency, book_currency,"
        " debit_minor, credit_minor, book_debit_minor, book_credit_minor)"
        " values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        [
            (
                intent.party,
                intent.entity,
                intent.key,
                intent.about,
                posting_date.isoformat(),
                line.role,
                intent.document.currency,
                intent.document.book_currency,
                *(
                    (line.credit_minor, line.debit_minor, line.book_credit_minor, line.book_debit_minor)
                    if intent.reverses
                    else (line.debit_minor, line.credit_minor, line.book_debit_minor, line.book_credit_minor)
                ),
            )
            for line in intent.document.journal
        ],
    )


_SUMS = (
    "sum(debit_minor) as debit_minor, sum(credit_minor) as credit_minor,"
    " sum(book_debit_minor) as book_debit_minor, sum(book_credit_minor) as book_credit_minor"
)


def balances(tx: Transaction, entity: str | None = None, about: str | None = None) -> list[Mapping[str, Any]]:
    """Sums by entity, role and currency, of an entity, of one subject, or of all."""
    return tx.all(
        f"select entity, role, currency, {_SUMS} from journal"
        " where (cast(%s as text) is null or entity = %s) and (cast(%s as text) is null or about = %s)"
        " group by entity, role, currency order by entity, role, currency",
        entity,
        entity,
        about,
        about,
    )


def lines(tx: Transaction, about: str | None = None) -> list[Mapping[str, Any]]:
    """Every line, of one subject or of all, in the order of booking."""
    which, told = ("", ()) if about is None else (" where about = %s", (about,))
    return tx.all(
        "select document, about, posting_date, role, currency, debit_minor, credit_minor, book_debit_minor,"
        f" book_credit_minor from journal{which} order by id",
        *told,
    )
