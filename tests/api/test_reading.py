"""An event is read quickly where that is safe; what it comes to is always what the strict reader says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from counterfoil_contracts import parse
from counterfoil_engine.work.receive import _parsed_at_once
from fakes.events import cloud_event
from hypothesis import given
from hypothesis import strategies as st

STRICT = [
    b'{"a":1,"a":2}',
    b'{"a":{"b":[{"c":1,"c":1}]}}',
    b'{"a":1,"\\u0061":2}',
    b'{"a":1,"a":"\\u003a"}',
    b'{"a":"::","a":"\\u003A","b":"\\u003a"}',
    b'{"a" : "x" , "a":1}',
    b'{"a":' + b"9" * 401 + b"}",
    b'{"a":NaN}',
    b'{"a":1e999}',
    b'{"a":"\xff"}',
    b'{"a":' * 5000 + b"1" + b"}" * 5000,
]


@pytest.mark.parametrize("raw", STRICT)
def test_what_the_strict_reader_refuses_is_never_read_at_once(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(raw)
    assert _parsed_at_once(raw) is None


def test_an_ordinary_event_is_read_at_once() -> None:
    event = cloud_event(1, data={"order": {"id": 7, "note": 'a "quoted": text\\ with :colons:'}, "refunds": []})
    for raw in (json.dumps(event).encode(), json.dumps(event, indent=1, ensure_ascii=False).encode()):
        assert _parsed_at_once(raw) == parse(raw) == event


_texts = st.text(st.sampled_from(':a"\\ü\n'), max_size=4)
_values: st.SearchStrategy[Any] = st.recursive(
    st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _texts | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.lists(st.tuples(_texts, inner), max_size=4).map(tuple),
    max_leaves=8,
)


def _said(value: Any, escaped: bool) -> str:
    """JSON of a value; tuples are objects, in which a key may stand twice."""
    if isinstance(value, tuple):
        return "{" + ",".join(f"{_said(key, escaped)} :{_said(each, escaped)}" for key, each in value) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_said(each, escaped) for each in value) + "]"
    text = json.dumps(value)
    return text.replace(":", "\\u003a") if escaped and isinstance(value, str) else text


@given(_values, st.booleans())
def test_both_readers_agree_on_whatever_the_quick_one_reads(value: Any, escaped: bool) -> None:
    raw = _said(value, escaped).encode()
    at_once = _parsed_at_once(raw)
    if at_once is not None:
        assert at_once == parse(raw)
