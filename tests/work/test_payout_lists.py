"""A list of payouts proves the export of transactions whole, whichever of the two comes first."""

from __future__ import annotations

import pytest
from counterfoil_engine.records import party_facts, payouts
from counterfoil_engine.work.payouts import Payouts
from domain.settlement.reports import sample

HEADER = "Payout Id,Date,Type,Amount,Status,Bank account\n"
PO_1 = "DE01/-/payout/woopayments.wp_po_1"


@pytest.fixture
def takes(world):
    return Payouts(world.records, payouts, world.book, party_facts)


def take(takes, data):
    said = takes.take("woopayments", data if isinstance(data, bytes) else (HEADER + data).encode(), "x.csv", "anna")
    return {each["payout"]: each["verdict"] for each in said["payouts"]}


def posted(world):
    """Slot → amount of the payouts themselves that stand in the ERP."""
    standing = {key.rpartition("/")[0]: each["amount_minor"] for key, each in world.erp.standing().items()}
    return {slot: amount for slot, amount in standing.items() if "/payout/" in slot}


def test_transactions_then_the_list(world, takes):
    assert take(takes, sample("woopayments")) == {"wp_po_1": "new"}
    world.run()
    assert posted(world) == {}
    assert take(takes, sample("woopayments-payouts"))["wp_po_1"] == "announced"
    world.run()
    assert posted(world)[PO_1] == 11135


def test_the_list_then_transactions(world, takes):
    assert take(takes, sample("woopayments-payouts")) == {
        "wp_po_1": "waits",
        "wp_po_2": "announced",
        "wp_po_3": "announced",
        "wp_po_4": "later",
        "wp_po_5": "failed",
    }
    world.run()
    assert posted(world) == {
        "DE01/-/payout/woopayments.wp_po_2": 8000,
        "DE01/-/payout/woopayments.wp_po_3": -1250,
    }
    take(takes, sample("woopayments"))
    world.run()
    assert posted(world)[PO_1] == 11135


def test_a_list_sent_twice_is_a_duplicate_and_posts_nothing_more(world, takes):
    take(takes, sample("woopayments-payouts"))
    world.run()
    before = world.erp.posted()
    assert take(takes, sample("woopayments-payouts"))["wp_po_2"] == "duplicate"
    world.run()
    assert world.erp.posted() == before


def test_transactions_that_were_cut_off_do_not_come_to_what_the_list_says(world, takes):
    take(takes, sample("woopayments").replace(b"-9.9,", b"-8.9,").replace(b",-9.9\n", b",-8.9\n"))
    take(takes, sample("woopayments-payouts"))
    world.run()
    assert any("add up to" in cause for cause in world.open_cases())


def test_what_a_later_list_says_otherwise_is_a_case_and_what_came_first_counts(world, takes):
    take(takes, "po_9,2026-11-20,Payout,10.00,Paid,B (EUR)\n")
    take(takes, "po_9,2026-11-20,Payout,12.00,Paid,B (EUR)\n")
    world.run()
    assert posted(world) == {"DE01/-/payout/woopayments.po_9": 1000}
    assert any("announced payout po_9 twice" in cause for cause in world.open_cases())


def test_a_payout_that_failed_after_it_was_told_as_paid_is_a_case_until_it_is_paid(world, takes):
    take(takes, "po_9,2026-11-20,Payout,10.00,Paid,B (EUR)\n")
    take(takes, "po_9,2026-11-20,Payout,10.00,Failed,B (EUR)\n")
    assert world.open_cases() == ["woopayments says that payout po_9 failed, and has told it as paid before."]
    take(takes, "po_9,2026-11-20,Payout,10.00,Paid,B (EUR)\n")
    assert world.open_cases() == []


def test_an_amount_that_its_currency_cannot_hold_is_a_case_and_the_report_is_kept(world, takes):
    take(takes, "wp_po_1,2026-11-21,Payout,111.35,Paid,B\n")
    yen = sample("woopayments").replace(b"EUR", b"JPY").replace(b"49.9,-1.25,48.65", b"50,-1,49")
    yen = yen.replace(b"80,-2.4,77.6", b"80,-2,78").replace(b"-9.9", b"-9").replace(b"10,-0.5,9.5", b"10,-1,9")
    assert take(takes, yen) == {"wp_po_1": "new"}
    assert any("JPY can't hold" in cause for cause in world.open_cases())


def test_a_list_alone_is_no_source_that_is_asked(world, takes):
    take(takes, sample("woopayments-payouts"))
    with world.database.transaction() as tx:
        assert party_facts.states(tx) == []
