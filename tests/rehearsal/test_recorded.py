"""The recorded folder, rehearsed as a whole, against what a person worked out by hand (recorded/expected.yaml)."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from domain.recorded import expected
from rehearsal.checks import balances, by_order, standing, sums

EXPECTED = expected()["orders"]


def test_every_recorded_order_is_in_the_report_and_nothing_else(recorded_report):
    assert set(by_order(recorded_report)) == set(EXPECTED)


@pytest.mark.parametrize("order_id", EXPECTED)
def test_a_recorded_order_comes_to_what_was_worked_out_by_hand(recorded_report, order_id):
    order, wanted = by_order(recorded_report)[order_id], EXPECTED[order_id]
    assert order["reading"] == wanted["reading"], order["cases"]
    assert [case["category"] for case in order["cases"]] == wanted.get("cases", [])
    assert sums(order) == wanted["kinds"]
    assert balances(order) == wanted["balances"]
    assert balances(order, book=True) == wanted.get("book", wanted["balances"])
    assert all(proof["ok"] for proof in order["proof"]), order["proof"]


def test_at_most_three_recorded_orders_park(recorded_report):
    assert {name for name, order in by_order(recorded_report).items() if order["cases"]} == {"47", "48", "11208"}


def test_what_stands_fulfils_the_equations_of_an_accepted_order(recorded_report):
    for order in by_order(recorded_report).values():
        if order["reading"] != "posted":
            continue
        total = sums(order)
        assert standing(order, "sales_order") == 1
        assert total.get("refund_payment", 0) <= total.get("payment", 0)
        stands = total.get("invoice", 0) - total.get("credit_note", 0)
        assert stands == order["total_minor"] + total.get("tender", 0) - total.get("refund_payment", 0)


def test_no_two_documents_of_the_recorded_data_share_a_key(recorded_report):
    keys = Counter(document["key"] for order in recorded_report.orders for document in order["documents"])
    assert max(keys.values()) == 1


def test_what_is_no_order_is_skipped_with_a_reason(recorded_report):
    reasons = {entry["path"].rsplit("/", 1)[1]: entry["reason"] for entry in recorded_report.skipped}
    assert "neither an order" in reasons["customer.json"]
    assert "neither an order" in reasons["taxes.json"]
    assert "ping" in reasons["webhook_ping.json"]
    assert "only a hint" in reasons["webhook_order_created_gone.json"]
    assert "only a hint" in reasons["webhook_order_deleted.json"]
    assert not [name for name in reasons if name.startswith(("order_", "refund_"))]


def test_the_last_line_counts_every_order_once(recorded_report):
    assert recorded_report.last_line == (
        "rehearse: 32 orders, 24 posted, 1 waiting, 0 cancelled, 4 filtered, 3 cases, remainder 0.00"
    )


def test_the_report_has_no_personal_data(recorded_report, recorded):
    text = json.dumps(recorded_report.as_json())
    orders = [json.loads(path.read_bytes()) for path in recorded.glob("order_*.json")]
    people = [order["billing"] for order in orders if isinstance(order, dict) and "billing" in order]
    said = {str(person[name]) for person in people for name in ("email", "last_name", "address_1")}
    long_enough = {each for each in said if len(each) > 4}
    assert long_enough
    assert [each for each in long_enough if each in text] == []
