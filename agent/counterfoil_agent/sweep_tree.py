"""What the engine's sweep of stock compares: digests by SKU, from what the store says and what was written into it.

Pure but for reading the book. A bucket is the first digits of crc32(SKU's key), hexadecimal: 2, then 3, then 4; its
digest is the exclusive or, over its SKUs, of the first 15 digits of md5("key|number"), as the engine's own.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from counterfoil_agent.outbox import Outbox

FIRST_DIGITS, LAST_DIGITS = 2, 4
UNKNOWN = "?"  # the number of what the store sells and nothing was written to yet: equal to none
PAGE_SKUS = 5_000


@dataclass(frozen=True)
class Seen:
    """What the store had where something else was written. beside: the version that was written then."""

    number: str
    beside: int


@dataclass(frozen=True)
class Line:
    """A SKU of the feed. number: what the store has of it, where it goes anywhere."""

    key: str
    sku: str
    number: str
    is_sold: bool
    written: int | None
    version: int | None
    known: int
    waits: bool
    sold: int | None

    def as_item(self) -> dict[str, Any]:
        return {
            "sku": self.sku,
            "number": self.number if self.is_sold and self.number != UNKNOWN else None,
            "written": self.written,
            "version": self.version,
            "known": self.known,
            "waits": self.waits,
            "sold": self.sold,
        }


def lines(outbox: Outbox, seen: Mapping[str, Seen], says_sales: bool) -> Iterator[Line]:
    """Every SKU of the feed. seen: where the store had something else, by key. says_sales: whether the store's number
    counts its own sales, as with the plugin."""
    after = ""
    while True:
        rows = outbox.all(
            "select sku_key, sku, version, number, done, problem is null and not excluded, written, written_version,"
            " sold from stock_numbers where sku_key > ? order by sku_key limit ?",
            (after, PAGE_SKUS),
        )
        for key, sku, version, number, done, goes, written, written_version, sold in rows:
            has = str(number) if not goes else UNKNOWN if written is None else str(written)
            other = seen.get(key)
            if other is not None and goes and other.beside == written_version:
                has = other.number
            of_version = sold if not says_sales and written_version == version else None
            waits = bool(goes) and done < version
            yield Line(key, sku, has, bool(goes), written, written_version, version, waits, of_version)
        if len(rows) < PAGE_SKUS:
            return
        after = rows[-1][0]


def bucket_of(key: str) -> str:
    return f"{zlib.crc32(key.encode()):08x}"[:LAST_DIGITS]


def digest_of(key: str, number: str) -> int:
    text = f"{key}|{number}"
    return int.from_bytes(hashlib.md5(text.encode(), usedforsecurity=False).digest()[:8]) >> 4


def buckets(of: Iterable[Line], prefixes: Collection[str]) -> tuple[list[list[Any]], int]:
    """[bucket, SKUs, digest] of the buckets below these prefixes, in order; and how many SKUs there are in all."""
    inside, sizes, total = frozenset(prefixes), {len(prefix) for prefix in prefixes}, 0
    found: dict[str, tuple[int, int]] = {}
    for line in of:
        total += 1
        leaf = bucket_of(line.key)
        for size in sizes:
            if leaf[:size] in inside:
                name = leaf[: FIRST_DIGITS if size == 0 else size + 1]
                count, digest = found.get(name, (0, 0))
                found[name] = (count + 1, digest ^ digest_of(line.key, line.number))
    return [[name, count, f"{digest:015x}"] for name, (count, digest) in sorted(found.items())], total


def items(of: Iterable[Line], prefixes: Collection[str], most: int) -> list[dict[str, Any]]:
    """The SKUs of these buckets, so many at most."""
    inside = tuple(prefixes)
    found = []
    for line in of:
        if bucket_of(line.key).startswith(inside):
            found.append(line.as_item())
            if len(found) == most:
                break
    return found


def text_of(number: Decimal) -> str:
    """A quantity as digests have it: whole units without a point."""
    text = f"{number:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("", "-0", "-") else text
