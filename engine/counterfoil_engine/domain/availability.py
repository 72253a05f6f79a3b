"""Available to sell: what a pool may offer of a SKU, as a waterfall of terms that add up to the number.

    Σ over warehouses of max(0, on hand − allocated − damaged − quarantined + inbound that policy lets count)
        − reserved − safety stock,   a channel's share is a cap on it

A number below 0 is a debt: more was sold than there is. Nothing is offered then (a store sells none below 1 unless it
takes backorders), and what it puts back pays the debt first: from 0, a cancelled order would offer what others bought.

Policy is data with a day from which it is in force; each value comes from the closest row that sets it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_CEILING, Decimal
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from counterfoil_engine.domain.reservations import Reservation
from counterfoil_engine.domain.rules import Row, Rules
from counterfoil_engine.domain.stock import sku_key

BUCKETS = ("on_hand", "in_transit", "damaged", "quarantined")
_ONE = Decimal(1)


class Term(NamedTuple):
    """One step of the waterfall: units added or taken. source: which rules say so; as_of: a warehouse's position's."""

    name: str
    units: int
    warehouse: str | None = None
    source: str = ""
    as_of: datetime | None = None


class Stock(NamedTuple):
    """A position as the calculation needs it (see `stock.Position`)."""

    warehouse: str
    on_hand: int
    allocated: int
    damaged: int
    quarantined: int
    inbound: Sequence[tuple[str, int]]
    as_of: datetime


@dataclass(frozen=True)
class Policy:
    """What is to be sold of a SKU in a pool. counts: buckets that may be sold; inbound_days: how far ahead.

    safety_share: of what all warehouses have; the larger of it and safety_units is held back. silence_hours: how long
    a number holds where nothing more is heard (None: for ever), and silence_share: what of it is offered after that.
    version: of the rules. by_warehouse: counts and inbound_days where a warehouse has its own."""

    version: str = ""
    counts: frozenset[str] = frozenset({"on_hand"})
    inbound_days: int = 0
    safety_units: int = 0
    safety_share: Decimal = Decimal(0)
    minimum_shown: int = 0
    backorders: bool = False
    discontinued: bool = False
    excluded: bool = False
    unpaid_hours: int | None = None
    silence_hours: int | None = None
    silence_share: Decimal = _ONE
    by_warehouse: tuple[tuple[str, frozenset[str], int], ...] = ()

    def of_warehouse(self, warehouse: str) -> tuple[frozenset[str], int]:
        for name, counts, inbound_days in self.by_warehouse:
            if name == warehouse:
                return counts, inbound_days
        return self.counts, self.inbound_days


class Availability(NamedTuple):
    """The number before caps, its waterfall, and the next moment at which time alone may change it.

    stock_as_of: of the oldest position that it rests on. free: what all warehouses have, before reservations."""

    number: int
    free: int
    reserved: int
    terms: tuple[Term, ...]
    again_at: datetime | None = None
    stock_as_of: datetime | None = None


def available(
    stock: Sequence[Stock], reservations: Sequence[Reservation], policy: Policy, as_of: datetime
) -> Availability:
    """What a pool may offer of a SKU. stock: of the pool's warehouses; reservations: that touch any of them."""
    terms: list[Term] = []
    moments: list[datetime] = [one.again_at for one in reservations if one.again_at is not None]
    free, oldest = 0, None
    for position in stock:
        counts, inbound_days = policy.of_warehouse(position.warehouse) if policy.by_warehouse else _of(policy)
        free += _of_warehouse(position, counts, 0 if policy.discontinued else inbound_days, as_of, terms, moments)
        oldest = position.as_of if oldest is None or position.as_of < oldest else oldest
    reserved = 0
    for one in reservations:
        reserved += one.units
    if reserved:
        terms.append(Term("reserved", -reserved, source=f"{len(reservations)} order lines"))
    source = f"rules {policy.version}"
    safety = _safety(free, policy)
    if safety:
        terms.append(Term("safety stock", -safety, source=source))
    number = _shown(free - reserved - safety, policy, source, terms)
    return Availability(number, free, reserved, tuple(terms), min(moments) if moments else None, oldest)


def _of(policy: Policy) -> tuple[frozenset[str], int]:
    return policy.counts, policy.inbound_days


def _of_warehouse(
    one: Stock,
    counts: frozenset[str],
    inbound_days: int,
    as_of: datetime,
    terms: list[Term],
    moments: list[datetime],
) -> int:
    """What one warehouse has, and its terms. on hand holds the damaged and quarantined ones."""
    where, said_at = one.warehouse, one.as_of
    total = 0
    if "on_hand" in counts:
        total = one.on_hand
        terms.append(Term("on hand", one.on_hand, where, as_of=said_at))
        for name, units in (("damaged", one.damaged), ("quarantined", one.quarantined)):
            if units and name not in counts:
                total -= units
                terms.append(Term(name, -units, where, as_of=said_at))
    else:
        for name, units in (("damaged", one.damaged), ("quarantined", one.quarantined)):
            if units and name in counts:
                total += units
                terms.append(Term(name, units, where, as_of=said_at))
    if one.allocated:
        total -= one.allocated
        terms.append(Term("allocated", -one.allocated, where, as_of=said_at))
    if one.inbound and "in_transit" in counts:
        horizon = (as_of + timedelta(days=inbound_days)).date().isoformat()
        for day, units in one.inbound:
            if day <= horizon:
                total += units
                terms.append(Term(f"in transit, expected {day}", units, where, as_of=said_at))
            else:
                moments.append(_midnight(date.fromisoformat(day) - timedelta(days=inbound_days)))
    if total < 0:
        terms.append(Term("a warehouse has never less than none", -total, where))
        return 0
    return total


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _safety(free: int, policy: Policy) -> int:
    """Units or a share of what is there, the larger; never more than is there."""
    share = int((policy.safety_share * free).to_integral_value(ROUND_CEILING)) if policy.safety_share else 0
    return min(free, max(policy.safety_units, share))


def _shown(number: int, policy: Policy, source: str, terms: list[Term]) -> int:
    can_be_owed = policy.backorders and not policy.discontinued
    if 0 < number < policy.minimum_shown and not can_be_owed:
        terms.append(Term(f"fewer than {policy.minimum_shown} are not shown", -number, source=source))
        return 0
    return number


class Part(NamedTuple):
    """A part of a kit: the SKU's key, and how many one kit takes."""

    key: str
    units: int


def kit(parts: Sequence[tuple[Part, Availability]], policy: Policy) -> Availability:
    """What can be put together: the scarcest part decides, and one that is owed makes kits owed. Reservations of the
    kit stand in its parts already."""
    terms: list[Term] = []
    source = f"rules {policy.version}"
    can_make = {part.key: one.number // part.units for part, one in parts}
    scarcest = min(can_make, key=lambda key: (can_make[key], key))
    number = can_make[scarcest]
    terms.append(Term(f"can be put together: the scarcest part is {scarcest}", number, source=source))
    safety = _safety(max(0, number), policy)
    if safety:
        terms.append(Term("safety stock", -safety, source=source))
    number = _shown(number - safety, policy, source, terms)
    moments = [one.again_at for _, one in parts if one.again_at is not None]
    said = [one.stock_as_of for _, one in parts if one.stock_as_of is not None]
    free, again_at = can_make[scarcest], min(moments) if moments else None
    return Availability(number, free, 0, tuple(terms), again_at, min(said) if said else None)


# Caps (A4)


class Cap(NamedTuple):
    """A channel's share as it was counted. sold_before: what the store had lowered of the SKU by then, all told."""

    units: int
    share: Decimal
    sold_before: int


def cap_of(share: Decimal, before_caps: int, sold: int) -> Cap:
    """A count: floor(share × what the pool has before caps)."""
    return Cap(int(share * max(0, before_caps)), share, sold)


def left_of(cap: Cap, sold: int) -> int:
    """What the channel may still sell: its cap less what it lowered since; below 0: it sold more than its cap."""
    return cap.units - (sold - cap.sold_before)


# Policy


class Policies:
    """The policy of every SKU of a pool on a day, from the rules' tables `availability`, `caps` and `kits`."""

    def __init__(self, rules: Rules, pool: str, on: date) -> None:
        self.rules, self.pool, self.on = rules, pool, on
        self._rows = _Rows(_in_force(rules, "availability", pool, on))
        self._caps = _Rows(_in_force(rules, "caps", pool, on))
        self._has_classes = any(row.match.get("class", "*") != "*" for row in self._rows.all)
        self._cache: dict[tuple[Any, ...], Policy] = {}
        # Mostly a pool has one policy for all: then it isn't looked up a hundred thousand times.
        self._is_one = not self._has_classes and not self._rows.are_by_sku
        self._one = self._policy(self._rows.all) if self._is_one else Policy()
        self.stores = sorted(store.id for store in rules.stores.values() if store.pool == pool)
        self.kits: dict[str, tuple[Part, ...]] = {
            sku_key(row.match["sku"]): _parts(row) for row in reversed(_in_force(rules, "kits", pool, on))
        }
        self.kits_with: dict[str, list[str]] = {}
        for kit_key, parts in self.kits.items():
            for part in parts:
                self.kits_with.setdefault(part.key, []).append(kit_key)

    def of(self, sku: str) -> Policy:
        """The policy of a SKU: each value from the closest row that sets it."""
        if self._is_one:
            return self._one
        rows = self._rows.of(sku)
        sku_class = self._class_of(sku) if self._has_classes else "*"
        known = (sku_class, *map(id, rows))
        if known not in self._cache:
            self._cache[known] = self._policy([row for row in rows if _fits(row.match.get("class", "*"), sku_class)])
        return self._cache[known]

    def share(self, store: str, sku: str) -> Decimal | None:
        """The store's share of a SKU; None: it may sell all that the pool has."""
        for row in self._caps.of(sku):
            if _fits(row.match.get("store", "*"), store) and "share" in row.values:
                return Decimal(str(row.values["share"]))
        return None

    @property
    def has_caps(self) -> bool:
        return bool(self._caps.all)

    def _class_of(self, sku: str) -> str:
        for store in self.stores:
            row = self.rules.find("items", self.on, store=store, sku=sku)
            if row is not None and "class" in row.values:
                return str(row.values["class"])
        return ""

    def _policy(self, rows: Sequence[Row]) -> Policy:
        """rows: that fit, the closest first."""
        said: dict[str, Any] = {}
        by_warehouse: dict[str, dict[str, Any]] = {}
        for row in rows:
            warehouse = row.match.get("warehouse", "*")
            into = said if warehouse == "*" else by_warehouse.setdefault(warehouse, {})
            for name, value in row.values.items():
                into.setdefault(name, value)
        values = _read(said)
        own = tuple(
            (
                warehouse,
                _read(more).get("counts", values.get("counts", Policy.counts)),
                _read(more).get("inbound_days", values.get("inbound_days", 0)),
            )
            for warehouse, more in sorted(by_warehouse.items())
        )
        return Policy(version=self.rules.version, by_warehouse=own, **values)


def item_key(rules: Rules, store: str, sku: str, on: date) -> str:
    """The key of the pool's SKU that a store's SKU stands for: by the items table, else itself.

    A SKU that is only a number of the store's own (`#12`) stands for nothing elsewhere until a row says so."""
    row = rules.find("items", on, store=store, sku=sku) or rules.find("items", on, store=store, sku=sku.upper())
    item = row.values.get("item") if row is not None else None
    if item:
        return sku_key(str(item))
    return f"{store}{sku}" if sku.startswith("#") else sku_key(sku)


def next_change(rules: Rules, after: date) -> date | None:
    """The next day on which a row of these tables comes into force."""
    tables = ("availability", "caps", "kits", "items")
    days = [row.since for table in tables for row in rules.tables.get(table, ()) if row.since > after]
    return min(days) if days else None


def _in_force(rules: Rules, table: str, pool: str, on: date) -> list[Row]:
    """The pool's rows on that day, the closest first: by SKU, class, warehouse or store, pool, then the latest."""
    rows = [row for row in rules.tables.get(table, ()) if row.since <= on and _fits(row.match.get("pool", "*"), pool)]
    fields = ("sku", "class", "warehouse", "store", "pool")
    return sorted(
        rows, key=lambda row: (*(_width(row.match.get(name, "*")) for name in fields), row.since), reverse=True
    )


class _Rows:
    """Rows by SKU: a shop has thousands, each looked up for the few rows that may fit it."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self.all = list(rows)
        self._place = {id(row): place for place, row in enumerate(self.all)}
        self._exact: dict[str, list[Row]] = {}
        self._patterns: list[Row] = []
        self._general: list[Row] = []
        for row in self.all:
            pattern = row.match.get("sku", "*")
            if pattern == "*":
                self._general.append(row)
            elif _is_pattern(pattern):
                self._patterns.append(row)
            else:
                self._exact.setdefault(sku_key(pattern), []).append(row)

    @property
    def are_by_sku(self) -> bool:
        return bool(self._exact or self._patterns)

    def of(self, sku: str) -> list[Row]:
        """The rows that fit a SKU, the closest first."""
        if not self.are_by_sku:
            return self._general
        key = sku_key(sku)
        own = [
            *self._exact.get(key, ()),
            *(row for row in self._patterns if fnmatchcase(key, sku_key(row.match["sku"]))),
        ]
        if not own:
            return self._general
        return sorted([*own, *self._general], key=lambda row: self._place[id(row)])


# Of a policy's whole numbers; beyond some ten years a time can't be told from for ever, or even be written.
_MOST = {
    "inbound_days": 3_650,
    "safety_units": 1_000_000_000,
    "minimum_shown": 1_000_000_000,
    "unpaid_hours": 87_600,
    "silence_hours": 87_600,
}


def _read(said: Mapping[str, Any]) -> dict[str, Any]:
    """A row's values, which are text, as the policy has them."""
    values: dict[str, Any] = dict(said)
    for name, most in _MOST.items():
        if name in values:
            values[name] = min(int(values[name]), most)
    for name in ("safety_share", "silence_share"):
        if name in values:
            values[name] = Decimal(str(values[name]))
    if "counts" in values:
        values["counts"] = frozenset(values["counts"])
    return values


def _parts(row: Row) -> tuple[Part, ...]:
    return tuple(Part(sku_key(str(part["sku"])), int(part["quantity"])) for part in row.values["parts"])


def _fits(pattern: str, value: str) -> bool:
    return pattern in ("*", value) or (_is_pattern(pattern) and fnmatchcase(value.lower(), pattern.lower()))


def _is_pattern(text: str) -> bool:
    return any(sign in text for sign in "*?[")


def _width(pattern: str) -> int:
    """How close a pattern is: an exact name before any pattern, which counts by its letters."""
    return 1_000 if not _is_pattern(pattern) else sum(sign not in "*?[]" for sign in pattern)
