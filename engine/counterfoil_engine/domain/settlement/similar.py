"""How alike two references or ids are: slips of a finger, not meaning."""

from __future__ import annotations

import re

EDITS_MAX = 2
_TOKEN = re.compile(r"[0-9a-z]+")


def edits(left: str, right: str) -> int:
    """How many letters were left out, put in, mistaken or swapped with the next; `EDITS_MAX` + 1 stands for more.

    Two edits that are far apart count as more. Source: optimal string alignment distance (Damerau, Levenshtein).
    """
    if left == right:
        return 0
    if abs(len(left) - len(right)) > EDITS_MAX:
        return EDITS_MAX + 1
    start, most = 0, min(len(left), len(right))
    while start < most and left[start] == right[start]:
        start += 1
    end = 0
    while end < most - start and left[-1 - end] == right[-1 - end]:
        end += 1
    left, right = left[start : len(left) - end], right[start : len(right) - end]
    if max(len(left), len(right)) > 2 * EDITS_MAX + 2:
        return EDITS_MAX + 1
    return min(_distance(left, right), EDITS_MAX + 1)


def _distance(left: str, right: str) -> int:
    before: list[int] = []
    row = list(range(len(right) + 1))
    for i, sign in enumerate(left, 1):
        before, last, row = row, before, [i]
        for j, other in enumerate(right, 1):
            best = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (sign != other))
            if i > 1 and j > 1 and sign == right[j - 2] and left[i - 2] == other:
                best = min(best, last[j - 2] + 1)
            row.append(best)
    return row[-1]


def tokens(text: str | None) -> frozenset[str]:
    """The words and numbers in a reference: "Order WC-1001" → order, wc, 1001."""
    return frozenset(_TOKEN.findall((text or "").casefold()))


def plain(text: str | None) -> str:
    """A reference without signs and blanks: "WC-1001" → wc1001."""
    return "".join(_TOKEN.findall((text or "").casefold()))
