"""The engine's own journal: what each result moved, by role, to be tied to the ERP's ledger. It only ever grows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from counterfoil_engine.domain.documents import Document
from counterfoil_engine.ports import Intent
from counterfoil_engine.records import postings
from counterfoil_engine.records.database import Transaction


def book(tx: Transaction, intents: Sequence[Intent]) -> set[str]:
    """Write the lines of documents that have a result; of a reversal, the original's lines mirrored.

    Returns the payouts that waited for what is booked: they deserve a look."""
    rows = [row for intent in intents for row in _lines(intent)]
    if not rows:
        return set()
    table, params = tx.given(
        rows,
        party="text",
        entity="text",
        document="text",
        about="text",
        posting_date="text",
        role="text",
        currency="text",
        book_currency="text",
        debit_minor="bigint",
        credit_minor="bigint",
        book_debit_minor="bigint",
        book_credit_minor="bigint",
    )
    tx.run(
        "insert into journal (party, entity, document, about, posting_date, role, currency, book_currency,"
        " debit_minor, credit_minor, book_debit_minor, book_credit_minor)"
        f" select * from {table}",
        *params,
    )
    return postings.book(tx, intents)


def take_over(tx: Transaction, documents: Sequence[tuple[int, Document]]) -> set[str]:
    """What stands in the ERP since before the start line (R3): no lines of ours, but payouts' lines may be it."""
    return postings.stand(tx, documents)


def _lines(intent: Intent) -> list[tuple[Any, ...]]:
    document, posting_date = intent.document, intent.posting_date or intent.day
    if document is None:
        return []
    return [
        (
            intent.party,
            intent.entity,
            intent.key,
            intent.about,
            posting_date.isoformat(),
            line.role,
            document.currency,
            document.book_currency,
            *(
                (line.credit_minor, line.debit_minor, line.book_credit_minor, line.book_debit_minor)
                if intent.reverses
                else (line.debit_minor, line.credit_minor, line.book_debit_minor, line.book_credit_minor)
            ),
        )
        for line in document.journal
    ]


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
