"""The ERP port over a running Tryton 8.2."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import requests

from counterfoil_engine.adapters.erp.tryton.books import Books
from counterfoil_engine.adapters.erp.tryton.ledger import Ledger
from counterfoil_engine.adapters.erp.tryton.names import NameMap, load
from counterfoil_engine.adapters.erp.tryton.old_books import OldBooks
from counterfoil_engine.adapters.erp.tryton.posting import Carrier
from counterfoil_engine.adapters.erp.tryton.register import Register
from counterfoil_engine.adapters.erp.tryton.rpc import Tryton
from counterfoil_engine.adapters.erp.tryton.stock import Stock
from counterfoil_engine.domain.documents import JournalLine
from counterfoil_engine.domain.errors import CounterfoilError, Unavailable
from counterfoil_engine.domain.old_references import OldDocument
from counterfoil_engine.domain.tie_out import Booked
from counterfoil_engine.ports import Found, Health, Outcome, PositionPage, Posting

SERIES = "8.2"
BATCH = 50
# Without the module nothing keeps a key unique, and a call that was given up may still commit so much later.
COMMIT_LAG_S = 60.0

CANT_PROMISE = (
    "The module counterfoil isn't active: keys are not unique in Tryton, a document is several transactions, invoices "
    "in another currency are booked as moves, what levels out isn't reconciled, and reading stock and the ledger is "
    "slow."
)


class TrytonErp:
    """`ports.Erp`, `ports.Ledger` and `ports.StockOwner`, for one company.

    url: with the database, https://host/books. token: the user's password. options: user; map, its path; batch_size;
    commit_lag_s; timeout_s; module (false: do without the module, though it is active). One lane, since number
    sequences are locked: more would only meet there.
    """

    lanes = 1

    def __init__(
        self,
        url: str,
        token: str,
        session: requests.Session | None = None,
        *,
        user: str = "counterfoil",
        map: str | NameMap,
        batch_size: int = BATCH,
        commit_lag_s: float | None = None,
        module: bool = True,
        **options: Any,
    ) -> None:
        self.tryton = Tryton(url, user, token, session, **options)
        names = map if isinstance(map, NameMap) else load(Path(map))
        self._books = Books(self.tryton, names, module)
        self._register = Register(self._books)
        self._carrier = Carrier(self._books, self._register)
        self._ledger = Ledger(self._books, self._register)
        self._stock = Stock(self._books)
        self.batch_size, self._commit_lag_s = batch_size, commit_lag_s

    @property
    def commit_lag_s(self) -> float:
        if self._commit_lag_s is not None:
            return self._commit_lag_s
        return 0.0 if self._books.company and self._books.has_module else COMMIT_LAG_S

    def find(self, keys: Sequence[str]) -> Mapping[str, Sequence[Found]]:
        self._books.open()
        return self._register.find(keys)

    def post(self, postings: Sequence[Posting]) -> Sequence[Outcome]:
        self._books.open()
        return self._carrier.post(postings)

    def list_since(self, since: datetime) -> Iterator[Found]:
        self._books.open()
        yield from self._register.since(since)

    def open_day(self, entity: str, on: date) -> date:
        """That day, or the first day after it of an open period; where none is open, the day, which is then refused."""
        periods = self._books.open().periods()
        for period in periods:
            if period.is_open and on <= period.last:
                return max(on, period.first)
        return on

    def health(self) -> Health:
        try:
            version = require_series(self.tryton)
            self._books.open()
        except CounterfoilError as error:
            return Health(False, str(error))
        return Health(True, f"Tryton {version}." if self._books.has_module else f"Tryton {version}. {CANT_PROMISE}")

    def rate(self, currency: str, book: str, on: date) -> Decimal | None:
        return self._books.open().rate(currency, book, on)

    def balances(self, entity: str) -> Mapping[tuple[str, str], JournalLine]:
        self._books.open()
        return self._ledger.balances()

    def entries(self, entity: str, first: date, last: date) -> Iterator[Booked]:
        self._books.open()
        yield from self._ledger.entries(first, last)

    def find_old(self, entity: str, kind: str, references: Sequence[str]) -> Mapping[str, Sequence[OldDocument]]:
        """Sales and invoices by reference, money by the description of its move, in the company's currency."""
        self._books.open()
        return OldBooks(self._books).find(kind, references)

    def positions(self, since: str | None = None) -> Iterator[PositionPage]:
        self._books.open()
        yield from self._stock.positions(since)


def require_series(tryton: Tryton) -> str:
    """The version that answers. Raises Unavailable where it is of another series."""
    version = tryton.version()
    if version != SERIES:
        raise Unavailable(
            f"Tryton is of version {version}.", f"This adapter speaks with series {SERIES} alone.", category="contract"
        )
    return version
