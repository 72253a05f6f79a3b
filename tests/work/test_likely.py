"""A line that no order explains is shown with the documents that it most likely is, and with who bought."""

from __future__ import annotations

import pytest
from counterfoil_engine.records import party_facts, payouts, postings
from counterfoil_engine.work.likely import Likely
from counterfoil_engine.work.payouts import Payouts
from counterfoil_engine.work.readers import PayoutReader
from domain.settlement.reports import STRIPE_HEADER, stripe
from work.test_payouts import money

BUYERS = {"1001": "Anna Adler", "1002": "Ben Bauer", "1003": "Clara Conrad", "1004": "Anna Lang"}
OWN = "po_1,2026-11-20 00:00:00,eur,-116.75,0.00,-116.75,payout,po_1,po_1,2026-11-20 00:00:00,"


def a_charge(reference: str) -> bytes:
    """Of 119.00 by a transaction that nobody knows, under whatever the customer wrote."""
    row = f"txn_1,2026-11-18 09:00:00,eur,119.00,2.25,116.75,charge,ch_x,po_1,2026-11-20 00:00:00,{reference}"
    return stripe(row, OWN, header=f"{STRIPE_HEADER},description")


def names(tx, slots):
    return {slot: name for slot in slots if (name := BUYERS.get(slot.split("/")[1]))}


@pytest.fixture
def likely(world):
    """A function that takes the charge and says what the payout's page would."""
    reader = PayoutReader(payouts, postings, party_facts, names)
    takes = Payouts(world.records, payouts, world.book, party_facts, likely=Likely(reader, world.book, names))

    def shown(reference, with_names=True):
        for order in BUYERS:
            world.due(order, money("payment", 11900, f"ch_{order}", order))
        world.run()
        takes.take("stripe", a_charge(reference), "november.csv", "anna")
        return takes.show("stripe", "po_1", with_names)["likely"]

    return shown


def test_three_documents_with_score_reason_and_who_bought(likely):
    (line,) = likely("Payment Ben Bauer")
    assert (line["line"], len(line["candidates"])) == ("txn_1", 3)
    first, second = line["candidates"][:2]
    assert (first["document"], first["customer"]) == ("eu1/1002/payment/ch_1002", "Ben Bauer")
    assert "the reference bears its customer's name" in first["reason"]
    assert float(first["score"]) > float(second["score"])


def test_a_name_that_a_reference_bears_only_in_part_says_less(likely):
    (line,) = likely("Anna")
    assert [one["customer"] for one in line["candidates"]][:2] == ["Anna Adler", "Anna Lang"]
    assert "a part of its customer's name" in line["candidates"][0]["reason"]


def test_who_may_not_see_personal_data_sees_the_documents_alone(likely):
    (line,) = likely("Payment Ben Bauer", with_names=False)
    assert [one["customer"] for one in line["candidates"]] == [None] * 3
    assert line["candidates"][0]["document"] == "eu1/1002/payment/ch_1002"


def test_the_case_names_documents_and_nobody(likely, world):
    likely("Payment Ben Bauer")
    world.run()
    assert "eu1/1002/payment/ch_1002" in world.one("select remedy from cases")
    assert not any(name in world.one("select cause || remedy from cases") for name in BUYERS.values())
