"""Corrections of JSON: what differs makes the one the other, and numbers stay as they were written."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from counterfoil_engine.domain.errors import CounterfoilError
from counterfoil_engine.domain.patch import difference, patched, written
from hypothesis import given
from hypothesis import strategies as st

SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner))
OBJECTS = st.dictionaries(st.text(max_size=3), JSON, max_size=5)


@given(OBJECTS, OBJECTS)
def test_what_differs_makes_the_one_the_other(before, after):
    operations = list(difference(before, after))
    assert patched(before, operations) == after
    assert (operations == []) == (before == after and written(before) == written(patched(before, operations)))


@given(JSON)
def test_what_is_written_is_read_back(value):
    assert json.loads(written(value)) == value


def test_numbers_stay_as_they_were_written():
    body = '{"order":{"price":10.4200000000000000017,"total":"1.10"}}'
    said = json.loads(body, parse_float=Decimal)
    assert written(said) == body
    mended = patched(said, [{"op": "replace", "path": "/order/total", "value": "1.1"}])
    assert written(mended) == body.replace("1.10", "1.1")
    assert said["order"]["total"] == "1.10"


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "move", "path": "/a", "from": "/b"},
        {"op": "replace", "path": "a", "value": 1},
        {"op": "replace", "path": "/a"},
        {"op": "replace", "path": "/b", "value": 1},
        {"op": "remove", "path": "/list/2"},
        {"op": "add", "path": "/list/x", "value": 1},
        {"op": "add", "path": "/a/b/c", "value": 1},
        {"path": "/a"},
    ],
)
def test_what_cannot_be_done_is_told(operation):
    with pytest.raises(CounterfoilError, match="The correction can't be made"):
        patched({"a": "x", "list": [1, 2]}, [operation])
