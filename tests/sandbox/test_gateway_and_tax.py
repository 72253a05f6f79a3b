"""The sandbox gateway, whose payouts add up to what moved, and the sandbox tax service."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest
from counterfoil_contracts import faults
from counterfoil_sandbox.erp_journal import Refusal
from counterfoil_sandbox.gateway import Gateway, GatewayService
from counterfoil_sandbox.tax import TaxService
from fakes.clock import FakeClock
from hypothesis import given, settings
from hypothesis import strategies as st
from sandbox.erp_documents import a_document
from sandbox.party_documents import a_capture, a_quote, a_refund_order, reversed_


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def gateway(clock: FakeClock) -> Gateway:
    return Gateway("gateway", "stripe", now=clock.now, random=Random(1))


def said(party: Any) -> list[str]:
    return [fact["fact"].split(".")[1] for fact in party.told()]


def last(party: Any, kind: str) -> dict[str, Any]:
    return next(fact for fact in reversed(party.told()) if fact["fact"] == f"counterfoil.{kind}.v1")


def outcome(party: Any, document: dict[str, Any]) -> tuple[str, str | None]:
    (said_of_it,) = party.post([document])
    return said_of_it["status"], said_of_it.get("category")


# Money


def test_what_was_authorised_is_captured_in_parts_and_never_beyond(gateway: Gateway) -> None:
    held = gateway.command("authorise", amount_minor=2413, currency="EUR", store="eu1", order="1001")
    assert outcome(gateway, a_capture(held, 2000)) == ("posted", None)
    assert outcome(gateway, a_capture(held, 414, "2")) == ("refused", "data")
    assert outcome(gateway, a_capture(held, 413, "3")) == ("posted", None)
    assert said(gateway) == ["authorised", "captured", "fee", "captured", "fee"]
    capture = last(gateway, "captured")
    assert (capture["authorisation"], capture["amount_minor"], capture["order"]) == (held, 413, None)
    assert capture["transaction"] != held


def test_one_that_knows_orders_names_them(gateway: Gateway) -> None:
    gateway.modes = gateway.modes.changed({"knows_orders": True})
    gateway.command("charge", amount_minor=100, currency="EUR", store="eu1", order="1001")
    assert {(fact["store"], fact["order"]) for fact in gateway.told()} == {("eu1", "1001")}


def test_an_authorisation_expires(gateway: Gateway, clock: FakeClock) -> None:
    held = gateway.command("authorise", amount_minor=2413, currency="EUR", expires_in_s=60)
    clock.pass_time(61)
    assert outcome(gateway, a_capture(held)) == ("refused", "conflict")


def test_what_is_voided_can_not_be_captured(gateway: Gateway) -> None:
    held = gateway.command("authorise", amount_minor=2413, currency="EUR")
    gateway.command("void", authorisation=held)
    assert last(gateway, "voided")["amount_minor"] == 2413
    assert outcome(gateway, a_capture(held)) == ("refused", "data")
    with pytest.raises(Refusal):
        gateway.command("void", authorisation=held)


def test_a_refund_order_gives_back_what_is_left_and_not_more(gateway: Gateway) -> None:
    charge = gateway.command("charge", amount_minor=2413, currency="EUR")
    assert outcome(gateway, a_refund_order(charge, 1000)) == ("posted", None)
    refund = last(gateway, "refunded")
    assert (refund["transaction"], refund["refund"], refund["amount_minor"]) == (charge, "1044", 1000)
    assert outcome(gateway, a_refund_order(charge, 1414, "1045")) == ("refused", "refund")


def test_the_same_refund_order_twice_pays_once(gateway: Gateway) -> None:
    charge = gateway.command("charge", amount_minor=2413, currency="EUR")
    assert gateway.post([a_refund_order(charge)]) == gateway.post([a_refund_order(charge)])
    assert said(gateway).count("refunded") == 1


def test_one_without_unique_keys_pays_twice(gateway: Gateway) -> None:
    charge = gateway.command("charge", amount_minor=2413, currency="EUR")
    for _ in range(2):
        gateway.post([a_refund_order(charge)], unique_keys=False)
    assert said(gateway).count("refunded") == 2


def test_what_moved_money_is_not_undone_and_another_gateways_is_not_taken(gateway: Gateway) -> None:
    held = gateway.command("authorise", amount_minor=2413, currency="EUR")
    gateway.post([a_capture(held)])
    assert outcome(gateway, reversed_(a_capture(held))) == ("refused", "conflict")
    assert outcome(gateway, a_capture(held, natural_id="2", gateway="paypal")) == ("refused", "missing_mapping")


def test_a_refund_that_fails_can_be_made_again(gateway: Gateway) -> None:
    charge = gateway.command("charge", amount_minor=1000, currency="EUR")
    gateway.command("refund", transaction=charge)
    gateway.command("fail", of=last(gateway, "refunded")["id"])
    gateway.command("refund", transaction=charge)
    with pytest.raises(Refusal):
        gateway.command("fail", of="captured-99")
    assert last(gateway, "failed")["transaction"] == charge


def test_a_dispute_goes_its_way_and_no_other(gateway: Gateway) -> None:
    charge = gateway.command("charge", amount_minor=1000, currency="EUR")
    gateway.command("dispute", transaction=charge, state="inquiry")
    assert last(gateway, "dispute")["withdrawn_minor"] == 0
    gateway.command("dispute", transaction=charge, state="opened")
    assert last(gateway, "dispute")["withdrawn_minor"] == 1000
    gateway.command("dispute", transaction=charge, state="lost")
    with pytest.raises(Refusal):
        gateway.command("dispute", transaction=charge, state="won")


def test_of_a_charge_that_was_paid_back_and_failed_nothing_can_be_disputed(gateway: Gateway) -> None:
    charge = gateway.command("charge", amount_minor=1000, currency="EUR")
    gateway.command("refund", transaction=charge, amount_minor=100)
    gateway.command("fail", of=last(gateway, "captured")["id"])
    with pytest.raises(Refusal, match="Nothing is left"):
        gateway.command("dispute", transaction=charge, state="opened")


def test_a_payout_takes_every_movement_once_and_its_report_adds_up(gateway: Gateway) -> None:
    gateway.modes = gateway.modes.changed({"fee_per_mille": 14, "fee_minor": 25})
    charge = gateway.command("charge", amount_minor=10000, currency="EUR")
    gateway.command("refund", transaction=charge, amount_minor=1000)
    gateway.command("fee", amount_minor=500, currency="EUR")
    gateway.command("charge", amount_minor=1785, currency="JPY")
    euro, yen = gateway.command("payout")
    report = gateway.report(euro)
    assert report is not None
    assert [(item["type"], item["amount_minor"]) for item in report["items"]] == [
        ("charge", 10000),
        ("fee", -165),
        ("refund", -1000),
        ("fee", -500),
    ]
    assert (report["amount_minor"], report["currency"], report["paid_on"]) == (8335, "EUR", "2026-11-23")
    assert gateway.report(yen) is not None and last(gateway, "payout")["amount_minor"] == 1785 - 25 - 25
    with pytest.raises(Refusal):
        gateway.command("payout")


def test_a_payout_below_nothing_is_drawn_from_the_bank(gateway: Gateway) -> None:
    charge = gateway.command("charge", amount_minor=1000, currency="EUR")
    gateway.command("payout")
    gateway.command("refund", transaction=charge)
    gateway.command("payout")
    assert last(gateway, "payout")["amount_minor"] == -1000


def test_a_report_is_read_over_http_as_json_and_as_a_table(gateway: Gateway) -> None:
    gateway.command("charge", amount_minor=1000, currency="EUR")
    (payout,) = gateway.command("payout")
    client = GatewayService("gateway", gateway, "t").flask.test_client()
    bearer = {"Authorization": "Bearer t"}
    assert client.get(f"/v1/payouts/{payout}", headers=bearer).json == gateway.report(payout)
    table = client.get(f"/v1/payouts/{payout}.csv", headers=bearer).text.splitlines()
    assert table[0] == "item,type,transaction,amount_minor,currency,at" and len(table) == 3
    assert client.get("/v1/payouts/po_9", headers=bearer).status_code == 404
    assert client.get(f"/v1/payouts/{payout}").status_code == 401


MOVES = st.lists(
    st.tuples(
        st.sampled_from(["charge", "refund", "fee", "fail", "opened", "won", "lost", "payout"]), st.integers(1, 900)
    ),
    max_size=16,
)


@settings(max_examples=60, deadline=None)
@given(MOVES, st.integers(0, 99))
def test_payouts_and_what_waits_for_one_add_up_to_all_that_moved(moves: list[tuple[str, int]], seed: int) -> None:
    """Computed anew from the facts alone: captures less refunds, fees and disputes, failures taken back."""
    clock = FakeClock()
    gateway = Gateway("gateway", "stripe", now=clock.now, random=Random(seed))
    for act, amount_minor in moves:
        charges = [fact["transaction"] for fact in gateway.told() if fact["fact"] == "counterfoil.captured.v1"]
        one = gateway.random.choice(charges) if charges else "ch_0"
        given: dict[str, dict[str, Any]] = {
            "charge": {"amount_minor": amount_minor, "currency": "EUR"},
            "refund": {"transaction": one, "amount_minor": amount_minor},
            "fee": {"amount_minor": amount_minor, "currency": "EUR"},
            "fail": {"of": gateway.random.choice([fact["id"] for fact in gateway.told()] or ["x"])},
            "payout": {},
        }
        try:
            if act in given:
                gateway.command(act, **given[act])
            else:
                gateway.command("dispute", transaction=one, state=act)
        except Refusal:
            continue
    facts = {fact["id"]: fact for fact in gateway.told()}
    assert all(faults(f"facts/{fact['fact'].removeprefix('counterfoil.')}", fact) == [] for fact in facts.values())
    sums: Counter[str] = Counter()
    for fact in facts.values():
        kind = fact["fact"].split(".")[1]
        if kind == "failed":
            of = facts[fact["of"]]
            sums["moved"] += of["amount_minor"] * (-1 if of["fact"] == "counterfoil.captured.v1" else 1)
        elif kind == "dispute":
            sums["moved"] += {"opened": -1, "won": 1, "lost": 0}[fact["state"]] * fact["withdrawn_minor"]
        else:
            sums["paid" if kind == "payout" else "moved"] += fact["amount_minor"] * (
                -1 if kind in ("refunded", "fee") else 1
            )
    waiting = sum(item["amount_minor"] for _, item in gateway.things("item") if item["payout"] is None)
    assert sums["paid"] + waiting == sums["moved"]


# Tax


def test_tax_is_quoted_by_country_and_rounded_half_up() -> None:
    taxes = TaxService("tax", "taxes", random=Random(1))
    taxes.post([a_quote(2028), a_quote(50, "CH", 2), a_quote(250, "FR", 3)])
    german, swiss, french = taxes.told()
    assert (german["of"], german["tax_minor"]) == ("eu1/1001/tax_quote/1/r1", 385)
    assert german["rates"] == [{"jurisdiction": "DE", "rate": "19", "tax_minor": 385}]
    assert (swiss["tax_minor"], swiss["rates"], french["tax_minor"]) == (0, [], 50)


def test_a_rate_changes_and_a_quote_can_be_a_cent_off_or_never_come() -> None:
    taxes = TaxService("tax", "taxes", random=Random(1))
    taxes.command("rate", country="DE", rate="7")
    taxes.modes = taxes.modes.changed({"off_minor": 1})
    taxes.post([a_quote(2028)])
    taxes.modes = taxes.modes.changed({"silent": True})
    assert taxes.post([a_quote(2028, revision=2)])[0]["status"] == "posted"
    assert [fact["tax_minor"] for fact in taxes.told()] == [143]
    with pytest.raises(Refusal):
        taxes.command("rate", country="DE", rate="a lot")


def test_what_is_committed_is_said_to_be() -> None:
    taxes = TaxService("tax", "taxes", random=Random(1))
    commit = a_document("tax_commit", 2413, of="eu1/1001/invoice/1", lines=[])
    assert [each["status"] for each in taxes.post([commit, reversed_(commit)])] == ["posted", "posted"]
    assert [(fact["fact"], fact["of"]) for fact in taxes.told()] == [
        ("counterfoil.tax_committed.v1", "eu1/1001/tax_commit/1/r1")
    ]


def test_in_test_mode_each_fact_says_so(gateway: Gateway) -> None:
    gateway.modes = gateway.modes.changed({"is_test": True})
    gateway.command("charge", amount_minor=100, currency="EUR")
    assert [fact["test"] for fact in gateway.told()] == [True, True]
