"""What is wrong with what somebody filled in, or with an address: cause and remedy in words of ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import inspect

# Fields whose own name says too little.
_NAMES: Mapping[str, str] = {
    "after": "the place in the list",
    "again": "the new password, typed again",
    "all": "“all”",
    "before": "the place in the list",
    "dry_run": "“only say what differs”",
    "epoch": "the number of the fact",
    "hours": "the length of time",
    "id": "the name of the fact",
    "n": "the number of the fact",
    "new": "the new password",
    "number": "the number in the address",
    "old": "the password until now",
    "path": "the field to correct",
    "q": "the search",
    "sku": "the SKU",
    "wanted": "the page to go to",
}
_AT = re.compile(r"\$\.([A-Za-z_]+)")
_LACKS = re.compile(r"missing required field `([A-Za-z_]+)`")
_UNKNOWN = re.compile(r"unknown field `([^`]*)`")


def told(error: msgspec.ValidationError, kind: type) -> tuple[str, str]:
    """kind: the struct that the page takes."""
    text = str(error)
    if lacks := _LACKS.search(text):
        return f"{_begun(_called(lacks[1]))} is not filled in.", "Go back, and fill it in."
    if unknown := _UNKNOWN.search(text):
        name = "".join(each for each in unknown[1] if each.isprintable())[:40]
        return f"This page knows no field “{name}”.", "Open the page anew, and send it from there."
    found = _AT.search(text)
    fields = {field.encode_name: field.type for field in _fields(kind)}
    if not found or found[1] not in fields:
        return "What was filled in can't be read.", "Open the page anew, and fill it in there."
    return f"{_begun(_called(found[1]))} can't be taken as it is.", f"Go back, and {_takes(fields[found[1]])}."


def _fields(kind: type) -> tuple[inspect.Field, ...]:
    said = inspect.type_info(kind)
    return said.fields if isinstance(said, inspect.StructType) else ()


def _called(name: str) -> str:
    return _NAMES.get(name, f"the {name.replace('_', ' ')}")


def _begun(text: str) -> str:
    return text[:1].upper() + text[1:]


def _takes(said: inspect.Type) -> str:
    """What such a field takes, to be read after “Go back, and”."""
    if isinstance(said, inspect.UnionType):
        said = next(each for each in said.types if not isinstance(each, inspect.NoneType))
    if isinstance(said, inspect.IntType):
        return _number(said)
    if isinstance(said, inspect.LiteralType):
        return f"choose one of {', '.join(sorted(map(str, said.values)))}"
    if isinstance(said, inspect.BoolType):
        return "write true or false"
    if isinstance(said, inspect.DateType):
        return "write the day as 2026-10-01"
    if isinstance(said, inspect.StrType):
        return _text(said)
    return "choose something that the page offers"


def _number(said: inspect.IntType) -> str:
    most: Any = said.le
    if most is None or most >= 2**62:
        return f"write a whole number of at least {said.ge}"
    return f"write a whole number from {said.ge} to {most:,}"


# What a text's pattern asks for, where that is more than its length.
_PATTERNS: tuple[tuple[str, str], ...] = (
    ("[0-9]{4}-(0[1-9]|1[0-2])", "write the month as 2026-10"),
    ("^/", "begin it with a stroke, such as /order/total"),
    ("[A-Za-z0-9_.-]", "write letters, digits, points, strokes and underscores alone, at most 63"),
    ("[a-z0-9", "write small letters, digits and strokes alone, the first one no stroke"),
    ("[^\\x00-\\x1f/]", "write it without strokes, in at most 60 characters"),
)


def _text(said: inspect.StrType) -> str:
    pattern = said.pattern or ""
    for part, asks in _PATTERNS:
        if part in pattern:
            return asks
    counted = re.search(r"\{1,(\d+)\}", pattern)
    most = said.max_length or (int(counted[1]) if counted else 0)
    lines = "" if "\\x0b" in pattern or not pattern else "on one line, "
    least = "at least one and " if said.min_length or counted else ""
    return f"write it {lines}in {least}at most {most:,} characters" if most else "write it as plain text"
