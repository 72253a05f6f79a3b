"""Payouts at the command line, over a running engine and a sandbox ERP."""

from __future__ import annotations

import json

import pytest
from domain.settlement.reports import stripe, stripe_row

OWN = "po_1,2026-11-20 00:00:00,eur,-{net},0.00,-{net},payout,po_1,po_1,2026-11-20 00:00:00"


@pytest.fixture
def report(tmp_path):
    """A report of po_1: a charge of 119.00 that nobody knows, 2.25 of it the gateway's."""
    file = tmp_path / "november.csv"
    file.write_bytes(stripe(stripe_row("119.00", "2.25", "116.75"), OWN.format(net="116.75")))
    return file


def test_a_report_is_taken_and_settled_and_its_clearing_ties_out(running, shell, report):
    taken = shell("payouts", "take", report, "--source", "stripe")
    assert taken.exit_code == 0, taken.output
    assert taken.stdout == "stripe/po_1: new, 116.75 EUR in 2 lines.\n"
    running.chain.flow()
    listed = shell("payouts", "list", "--source", "stripe").stdout
    assert "stripe/po_1" in listed and "116.75 EUR" in listed
    shown = shell("payouts", "show", "stripe/po_1").stdout
    assert "txn_1" in shown and "november.csv" in shown and "is posted nowhere" in shown
    tied = shell("clearing", "stripe", "--json")
    assert tied.exit_code == 0, tied.output
    last = json.loads(tied.stdout)["days"][-1]
    assert (last["closing_minor"], last["erp_minor"], last["unexplained_minor"]) == (0, 0, 0)
    assert "unexplained" in shell("clearing", "stripe").stdout


def test_what_somebody_posted_by_hand_on_the_clearing_is_unexplained(running, shell, report):
    shell("payouts", "take", report, "--source", "stripe")
    running.chain.flow()
    with running.chain.database.transaction() as tx:
        tx.run(
            "update journal set debit_minor = debit_minor + 100 where role = 'clearing:stripe:EUR' and debit_minor > 0"
        )
    tied = shell("clearing", "stripe", "--json")
    assert tied.exit_code == 1
    assert json.loads(tied.stdout)["days"][-1]["unexplained_minor"] == -100


def test_a_match_with_what_nobody_posted_says_so(running, shell, report):
    shell("payouts", "take", report, "--source", "stripe")
    refused = shell("payouts", "match", "stripe/po_1", "txn_1", "eu1/9999/payment/x/r1")
    assert refused.exit_code == 1
    assert refused.stderr.startswith("Nothing is posted as eu1/9999/payment/x/r1 in DE01")


def test_a_file_that_is_no_report_says_why(shell, running, tmp_path):
    file = tmp_path / "photo.jpg"
    file.write_bytes(b"\xff\xd8\xff\xe0 no report")
    refused = shell("payouts", "take", file, "--source", "stripe")
    assert refused.exit_code == 1 and refused.stderr.count("\n") >= 2
    assert shell("payouts", "take", tmp_path / "nowhere.csv", "--source", "stripe").exit_code == 1
    assert shell("payouts", "take", file, "--source", "unheard-of").exit_code == 1


def test_a_payout_is_named_with_its_source(shell, running):
    assert shell("payouts", "show", "po_1").exit_code == 2
    assert shell("payouts", "show", "stripe/po_9").exit_code == 1


def test_no_refund_lacks_anything_where_there_is_none(running, shell):
    said = shell("refunds", "--unmatched", "--json")
    assert said.exit_code == 0, said.output
    assert json.loads(said.stdout) == {"orders": 0, "refunds": [], "without_order": [], "is_all": True}
