"""Mappings and policies as data: effective-dated tables, looked up by name, store and day.

A missing row is never guessed: `Parked` carries the row to fill in (domain.md, section 2; architecture.md, section 5).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import cached_property
from itertools import chain
from typing import Any

from counterfoil_engine.domain.errors import Parked


@dataclass(frozen=True)
class Registration:
    """Where an entity is registered for tax: jurisdiction (`DE`, `CA-QC`) and the treatment of sales taxed there."""

    jurisdiction: str
    treatment: str


@dataclass(frozen=True)
class Entity:
    """A legal company: its book currency (ISO 4217), time zone (IANA), home country (ISO 3166) and registrations."""

    id: str
    book_currency: str
    zone: str
    country: str
    registrations: tuple[Registration, ...] = ()


@dataclass(frozen=True)
class Store:
    """A WooCommerce shop: its entity, pool, start line (R3) and write switch per party (off, preview, on).

    old_references: by kind, how documents from before the start line are marked in the ERP (`old_references.py`)."""

    id: str
    entity: str
    start_line: datetime
    pool: str = ""
    switches: Mapping[str, str] = field(default_factory=dict)
    old_references: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Warehouse:
    """A place with stock. owner: the one party that says what is in it (`erp` or `wms`), of which entity.

    lines: who says which orders' lines it holds: its owner, with its positions, or the store, by what it completed."""

    id: str
    owner: str
    entity: str
    lines: str = "owner"


@dataclass(frozen=True)
class Pool:
    """Warehouses and stores that share stock and policy; a store names its pool itself."""

    id: str
    warehouses: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """One row of an effective-dated table: match fields (exact, `*` or a pattern), from a day on, with its values."""

    match: Mapping[str, str]
    since: date
    values: Mapping[str, Any]

    def fits(self, **match: str) -> bool:
        """Whether these match fields fit, whatever the others are."""
        return all(_fits(self.match.get(name, "*"), value) for name, value in match.items())


# Each table's match fields, in the order of a row's importance, and what its values are.
TABLES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "payment_methods": (("store", "method"), ("gateway", "accept_unpaid")),
    "tax_rates": (("store", "code"), ("treatment", "jurisdiction")),
    "untaxed": (("store", "country"), ("treatment",)),
    "items": (("store", "sku"), ("item", "class", "exempt", "digital")),
    "guests": (("store",), ("policy",)),
    "statuses": (("store", "status"), ("reads_as",)),
    "fees": (("store", "title"), ("reads_as", "provider")),
    "rates": (("book", "currency"), ("rate",)),
    "sequence": (
        ("entity", "method"),
        (
            "invoice_on",
            "revenue_on",
            "capture_on",
            "wms",
            "tax",
            "tax_tolerance_minor",
            "tax_on_deposits",
            "shortfall_minor",
            "discounts",
            "refunds_by",
            "store_update",
        ),
    ),
    "reasons": (("store", "reason"), ("reads_as",)),
    "availability": (
        ("pool", "warehouse", "class", "sku"),
        (
            "counts",
            "inbound_days",
            "safety_units",
            "safety_share",
            "minimum_shown",
            "backorders",
            "discontinued",
            "excluded",
            "unpaid_hours",
            "silence_hours",
            "silence_share",
        ),
    ),
    "caps": (("pool", "store", "sku"), ("share",)),
    "kits": (("pool", "sku"), ("parts",)),
    "approvals": (("currency", "what"), ("limit_minor",)),
    "settlement": (("gateway", "currency"), ("entity", "refund_days")),
    "healing": (("store", "sweep", "class"), ("heal", "within_units", "within_minor")),
    "sweeps": (
        ("store", "sweep"),
        ("every_hours", "quiet_from", "quiet_until", "days", "longest_request_s", "pause_s"),
    ),
}


_Rank = tuple[tuple[int, ...], date]


@dataclass(frozen=True)
class Rules:
    """One version of all rules. tables: name → rows in the order of the file; see `TABLES`."""

    version: str
    entities: Mapping[str, Entity]
    stores: Mapping[str, Store]
    tables: Mapping[str, Sequence[Row]]
    warehouses: Mapping[str, Warehouse] = field(default_factory=dict)
    pools: Mapping[str, Pool] = field(default_factory=dict)

    def store(self, store: str) -> Store:
        """The store's row; parks where the store is unknown."""
        if store not in self.stores:
            raise Parked(
                f"The store {store!r} is not in the rules.",
                "Add it to stores with its entity and start line; its orders then resume by themselves.",
                "missing_mapping",
                rows=({"table": "stores", "id": store},),
            )
        return self.stores[store]

    def entity(self, store: str) -> Entity:
        """The entity that sells in this store; parks where it is unknown."""
        name = self.store(store).entity
        if name not in self.entities:
            raise Parked(
                f"The entity {name!r} of store {store!r} is not in the rules.",
                "Add it to entities with its book currency and zone.",
                "missing_mapping",
                rows=({"table": "entities", "id": name},),
            )
        return self.entities[name]

    def find(self, table: str, on: date, **match: str) -> Row | None:
        """The row that fits best on that day: exact before patterns, close patterns before wide ones, then the latest.

        A table's last match field counts most: a row for this SKU in all stores goes before one for all SKUs in this
        store.
        """
        best: _Rank | None = None
        found: Row | None = None
        for rank, row in self._fitting(table, on, match):
            if best is None or rank >= best:
                best, found = rank, row
        return found

    def merged(self, table: str, on: date, **match: str) -> dict[str, Any]:
        """Each value of the closest row that sets it, of those that fit on that day; nothing where none does."""
        values: dict[str, Any] = {}
        for _, row in sorted(self._fitting(table, on, match), key=lambda ranked: ranked[0]):
            values.update((name, value) for name, value in row.values.items() if value is not None)
        return values

    def _fitting(self, table: str, on: date, match: Mapping[str, str]) -> Iterator[tuple[_Rank, Row]]:
        fields = [(name, match[name]) for name in reversed(TABLES[table][0]) if name in match]
        for row in self._candidates(table, match):
            if row.since <= on and all(_fits(row.match.get(name, "*"), value) for name, value in fields):
                yield (tuple(_closeness(row.match.get(name, "*"), value) for name, value in fields), row.since), row

    def _candidates(self, table: str, match: Mapping[str, str]) -> Iterable[Row]:
        """The rows that may fit: those with that very value in the table's last match field, and the patterns."""
        last = TABLES[table][0][-1]
        if last not in match:
            return self.tables.get(table, ())
        exact, patterns = self._by_last_field.get(table, ({}, ()))
        return chain(exact.get(match[last], ()), patterns)

    @cached_property
    def _by_last_field(self) -> dict[str, tuple[dict[str, list[Row]], list[Row]]]:
        """table → rows by the exact value of its last match field, and rows with a pattern there: a shop has thousands
        of SKUs, and each line of an order would be compared with every row."""
        by_table: dict[str, tuple[dict[str, list[Row]], list[Row]]] = {}
        for table, rows in self.tables.items():
            exact, patterns = by_table.setdefault(table, ({}, []))
            for row in rows:
                pattern = row.match.get(TABLES[table][0][-1], "*")
                (patterns if _is_pattern(pattern) else exact.setdefault(pattern, [])).append(row)
        return by_table

    def look_up(self, table: str, what: str, on: date, **match: str) -> Mapping[str, Any]:
        """The values of the row that fits. Parks with the missing row, ready to fill in; what: for the sentence."""
        row = self.find(table, on, **match)
        if row is None:
            raise Parked(
                f"{what} has no mapping.",
                f"Add a row to {table.replace('_', '-')} (counterfoil rules, or the case's own row);"
                " every order it holds then resumes by itself.",
                "missing_mapping",
                rows=({"table": table, **match, **dict.fromkeys(TABLES[table][1])},),
            )
        return row.values

    def rate(self, currency: str, book: str, on: date) -> Decimal:
        """Units of currency for one unit of book on that day; parks where no row is in force."""
        if currency == book:
            return Decimal(1)
        what = f"The exchange rate of {currency} to {book} on {on.isoformat()}"
        return Decimal(str(self.look_up("rates", what, on, book=book, currency=currency)["rate"]))


def _closeness(pattern: str, value: str) -> int:
    return 1_000 if pattern == value else sum(sign not in "*?[]" for sign in pattern)


def _fits(pattern: str, value: str) -> bool:
    return pattern == value or (_is_pattern(pattern) and fnmatchcase(value.lower(), pattern.lower()))


def _is_pattern(text: str) -> bool:
    return any(sign in text for sign in "*?[")
