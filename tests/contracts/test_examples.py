"""Every example is a test, by the validator that is used and by another that isn't."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from contracts.examples import Example, bad_examples, good_examples, recorded_orders, slow_validator
from counterfoil_contracts import MOST_FAULTS, faults, names
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

GOOD, BAD = good_examples(), bad_examples()
SHARED = ("common/", "documents/_", "facts/_")


def test_every_contract_has_good_and_bad_examples() -> None:
    wanted = {name for name in names() if not name.startswith(SHARED)}
    assert {example.name for example in GOOD} == wanted
    assert {example.name for example in BAD} == wanted


@pytest.mark.parametrize("example", GOOD, ids=str)
def test_a_good_example_has_no_fault(example: Example) -> None:
    assert faults(example.name, example.value) == []
    assert faults(example.name, json.dumps(example.value).encode()) == []
    assert slow_validator(example.name).is_valid(example.value)


@pytest.mark.parametrize("example", BAD, ids=str)
def test_a_bad_example_fails_where_it_says(example: Example) -> None:
    assert example.fault in [fault.path for fault in faults(example.name, example.value)]
    assert not slow_validator(example.name).is_valid(example.value)


@pytest.mark.parametrize(("name", "data"), recorded_orders(), ids=[name for name, _ in recorded_orders()])
def test_what_a_real_store_said_passes_both_validators(name: str, data: dict[str, Any]) -> None:
    assert faults("events/order.v1", data) == []
    assert slow_validator("events/order.v1").is_valid(data)


def test_at_least_23_recorded_orders_and_all_histories_were_tried() -> None:
    read = [name for name, _ in recorded_orders()]
    assert len([name for name in read if name.endswith(".json")]) >= 23
    assert len({name.split("[")[0] for name in read if "[" in name}) == 5


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.builds(list),
    st.builds(dict),
    st.just("'; drop table events; --"),
    st.just("<script>alert(1)</script>"),
    st.just("\ud800"),
    st.builds(lambda: 10**400),
    st.builds(lambda: "1" * 10_000),
    st.builds(lambda: {1: 2}),
    st.builds(lambda: {"a": {1, 2}}),
)


@given(st.sampled_from(GOOD), st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_mutation_of_a_good_example_makes_the_check_fail(example: Example, data: st.DataObject) -> None:
    value = copy.deepcopy(example.value)
    for _ in range(data.draw(st.integers(1, 3))):
        _mutate(value, data)
    found = faults(example.name, value)
    assert len(found) <= MOST_FAULTS
    assert all(len(fault.message) <= 400 and len(fault.path) <= 300 for fault in found)


def _mutate(value: Any, data: st.DataObject) -> None:
    """Walk down some way and put something odd there, or take something away."""
    while True:
        keys: list[Any] = list(value) if isinstance(value, dict) else list(range(len(value)))
        if not keys:
            return
        key = data.draw(st.sampled_from(keys))
        if isinstance(value[key], dict | list) and value[key] and data.draw(st.booleans()):
            value = value[key]
            continue
        if data.draw(st.booleans()):
            value[key] = data.draw(ODD)
        else:
            del value[key]
        return


@given(st.binary(max_size=200))
def test_no_bytes_make_the_check_fail(raw: bytes) -> None:
    assert isinstance(faults("events/order.v1", raw), list)


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b'{"order": {"id": 1, "id": 2}}', "'id' stands twice"),
        (b'{"order": NaN}', "NaN is no number"),
        (b'{"order": -Infinity}', "-Infinity is no number"),
        (b'{"order": 1e999}', "too large"),
        (b'{"order": ' + b"9" * 5000 + b"}", "has 5000 digits"),
        (b"\xff\xfe{}", "not UTF-8: byte 0"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"order": ' + b"[" * 70 + b"]" * 70 + b"}", "at most 64 levels"),
        (b'{"order": "\\ud800"}', "no JSON that can be read"),
        (b"", "not JSON"),
    ],
)
def test_hostile_json_is_one_fault_that_says_why(raw: bytes, says: str) -> None:
    (fault,) = faults("events/order.v1", raw)
    assert says in fault.message


def test_thousands_of_faults_are_told_as_twenty() -> None:
    data = {
        "order": {"id": 1, "status": "x", "currency": "EUR", "total": "1", "line_items": [{}] * 4000},
        "refunds": [],
    }
    assert len(faults("events/order.v1", data)) == MOST_FAULTS


def test_a_fault_in_what_a_shopper_wrote_never_repeats_it() -> None:
    data = {"order": {"id": "Erika Mustermann"}, "refunds": "erika@example.com"}
    told = " ".join(str(fault) for fault in faults("events/order.v1", data))
    assert "/order/id" in told
    assert "Erika" not in told
    assert "erika@" not in told


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("documents/payment.v1", "EUR\n", "Python's $ also stands before a last line break"),
        ("documents/payment.v1", "EUR ", "a blank is no letter"),
        ("documents/payment.v1", "\u0415UR", "a Cyrillic letter looks like ours"),
    ],
)
def test_a_currency_is_three_letters_and_nothing_more(name: str, value: str, why: str) -> None:
    payment = next(example.value for example in GOOD if example.name == name)
    assert [fault.path for fault in faults(name, {**payment, "currency": value})] == ["/currency"], why
