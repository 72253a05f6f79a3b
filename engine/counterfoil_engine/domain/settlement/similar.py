"""How alike two references or ids are: slips of a finger, not meaning."""

from __future__ import annotations

import re

_TOKEN = re.compile(r"[0-9a-z]+")


def one_slip(left: str, right: str) -> bool:
    """Do they differ by one slip: a letter left out, put in, mistaken, or swapped with the next?

    Source: restricted edit distance of one (Damerau): between the common beginning and the common end is at most one
    letter of each, or two that are swapped.
    """
    if left == right or abs(len(left) - len(right)) > 1:
        return False
    start, most = 0, min(len(left), len(right))
    while start < most and left[start] == right[start]:
        start += 1
    end = 0
    while end < most - start and left[-1 - end] == right[-1 - end]:
        end += 1
    left, right = left[start : len(left) - end], right[start : len(right) - end]
    return (len(left) <= 1 and len(right) <= 1) or (len(left) == 2 and left == right[::-1])


def tokens(text: str | None) -> frozenset[str]:
    """The words and numbers in a reference: "Order WC-1001" → order, wc, 1001."""
    return frozenset(_TOKEN.findall((text or "").casefold()))


def plain(text: str | None) -> str:
    """A reference without signs and blanks: "WC-1001" → wc1001."""
    return "".join(_TOKEN.findall((text or "").casefold()))
