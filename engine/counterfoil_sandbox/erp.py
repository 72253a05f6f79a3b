"""The sandbox ERP: any ERP as `erp.openapi.yaml` describes it, over books of its own, with its bad days on switches.

    python -m counterfoil_sandbox.erp --database erp.sqlite3 --listen 127.0.0.1:8070

`create_erp` makes the WSGI application for tests; `/` shows the books, `/sandbox/…` turns the switches.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

from flask import Flask, jsonify, request

from counterfoil_sandbox import erp_journal as journal
from counterfoil_sandbox import erp_page
from counterfoil_sandbox.books import Books, Outcome, Settings
from counterfoil_sandbox.erp_modes import Modes
from counterfoil_sandbox.erp_stock import Forgotten, Stock
from counterfoil_sandbox.service import (
    BATCH_SIZE,
    MOST_BYTES,
    MOST_DOCUMENTS,
    MOST_KEYS,
    PAGE_SIZE,
    LineCut,
    Problem,
    Service,
    add_options,
    body_of_request,
    cursor_from,
    done,
    list_of,
    malformed,
    modes_of,
    run,
    switches,
    token_from,
)
from counterfoil_sandbox.service import serve as serve_erp

__all__ = [
    "BATCH_SIZE",
    "MOST_BYTES",
    "MOST_DOCUMENTS",
    "MOST_KEYS",
    "LineCut",
    "SandboxErp",
    "create_erp",
    "serve_erp",
]

TOKEN_VARIABLE = "COUNTERFOIL_ERP_TOKEN"  # noqa: S105 - the name of a variable


class SandboxErp(Service):
    """The ERP as a WSGI application. `books` are its books, for those in the same process."""

    def __init__(
        self,
        books: Books,
        token: str,
        modes: Modes | None = None,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], None] = time.sleep,
        stock: Stock | None = None,
    ) -> None:
        super().__init__("ERP", token, modes or Modes(), now, sleep)
        self.books, self.stock = books, stock or Stock(now=now)
        _book_routes(self.flask, self)
        _switch_routes(self.flask, self)
        erp_page.add_routes(self.flask, self)

    @property
    def store(self) -> Books:
        return self.books

    def _commit(self, documents: list[Any], modes: Modes, at: datetime) -> list[Outcome]:
        return self.books.post(documents, unique_keys=modes.unique_keys, plant=modes.wrong_role, at=at)


def create_erp(
    books: Books,
    token: str,
    modes: Modes | None = None,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    sleep: Callable[[float], None] = time.sleep,
    stock: Stock | None = None,
) -> SandboxErp:
    """The ERP over these books, reached with this bearer token. now, sleep: its clock, a simulated one perhaps.

    stock: its positions (default: none, in memory)."""
    return SandboxErp(books, token, modes, now=now, sleep=sleep, stock=stock)


# HTTP: what an ERP has beside its documents.


def _book_routes(app: Flask, erp: SandboxErp) -> None:
    @app.get("/v1/rates")
    def rate() -> Any:
        currency, book, on = _currency("currency"), _currency("book"), _day("on")
        erp.begin_call(is_post=False)
        return jsonify(rate=erp.books.rate(currency, book, on))

    @app.get("/v1/periods")
    def period() -> Any:
        entity, on = _argument("entity"), _day("on")
        erp.begin_call(is_post=False)
        return jsonify(open_day=erp.books.open_day(entity, on).isoformat())

    @app.get("/v1/balances")
    def balances() -> Any:
        entity = _argument("entity")
        until = _day("until") if "until" in request.args else None
        erp.begin_call(is_post=False)
        rows = [
            {"role": role, "currency": currency, **vars(balance)}
            for (_, role, currency), balance in erp.books.balances(entity, until).items()
        ]
        return jsonify(balances=rows, **({"until": until.isoformat()} if until else {}))

    @app.get("/v1/entries")
    def entries() -> Any:
        entity, first, last = _argument("entity"), _day("first_day"), _day("last_day")
        cursor = cursor_from("0")
        erp.begin_call(is_post=False)
        told, following = erp.books.entries(entity, first, last, int(cursor), PAGE_SIZE)
        return jsonify(entries=told, next=str(following) if following else None)

    @app.post("/v1/old-documents/find")
    def find_old_documents() -> Any:
        values = body_of_request()
        references = list_of(values, "references", MOST_KEYS)
        entity, kind = journal.text_of(values, "entity", 64), journal.text_of(values, "kind", 40)
        texts = [journal.text_of({"reference": one}, "reference", 300) for one in references]
        erp.begin_call(is_post=False)
        return jsonify(found=erp.books.find_old(entity, kind, texts))

    @app.get("/v1/positions")
    def positions() -> Any:
        since, cursor = request.args.get("since"), request.args.get("cursor")
        erp.begin_call(is_post=False)
        try:
            return jsonify(erp.stock.page(since, cursor))
        except Forgotten:
            raise Problem(410, "token", "The token is of other stock than this.", "Read all positions anew.") from None


def _switch_routes(app: Flask, erp: SandboxErp) -> None:
    """What no real ERP has: what an accountant would do in it by hand, from outside."""

    @app.post("/sandbox/tamper")
    def tamper() -> Any:
        values = switches()
        key, amount_minor = journal.text_of(values, "key"), journal.amount_of(values, "amount_minor")
        return done({"number": erp.books.tamper(key, amount_minor)})

    @app.post("/sandbox/periods")
    def close_period() -> Any:
        values = switches()
        entity = journal.text_of(values, "entity", 64)
        if values.get("open") is True:
            erp.books.open_all_periods(entity)
        else:
            first_day, last_day = journal.day_of(values, "first_day"), journal.day_of(values, "last_day")
            erp.books.close_period(entity, first_day, last_day)
        return done({"entity": entity})

    @app.post("/sandbox/rates")
    def set_rate() -> Any:
        values = switches()
        currency, book = journal.currency_of(values, "currency"), journal.currency_of(values, "book")
        erp.books.set_rate(currency, book, journal.day_of(values, "from"), journal.text_of(values, "rate"))
        return done({"currency": currency, "book": book})

    @app.post("/sandbox/items")
    def set_items() -> Any:
        values = switches()
        items, accept_all = values.get("items", []), values.get("accept_all")
        if not isinstance(accept_all, bool) or not isinstance(items, list):
            raise malformed("`accept_all` is not true or false, or `items` is no list.")
        erp.books.set_items([journal.text_of({"item": item}, "item") for item in items], accept_all=accept_all)
        return done({"items": len(items), "accept_all": accept_all})

    @app.post("/sandbox/accounts")
    def set_accounts() -> Any:
        roles = switches().get("roles", [])
        if not isinstance(roles, list):
            raise malformed("`roles` is no list.")
        erp.books.set_accounts([journal.text_of({"role": role}, "role") for role in roles])
        return done({"roles": len(roles)})

    @app.post("/sandbox/positions")
    def put_positions() -> Any:
        values = switches()
        rows, removed = values.get("rows", []), values.get("removed", [])
        if not isinstance(rows, list) or not isinstance(removed, list):
            raise malformed("`rows` or `removed` is no list.")
        for row in removed:
            erp.stock.remove(journal.text_of(row, "warehouse"), journal.text_of(row, "sku"))
        return done({"rows": erp.stock.put(rows)})


def _argument(name: str, at_most: int = 64) -> str:
    return journal.text_of({name: request.args.get(name)}, name, at_most)


def _currency(name: str) -> str:
    return journal.currency_of({name: request.args.get(name)}, name)


def _day(name: str) -> date:
    return journal.day_of({name: request.args.get(name)}, name)


# A process of its own.


def main(arguments: list[str] | None = None) -> int:
    """Run the sandbox ERP until SIGINT or SIGTERM."""
    options = _options().parse_args(arguments)
    token = token_from(TOKEN_VARIABLE)
    if token is None:
        return 2

    def make() -> SandboxErp:
        modes = Modes().changed(modes_of(options.mode))
        return create_erp(_books(options), token, modes, stock=Stock(options.database))

    return run(make, options.listen, "ERP")


def _books(options: argparse.Namespace) -> Books:
    items = _items(options.items) if options.items else []
    books = Books(options.database, settings=Settings(references="any" if options.taken_over else "strict"))
    books.set_items(items, accept_all=not options.items)
    for text in options.rate:
        pair, _, rate = text.partition("=")
        currency, _, book = pair.partition("/")
        books.set_rate(currency, book, date(2000, 1, 1), rate)
    return books


def _items(path: str) -> list[str]:
    with open(path, encoding="utf-8") as lines:
        return [line.strip() for line in lines if line.strip()]


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m counterfoil_sandbox.erp",
        description=f"A sandbox ERP with books of its own. The bearer token comes from {TOKEN_VARIABLE}.",
        epilog="Example: python -m counterfoil_sandbox.erp --database erp.sqlite3 --rate USD/EUR=1.25"
        " --mode fault=down --mode fault_times=3",
    )
    add_options(parser, listen="127.0.0.1:8070")
    parser.add_argument("--items", metavar="FILE", help="item master, one item a line (default: any item is accepted)")
    parser.add_argument("--rate", metavar="USD/EUR=1.25", action="append", default=[], help="USD for one EUR")
    parser.add_argument("--taken-over", action="store_true", help="accept references to documents that are not here")
    return parser


if __name__ == "__main__":
    sys.exit(main())
