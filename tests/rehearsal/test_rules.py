"""Rules of a rehearsal: proposed from the data, saved, and the rows that are missing named one by one."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from builders import FRANCE, NOWHERE, Shop, a_fee, a_line, a_refund, a_refunded_line, a_shipping, an_order, summary_of
from counterfoil_engine.domain.errors import CounterfoilError
from counterfoil_engine.rehearsal.run import rehearse
from counterfoil_engine.work.propose import propose
from rehearsal.checks import balances, by_order, rehearsed, sums, written

# An order that needs a row of every table.
NEEDY = an_order(
    a_line("MUG", 2, "9.90"),
    a_shipping(),
    a_fee("Gift card A1B2", "-5.00", tax_class="none"),
    status="packing",
    currency="USD",
    payment_method="klarna",
    date_modified_gmt="2026-11-23T10:00:00",
)
ABROAD = an_order(a_line("CUP"), shop=Shop(NOWHERE), country="US", id=1002)
FRENCH = an_order(a_line("MUG"), shop=Shop(FRANCE), country="FR", id=1003)

# Table → what is asked for by name, and the row that frees the order.
ROWS: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "payment_methods": ({"method": "klarna"}, {"gateway": "klarna", "accept_unpaid": False}),
    "tax_rates": ({"code": "DE-MWST 19%-1"}, {"treatment": "domestic", "jurisdiction": "DE"}),
    "items": ({"sku": "MUG"}, {"item": "MUG", "class": "goods", "exempt": False}),
    "statuses": ({"status": "packing"}, {"reads_as": "processing"}),
    "fees": ({"title": "Gift card A1B2"}, {"reads_as": "gift_card", "provider": "cards"}),
    "rates": ({"currency": "USD"}, {"rate": "1.25"}),
}


def _rules(without: str = "") -> dict[str, Any]:
    rules: dict[str, Any] = {
        "rules": "of hand",
        "entities": [
            {
                "id": "DE01",
                "book_currency": "EUR",
                "zone": "Europe/Berlin",
                "country": "DE",
                "registrations": [{"jurisdiction": "DE", "treatment": "domestic"}],
            }
        ],
        "stores": [
            {
                "id": "eu1",
                "entity": "DE01",
                "start_line": "2020-01-01T00:00:00Z",
                "switches": {"erp": "on"},
                "pool": "e",
            }
        ],
        "guests": [{"store": "*", "policy": "per_country", "from": "2020-01-01"}],
        "sequence": [{"entity": "*", "method": "*", "invoice_on": "acceptance", "from": "2020-01-01"}],
    }
    for table in ROWS:
        if table != without:
            with_row(rules, table)
    return rules


def with_row(rules: dict[str, Any], table: str) -> dict[str, Any]:
    """Fill a table's row in."""
    asked, values = ROWS[table]
    where = {"book": "EUR"} if table == "rates" else {"store": "*"}
    rules.setdefault(table, []).append({**where, **asked, **values, "from": "2020-01-01"})
    return rules


@pytest.mark.parametrize("table", ROWS)
def test_a_missing_row_parks_by_its_name_and_filling_it_in_frees_the_order(table, tmp_path):
    folder, rules = written(tmp_path, {"order.json": NEEDY}), _rules(without=table)
    order = by_order(rehearsed(folder, rules=json.dumps(rules)))["1001"]
    assert (order["reading"], [case["category"] for case in order["cases"]]) == ("parked", ["missing_mapping"])
    [row] = order["cases"][0]["rows"]
    asked, values = ROWS[table]
    assert row["table"] == table
    assert {name: row[name] for name in asked} == asked
    assert {row[name] for name in values} == {None}
    assert next(iter(asked.values())) in order["cases"][0]["cause"]
    assert {kind for kind, amount in sums(order).items() if amount} <= {"payment"}

    freed = by_order(rehearsed(folder, rules=json.dumps(with_row(rules, table))))["1001"]
    assert (freed["reading"], freed["cases"]) == ("posted", [])


def test_a_store_without_a_row_parks_by_its_name(tmp_path):
    report = rehearsed(written(tmp_path, {"order.json": NEEDY}), store="us1", rules=json.dumps(_rules()))
    [case] = report.orders[0]["cases"]
    assert case["rows"] == [{"table": "stores", "id": "us1"}]
    assert report.orders[0]["documents"] == []


def test_what_data_needs_is_proposed_with_how_sure_it_is_and_why(tmp_path):
    report = rehearsed(written(tmp_path, {"a.json": [NEEDY, ABROAD, FRENCH]}))
    assert {order["reading"] for order in report.orders} == {"posted"}
    proposed = {entry["table"]: entry for entry in report.as_json()["proposed"]}
    assert set(ROWS) | {"entities", "stores", "untaxed", "guests", "sequence"} <= set(proposed)
    assert all(0 <= entry["confidence"] <= 1 and entry["because"] for entry in proposed.values())
    assert proposed["rates"]["confidence"] == 0
    assert proposed["payment_methods"]["confidence"] >= 0.9
    assert proposed["fees"]["row"]["title"] == "Gift card*"


def test_an_unknown_method_and_a_tax_code_without_a_country_are_never_guessed_in_silence(tmp_path):
    odd = an_order(payment_method="my_own_gateway")
    odd["tax_lines"][0]["rate_code"] = "MWST-1"
    report = rehearsed(written(tmp_path, {"a.json": odd}))
    sure = {entry.table: entry.confidence for entry in report.proposed}
    assert sure["payment_methods"] <= 0.5
    assert sure["tax_rates"] <= 0.5


def test_saved_rules_give_the_same_orders_when_they_are_given(tmp_path):
    folder = written(tmp_path / "data", {"a.json": [NEEDY, ABROAD, FRENCH]})
    first = rehearsed(folder)
    again = rehearsed(folder, rules=first.rules_text)
    assert again.proposed == []
    assert yaml.safe_load(first.rules_text)["rules"] == "proposed"
    assert again.orders == first.orders


def test_saved_rules_of_the_recorded_data_give_the_same_sums(recorded, recorded_report, tmp_path):
    proposed = rehearsed(recorded)
    for name, order in by_order(proposed).items():
        wanted = by_order(recorded_report)[name]
        assert (order["reading"], sums(order), balances(order)) == (wanted["reading"], sums(wanted), balances(wanted))


def test_wrong_rules_are_told_with_their_faults_before_anything_runs(tmp_path):
    with pytest.raises(CounterfoilError, match="stores") as told:
        rehearse([written(tmp_path, {"order.json": NEEDY})], "eu1", "rules: x\nstores: 7\n")
    assert told.value.remedy


def test_a_refund_that_is_known_by_its_summary_alone_parks_as_data_until_its_file_is_there(tmp_path):
    refund = a_refund("2.00")
    folder = written(tmp_path, {"order.json": an_order(refunds=[refund])})
    order = by_order(rehearsed(folder))["1001"]
    assert (order["reading"], [case["category"] for case in order["cases"]]) == ("parked", ["data"])
    assert str(refund["id"]) in order["cases"][0]["cause"]
    assert {kind for kind, amount in sums(order).items() if amount} <= {"payment", "refund_payment"}
    freed = by_order(rehearsed(written(tmp_path, {"refund.json": refund})))["1001"]
    assert freed["reading"] == "posted"
    assert sums(freed)["refund_payment"] == sums(freed)["credit_note"] == 200


def test_a_reversal_is_negative_so_that_the_sum_by_kind_is_what_stands(tmp_path):
    before = an_order(a_line("MUG", 2, "10.00"), date_modified_gmt="2026-11-23T10:00:00")
    after = an_order(a_line("MUG", 1, "10.00"), date_modified_gmt="2026-11-23T11:00:00")
    order = by_order(rehearsed(written(tmp_path, {"a.json": before, "b.json": after})))["1001"]
    reversals = [document for document in order["documents"] if document["reverses"]]
    assert reversals and all(document["amount_minor"] < 0 for document in reversals)
    assert all(document["key"] == document["reverses"] + "/reversal" for document in reversals)
    total = sums(order)
    assert (total["sales_order"], total["invoice"], total["payment"]) == (1190, 1190, 2380)
    assert balances(order)["refunds_owed"] == -1190


def test_the_reversal_of_a_negative_amount_is_positive(tmp_path):
    """A gift card given back with a refund is a negative tender; the refund is deleted, and the tender reversed."""
    before = an_order(a_line("MUG", 1, "10.00"), a_fee("Gift card A1", "-5.00", tax_class="none"))
    refund = a_refund("6.90", *_all_of(before))
    after = {**before, "refunds": [summary_of(refund)]}
    steps = [{"order": before, "refunds": []}, {"order": after, "refunds": [refund]}, {"order": before, "refunds": []}]
    order = by_order(rehearsed(written(tmp_path, {"h.json": {"snapshots": steps}})))["1001"]
    tenders = [document for document in order["documents"] if document["kind"] == "tender"]
    assert [(each["amount_minor"], bool(each["reverses"])) for each in tenders] == [
        (500, False),
        (-500, False),
        (500, True),
    ]
    assert sums(order)["tender"] == 500


def _all_of(order: dict[str, Any]) -> list[dict[str, Any]]:
    [mug], [card] = order["line_items"], order["fee_lines"]
    return [
        a_refunded_line(mug["id"], "10.00", {1: "1.90"}, 1),
        a_refunded_line(card["id"], "-5.00", {}, field="fee_lines"),
    ]


def test_a_trace_shows_each_hop_of_each_snapshot(tmp_path):
    hops: list[str] = []
    paid = an_order(date_modified_gmt="2026-11-23T10:00:00")
    done = an_order(status="completed", date_modified_gmt="2026-11-23T11:00:00")
    rehearsed(written(tmp_path, {"a.json": paid, "b.json": done}), trace=hops.append)
    assert hops[0] == "order eu1/1001 snapshot 1/2: a.json"
    assert "sequence 1.1: stored, a fact" in hops[1]
    assert "look" in hops[2] and "posted" in hops[2]
    assert any("ERP" in hop and "eu1/1001/sales_order/order/r1" in hop for hop in hops)
    assert any("snapshot 2/2: b.json" in hop for hop in hops)


def test_nothing_at_all_to_rehearse_is_said_and_holds(tmp_path):
    report = rehearsed(written(tmp_path, {"taxes.json": []}))
    assert report.orders == []
    assert report.first_line == "No order was found in what was named."
    assert propose([], "eu1")
