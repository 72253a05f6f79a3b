"""The engine goes back to before a payout was posted, or even before its report came: nothing is posted twice."""

from __future__ import annotations

import pytest
from counterfoil_engine.records import identity, party_facts, payouts
from counterfoil_engine.work.payouts import Payouts
from counterfoil_engine.work.switches import confirm_identity, doubt_identity
from domain.settlement.reports import stripe_row
from work.test_payouts import PO_1, a_report, clearing, mark, money, standing, take

POSTED = ("intents", "waits", "journal", "looks", "subjects", "work", "postings", "posting_ids", "payout_looks")
SETTLED = ("settlement_ids", "payout_waits", "payout_files", "payout_reports")


@pytest.fixture
def settled(world):
    """An order's payment and the payout that it is in, both posted."""
    with world.database.transaction() as tx:
        identity.establish(tx, "here", "an-id", 0)
    takes = Payouts(world.records, payouts, world.book, party_facts)
    world.due("1001", money("payment", 11900, "ch_1"))
    take(takes, a_report())
    world.run()
    assert len(standing(world)) == 3
    return takes


def restored(world, tables):
    """Back to a backup in which what these tables hold wasn't there yet; a person says that it is this engine."""
    with world.database.transaction() as tx:
        for table in tables:
            tx.run(f"delete from {table}")
    doubt_identity(world.records, "restored from last night's backup", "anna")
    confirm_identity(world.records, "here", "anna")
    mark(world, "order eu1/1001")
    mark(world, PO_1)
    world.clock.pass_time(2)
    world.run()


def test_a_payout_whose_report_is_still_there_is_adopted_as_it_was_posted(world, settled):
    before = world.erp.posted()
    restored(world, POSTED)
    assert world.erp.posted() == before
    assert world.open_cases() == [] and clearing(world) == 0
    assert set(world.states(PO_1).values()) == {"done"}


def test_a_payout_whose_report_is_gone_is_a_case_until_it_is_taken_in_again(world, settled):
    before = world.erp.posted()
    restored(world, (*POSTED, *SETTLED))
    assert world.erp.posted() == before
    assert any(
        "no report of stripe that says so has come in since the restore" in cause for cause in world.open_cases()
    )
    assert take(settled, a_report()) == ["new"]
    world.run()
    assert world.erp.posted() == before
    assert world.open_cases() == [] and clearing(world) == 0


def test_another_report_of_it_after_the_restore_reverses_what_no_report_explains_once_a_person_said_so(world, settled):
    restored(world, (*POSTED, *SETTLED))
    take(settled, a_report(stripe_row("119.00", "2.50", "116.50"), net="116.50"))
    world.run()
    assert standing(world)["DE01/-/payout/stripe.po_1"] == 11675  # what nobody explained is touched by nobody
    assert any("since the restore" in cause for cause in world.open_cases())
