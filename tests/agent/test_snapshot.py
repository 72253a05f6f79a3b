"""What a shop says becomes an event byte by byte, or a reason why not."""

from __future__ import annotations

import contextlib
import json

import pytest
from counterfoil_agent import snapshot
from counterfoil_agent.errors import Unreadable
from counterfoil_contracts import faults
from fakes.agent_shop import RECORDED, recorded
from hypothesis import given
from hypothesis import strategies as st

ORDERS = sorted(path.name for path in RECORDED.glob("order_*.json") if "list" not in path.name)


@pytest.mark.parametrize("name", ORDERS)
def test_every_recorded_order_becomes_an_event_that_meets_its_contract(name: str) -> None:
    raw = (RECORDED / name).read_bytes().strip()
    event = snapshot.order_event(raw, [])
    assert event.note is None
    assert event.body == b'{"order":' + raw + b',"refunds":[]}'
    around = snapshot.envelope(
        "eu1",
        event_id="0" * 32,
        event_type=event.type,
        time="2026-11-23T09:10:39.123Z",
        traceparent="00-" + "1" * 32 + "-" + "1" * 16 + "-01",
        body=event.body,
        subject=f"order/{event.order_id}",
        epoch=1,
        n=17,
        occurred_on="2026-11-23",
    )
    assert faults("events/envelope.v1", around) == []


def test_a_list_is_taken_apart_without_touching_its_bytes() -> None:
    assert snapshot.values_of(b'\xef\xbb\xbf [ {"a": 1.50} , {"b":"\\u00e9"} ]\n') == [
        b'{"a": 1.50}',
        b'{"b":"\\u00e9"}',
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"<html>maintenance</html>",
        b'{"code":"x"}',
        b'[{"id":NaN}]',
        b'[{"id":1},{"name":"\xff"}]',
        b"[" * 200_000 + b"]" * 200_000,
        b"",
        b"[1,",
        b"PHP Notice: undefined index [] in",
    ],
)
def test_what_is_no_list_is_told_and_never_a_crash(body: bytes) -> None:
    with pytest.raises(Unreadable) as told:
        snapshot.values_of(body)
    assert told.value.size_bytes == len(body)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"id":1,"status":"x","id":2}',
        b'{"id":1,"a":{"b":1,"b":2}}',
        b'{"id":1,"a":Infinity}',
        b'{"id":1,"a":' + b"[" * 300 + b"]" * 300 + b"}",
        b'{"id":1,"a":1e999}',
        b'{"id":0}',
        b'{"id":-5}',
        b'{"id":9007199254740993}',
        b'{"id":"1"}',
        b'{"id":1,"status":5}',
        b"null",
        b'{"id":1,"name":"\xc3\x28"}',
        b'{"id":1,"n":' + b"9" * 5000 + b"}",
    ],
)
def test_what_could_spoil_a_batch_or_be_read_in_two_ways_is_no_event(raw: bytes) -> None:
    with pytest.raises(Unreadable):
        snapshot.order_event(raw, [])


def test_an_order_that_breaks_its_contract_is_sent_all_the_same_with_a_note() -> None:
    event = snapshot.order_event(json.dumps({**recorded("order_simple_paid.json"), "total": 5}).encode(), [])
    assert event.note is not None
    assert "/order/total" in event.note


def test_a_hostile_name_is_only_a_name() -> None:
    order = recorded("order_simple_paid.json")
    order["billing"]["first_name"] = "'; DROP TABLE rows; -- <script>\u0000"
    raw = json.dumps(order).encode()
    assert raw in snapshot.order_event(raw, []).body


@pytest.mark.parametrize("change", ["total", "status", "date_paid_gmt"])
def test_what_differs_in_money_has_another_fingerprint(change: str) -> None:
    order = recorded("order_simple_paid.json")
    assert money(order) == money({**order, "customer_note": "other"})
    assert money(order) != money({**order, change: "other"})


def test_a_refund_is_money() -> None:
    order = recorded("order_simple_paid.json")
    assert money(order) != money({**order, "refunds": [{"id": 1, "total": "-1.00"}]})


def money(order: dict[str, object]) -> str:
    return snapshot.money_of(snapshot.head_of(json.dumps(order).encode()))


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_no_bytes_make_it_fail_in_a_way_of_its_own(raw: bytes) -> None:
    for read in (
        snapshot.values_of,
        snapshot.head_of,
        snapshot.refund_id_of,
        lambda raw: snapshot.order_event(raw, []),
    ):
        with contextlib.suppress(Unreadable):
            read(raw)


@pytest.mark.parametrize("text", [None, "", "2026-11-23", "2026-11-23T25:00:00", 5, "2026-11-23T09:00:00Z", "x" * 99])
def test_what_is_no_time_is_none(text: object) -> None:
    assert snapshot.moment_of(text) is None
