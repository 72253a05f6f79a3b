"""Whether a store has the numbers that it ought to have: digests by bucket, and what each differing SKU means (S1).

Pure. A bucket is the first digits of crc32(SKU's key), hexadecimal: 2, then 3, then 4, so that of 100,000 SKUs few are
listed. Its digest is the exclusive or, over its SKUs, of the first 15 digits of md5("key|number"). The store's side
computes it from what the store itself says, less the sales that its number doesn't count; so both are equal unless
somebody edited it, or a number is on its way.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, NamedTuple

from counterfoil_engine.domain.breaks import Found, InFlight
from counterfoil_engine.domain.errors import Parked
from counterfoil_engine.domain.money import decimals
from counterfoil_engine.domain.stock import sku_key

FIRST_DIGITS, LAST_DIGITS = 2, 4
LIST_BELOW = 8  # SKUs in a bucket from which on digests cost more than the SKUs themselves
MOST_DIGESTS = 1_024  # of one answer
MOST_LISTED = 1_500  # SKUs of one answer
NO_WRITE_REMEDY = "See what the store answered: counterfoil why; its agent's log says the same."


class Expected(NamedTuple):
    """The number that a store ought to have. version: as it was told."""

    key: str
    number: int
    version: int


@dataclass(frozen=True)
class Bucket:
    bucket: str
    count: int
    digest: int


@dataclass(frozen=True)
class Held:
    """What a store has of a SKU, and its agent knows.

    number: in units, as text, since a store may have fractions; None: it sells no such thing, or doesn't manage its
    stock. version: the last that was written; None: none was. known: the last that the agent was told. waits: a number
    waits to be written. sold: as that version was told, where the store can't say which sales it counts (REST)."""

    key: str
    number: str | None
    written: int | None
    version: int | None
    known: int
    waits: bool
    sold: int | None = None


def bucket_of(key: str, digits: int = LAST_DIGITS) -> str:
    return f"{zlib.crc32(key.encode()):08x}"[:digits]


def digest_of(key: str, number: object) -> int:
    """The first 15 hexadecimal digits of md5("key|number"), as a number."""
    text = f"{key}|{number}"
    return int.from_bytes(hashlib.md5(text.encode(), usedforsecurity=False).digest()[:8]) >> 4


def buckets_of(digests: Mapping[str, tuple[int, int]], prefixes: Collection[str]) -> dict[str, Bucket]:
    """The buckets below these prefixes, merged from those of the most digits. digests: bucket → (count, digest)."""
    deeper = {len(prefix) for prefix in prefixes}
    wanted = frozenset(prefixes)
    found: dict[str, Bucket] = {}
    for leaf, (count, digest) in digests.items():
        for size in deeper:
            if leaf[:size] in wanted:
                name = leaf[: next_digits(size)]
                before = found.get(name, Bucket(name, 0, 0))
                found[name] = Bucket(name, before.count + count, before.digest ^ digest)
    return found


def next_digits(digits: int) -> int:
    return FIRST_DIGITS if digits == 0 else digits + 1


def differing(ours: Mapping[str, Bucket], theirs: Iterable[Bucket]) -> list[tuple[str, int]]:
    """Buckets that aren't the same on both sides, in order, each with the larger of both counts."""
    told = {each.bucket: each for each in theirs}
    found = []
    for name in sorted(ours.keys() | told.keys()):
        mine, other = ours.get(name), told.get(name)
        if mine != other:
            found.append((name, max(mine.count if mine else 0, other.count if other else 0)))
    return found


class Asks(NamedTuple):
    """What to ask next: prefixes to be opened, and prefixes whose SKUs are to be listed; each entry is one question."""

    open: list[list[str]]
    listed: list[list[str]]


def next_asks(differ: Sequence[tuple[str, int]], asked: int) -> Asks:
    """Open what differs, or list it where that is cheaper: small buckets, the deepest ones, and where most of many
    differ, so that opening them would be in vain. asked: how many buckets were compared."""
    is_all = asked > 16**FIRST_DIGITS and len(differ) * 2 > asked
    to_list = [each for each in differ if is_all or each[1] < LIST_BELOW or len(each[0]) >= LAST_DIGITS]
    listed = set(to_list)
    to_open = [each[0] for each in differ if each not in listed]
    children = 16
    step = MOST_DIGESTS // children
    return Asks([to_open[first : first + step] for first in range(0, len(to_open), step)], _filled(to_list))


def _filled(buckets: Sequence[tuple[str, int]]) -> list[list[str]]:
    """Questions of so many SKUs each, about."""
    asks: list[list[str]] = []
    size = MOST_LISTED
    for name, count in buckets:
        if size + count > MOST_LISTED or not asks:
            asks.append([])
            size = 0
        asks[-1].append(name)
        size += count
    return asks


def judge(
    store: str,
    pool: str,
    ours: Expected | None,
    theirs: Held | None,
    fed_through: int,
    is_dirty: bool,
    sold_now: int = 0,
) -> Found | InFlight | None:
    """What a SKU's difference is; None: there is none. fed_through: the last version that the store's agent has read.

    is_dirty: the number is about to be computed anew. sold_now: what the store has sold by now, for `Held.sold`."""
    key = ours.key if ours else theirs.key if theirs else ""
    subject = f"stock {pool}/{key}"
    if ours is None:
        return None if theirs is None or theirs.written is None else _unknown_here(store, subject, theirs)
    if is_dirty:
        return InFlight(subject, "about to be published")
    if theirs is None:
        if ours.version > fed_through:
            return InFlight(subject, "not read by the agent yet")
        return _never_arrived(store, subject, ours)
    if theirs.waits:
        return InFlight(subject, "waits to be written")
    if ours.version > fed_through or theirs.known < ours.version:
        return InFlight(subject, "not read by the agent yet")
    if theirs.number is None:
        return None  # it goes nowhere: a case of the store says so already
    if theirs.version is None or theirs.version < ours.version:
        return _not_written(store, subject, ours, theirs)
    return _compared(store, subject, ours, theirs, sold_now)


def _compared(store: str, subject: str, ours: Expected, theirs: Held, sold_now: int) -> Found | InFlight | None:
    assert theirs.number is not None
    if theirs.number == str(ours.number):
        return None
    units = whole_units(theirs.number) - ours.number
    if theirs.sold is not None and -max(0, sold_now - theirs.sold) <= units < 0:
        return InFlight(subject, "sold since it was written")
    if theirs.written != ours.number:
        return _found("unknown", store, subject, ours, theirs, units, _TWO_NUMBERS, _TWO_NUMBERS_REMEDY)
    return _found(
        "manual_edit_store",
        store,
        subject,
        ours,
        theirs,
        units,
        "Somebody edited the stock of {key} in {store}: it has {number} where {ours} was written.",
        "The number is written again. Change stock in the system that owns the warehouse, or as a correction there.",
    )


def price_in(order: Mapping[str, Any], key: str) -> tuple[int, str] | None:
    """What one unit of a SKU was sold for, before tax: minor units and currency; None where the order doesn't say."""
    for line in order.get("line_items") or ():
        try:
            if sku_key(line["sku"]) != key or int(line["quantity"]) <= 0:
                continue
            currency = str(order["currency"])
            unit = Decimal(line["total"]) / int(line["quantity"]) * 10 ** decimals(currency)
            return int(unit.to_integral_value(ROUND_HALF_UP)), currency
        except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError, Parked):
            continue
    return None


def whole_units(number: str) -> int:
    """Units of a quantity; a part of one is no unit that could be sold."""
    return int(number.partition(".")[0] or "0") - (1 if number.startswith("-") and "." in number else 0)


_TWO_NUMBERS = "{store} was told {written} for {key} under the version that stands for {ours} here."
_TWO_NUMBERS_REMEDY = "If this engine was put back to a backup, say which one writes: counterfoil confirm."


def _found(
    kind: str, store: str, subject: str, ours: Expected, theirs: Held, units: int, cause: str, remedy: str
) -> Found:
    said = {"key": ours.key, "store": store, "number": theirs.number, "ours": ours.number, "written": theirs.written}
    return Found(
        "stock",
        store,
        subject,
        kind,  # type: ignore[arg-type]
        cause.format_map(said),
        remedy,
        units=units,
        to_zero=ours.number <= 0 < whole_units(theirs.number or "0"),
        detail={"expected": ours.number, "found": theirs.number, "version": ours.version},
    )


def _never_arrived(store: str, subject: str, ours: Expected) -> Found:
    return Found(
        "stock",
        store,
        subject,
        "missed",
        f"The agent of {store} has read on past the number {ours.number} of {ours.key} and doesn't have it.",
        "It is published anew. If it comes back, look for an agent that was put back to a backup.",
        to_zero=ours.number <= 0,
        detail={"expected": ours.number, "version": ours.version},
    )


def _not_written(store: str, subject: str, ours: Expected, theirs: Held) -> Found:
    return _found(
        "missed",
        store,
        subject,
        ours,
        theirs,
        whole_units(theirs.number or "0") - ours.number,
        "{store} has not taken the number {ours} of {key}, and nothing waits to be written: it has {number}.",
        NO_WRITE_REMEDY,
    )


def _unknown_here(store: str, subject: str, theirs: Held) -> Found:
    return Found(
        "stock",
        store,
        subject,
        "mapping",
        f"{store} has a number for {theirs.key} that this pool doesn't publish.",
        "Name the SKU in items where it stands for another, or take it out of the store's stock management.",
        units=whole_units(theirs.number) if theirs.number is not None else None,
        detail={"found": theirs.number},
    )
