"""The sandbox ERP's books: double entry over SQLite, idempotent by key, with closed periods, items and rates.

`Books` can be used in process (rehearsal, tests) or behind HTTP (`erp.py`). It trusts no sender: the journal of each
document is derived here (`erp_journal.py`), and what doesn't hold is refused with cause and remedy.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from counterfoil_sandbox import erp_journal as journal
from counterfoil_sandbox.document_store import DocumentStore, stamp
from counterfoil_sandbox.erp_journal import Balance, Balances, Line, Refusal

SCHEMA = """
create table if not exists documents(
    id integer primary key, key text not null, slot text not null, kind text not null, entity text not null,
    currency text not null, book_currency text not null, amount_minor integer not null, day text not null,
    content_hash text not null, reverses text, number text not null, posted_at text not null, body text not null);
create index if not exists documents_key on documents(key);
create index if not exists documents_slot on documents(slot);
create index if not exists documents_reverses on documents(reverses);
create index if not exists documents_posted_at on documents(posted_at);
create table if not exists journal(
    document integer not null references documents(id), role text not null,
    debit_minor integer not null, credit_minor integer not null,
    book_debit_minor integer not null, book_credit_minor integer not null);
create index if not exists journal_document on journal(document);
create table if not exists old_references(
    document integer primary key references documents(id) on delete cascade, reference text not null);
create index if not exists old_references_reference on old_references(reference);
create table if not exists numbers(
    entity text, kind text, year integer, last integer not null, primary key (entity, kind, year));
create table if not exists counterparties(entity text, counterparty text, primary key (entity, counterparty));
create table if not exists closed_periods(entity text, first_day text, last_day text);
create table if not exists items(item text primary key);
create table if not exists accounts(role text primary key);
create table if not exists rates(currency text, book text, from_day text, rate text not null,
    primary key (currency, book, from_day));
"""

NUMBER_PREFIX = {
    "customer": "CU",
    "sales_order": "SO",
    "payment": "PA",
    "tender": "TE",
    "invoice": "IN",
    "cancellation": "CA",
    "credit_note": "CN",
    "refund_payment": "RP",
    "application": "AP",
    "transfer": "TR",
    "return": "RT",
    "fee": "FE",
    "payout": "PO",
    "dispute": "DI",
    "journal": "JO",
}

Outcome = dict[str, Any]


@dataclass(frozen=True)
class Settings:
    """How strict the books are.

    accept_all_items: any item passes; else only those of the item master.
    references: "strict" refuses a document whose prerequisite (counterparty, sales order, invoice) doesn't stand here;
    "any" lets it pass, as books must that began after the store did (what was taken over is not in them).
    """

    accept_all_items: bool = True
    references: Literal["strict", "any"] = "strict"


class Books(DocumentStore):
    """One company group's books, kept per entity. All methods may be called from several threads."""

    def __init__(
        self,
        path: str = ":memory:",
        *,
        settings: Settings | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """path: an SQLite file, or ":memory:". now: the books' clock, UTC with offset."""
        self.settings = settings or Settings()
        self.now = now
        super().__init__(path, SCHEMA)

    # What the contract offers

    def post(
        self,
        documents: Sequence[Any],
        *,
        unique_keys: bool = True,
        plant: Mapping[str, str] | None = None,
        at: datetime | None = None,
    ) -> list[Outcome]:
        """Post each once, in order, in one transaction; an outcome each, as the contract's JSON says.

        unique_keys False: a key that stands is posted again (the ERP that can't keep keys unique). plant: roles to book
        under a wrong name {right: wrong}. at: the moment of the commit, where it isn't now.
        """
        posted_at = at or self.now()
        with self._writing():
            return [self._post_one(document, unique_keys, plant or {}, posted_at) for document in documents]

    def rate(self, currency: str, book: str, on: date) -> str | None:
        """Units of currency for one unit of book in force on that day."""
        if currency == book:
            return "1"
        rows = self._rows(
            "select rate from rates where currency = ? and book = ? and from_day <= ? order by from_day desc limit 1",
            (currency, book, on.isoformat()),
        )
        return rows[0]["rate"] if rows else None

    def open_day(self, entity: str, on: date) -> date:
        """That day, or the first after it that lies in no closed period."""
        day = on
        for row in self._rows(
            "select first_day, last_day from closed_periods where entity in (?, '*') order by first_day", (entity,)
        ):
            last_day = date.fromisoformat(row["last_day"])
            if date.fromisoformat(row["first_day"]) <= day <= last_day and last_day < date.max:
                day = last_day + timedelta(days=1)
        return day

    def balances(self, entity: str | None = None, until: date | None = None) -> Balances:
        """Balances by entity, role and currency; until: of documents dated to that day."""
        last = until.isoformat() if until else None
        # Summed in two halves: SQLite's sum() of 64-bit integers fails where it overflows.
        halves = ", ".join(
            f"sum({column} / 1000000) as {column}_high, sum({column} % 1000000) as {column}_low" for column in _AMOUNTS
        )
        rows = self._rows(
            f"select d.entity, j.role, d.currency, {halves} from journal j join documents d on d.id = j.document"  # noqa: S608
            " where (? is null or d.entity = ?) and (? is null or d.day <= ?)"
            " group by d.entity, j.role, d.currency order by 1, 2, 3",
            (entity, entity, last, last),
        )
        return {
            (row["entity"], row["role"], row["currency"]): Balance(
                *(row[f"{column}_high"] * 1_000_000 + row[f"{column}_low"] for column in _AMOUNTS)
            )
            for row in rows
        }

    def entries(self, entity: str, first: date, last: date, after: int, limit: int) -> tuple[list[Outcome], int | None]:
        """A page of the ledger of these days, document by document, and the cursor of the next (None: none is left)."""
        rows = self._rows(
            "select * from documents where entity = ? and day between ? and ? and id > ? order by id limit ?",
            (entity, first.isoformat(), last.isoformat(), after, limit + 1),
        )
        page = rows[:limit]
        lines: dict[int, list[Outcome]] = {row["id"]: [] for row in page}
        for line in self.journal_lines(list(lines)):
            lines[line["document"]].append({name: line[name] for name in ("role", *_AMOUNTS)})
        names = ("number", "kind", "currency", "amount_minor", "day")
        told = [{"key": row["key"] or None, **{n: row[n] for n in names}, "lines": lines[row["id"]]} for row in page]
        return told, page[-1]["id"] if len(rows) > limit else None

    def find_old(self, entity: str, kind: str, references: Sequence[str]) -> list[Outcome]:
        """What somebody else posted, by the references that it was marked with."""
        marks = ",".join("?" * len(references))
        rows = self._rows(
            "select o.reference, d.number, d.amount_minor, d.currency, d.day from old_references o"  # noqa: S608
            f" join documents d on d.id = o.document where d.entity = ? and d.kind = ? and o.reference in ({marks})"
            " order by d.id",
            (entity, kind, *references),
        )
        return [dict(row) for row in rows]

    # What an accountant sets

    def set_rate(self, currency: str, book: str, from_day: date, rate: str) -> None:
        """Units of currency for one unit of book from that day on, as a decimal string above 0."""
        for name in (currency, book):
            journal.currency_of({"currency": name}, "currency")
        if not isinstance(rate, str) or not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,10})?", rate) or Decimal(rate) == 0:
            raise Refusal("contract", "The rate is not a decimal string above 0.", 'Send it like "1.25".')
        with self._writing():
            self._connection.execute(
                "insert or replace into rates values (?, ?, ?, ?)", (currency, book, from_day.isoformat(), rate)
            )

    def close_period(self, entity: str, first_day: date, last_day: date) -> None:
        """Let nothing more be posted on these days; entity "*" means all."""
        if last_day < first_day:
            raise Refusal("contract", "The period ends before it begins.", "Send the first day, then the last.")
        with self._writing():
            self._connection.execute(
                "insert into closed_periods values (?, ?, ?)", (entity, first_day.isoformat(), last_day.isoformat())
            )

    def open_all_periods(self, entity: str) -> None:
        with self._writing():
            self._connection.execute("delete from closed_periods where entity = ?", (entity,))

    def set_items(self, items: Iterable[str], *, accept_all: bool) -> None:
        """Replace the item master; accept_all lets items pass that are not in it."""
        rows = [(item,) for item in items]
        with self._writing():
            self._connection.execute("delete from items")
            self._connection.executemany("insert or ignore into items values (?)", rows)
            self.settings = Settings(accept_all, self.settings.references)

    def set_accounts(self, roles: Iterable[str]) -> None:
        """Replace the roles that have an account; none: every role has one."""
        rows = [(role,) for role in roles]
        with self._writing():
            self._connection.execute("delete from accounts")
            self._connection.executemany("insert or ignore into accounts values (?)", rows)

    def tamper(self, key: str, amount_minor: int) -> str:
        """Edit a document behind its sender's back, with its largest debit and credit; returns its number.

        The books still balance, key and hash stay: only a comparison of balances can show it.
        """
        new = journal.amount_of({"amount_minor": amount_minor}, "amount_minor")
        with self._writing():
            rows = self._rows("select * from documents where key = ? and amount_minor > 0 limit 1", (key,))
            if not rows:
                raise Refusal(
                    "data", "No document with an amount has this key.", "Take a key from the list of documents."
                )
            document, lines = rows[0], self.journal_lines([rows[0]["id"]])
            by_minor = new - document["amount_minor"]
            book_minor = sum(line["book_debit_minor"] for line in lines)
            by_book_minor = by_minor * book_minor // document["amount_minor"]
            for side in ("debit", "credit") if lines else ():
                largest = max(lines, key=lambda line, side=side: line[f"{side}_minor"])  # type: ignore[misc]
                if largest[f"{side}_minor"] + by_minor < 0 or largest[f"book_{side}_minor"] + by_book_minor < 0:
                    raise Refusal(
                        "data", "Its lines can't be lowered so far.", "Choose an amount nearer to the old one."
                    )
                self._connection.execute(
                    f"update journal set {side}_minor = {side}_minor + ?, book_{side}_minor = book_{side}_minor + ?"  # noqa: S608
                    " where document = ? and role = ?",
                    (by_minor, by_book_minor, document["id"], largest["role"]),
                )
            self._connection.execute("update documents set amount_minor = ? where id = ?", (new, document["id"]))
            return str(document["number"])

    # What its makers do to it by hand (`erp_by_hand.py`)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One writing transaction."""
        with self._writing():
            yield self._connection

    def id_of(self, key: str) -> int | None:
        """The first document that bears a key."""
        rows = self._rows("select id from documents where key = ? order by id limit 1", (key,))
        return int(rows[0]["id"]) if rows else None

    # What the page shows

    def newest(self, before: int | None, limit: int) -> list[sqlite3.Row]:
        """Documents, the newest first, from below an id."""
        return self._rows("select * from documents where id < ? order by id desc limit ?", (before or 2**62, limit))

    def document(self, document_id: int) -> sqlite3.Row | None:
        rows = self._rows("select * from documents where id = ?", (document_id,))
        return rows[0] if rows else None

    def journal_lines(self, documents: Sequence[int]) -> list[sqlite3.Row]:
        """The journal of these documents, in the order booked."""
        marks = ",".join("?" * len(documents))
        return self._rows(
            f"select j.*, d.currency, d.book_currency from journal j join documents d on d.id = j.document"  # noqa: S608
            f" where j.document in ({marks}) order by j.rowid",
            documents,
        )

    def book_currencies(self) -> dict[str, str]:
        """The book currency of each entity, as its first document named it."""
        rows = self._rows("select entity, book_currency from documents group by entity having id = min(id)")
        return {row["entity"]: row["book_currency"] for row in rows}

    def closed_periods(self) -> list[sqlite3.Row]:
        return self._rows("select * from closed_periods order by entity, first_day")

    # Posting one document

    def _post_one(self, document: Any, unique_keys: bool, plant: Mapping[str, str], posted_at: datetime) -> Outcome:
        key = document.get("key") if isinstance(document, dict) else None
        try:
            if not isinstance(document, dict):
                raise Refusal("contract", "A document is not a JSON object.", "Send an object a document.")
            header = _Header.of(document)
            number = self._standing_number(header) if unique_keys else None
            if number is None:
                lines = self._judge(document, header)
                planted = [Line(plant.get(line.role, line.role), *_amounts(line)) for line in lines]
                number = self._book(document, header, planted, posted_at)
        except Refusal as no:
            return {"key": key, "status": "refused", "category": no.category, "cause": no.cause, "remedy": no.remedy}
        return {"key": key, "status": "posted", "number": number}

    def _standing_number(self, header: _Header) -> str | None:
        rows = self._rows("select number, content_hash from documents where key = ? order by id limit 1", (header.key,))
        if rows and rows[0]["content_hash"] != header.content_hash:
            raise Refusal(
                "conflict",
                f"The key {header.key} stands already under number {rows[0]['number']} with other content.",
                "Reverse that document and post the new content under the next revision of its key.",
            )
        return str(rows[0]["number"]) if rows else None

    def _judge(self, document: Mapping[str, Any], header: _Header) -> Sequence[Line]:
        """The journal of a document that may be booked; raises Refusal where it may not."""
        self._require_book_currency(header)
        open_day = self.open_day(header.entity, header.day)
        if open_day != header.day:
            raise Refusal(
                "closed_period",
                f"The period of {header.day} is closed in {header.entity}.",
                f"Post it on {open_day}, the first open day, or open the period.",
            )
        if header.reverses is not None:
            return self._reversal(header)
        lines = journal.journal_of(document)
        self._require_items(document)
        self._require_accounts(lines)
        self._require_references(document, header)
        return lines

    def _require_book_currency(self, header: _Header) -> None:
        rows = self._rows("select book_currency from documents where entity = ? order by id limit 1", (header.entity,))
        if rows and rows[0]["book_currency"] != header.book_currency:
            raise Refusal(
                "contract",
                f"The books of {header.entity} are kept in {rows[0]['book_currency']}, not in {header.book_currency}.",
                "Correct the entity's book currency in the rules.",
            )

    def _reversal(self, header: _Header) -> Sequence[Line]:
        originals = self._rows("select * from documents where key = ? order by id", (header.reverses,))
        undone = self._rows("select number from documents where reverses = ?", (header.reverses,))
        if not originals:
            raise Refusal(
                "data",
                f"The document {header.reverses} to be reversed is not in the books.",
                "Post it first, or leave its reversal.",
            )
        if len(undone) >= len(originals):
            raise Refusal(
                "conflict",
                f"The document {header.reverses} is reversed already, under number {undone[0]['number']}.",
                "Leave this reversal; a document is reversed once.",
            )
        original = originals[len(undone)]
        same = ("kind", "entity", "currency", "book_currency")
        if original["reverses"] is not None or any(original[name] != getattr(header, name) for name in same):
            raise Refusal(
                "contract",
                f"The reversal is not of the kind, entity and currencies of {header.reverses}, or that is one itself.",
                "Send the original's document with its amount negated; what replaces it is a document of its own.",
            )
        if header.amount_minor != -original["amount_minor"]:
            raise Refusal(
                "unbalanced",
                f"The reversal's amount is {header.amount_minor}, its original's {original['amount_minor']} (minor).",
                "Send the original's amount negated; where they differ, somebody has edited the document in the ERP.",
            )
        booked = self.journal_lines([original["id"]])
        return [Line(row["role"], *(row[column] for column in _AMOUNTS)).mirrored for row in booked]

    def _require_items(self, document: Mapping[str, Any]) -> None:
        for line in journal.lines_of(document):
            if line.type != "item":
                continue
            known = self.settings.accept_all_items or self._rows("select 1 from items where item = ?", (line.item,))
            if line.item is None or not known:
                raise Refusal(
                    "missing_mapping",
                    f"The item {line.item!r} is not in the item master.",
                    "Create the item in the ERP, or map the product to one that is there.",
                )

    def _require_accounts(self, lines: Sequence[Line]) -> None:
        if not self._rows("select 1 from accounts limit 1"):
            return
        for line in lines:
            if not self._rows("select 1 from accounts where role = ?", (line.role,)):
                raise Refusal(
                    "missing_mapping",
                    f"The role {line.role!r} has no account.",
                    "Open an account for it, or map the document's class, tax or gateway to a role that has one.",
                )

    def _require_references(self, document: Mapping[str, Any], header: _Header) -> None:
        if header.kind == "sales_order":
            self._require_counterparty(header.entity, journal.text_of(document, "counterparty"))
        elif header.kind in ("invoice", "cancellation"):
            self._require_standing(document, header, journal.text_of(document, "sales_order"))
        elif header.kind == "credit_note":
            invoice = self._require_standing(document, header, journal.text_of(document, "invoice"))
            if invoice is not None:
                self._require_invoiced(document, invoice)

    def _require_counterparty(self, entity: str, counterparty: str) -> None:
        known = self._rows("select 1 from counterparties where (entity, counterparty) = (?, ?)", (entity, counterparty))
        if not known and self.settings.references == "strict":
            raise Refusal(
                "data", f"The counterparty {counterparty} is not in the books.", "Post its customer document first."
            )

    def _require_standing(self, document: Mapping[str, Any], header: _Header, slot: str) -> sqlite3.Row | None:
        """The document in a slot; None where it is one of old, which stands under the number that is named."""
        rows = self._rows(_STANDING + " and d.slot = ? and d.entity = ?", (slot, header.entity))
        number = document.get("taken_over", {}).get(slot)
        if not rows and number is not None:
            return self._require_old(header.entity, number)
        if not rows and self.settings.references == "strict":
            raise Refusal(
                "data", f"No document stands in the slot {slot}, which this one refers to.", "Post that document first."
            )
        return rows[0] if rows else None

    def _require_old(self, entity: str, number: str) -> None:
        if not self._rows("select 1 from documents where entity = ? and number = ? and key = ''", (entity, number)):
            raise Refusal(
                "data",
                f"No document of old stands under the number {number}, which this one refers to.",
                "Look what became of it, or link what was taken over anew: counterfoil erp taken-over STORE --link.",
            )

    def _require_invoiced(self, credit_note: Mapping[str, Any], invoice: sqlite3.Row) -> None:
        """Credits of an invoice never exceed what it has invoiced, in all and by tax rate."""
        credited = self._rows(
            _STANDING + " and d.kind = 'credit_note' and json_extract(d.body, '$.invoice') = ?", (invoice["slot"],)
        )
        open_minor = _by_rate(json.loads(invoice["body"]))
        credits_now = {rate for rate, minor in _by_rate(credit_note).items() if minor}
        for body in [credit_note, *(json.loads(row["body"]) for row in credited)]:
            for rate, minor in _by_rate(body).items():
                open_minor[rate] = open_minor.get(rate, 0) - minor
        for rate, minor in open_minor.items():
            if minor < 0 and rate in credits_now:  # what a discount left below 0 is no credit
                raise Refusal(
                    "refund",
                    f"The credits of invoice {invoice['number']} exceed what it has of {rate} by {-minor} (minor).",
                    "Correct the refund, or credit another invoice of the order.",
                )

    def _book(self, document: Mapping[str, Any], header: _Header, lines: Sequence[Line], posted_at: datetime) -> str:
        number = self.next_number(header.entity, header.kind, header.day)
        cursor = self._connection.execute(
            "insert into documents(key, slot, kind, entity, currency, book_currency, amount_minor, day, content_hash,"
            " reverses, number, posted_at, body) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(header.key, header.slot, header.kind, header.entity, header.currency, header.book_currency),
                *(header.amount_minor, header.day.isoformat(), header.content_hash, header.reverses, number),
                *(stamp(posted_at), json.dumps(document)),
            ),
        )
        self._connection.executemany(
            "insert into journal values (?, ?, ?, ?, ?, ?)",
            [(cursor.lastrowid, line.role, *_amounts(line)) for line in lines],
        )
        if header.kind == "customer":
            self._connection.execute(
                "insert or ignore into counterparties values (?, ?)",
                (header.entity, journal.text_of(document, "counterparty")),
            )
        return number

    def next_number(self, entity: str, kind: str, day: date) -> str:
        row = self._connection.execute(
            "insert into numbers values (?, ?, ?, 1) on conflict do update set last = last + 1 returning last",
            (entity, kind, day.year),
        ).fetchone()
        return f"{NUMBER_PREFIX[kind]}-{day.year:04}-{row['last']:06}"


_AMOUNTS = ("debit_minor", "credit_minor", "book_debit_minor", "book_credit_minor")
_STANDING = (
    # Of several that bear one key, the first are the ones that are reversed.
    "select * from documents d where d.reverses is null and (select count(*) from documents r where r.reverses = d.key)"
    " <= (select count(*) from documents e where e.key = d.key and e.id < d.id)"
)


@dataclass(frozen=True)
class _Header:
    """The fields that every document has."""

    key: str
    slot: str
    kind: str
    entity: str
    currency: str
    book_currency: str
    amount_minor: int
    day: date
    content_hash: str
    reverses: str | None

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> _Header:
        journal.require_contract(document)
        return cls(
            key=journal.text_of(document, "key"),
            slot=journal.text_of(document, "slot"),
            kind=journal.text_of(document, "kind"),
            entity=journal.text_of(document, "entity", 64),
            currency=journal.currency_of(document, "currency"),
            book_currency=journal.currency_of(document, "book_currency"),
            amount_minor=journal.amount_of(document, "amount_minor"),
            day=journal.day_of(document, "date"),
            content_hash=journal.text_of(document, "content_hash", 128),
            reverses=journal.text_of(document, "reverses") if document.get("reverses") is not None else None,
        )


def _by_rate(document: Mapping[str, Any]) -> dict[str, int]:
    """What a document's lines come to, in all and by role of tax; minor units."""
    sums = {"gross": 0}
    for line in journal.lines_of(document):
        sums["gross"] += line.gross_minor
        for role, tax_minor, _ in line.taxes:
            sums[role] = sums.get(role, 0) + tax_minor
    return sums


def _amounts(line: Line) -> tuple[int, int, int, int]:
    return line.debit_minor, line.credit_minor, line.book_debit_minor, line.book_credit_minor
