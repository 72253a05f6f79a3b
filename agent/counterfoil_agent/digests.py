"""Whether the store still has what was written: digests by bucket, opened only where they differ (S1).

Pure. A bucket is two hexadecimal digits of md5(stock id), then two more below it; its digest is the exclusive or, over
its items, of the first 15 digits of md5("id|sku|number|status"), number with three decimals: the stock without the
moves that the number last written didn't count. So it is the engine's number, unless somebody edited it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from counterfoil_agent.ports import Bucket

DIGITS = 15


def bucket_of(stock_id: int) -> str:
    """The four digits below which the plugin lists an item."""
    return hashlib.md5(str(stock_id).encode(), usedforsecurity=False).hexdigest()[:4]


def digest_of(stock_id: int, sku: str, number: str, status: str) -> int:
    text = f"{stock_id}|{sku}|{number}|{status}"
    return int(hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[:DIGITS], 16)


def small_buckets(items: Iterable[tuple[int, str, str, str]]) -> dict[str, tuple[int, int]]:
    """By four digits: how many items, and their digest. items: id, SKU, number, status."""
    found: dict[str, tuple[int, int]] = {}
    for item_id, sku, number, status in items:
        bucket = bucket_of(item_id)
        count, digest = found.get(bucket, (0, 0))
        found[bucket] = (count + 1, digest ^ digest_of(item_id, sku, number, status))
    return found


def differing(ours: Mapping[str, tuple[int, int]], theirs: Sequence[Bucket], prefix: str) -> list[str]:
    """Buckets two digits below the prefix that aren't the same on both sides, in order. ours: small buckets."""
    size = len(prefix) + 2
    merged: dict[str, tuple[int, int]] = {}
    for bucket, (count, digest) in ours.items():
        if bucket.startswith(prefix):
            before = merged.get(bucket[:size], (0, 0))
            merged[bucket[:size]] = (before[0] + count, before[1] ^ digest)
    told = {each.bucket: (each.count, int(each.digest, 16)) for each in theirs}
    return sorted(bucket for bucket in merged.keys() | told.keys() if merged.get(bucket) != told.get(bucket))


@dataclass
class Sweep:
    """One pass: the buckets still to be opened, the deepest first, so that few wait at a time."""

    ours: Mapping[str, tuple[int, int]]
    to_open: list[str] = field(default_factory=lambda: [""])
    opened: int = 0
    items: int = 0
    drifted: int = 0
