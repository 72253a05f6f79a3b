"""Payouts over the API: a file is handed in as it is, once; what is wrong with it is said to who sent it."""

from __future__ import annotations

import gzip

import pytest
from counterfoil_engine.records.wiring import records_over
from domain.settlement.reports import sample
from fakes.store_agent import TOKEN

RULES = """rules: one
entities:
  - {id: DE01, book_currency: EUR, zone: Europe/Berlin, country: DE}
stores:
  - {id: eu1, entity: DE01, start_line: 2026-01-01T00:00:00Z}
rates:
  - {book: EUR, currency: USD, rate: "1.25", from: 2020-01-01}
payment_methods:
  - {store: "*", method: card, gateway: stripe, accept_unpaid: false, from: 2020-01-01}
"""
AUTH = {"Authorization": f"Bearer {TOKEN}"}
CSV = {**AUTH, "Content-Type": "text/csv"}


@pytest.fixture(autouse=True)
def _rules(database):
    with database.transaction() as tx:
        records_over(database).rules.load(tx, "one", RULES, "test")


def test_a_report_is_taken_once_and_shown_with_its_lines(client, database):
    first = client.post("/v1/payouts/paypal?name=nov.csv", data=sample("paypal"), headers=CSV)
    assert first.status_code == 200, first.text
    assert {each["verdict"] for each in first.json["payouts"]} == {"new"}
    packed = {**CSV, "Content-Encoding": "gzip"}
    again = client.post("/v1/payouts/paypal", data=gzip.compress(sample("paypal")), headers=packed)
    assert {each["verdict"] for each in again.json["payouts"]} == {"duplicate"}
    listed = client.get("/v1/payouts?source=paypal", headers=AUTH).json["payouts"]
    assert len(listed) == len(first.json["payouts"])
    name = first.json["payouts"][0]["payout"]
    shown = client.get("/v1/payout", query_string={"source": "paypal", "payout": name}, headers=AUTH).json
    assert shown["reports"][0]["name"] == "nov.csv" and shown["lines"]
    with database.transaction() as tx:
        assert tx.one("select count(*) as n from work where subject like 'payout paypal/%%'")["n"] == len(listed)


@pytest.mark.parametrize(
    ("source", "data", "headers", "status"),
    [
        ("stripe", b"", CSV, 400),
        ("stripe", b"a,b\n1,2\n", CSV, 400),
        ("unheard-of", b"a,b\n1,2\n", CSV, 400),
        ("Stripe!", b"a,b\n1,2\n", CSV, 400),
        ("stripe", b"a,b\n1,2\n", {**AUTH, "Content-Type": "application/json"}, 415),
        ("stripe", b"no gzip", {**CSV, "Content-Encoding": "gzip"}, 400),
        ("stripe", b"a,b\n", {"Content-Type": "text/csv"}, 401),
    ],
)
def test_what_can_not_be_taken_is_refused_with_its_reason_and_kept_nowhere(
    client, database, source, data, headers, status
):
    answer = client.post(f"/v1/payouts/{source}", data=data, headers=headers)
    assert (answer.status_code, bool(answer.json["remedy"])) == (status, True), answer.text
    with database.transaction() as tx:
        assert tx.one("select count(*) as n from payout_files")["n"] == 0


def test_a_payout_that_nobody_reported_is_not_shown(client):
    assert client.get("/v1/payout?source=stripe&payout=po_9", headers=AUTH).status_code == 404


def test_a_viewer_asks_and_does_not_hand_in(client):
    told = client.post("/v1/users", json={"name": "vera", "role": "viewer"}, headers=AUTH).json["token"]
    vera = {"Authorization": f"Bearer {told}"}
    assert client.get("/v1/clearing?gateway=stripe", headers=vera).json["days"] == []
    assert client.get("/v1/refunds?unmatched=true", headers=vera).json["refunds"] == []
    assert client.post("/v1/payouts/stripe", data=b"x", headers={**vera, "Content-Type": "text/csv"}).status_code == 403
