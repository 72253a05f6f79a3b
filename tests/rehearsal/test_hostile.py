"""Hostile files: each is skipped with a reason or becomes a case with a remedy, and its neighbours end right."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from builders import a_line, an_order
from counterfoil_engine.domain.errors import CounterfoilError
from counterfoil_engine.rehearsal import exports, run
from counterfoil_engine.rehearsal.report import invariant
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from rehearsal.checks import by_order, check, rehearsed, written

GOOD = {f"good/{n}.json": an_order(a_line("MUG", n, "3.33"), id=9000 + n) for n in (1, 2, 3)}
TEXT = json.dumps(an_order())

HOSTILE: dict[str, bytes] = {
    "empty": b"",
    "blank": b" \n",
    "not json": b"<?php die();",
    "cut": TEXT[: len(TEXT) // 2].encode(),
    "two values": f"{TEXT}{TEXT}".encode(),
    "deep lists": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "deep in an order": TEXT.replace('"meta_data": []', '"meta_data": ' + "[" * 3000 + "]" * 3000).encode(),
    "latin 1": TEXT.replace("Erika", "Jürgen").encode("latin-1"),
    "utf-16": TEXT.encode("utf-16"),
    "utf-16 without mark": TEXT.encode("utf-16-le"),
    "nul bytes": b"\x00" * 1000,
    "nan": TEXT.replace('"11.90"', "NaN").encode(),
    "infinity": TEXT.replace('"11.90"', "Infinity").encode(),
    "minus infinity": TEXT.replace('"11.90"', "-Infinity").encode(),
    "1e400": TEXT.replace('"11.90"', "1e400").encode(),
    "huge integer": TEXT.replace('"11.90"', "9" * 5000).encode(),
    "huge text amount": TEXT.replace('"11.90"', '"' + "9" * 400 + '"').encode(),
    "duplicate key": TEXT.replace('"status":', '"total": "1.00", "status":').encode(),
    "duplicate id": TEXT.replace('"status":', '"id": 1002, "status":').encode(),
    "half a surrogate": TEXT.replace("Erika", "\\ud800").encode(),
    "nul in a name": TEXT.replace("Erika", "\\u0000").encode(),
    "id 0": TEXT.replace('"id": 1001', '"id": 0').encode(),
    "id negative": TEXT.replace('"id": 1001', '"id": -5').encode(),
    "id beyond 64 bits": TEXT.replace('"id": 1001', f'"id": {2**70}').encode(),
    "id 2**63": TEXT.replace('"id": 1001', f'"id": {2**63}').encode(),
    "id a float": TEXT.replace('"id": 1001', '"id": 1001.5').encode(),
    "id a whole float": TEXT.replace('"id": 1001', '"id": 1001.0').encode(),
    "id text": TEXT.replace('"id": 1001', '"id": "1001"').encode(),
    "id true": TEXT.replace('"id": 1001', '"id": true').encode(),
    "id null": TEXT.replace('"id": 1001', '"id": null').encode(),
    "history of nothing": b'{"snapshots": 7}',
    "history of odd steps": b'{"snapshots": [1, null, [], {}, {"order": 7}, {"order": {}}, {"status": 404}]}',
    "delivery of nothing": b'{"headers": {"x-wc-webhook-topic": "order.updated"}, "raw_body": null}',
    "delivery of lists": b'{"headers": ["x-wc-webhook-topic"], "raw_body": []}',
    "pages in pages": b'{"headers": {}, "body": ' * 2000 + b"[]" + b"}" * 2000,
    "refund without lines": b'{"amount": {}, "line_items": 7, "id": 5001}',
    "future": json.dumps(an_order(date_created_gmt="2999-01-01T00:00:00")).encode(),
    "unknown currency": json.dumps(an_order(currency="QQQ")).encode(),
    "negative total": json.dumps(an_order(total="-11.90")).encode(),
    "no lines": json.dumps(an_order(line_items=[])).encode(),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_skipped_or_read_and_never_breaks_the_reading_of_others(name, tmp_path):
    read = exports.read_exports([written(tmp_path, {"bad.json": HOSTILE[name], **GOOD})])
    histories = read.histories()
    assert {9001, 9002, 9003} <= set(histories)
    assert [entry for entry in read.skipped if "good" in entry["path"]] == []
    assert read.skipped or len(histories) == 4


def test_all_hostile_files_together_leave_their_neighbours_right(tmp_path):
    """Each hostile order under an id of its own, beside good ones, in one folder."""
    files: dict[str, Any] = {}
    for number, (name, content) in enumerate(HOSTILE.items()):
        files[f"bad/{name}.json"] = content.replace(b'"id": 1001,', f'"id": {2001 + number},'.encode())
    report = rehearsed(written(tmp_path, {**files, **GOOD}))
    orders = by_order(report)
    assert [orders[str(9000 + n)]["reading"] for n in (1, 2, 3)] == ["posted"] * 3
    assert [orders[str(9000 + n)]["total_minor"] for n in (1, 2, 3)] == [396, 793, 1189]
    told = {Path(entry["path"].partition("[")[0].partition("#")[0]).stem for entry in report.skipped}
    for number, name in enumerate(HOSTILE):
        order = orders.get("1002" if name == "duplicate id" else str(2001 + number))  # of equal keys the last is read
        assert name in told or (order and (order["cases"] or name in HARMLESS)), name
    assert all(entry["reason"] and len(entry["reason"]) < 400 for entry in report.skipped)


# What looks hostile and is an order all the same.
HARMLESS = {"half a surrogate", "nul in a name"}


def test_a_file_larger_than_the_bound_is_skipped_unread(tmp_path, monkeypatch):
    monkeypatch.setattr(exports, "FILE_BYTES_MAX", 1000)
    read = exports.read_exports([written(tmp_path, {"large.json": b"[" + b" " * 1000 + b"]"})])
    assert "larger than" in read.skipped[0]["reason"]


def test_more_files_than_the_bound_are_refused_with_a_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr(exports, "FILES_MAX", 2)
    with pytest.raises(CounterfoilError, match="more than 2 files") as told:
        exports.read_exports([written(tmp_path, GOOD)])
    assert told.value.remedy


def test_a_file_with_a_byte_order_mark_and_one_that_nobody_may_read(tmp_path):
    written(tmp_path, {"mark.json": b"\xef\xbb\xbf" + TEXT.encode()})
    (tmp_path / "loop.json").symlink_to(tmp_path / "loop.json")
    (tmp_path / "gone.json").symlink_to(tmp_path / "nowhere")
    read = exports.read_exports([tmp_path])
    assert list(read.histories()) == [1001]


def test_a_file_whose_name_is_no_text_is_told_like_any_other(tmp_path):
    os.close(os.open(os.fsencode(tmp_path) + b"/\xff\xfe.json", os.O_CREAT | os.O_WRONLY))
    report = rehearsed(written(tmp_path, GOOD))
    assert json.dumps(report.as_json(), ensure_ascii=False).encode()
    assert [entry["path"].endswith("??.json") for entry in report.skipped] == [True]


@pytest.mark.parametrize("store", ["", "a/b", "ü", "x" * 64, "eu1\n", "'; drop table events; --"])
def test_a_store_name_that_cannot_be_one_is_refused_with_a_remedy(store, tmp_path):
    with pytest.raises(CounterfoilError, match="can't be a store's name"):
        rehearsed(written(tmp_path, GOOD), store=store)


def test_another_order_under_the_same_id_is_no_edit_of_the_first(tmp_path):
    first = an_order(date_modified_gmt="2026-11-23T10:00:00")
    other = an_order(a_line("CUP", 1, "99.00"), order_key="wc_order_other", date_modified_gmt="2026-11-23T11:00:00")
    order = by_order(rehearsed(written(tmp_path, {"a.json": first, "b.json": other})))["1001"]
    assert order["reading"] == "parked"
    assert order["cases"][0]["category"] in ("conflict", "data")


def test_html_and_sql_in_names_are_only_text(tmp_path):
    names = ["<script>alert(1)</script>", "'; drop table events; --", "[bold]x[/bold]", "{{7*7}}", "%s%n", "ＷＩＤＥ́"]
    orders = []
    for number, name in enumerate(names):
        order = an_order(a_line(name, 1, "10.00"), id=1001 + number, payment_method="bacs")
        order["billing"]["last_name"] = order["line_items"][0]["name"] = name
        orders.append(order)
    report = rehearsed(written(tmp_path, {"a.json": orders}))
    assert {order["reading"] for order in report.orders} == {"posted"}


def test_an_order_of_ten_thousand_lines_ends_right_or_as_a_case(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "_judge_replay", lambda *_: invariant("I6", [], "left out"))
    order = an_order(*(a_line("MUG", 1, "1.00") for _ in range(10_000)))
    report = run.rehearse([written(tmp_path, {"a.json": order, **GOOD})])
    check(report.as_json())
    assert report.holds
    assert by_order(report)["9001"]["reading"] == "posted"


# Every field of an order, with every kind of wrong value.

WRONG: list[Any] = [None, [], {}, 7, -1, "x" * 5000, "-5", True, "2999-01-01T00:00:00", 10**30]


def _places(value: Any, place: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield (*place, key)
            yield from _places(each, (*place, key))
    elif isinstance(value, list) and value:
        yield (*place, 0)
        yield from _places(value[0], (*place, 0))


def _with(order: Any, place: tuple[str | int, ...], value: Any) -> Any:
    changed = deepcopy(order)
    inner = changed
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return changed


def test_a_wrong_value_in_any_field_of_an_order_is_a_case_or_does_no_harm(tmp_path, monkeypatch):
    # Replay is proven elsewhere; here it would take longer than all the rest.
    monkeypatch.setattr(run, "_judge_replay", lambda *_: invariant("I6", [], "left out"))
    order = an_order(a_line("MUG", 2), refunds=())
    places = [place for place in _places(order) if place[0] != "id"]
    mutated = []
    for number, place in enumerate(places):
        # Each field in turn meets some of the wrong values; over all fields each value is met often.
        for value in WRONG[number % 3 :: 3]:
            mutated.append({**_with(order, place, value), "id": 10_000 + len(mutated)})
    files = {f"{each['id']}.json": each for each in mutated}
    report = run.rehearse([written(tmp_path, {**files, **GOOD})])
    check(report.as_json())
    assert report.holds, report.invariants
    orders = by_order(report)
    assert [orders[str(9000 + n)]["reading"] for n in (1, 2, 3)] == ["posted"] * 3
    assert len(orders) + len(report.skipped) == len(mutated) + 3


RECORDED = sorted((Path(__file__).parent.parent / "recorded" / "woocommerce").glob("*.json"))


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_bytes_changed_anywhere_in_recorded_files_never_break_the_reading(data, tmp_path):
    raw = bytearray(data.draw(st.sampled_from(RECORDED)).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 30))] = data.draw(st.binary(max_size=12))
    file = tmp_path / "changed.json"
    file.write_bytes(bytes(raw))
    read = exports.read_exports([file])
    for order_id, snapshots in read.histories().items():
        assert order_id > 0
        for snapshot in snapshots:
            assert run._event(snapshot).order_id == order_id
    run._readable(read.histories(), run.datetime.now(run.UTC))


def test_recorded_files_with_changed_values_end_right_or_as_a_case(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "_judge_replay", lambda *_: invariant("I6", [], "left out"))
    mutated: list[dict[str, Any]] = []

    @settings(
        max_examples=60,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def collect(data: st.DataObject) -> None:
        path = data.draw(st.sampled_from([path for path in RECORDED if path.name.startswith("order_s")]))
        order = json.loads(path.read_bytes())
        for _ in range(data.draw(st.integers(1, 3))):
            place = data.draw(st.sampled_from(sorted(_places(order), key=str)))
            value = data.draw(st.one_of(st.none(), st.integers(), st.text(max_size=20), st.floats(), st.just([])))
            order = _with(order, place, value)
        mutated.append({**order, "id": 10_000 + len(mutated)})

    collect()
    files = {f"{each['id']}.json": each for each in mutated}
    report = run.rehearse([written(tmp_path, {**files, **GOOD})])
    check(report.as_json())
    assert report.holds, report.invariants
    assert by_order(report)["9003"]["reading"] == "posted"
