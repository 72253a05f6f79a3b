"""The audit log as a chain: each entry's hash covers the entry before, so that no entry can be changed by itself.

A chain that was rewritten from some entry on agrees with itself again. It is found by what was kept elsewhere: the
hashes in evidence packs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

BEGINNING = "0" * 64  # stands for the hash before the first entry


@dataclass(frozen=True)
class Entry:
    """n: its place, from 1. at: ISO 8601, UTC, with microseconds. hash: hexadecimal, as it is kept."""

    n: int
    at: str
    who: str
    what: str
    detail: Mapping[str, Any]
    hash: str = ""


@dataclass(frozen=True)
class Verified:
    """How a chain stands. faults: sentences, the first of each kind; none: all is as it was written."""

    entries: int
    head: str
    faults: Sequence[str]


def entry_hash(previous: str, entry: Entry) -> str:
    """SHA-256 over the hash before (its hexadecimal text) and the entry as canonical JSON: sorted, ASCII, no spaces."""
    said = {"n": entry.n, "at": entry.at, "who": entry.who, "what": entry.what, "detail": entry.detail}
    text = json.dumps(said, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"{previous}{text}".encode()).hexdigest()


def verify(entries: Iterable[Entry], anchors: Mapping[str, Mapping[int, str]]) -> Verified:
    """Recompute a whole chain, and compare it with what was kept elsewhere.

    anchors: where it was kept (a pack's name) → place → hash there."""
    head, count = BEGINNING, 0
    faults: list[str] = []
    hashes: dict[int, str] = {}
    for entry in entries:
        if not faults:
            faults += _fault(entry, count + 1, head)
        head, count = entry.hash, entry.n
        hashes[entry.n] = entry.hash
    for name, kept in anchors.items():
        differs = min((n for n, its_hash in kept.items() if hashes.get(n) != its_hash), default=None)
        if differs is not None:
            faults.append(
                f"Entry {differs} is the first that differs from {name}: {_how(differs, count, hashes)}, while the"
                f" pack has it with hash {kept[differs][:12]}…"
            )
    return Verified(count, head, faults)


def _fault(entry: Entry, expected: int, head: str) -> list[str]:
    if entry.n != expected:
        return [f"Entry {expected} is missing: entry {entry.n} comes in its place."]
    if entry_hash(head, entry) != entry.hash:
        return [f"Entry {entry.n} ({entry.what!r} by {entry.who}, {entry.at}) was changed."]
    return []


def _how(n: int, count: int, hashes: Mapping[int, str]) -> str:
    if n in hashes:
        return f"here its hash is {hashes[n][:12]}…"
    return f"here the log ends with entry {count}" if n > count else "here it is missing"
