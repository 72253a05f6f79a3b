"""Files and folders as people export them: what is one history, and in which order it is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from builders import a_refund, an_order, summary_of
from counterfoil_engine.domain.errors import CounterfoilError
from counterfoil_engine.rehearsal.exports import read_exports
from rehearsal.checks import written


def _statuses(folder: Path) -> list[str]:
    snapshots = read_exports([folder]).histories()[1001]
    return ["gone" if each.kind == "gone" else json.loads(each.raw)["status"] for each in snapshots]


def _at(time: str, status: str, **fields: object) -> dict[str, object]:
    return an_order(status=status, date_modified_gmt=f"2026-11-23T{time}", **fields)


def test_readings_of_one_order_in_several_files_are_one_history_by_the_time_of_change(tmp_path):
    files = {"a.json": _at("11:00:00", "completed"), "b.json": [_at("09:00:00", "pending")]}
    files["c/d.json"] = _at("10:00:00", "processing")
    assert _statuses(written(tmp_path, files)) == ["pending", "processing", "completed"]


def test_of_two_readings_of_one_second_the_one_with_more_refunds_is_the_later(tmp_path):
    refund = summary_of(a_refund("1.00"))
    files = {"a.json": _at("10:00:00", "completed", refunds=[refund | {"amount": "1.00"}])}
    files["b.json"] = _at("10:00:00", "processing")
    assert _statuses(written(tmp_path, files)) == ["processing", "completed"]


def test_of_two_equal_readings_the_path_decides(tmp_path):
    files = {"b.json": _at("10:00:00", "completed"), "a.json": _at("10:00:00", "processing")}
    assert _statuses(written(tmp_path, files)) == ["processing", "completed"]


def test_a_history_keeps_its_own_order_whatever_its_times_say(tmp_path):
    steps = [{"order": _at("10:00:00", "processing"), "refunds": []}, {"order": _at("09:00:00", "on-hold")}]
    gone = {"after": "deleted", "status": 404, "body": {"code": "woocommerce_rest_shop_order_invalid_id"}}
    assert _statuses(written(tmp_path, {"h.json": {"snapshots": [*steps, gone]}})) == ["processing", "on-hold", "gone"]


def test_a_reading_on_its_own_goes_into_a_history_by_its_time(tmp_path):
    history = {"snapshots": [{"order": _at("09:00:00", "pending")}, {"order": _at("11:00:00", "completed")}]}
    files = {"h.json": history, "z.json": _at("10:00:00", "processing")}
    assert _statuses(written(tmp_path, files)) == ["pending", "processing", "completed"]


def test_refunds_are_found_by_their_id_wherever_they_are(tmp_path):
    refunds = [a_refund("1.00", id=5001), a_refund("2.00", id=5002), a_refund("3.00", id=5003)]
    files = {
        "order.json": an_order(refunds=refunds[:2]),
        "r1.json": refunds[0],
        "page.json": {"headers": {"X-WP-Total": "2"}, "body": refunds[1:]},
    }
    exports = read_exports([written(tmp_path, files)])
    [snapshot] = exports.histories()[1001]
    assert [entry["reason"] for entry in exports.skipped] == ["a refund that no order here lists"]
    assert sorted(json.loads(raw)["id"] for raw in snapshot.refunds) == [5001, 5002]


def test_a_list_page_with_its_headers_and_a_delivery_hold_orders(tmp_path):
    delivery = {
        "headers": {"X-WC-Webhook-Topic": "order.updated"},
        "raw_body": json.dumps(an_order(id=1003)),
    }
    page = {"headers": {"X-WP-Total": "2"}, "body": [an_order(id=1001), an_order(id=1002)]}
    exports = read_exports([written(tmp_path, {"page.json": page, "delivery.json": delivery})])
    assert sorted(exports.histories()) == [1001, 1002, 1003]
    assert exports.skipped == []


def test_other_json_is_skipped_with_the_reason(tmp_path):
    files = {
        "a.json": {"name": "MUG"},
        "b.json": [{"id": 1}, {"id": 2}],
        "c.json": 7,
        "d.json": {"headers": {}, "raw_body": "webhook_id=1"},
        "e.json": {"headers": {"x-wc-webhook-topic": "order.deleted"}, "raw_body": '{"id":47}'},
        "f.json": {"headers": {"x-wc-webhook-topic": "order.updated"}, "raw_body": "not json"},
        "g.json": an_order(id=0),
        "h.json": {"amount": "1.00", "line_items": []},
        "i.json": {"snapshots": [{"status": 404}]},
        "j.json": {"snapshots": []},
        "k.json": a_refund("1.00"),
    }
    skipped = read_exports([written(tmp_path, files)]).skipped
    assert [Path(entry["path"].partition("#")[0]).name for entry in skipped] == sorted(files)
    assert len({entry["reason"] for entry in skipped}) >= 8
    assert all(entry["reason"] for entry in skipped)


def test_a_file_that_is_named_and_is_no_json_is_skipped_and_a_path_that_is_not_there_is_an_error(tmp_path):
    (tmp_path / "orders.csv").write_text("id,total")
    assert read_exports([tmp_path / "orders.csv"]).skipped[0]["reason"] == "not a .json file"
    with pytest.raises(CounterfoilError, match="no file or folder"):
        read_exports([tmp_path / "nowhere"])


def test_what_the_store_said_is_taken_verbatim(tmp_path):
    raw = b'{"status":"pending", "order_key":"k",\n "id" : 1001, "total":"1.10",  "refunds":[], "n": 1.10}'
    (tmp_path / "a.json").write_bytes(b"[" + raw + b"]")
    [snapshot] = read_exports([tmp_path]).histories()[1001]
    assert snapshot.raw == raw
