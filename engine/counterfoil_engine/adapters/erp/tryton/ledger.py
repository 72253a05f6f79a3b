"""Tryton's ledger by role: turnover of the accounts that the map names, and documents with what each moved."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from counterfoil_engine.adapters.erp.tryton.books import Books
from counterfoil_engine.adapters.erp.tryton.register import KEY, Register, Standing
from counterfoil_engine.domain.documents import JournalLine
from counterfoil_engine.domain.tie_out import NO_ROLE, Booked, added

PAGE = 2000

# account, currency's code, debit, credit, company's debit, company's credit
Turnover = tuple[int, str, Decimal, Decimal, Decimal, Decimal]
# A move of Tryton's (id, number, date, description, origin), and what it moved by role and currency.
Moved = tuple[Mapping[str, Any], dict[tuple[str, str], tuple[int, int]]]


class Ledger:
    """Reads posted moves alone. Raises Unavailable or RateLimited."""

    def __init__(self, books: Books, register: Register) -> None:
        self._books, self._register, self._read = books, register, books.tryton.read
        self._codes: dict[int, str] = {}

    def balances(self) -> dict[tuple[str, str], JournalLine]:
        """Turnover of each role and currency."""
        roles = {account.id: account.role for account in self._books.all_accounts()}
        rows: dict[tuple[str, str], list[int]] = {}
        for account, code, *amounts in self._turnover(list(roles)):
            if account in roles:
                sums = rows.setdefault((roles[account], code), [0, 0, 0, 0])
                for place, minor in enumerate(self._minor(code, amounts)):
                    sums[place] += minor
        return {(role, code): JournalLine(role, *amounts) for (role, code), amounts in rows.items()}

    def _turnover(self, accounts: list[int]) -> Iterable[Turnover]:
        if self._books.has_module:
            return [tuple(row) for row in self._read("model.counterfoil.ledger.turnover", self._books.company)]
        return self._added(accounts)

    def _added(self, accounts: list[int]) -> Iterator[Turnover]:
        """Line by line: Tryton itself adds up the company's currency alone."""
        for line in self._lines([("account", "in", accounts)]):
            code, own = self._own(line)
            yield line["account"], code, max(own, Decimal(0)), max(-own, Decimal(0)), line["debit"], line["credit"]

    def _lines(self, domain: list[Any]) -> Iterator[Mapping[str, Any]]:
        fields = ["move", "account", "debit", "credit", "second_currency", "amount_second_currency"]
        domain = [*domain, ("move.state", "=", "posted"), ("move.company", "=", self._books.company)]
        yield from self._pages("account.move.line", domain, fields)

    def _own(self, line: Mapping[str, Any]) -> tuple[str, Decimal]:
        if line["second_currency"] is None:
            return self._books.currency.code, line["debit"] - line["credit"]
        return self._books.currency_code(line["second_currency"]), Decimal(line["amount_second_currency"] or 0)

    def _minor(self, code: str, amounts: Iterable[Decimal]) -> list[int]:
        debit, credit, book_debit, book_credit = amounts
        own, book = self._books.currency_of(code), self._books.currency
        return [own.minor(debit), own.minor(credit), book.minor(book_debit), book.minor(book_credit)]

    # Documents

    def entries(self, first: date, last: date) -> Iterator[Booked]:
        """Every document with a posting date in these days, ours, and those made by hand that touch one of our roles.
        What was cancelled in these days is no document any more."""
        names = {account.id: account.role for account in self._books.all_accounts()}
        ours = list(self._register.between(first, last))
        by_record: dict[str, Standing] = {each.record: each for each in ours if _has_move(each.record)}
        moves = list(self._moves(first, last, names))
        cancelled = _cancelled(moves)
        told: set[str] = set()
        by_hand: list[Moved] = []
        for move, net in moves:
            standing = by_record.get(f"account.move,{move['id']}") or by_record.get(move["origin"] or "")
            if standing is not None:
                told.add(standing.record)
                if move["id"] not in cancelled:
                    yield _booked(standing, net)
            elif move["id"] not in cancelled and any(not role.startswith(NO_ROLE) for role, _ in net):
                by_hand.append((move, net))
        yield from self._by_hand(by_hand)
        yield from (_booked(each, {}) for each in ours if each.record not in told)

    def _moves(self, first: date, last: date, names: Mapping[int, str]) -> Iterator[Moved]:
        if self._books.has_module:
            yield from self._moves_in_bulk(first, last, names)
            return
        nets: dict[int, dict[tuple[str, str], tuple[int, int]]] = defaultdict(dict)
        for line in self._lines([("move.date", ">=", first), ("move.date", "<=", last)]):
            code, own = self._own(line)
            self._add(nets[line["move"]], names, line["account"], code, own, line["debit"] - line["credit"])
        domain = self._books.of_company(("state", "=", "posted"), ("date", ">=", first), ("date", "<=", last))
        for move in self._pages("account.move", domain, ["number", "date", "description", "origin"]):
            yield move, nets[move["id"]]

    def _moves_in_bulk(self, first: date, last: date, names: Mapping[int, str]) -> Iterator[Moved]:
        after = 0
        while True:
            page = self._read("model.counterfoil.ledger.moves", self._books.company, first, last, after, PAGE)
            nets: dict[int, dict[tuple[str, str], tuple[int, int]]] = defaultdict(dict)
            for move, account, code, own, book in page["lines"]:
                self._add(nets[move], names, account, code, own, book)
            for row in page["moves"]:
                move = dict(zip(("id", "number", "date", "description", "origin"), row, strict=True))
                yield move, nets[move["id"]]
            if len(page["moves"]) < PAGE:
                return
            after = page["moves"][-1][0]

    def _add(
        self,
        net: dict[tuple[str, str], tuple[int, int]],
        names: Mapping[int, str],
        account: int,
        code: str,
        own: Decimal,
        book: Decimal,
    ) -> None:
        place = names.get(account) or f"{NO_ROLE}{self._code(account)}", code
        amount_minor, book_minor = net.get(place, (0, 0))
        amount_minor += self._books.currency_of(code).minor(own)
        net[place] = amount_minor, book_minor + self._books.currency.minor(book)

    def _code(self, account: int) -> str:
        if account not in self._codes:
            for row in self._read("model.account.account.read", [account], ["code"]):
                self._codes[account] = row["code"] or str(account)
        return self._codes[account]

    def _by_hand(self, moves: Sequence[Moved]) -> Iterator[Booked]:
        """What people made, invoices by their own numbers; under a key of ours where they bear one, as a copy does."""
        invoices = self._invoices(move["origin"] for move, _ in moves)
        for move, net in moves:
            invoice = invoices.get(move["origin"] or "")
            code = min((code for _, code in net), default=self._books.currency.code)
            owed_minor, _ = net.get(("receivable", code), (0, 0))
            if invoice and owed_minor:
                kind, amount_minor = "invoice" if owed_minor > 0 else "credit_note", abs(owed_minor)
            else:
                kind = (move["origin"] or "journal").partition(",")[0]
                amount_minor = sum(amount for (_, of), (amount, _) in net.items() if of == code and amount > 0)
            named = invoice["reference"] if invoice else move["description"]
            key = named if KEY.fullmatch(named or "") else None
            number = (invoice["number"] if invoice else None) or move["number"] or str(move["id"])
            yield Booked(key, number, kind, amount_minor, code, move["date"], net)

    def _invoices(self, origins: Iterable[str | None]) -> dict[str, Mapping[str, Any]]:
        named = [origin for origin in origins if origin and origin.startswith("account.invoice,")]
        ids, found = sorted({int(origin.partition(",")[2]) for origin in named}), {}
        for start in range(0, len(ids), PAGE):
            rows = self._read("model.account.invoice.read", ids[start : start + PAGE], ["number", "reference"])
            found |= {f"account.invoice,{row['id']}": row for row in rows}
        return found

    def _pages(self, model: str, domain: list[Any], fields: list[str]) -> Iterator[Mapping[str, Any]]:
        last = 0
        while True:
            rows = self._read(
                f"model.{model}.search_read", [*domain, ("id", ">", last)], 0, PAGE, [("id", "ASC")], fields
            )
            yield from rows
            if len(rows) < PAGE:
                return
            last = rows[-1]["id"]


def _cancelled(moves: Sequence[Moved]) -> frozenset[int]:
    """Moves that somebody cancelled, and those by which: Tryton makes one that is of the other and undoes it."""
    nets = {move["id"]: net for move, net in moves}
    found: set[int] = set()
    for move, net in moves:
        model, _, number = (move["origin"] or "").partition(",")
        original = int(number) if model == "account.move" else 0
        if original in nets and all(amounts == (0, 0) for amounts in added([nets[original], net]).values()):
            found |= {original, move["id"]}
    return frozenset(found)


def _has_move(record: str) -> bool:
    return record.startswith(("account.move,", "account.invoice,"))


def _booked(standing: Standing, net: Mapping[tuple[str, str], tuple[int, int]]) -> Booked:
    return Booked(
        standing.key,
        standing.number,
        standing.kind,
        standing.amount_minor,
        standing.currency,
        standing.day,
        net,
    )
