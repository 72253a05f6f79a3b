"""Hostile input: always a clear 4xx or a verdict, never a 500 or a lost neighbour."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from typing import Any

import pytest
from fakes.events import an_order, cloud_event
from fakes.store_agent import INSTALLATION, OTHER_SECRET, SECRET, StoreAgent
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loguru import logger

SENTENCE = re.compile(r".+\.", re.DOTALL)


def _is_a_problem(answer, status: int, slug: str) -> None:
    assert (answer.status_code, answer.content_type) == (status, "application/problem+json"), answer.get_data()
    assert answer.json["type"] == f"/problems/{slug}"
    assert answer.json["status"] == status
    assert SENTENCE.fullmatch(answer.json["detail"]) and SENTENCE.fullmatch(answer.json["remedy"])
    assert answer.json["instance"].startswith("urn:uuid:")
    assert "Traceback" not in answer.text and SECRET not in answer.text


def _raw(n: int, data: bytes, **fields: Any) -> bytes:
    """An event with these very bytes as its data."""
    event = json.dumps(cloud_event(n, data={}, subject="order/1001") | fields).encode()
    return event.replace(b'"data": {}', b'"data": ' + data)


ORDER = json.dumps(an_order()).encode()
BROKEN_DATA = {
    "not a number": ORDER.replace(b'"10.00"', b"NaN"),
    "infinite": ORDER.replace(b'"10.00"', b"Infinity"),
    "huge exponent": ORDER.replace(b'"10.00"', b"1e999999999"),
    "huge number": ORDER.replace(b'"10.00"', b"9" * 5000),
    "a key twice": ORDER.replace(b'"total"', b'"total": "1.00", "total"'),
    "a key twice, deep inside": ORDER.replace(b'"line_items": []', b'"line_items": [{"id": 1, "id": 2}]'),
    "nested 100 deep": ORDER.replace(b'"line_items": []', b'"line_items": [], "x": ' + b"[" * 100 + b"]" * 100),
    "nested 50,000 deep": ORDER.replace(b'"line_items": []', b'"line_items": [], "x": ' + b"[" * 50000 + b"]" * 50000),
    "objects 9,000 deep": b'{"x":' * 9000 + b"1" + b"}" * 9000,
    "half a surrogate pair": ORDER.replace(b'"processing"', b'"\\ud800"'),
    "latin-1": ORDER.replace(b'"processing"', b'"verz\xf6gert"'),
    "a raw NUL": ORDER.replace(b'"processing"', b'"a\x00b"'),
    "no JSON": b"{total: 10}",
    "an array": b"[]",
    "a text": b'"order"',
    "null": b"null",
    "wrong types": ORDER.replace(b'"10.00"', b'["10.00"]'),
    "no total": ORDER.replace(b'"total"', b'"totally"'),
    "another order": json.dumps(an_order(1002)).encode(),
}


@pytest.mark.parametrize("data", BROKEN_DATA.values(), ids=BROKEN_DATA.keys())
def test_a_broken_body_is_kept_and_its_neighbours_go_on(agent, facts, database, data):
    answer = agent.send_raw(
        _raw(1, ORDER, id="a" * 32),
        _raw(2, data, id="b" * 32),
        json.dumps(cloud_event(3, data=an_order(1003))).encode(),
    )
    assert answer.status_code == 200, answer.text
    assert [verdict["verdict"] for verdict in answer.json["verdicts"]] == ["stored", "kept-invalid", "stored"]
    assert answer.json["verdicts"][1]["reason"]
    assert answer.json["stored_through"]["n"] == 3
    assert len(facts(1001).snapshots) == len(facts(1003).snapshots) == 1
    with database.transaction() as tx:
        row = tx.one("select body from events where verdict = 'kept-invalid'")
    assert bytes(row["body"]) == data


@pytest.mark.parametrize("data", BROKEN_DATA.values(), ids=BROKEN_DATA.keys())
def test_a_broken_body_that_comes_again_is_no_second_one(agent, database, data):
    for _ in range(2):
        answer = agent.send_raw(_raw(1, data))
        assert answer.json["verdicts"][0]["verdict"] == "kept-invalid"
    with database.transaction() as tx:
        assert tx.one("select count(*) as events from events")["events"] == 1


GOOD_DATA = {
    "an escaped NUL": ORDER.replace(b'"processing"', b'"a\\u0000b"'),
    "SQL in a name": ORDER.replace(b'"processing"', b'"\'; drop table events; --"'),
    "HTML in a name": ORDER.replace(b'"processing"', b'"<script>alert(1)</script>"'),
    "emoji": ORDER.replace(b'"processing"', '"🧾"'.encode()),
    "a long number within bounds": ORDER.replace(b'"line_items"', b'"x": 12345678901234567890123, "line_items"'),
    "white space": ORDER.replace(b",", b" ,\n\t"),
    "unknown currency": ORDER.replace(b'"EUR"', b'"XXQ"'),
}


@pytest.mark.parametrize("data", GOOD_DATA.values(), ids=GOOD_DATA.keys())
def test_what_is_only_strange_is_stored_as_it_came(agent, facts, database, data):
    assert agent.send_raw(_raw(1, data)).json["verdicts"][0] | {"id": None} == {
        "n": 1,
        "id": None,
        "verdict": "stored",
        "reason": None,
    }
    assert len(facts().snapshots) == 1
    with database.transaction() as tx:
        assert bytes(tx.one("select body from events")["body"]) == data


BROKEN_ENVELOPES = {
    "no id": {"id": None},
    "an id that is no id": {"id": "42"},
    "an id with a NUL": {"id": "a\x00b"},
    "an id like a conflict's": {"id": "a" * 32 + "~" + "b" * 16},
    "an id of a megabyte": {"id": "a" * 100_000},
    "a number as id": {"id": 7},
    "no source": {"source": None},
    "no type": {"type": None},
    "an unknown type": {"type": "counterfoil.weather.v1", "dataschema": "urn:counterfoil:events:weather:1"},
    "a version from the future": {"type": "counterfoil.order.v9", "dataschema": "urn:counterfoil:events:order:9"},
    "the schema of another type": {"dataschema": "urn:counterfoil:events:gone:1"},
    "a subject with a NUL": {"subject": "order/\x00"},
    "no subject": {"subject": None},
    "no time": {"time": None},
    "a time without zone": {"time": "2026-11-23T09:00:00"},
    "a time before all time": {"time": "0001-01-01T00:00:00+14:00"},
    "no day": {"occurredon": None},
    "a day that isn't": {"occurredon": "2026-02-30"},
    "another specversion": {"specversion": "0.3"},
    "text as data": {"datacontenttype": "text/plain"},
    "no traceparent": {"traceparent": None},
    "capitals in a name": {"Extra": 1},
}


@pytest.mark.parametrize("fields", BROKEN_ENVELOPES.values(), ids=BROKEN_ENVELOPES.keys())
def test_a_broken_envelope_is_kept_fills_its_number_and_stays_one(agent, facts, database, fields):
    for expected in ("stored", "duplicate"):
        answer = agent.send(cloud_event(1, **fields), cloud_event(2))
        assert answer.status_code == 200, answer.text
        assert [verdict["verdict"] for verdict in answer.json["verdicts"]] == ["kept-invalid", expected]
        assert answer.json["stored_through"]["n"] == 2
    assert [snapshot.n for snapshot in facts().snapshots] == [2]
    with database.transaction() as tx:
        assert tx.one("select count(*) as events from events")["events"] == 2


NO_PLACE = {
    "no number": {"n": None},
    "number 0": {"n": 0},
    "a negative number": {"n": -1},
    "a fraction": {"n": 1.5},
    "yes as a number": {"n": True},
    "a text as a number": {"n": "1"},
    "a number beyond all": {"n": 10**40},
    "no epoch": {"epoch": None},
    "epoch 0": {"epoch": 0},
    "a text as epoch": {"epoch": "1"},
    "an epoch beyond all": {"epoch": 10**40},
}


@pytest.mark.parametrize("fields", NO_PLACE.values(), ids=NO_PLACE.keys())
def test_an_event_without_a_place_is_refused_and_its_neighbours_go_on(agent, fields):
    answer = agent.send(cloud_event(1), cloud_event(2) | fields, cloud_event(3))
    assert [verdict["verdict"] for verdict in answer.json["verdicts"]] == ["stored", "refused", "stored"]
    assert "no place" in answer.json["verdicts"][1]["reason"]
    assert (answer.json["stored_through"]["n"], answer.json["holes"]) == (1, [[2, 2]])


@pytest.mark.parametrize("part", [b"1", b"null", b'"x"', b"[]", b"{}", b"[[[[]]]]", b"{]"[:1] + b"}", b"tru", b"\xff"])
def test_what_is_no_event_at_all_is_refused_and_its_neighbours_go_on(agent, part):
    good = [json.dumps(cloud_event(n)).encode() for n in (1, 2)]
    answer = agent.send_raw(good[0], part, good[1])
    assert answer.status_code == 200, answer.text
    assert [verdict["verdict"] for verdict in answer.json["verdicts"]] == ["stored", "refused", "stored"]


def test_another_store_s_event_is_refused_and_its_neighbours_go_on(agent, facts):
    answer = agent.send(cloud_event(1), cloud_event(2, "x", store="us1"), cloud_event(3))
    assert [verdict["verdict"] for verdict in answer.json["verdicts"]] == ["stored", "refused", "stored"]
    assert "us1" in answer.json["verdicts"][1]["reason"]
    assert facts(store="us1").snapshots == ()


def test_one_number_twice_in_a_batch_goes_to_the_first(agent):
    answer = agent.send(cloud_event(1, "a"), cloud_event(1, "b"), cloud_event(1, "a"))
    assert [verdict["verdict"] for verdict in answer.json["verdicts"]] == ["stored", "refused", "duplicate"]


def test_a_future_date_is_kept_where_it_says_it_belongs(agent, facts):
    answer = agent.send(cloud_event(1, occurredon="9999-12-31", time="9999-12-31T23:59:59Z"))
    assert answer.json["verdicts"][0]["verdict"] == "stored"
    assert facts().snapshots[0].read_at.year == 9999


# Whole requests


@pytest.mark.parametrize(
    "body",
    [b"", b"[", b"[1", b"{}", b"null", b"[1] 2", b"\xef\xbb\xbf[]", "[]".encode("utf-16"), b"\x00", b"[1,,2", b"]" * 9],
)
def test_a_body_that_is_no_array_is_rejected(agent, body):
    _is_a_problem(agent.post("/v1/events", body), 400, "json")


def test_a_batch_of_none_or_too_many_is_rejected(agent):
    _is_a_problem(agent.post("/v1/events", b"[]"), 400, "request")
    _is_a_problem(agent.post("/v1/events", [1] * 501), 413, "too-large")


def test_a_body_that_is_too_large_is_rejected_before_it_is_read(agent):
    _is_a_problem(agent.post("/v1/events", b"[" + b" " * 300_000 + b"]"), 413, "too-large")


def test_a_gzip_bomb_is_not_unpacked(agent):
    bomb = gzip.compress(b"[" + b" " * 150_000_000 + b"]", mtime=0)
    assert len(bomb) < 200_000
    answer = agent.post("/v1/events", bomb, content_encoding="gzip")
    _is_a_problem(answer, 413, "too-large")


@pytest.mark.parametrize(
    "body",
    [
        b"no gzip",
        b"",
        gzip.compress(b"[]", mtime=0)[:-4],
        gzip.compress(b"[]", mtime=0) + b"more",
        gzip.compress(b"[]", mtime=0) * 2,
        zlib.compress(b"[]"),
    ],
)
def test_what_is_not_one_gzip_member_is_rejected(agent, body):
    _is_a_problem(agent.post("/v1/events", body, content_encoding="gzip"), 400, "gzip")


def test_other_forms_of_a_body_are_rejected(agent):
    for headers in (
        {"content_encoding": "br"},
        {"content_encoding": "gzip, gzip"},
        {"content_type": "text/plain"},
        {"content_type": "application/json; charset=latin-1"},
        {"content_type": None},
        {"content_type": "application/x-www-form-urlencoded"},
    ):
        _is_a_problem(agent.post("/v1/events", b"[]", **headers), 415, "media-type")


def test_a_wrong_signature_is_rejected(agent, client, clock):
    event = cloud_event(1)
    answers = [
        StoreAgent(client, clock, "eu1", "a guess that is long enough").send(event),
        StoreAgent(client, clock, "eu1", OTHER_SECRET).send(event),
        StoreAgent(client, clock, "nowhere", SECRET).send(event),
        StoreAgent(client, clock, "us1", SECRET).send(event),
        agent.send(event, counterfoil_signature=None),
        agent.send(event, counterfoil_timestamp=None),
        agent.send(event, counterfoil_store=None),
        agent.send(event, counterfoil_signature="v1=" + "0" * 64),
        agent.send(event, counterfoil_signature="v2=" + "0" * 64),
        agent.send(event, counterfoil_signature="é"),
        agent.send(event, counterfoil_timestamp="now"),
        agent.send(event, counterfoil_timestamp="9" * 400),
        agent.send(event, counterfoil_timestamp="1795424401"),
    ]
    for answer in answers:
        _is_a_problem(answer, 401, "signature")


def test_a_signature_is_good_for_one_body_one_path_and_some_minutes(agent, clock):
    event = [cloud_event(1)]
    said = agent.post("/v1/events", event)
    header = said.request.headers["Counterfoil-Signature"]
    at = said.request.headers["Counterfoil-Timestamp"]
    replay = {"counterfoil_signature": header, "counterfoil_timestamp": at}
    _is_a_problem(agent.post("/v1/events", [cloud_event(2)], **replay), 401, "signature")
    _is_a_problem(agent.post("/v1/heartbeat", event, **replay), 401, "signature")
    clock.pass_time(301)
    _is_a_problem(agent.post("/v1/events", event, **replay), 401, "clock")


def test_a_clock_that_is_off_is_told_by_how_much(agent, clock):
    now = int(clock.now().timestamp())
    answer = agent.send(cloud_event(1), timestamp=now - 3600)
    _is_a_problem(answer, 401, "clock")
    assert "3600 s behind" in answer.json["detail"]
    _is_a_problem(agent.send(cloud_event(1), timestamp=now + 301), 401, "clock")
    assert agent.send(cloud_event(1), timestamp=now + 300).status_code == 200


@pytest.mark.parametrize(
    "fields",
    [
        {"store": "us1"},
        {"installation": "not hex"},
        {"installation": "1" * 32 + "\n"},
        {"installation": None},
        {"agent_version": "a\x00"},
        {"agent_version": "x" * 100},
        {"contracts": {"order": ["1"]}},
        {"contracts": {"or\x00der": [1]}},
        {"contracts": {f"c{n}": [1] for n in range(200)}},
        {"contracts": []},
        {"epoch": -1},
        {"last": {"n": -1, "id": "x"}},
    ],
)
def test_a_hello_that_is_none_is_rejected(agent, fields):
    answer = agent.hello(**fields)
    slug = "other-store" if fields == {"store": "us1"} else "contract"
    _is_a_problem(answer, 403 if slug == "other-store" else 400, slug)


@pytest.mark.parametrize("path", ["/v1/hello", "/v1/epoch", "/v1/heartbeat"])
@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b"[" * 100_000, b'{"a":' * 9000, b"\xff\xfe", b'{"store": "\\ud800"}']
)
def test_any_path_takes_rubbish_calmly(agent, path, body):
    _is_a_problem(agent.post(path, body), 400, "contract")


def test_paths_and_methods_that_are_not_there_are_problems_too(client):
    _is_a_problem(client.get("/"), 404, "no-such-path")
    _is_a_problem(client.get("/v1/orders/../../etc/passwd"), 404, "no-such-path")
    answer = client.get("/v1/events")
    _is_a_problem(answer, 405, "method")
    assert answer.headers["Allow"] == "POST"
    for method in ("put", "delete", "options", "trace"):
        _is_a_problem(getattr(client, method)("/v1/events"), 405, "method")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
envelope_names = st.sampled_from([*cloud_event(1), "extra"])


@given(st.lists(st.dictionaries(envelope_names, json_values, max_size=4), min_size=1, max_size=4))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_wrong_with_some_events_the_others_are_stored(agent, changes):
    """Numbers and epochs that still are right place every event; a good one stands before and after each."""
    epoch = agent.hello().json["epoch"]
    asked = {"store": "eu1", "installation": INSTALLATION, "epoch": epoch, "reason": "an empty one for each example"}
    epoch = agent.post("/v1/epoch", asked).json["epoch"]
    sent: list[Any] = []
    for change in [*changes, {}]:
        good, changed = ((n, f"{epoch} {n}") for n in (len(sent) + 1, len(sent) + 2))
        sent += [cloud_event(*good, epoch=epoch), cloud_event(*changed, epoch=epoch) | change]
    answer = agent.send(*sent)
    if answer.status_code == 409:  # an event was put into another epoch that may exist
        assert any("epoch" in change for change in changes)
        return
    assert answer.status_code == 200, answer.text
    assert len(answer.json["verdicts"]) == len(sent)
    other_numbers = [change.get("n") for change in changes]
    for verdict in answer.json["verdicts"][::2]:
        assert verdict["verdict"] == "stored" or verdict["n"] in other_numbers


@given(st.binary(max_size=300) | st.text(max_size=100).map(str.encode))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_answered_with_a_problem_or_verdicts(agent, body):
    for path in ("/v1/events", "/v1/hello", "/v1/epoch", "/v1/heartbeat"):
        assert 200 <= agent.post(path, body).status_code < 500
        assert 200 <= agent.post(path, body, content_encoding="gzip").status_code < 500


def test_neither_secrets_nor_shoppers_stand_in_the_log(agent, client, clock):
    lines: list[str] = []
    sink = logger.add(lambda line: lines.append(str(line)), level=0, serialize=True)
    try:
        shopper = an_order(billing={"email": "erika@example.com"}, customer_note="for Erika")
        agent.send(cloud_event(1, data=shopper), cloud_event(2, data=shopper | {"order": "Erika"}))
        agent.send(cloud_event(3, data=shopper), counterfoil_signature="v1=" + "0" * 64)
        client.get("/v1/status", headers={"Authorization": "Bearer a guess"})
    finally:
        logger.remove(sink)
    assert lines
    for word in ("rika", SECRET, "a guess"):
        assert word not in "".join(lines)
