"""Readers of stored bodies, one for each contract version that was ever released; none is ever taken away (E13).

A body was judged by its contract before it was stored; here it is only read. Numbers come out as int or Decimal, never
as float. NUL characters and half surrogate pairs, which JSON can say and no text column can hold, become U+FFFD.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any, Literal

_UNTEXT = re.compile("[\x00\ud800-\udfff]")
_MAY_BE_UNTEXT = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")  # most bodies escape other characters alone


@dataclass(frozen=True)
class Reader:
    """kind: what a snapshot of this type is; read: from the bytes of `data` to the snapshot's body."""

    kind: Literal["order", "gone"]
    read: Callable[[bytes], Mapping[str, Any]]


def read_json(body: bytes) -> Any:
    """A stored body with Decimals for floats and nothing in it that a text column can't hold."""
    value = json.loads(body, parse_float=Decimal)
    return _text_only(value) if _MAY_BE_UNTEXT.search(body) else value


def _text_only(value: Any) -> Any:
    if isinstance(value, str):
        return _UNTEXT.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_text_only(key): _text_only(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_text_only(each) for each in value]
    return value


# By the event's type, which names the version. These are the types that are facts of an order.
READERS: Mapping[str, Reader] = {
    "counterfoil.order.v1": Reader("order", read_json),
    "counterfoil.gone.v1": Reader("gone", read_json),
    "counterfoil.gone.v2": Reader("gone", read_json),
}


def read_body(event_type: str, body: bytes) -> Mapping[str, Any]:
    """A stored body, by the reader of its type."""
    return READERS[event_type].read(body)


class Unread(Mapping[str, Any]):
    """A stored body that is read once it is asked for, so that bytes can travel to whoever looks into them."""

    def __init__(self, event_type: str, body: bytes) -> None:
        self._type, self._body = event_type, body

    @cached_property
    def _read(self) -> Mapping[str, Any]:
        return read_body(self._type, self._body)

    def __getitem__(self, name: str) -> Any:
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read)

    def __len__(self) -> int:
        return len(self._read)
