"""What an accountant does in the sandbox ERP's books by hand, behind the engine's back: each leaves them balanced."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from typing import Any

from counterfoil_sandbox.books import Books
from counterfoil_sandbox.document_store import stamp
from counterfoil_sandbox.erp_journal import Line, Refusal


class ByHand:
    """Changes to books that no sender asked for."""

    def __init__(self, books: Books) -> None:
        self._books = books

    def delete(self, key: str) -> None:
        """Take a document and its journal out."""
        document = self._id_of(key)
        with self._books.writing() as connection:
            connection.execute("delete from journal where document = ?", (document,))
            connection.execute("delete from documents where id = ?", (document,))

    def copy(self, key: str, with_key: bool) -> str:
        """Post a document once more, under a number of its own; with_key: its external reference is copied too."""
        document = self._id_of(key)
        row = self._books.document(document)
        assert row is not None
        with self._books.writing() as connection:
            number = self._books.next_number(row["entity"], row["kind"], date.fromisoformat(row["day"]))
            names = [name for name in row.keys() if name != "id"]  # noqa: SIM118 - a row is no mapping
            values = {name: row[name] for name in names} | {"number": number, "posted_at": stamp(self._books.now())}
            values |= {} if with_key else {"key": "", "slot": "", "content_hash": ""}
            marks = ", ".join("?" * len(names))
            made = connection.execute(
                f"insert into documents({', '.join(names)}) values ({marks})",  # noqa: S608
                [values[name] for name in names],
            )
            connection.execute(
                "insert into journal select ?, role, debit_minor, credit_minor, book_debit_minor, book_credit_minor"
                " from journal where document = ?",
                (made.lastrowid, document),
            )
        return number

    def move(self, key: str, role: str, to: str) -> None:
        """Book what a document has on one role on another one; where it is tax, the document's lines say it so too."""
        document = self._id_of(key)
        row = self._books.document(document)
        assert row is not None
        with self._books.writing() as connection:
            moved = connection.execute(
                "update journal set role = ? where document = ? and role = ?", (to, document, role)
            )
            if role.startswith("tax:"):
                body = _taxed_otherwise(json.loads(row["body"]), role, to)
                connection.execute("update documents set body = ? where id = ?", (json.dumps(body), document))
        if not moved.rowcount:
            raise Refusal("data", f"The document {key} has nothing on {role}.", "Name a role of its journal.")

    def book(
        self,
        entity: str,
        day: date,
        currency: str,
        book_currency: str,
        lines: Sequence[Line],
        *,
        kind: str = "journal",
        reference: str | None = None,
    ) -> str:
        """A manual journal, or a document of another connector that marked it so; returns its number."""
        amount = sum(line.debit_minor for line in lines)
        book = sum(line.book_debit_minor for line in lines)
        if (amount, book) != (sum(x.credit_minor for x in lines), sum(x.book_credit_minor for x in lines)):
            raise Refusal("unbalanced", "Its debits are not its credits.", "Correct the journal.")
        with self._books.writing() as connection:
            number = self._books.next_number(entity, kind, day)
            made = connection.execute(
                "insert into documents(key, slot, kind, entity, currency, book_currency, amount_minor, day,"
                " content_hash, reverses, number, posted_at, body)"
                " values ('', '', ?, ?, ?, ?, ?, ?, '', null, ?, ?, '{}')",
                (
                    *(kind, entity, currency, book_currency, amount, day.isoformat()),
                    *(number, stamp(self._books.now())),
                ),
            )
            rows = [
                (made.lastrowid, x.role, x.debit_minor, x.credit_minor, x.book_debit_minor, x.book_credit_minor)
                for x in lines
            ]
            connection.executemany("insert into journal values (?, ?, ?, ?, ?, ?)", rows)
            if reference is not None:
                connection.execute("insert into old_references values (?, ?)", (made.lastrowid, reference))
        return number

    def _id_of(self, key: str) -> int:
        found = self._books.id_of(key)
        if found is None:
            raise Refusal("data", f"No document has the key {key}.", "Take a key from the list of documents.")
        return found


def _taxed_otherwise(body: dict[str, Any], role: str, to: str) -> dict[str, Any]:
    names = ("treatment", "jurisdiction", "rate")
    for tax in (tax for line in body["lines"] for tax in line["taxes"]):
        if role == ":".join(["tax", *(tax[name] for name in names)]):
            tax.update(zip(names, to.split(":")[1:], strict=True))
    return body
