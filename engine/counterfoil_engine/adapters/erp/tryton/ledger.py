"""Tryton's ledger by role: turnover of the accounts that the map names, and documents with what each moved."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from counterfoil_engine.adapters.erp.tryton.books import Books
from counterfoil_engine.adapters.erp.tryton.register import Register, Standing
from counterfoil_engine.domain.documents import JournalLine
from counterfoil_engine.domain.tie_out import Booked

PAGE = 2000

# account, currency's code, debit, credit, company's debit, company's credit
Turnover = tuple[int, str, Decimal, Decimal, Decimal, Decimal]


class Ledger:
    """Reads posted moves alone. Raises Unavailable or RateLimited."""

    def __init__(self, books: Books, register: Register) -> None:
        self._books, self._register, self._read = books, register, books.tryton.read

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
        """Every document with a posting date in these days, ours and those made by hand."""
        names = {account.id: account.role for account in self._books.all_accounts()}
        ours = list(self._register.between(first, last))
        by_record: dict[str, Standing] = {each.record: each for each in ours if _has_move(each.record)}
        seen: set[str] = set()
        for move, net in self._moves(first, last, names):
            standing = by_record.get(f"account.move,{move['id']}") or by_record.get(move["origin"] or "")
            if standing is None:
                yield self._foreign(move, net)
            else:
                seen.add(standing.record)
                yield _booked(standing, net)
        yield from (_booked(each, {}) for each in ours if each.record not in seen or not _has_move(each.record))

    def _moves(
        self, first: date, last: date, names: Mapping[int, str]
    ) -> Iterator[tuple[Mapping[str, Any], dict[tuple[str, str], tuple[int, int]]]]:
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

    def _moves_in_bulk(
        self, first: date, last: date, names: Mapping[int, str]
    ) -> Iterator[tuple[Mapping[str, Any], dict[tuple[str, str], tuple[int, int]]]]:
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
        place = names.get(account, f"account:{account}"), code
        amount_minor, book_minor = net.get(place, (0, 0))
        amount_minor += self._books.currency_of(code).minor(own)
        net[place] = amount_minor, book_minor + self._books.currency.minor(book)

    def _foreign(self, move: Mapping[str, Any], net: Mapping[tuple[str, str], tuple[int, int]]) -> Booked:
        codes = sorted({code for _, code in net}) or [self._books.currency.code]
        amount_minor = sum(amount for (_, code), (amount, _) in net.items() if code == codes[0] and amount > 0)
        kind = (move["origin"] or "journal").partition(",")[0]
        return Booked(None, move["number"] or str(move["id"]), kind, amount_minor, codes[0], move["date"], net)

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
