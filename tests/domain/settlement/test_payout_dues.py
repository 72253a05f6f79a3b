"""What a payout posts: fees, disputes, reserves, conversions and itself; never again what is posted already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import counterfoil_contracts
import pytest
from builders import ENTITY, balances, the_rules
from counterfoil_engine.domain.documents import Document
from counterfoil_engine.domain.facts import PartyFact
from counterfoil_engine.domain.settlement.lines import Report, SettlementLine, digest_of
from counterfoil_engine.domain.settlement.payout_dues import Settlement, payout_dues, settle
from counterfoil_engine.domain.settlement.posted import Posting, Postings
from counterfoil_engine.domain.settlement.roll_forward import line_movements, posted_movements, roll_forward
from domain.contract import sent
from domain.settlement.reports import NAMES, read
from hypothesis import given
from hypothesis import strategies as st

AS_OF = datetime(2026, 11, 24, 12, tzinfo=UTC)
RULES = the_rules()


def a_posting(kind: Any, id: str, amount_minor: int, currency: str = "EUR", **more: Any) -> Posting:
    day = date(2026, 11, 18)
    return Posting(f"eu1/{id}/{kind}/{id}", kind, "stripe", (id,), amount_minor, currency, day, **more)


# What the shop had posted before the payout po_88 came: its charges and its refund.
POSTED = (
    a_posting("charge", "ch_1A", 11900, reference="1001"),
    a_posting("charge", "pi_1B", 10000, "USD", reference="1002", book_minor=8100),
    a_posting("refund", "re_1C", -1900, reference="1001"),
)


def po_88() -> Report:
    return read("stripe")[0]


def settled(report: Report, *postings: Posting, as_of: datetime = AS_OF) -> Settlement:
    return settle(report, Postings(postings), RULES, ENTITY, as_of)


def named(documents: Sequence[Document]) -> list[tuple[str, int, str]]:
    return [(document.slot.split("/", 2)[2], document.amount_minor, document.currency) for document in documents]


def test_a_payout_whose_charges_are_posted_posts_the_rest_and_clears_what_the_gateway_owed() -> None:
    result = settled(po_88(), *POSTED)
    assert named(result.documents) == [
        ("fee/stripe.po_88.txn_1A", 204, "EUR"),
        ("fee/stripe.po_88.txn_1B", 257, "EUR"),
        ("fee/stripe.po_88.txn_1D", 1500, "EUR"),
        ("payout/stripe.po_88.txn_1B-EUR", -8000, "EUR"),
        ("payout/stripe.po_88.txn_1B-USD", 10000, "USD"),
        ("dispute/stripe.po_88.txn_1D-opened", 3500, "EUR"),
        ("fee/stripe.po_88.txn_1E", 120, "EUR"),
        ("payout/stripe.po_88.txn_1F", 1000, "EUR"),
        ("payout/stripe.po_88", 11419, "EUR"),
    ]
    assert result.cases == ()
    euros = [document for document in result.documents if document.currency == "EUR"]
    assert balances(euros) == {
        "gateway_fees": 2081,
        "disputed": 3500,
        "reserve:stripe:EUR": 1000,
        "in_transit:stripe": 11419,
        "conversion:stripe": -8000,
        "clearing:stripe:EUR": -10000,  # 119.00 charged less 19.00 refunded stand against it
    }
    assert balances(result.documents, book=True) == {
        "gateway_fees": 2081,
        "disputed": 3500,
        "reserve:stripe:EUR": 1000,
        "in_transit:stripe": 11419,
        "clearing:stripe:EUR": -10000,
        "clearing:stripe:USD": -8100,
        "fx_loss": 100,
    }
    assert result.proofs[0].ok


def test_each_document_has_its_own_date_its_subject_and_a_reason() -> None:
    payout = settled(po_88(), *POSTED).documents[-1]
    assert (payout.day, payout.subject, payout.entity) == (date(2026, 11, 22), "payout stripe/po_88", "DE01")
    assert payout.slot == "DE01/-/payout/stripe.po_88"
    assert payout.why == "settlement@2026-11-24: stripe paid it out on 2026-11-22"


@pytest.mark.parametrize("name", NAMES)
def test_every_document_fits_its_contract_and_balances_in_both_currencies(name: str) -> None:
    for report in read(name):
        for document in settled(report).documents:
            assert counterfoil_contracts.faults(f"documents/{document.kind}.v1", sent(document)) == []
            for book in (False, True):
                assert sum(balances([document], book=book).values()) == 0, document.slot


@pytest.mark.parametrize("name", NAMES)
def test_a_payout_of_which_nobody_knows_anything_settles_its_clearing_all_the_same(name: str) -> None:
    """What is unknown stands on unapplied; the clearing is where the gateway says it is."""
    for report in read(name):
        result = settled(report)
        role = f"clearing:{name}:{report.currency}"
        assert balances(result.documents).get(role, 0) == report.closing_minor - report.opening_minor
        assert result.cases or not any(line.kind in ("charge", "refund", "adjustment") for line in report.lines)


def test_what_no_order_knows_stands_on_unapplied_with_a_case_and_its_candidates() -> None:
    near = a_posting("charge", "ch_XX", 11900, reference="1010")
    result = settled(po_88(), near, *POSTED[1:])
    (document,) = [each for each in result.documents if each.kind == "payment"]
    assert (document.slot, document.amount_minor) == ("DE01/-/payment/stripe.po_88.txn_1A", 11900)
    assert balances([document]) == {"clearing:stripe:EUR": 11900, "unapplied:stripe": -11900}
    (case,) = result.cases
    assert case.cause == (
        "Row 2 of payout po_88, a charge of 119.00 EUR on 2026-11-18, is posted nowhere: it stands on unapplied:stripe."
    )
    assert case.remedy.startswith("Say which it is: eu1/ch_XX/charge/ch_XX (0.80: the reference is like its order's")
    ((line, likely),) = result.unknown
    assert (line.id, likely[0].posting) == ("txn_1A", near)


def test_once_the_order_posts_it_the_unapplied_payment_is_due_no_longer() -> None:
    before, after = settled(po_88()), settled(po_88(), *POSTED)
    assert {document.slot for document in before.documents if document.kind == "payment"} == {
        f"DE01/-/payment/stripe.po_88.txn_1{letter}" for letter in "ABC"
    }
    assert not [document for document in after.documents if document.kind == "payment"]


def test_a_payout_s_own_documents_stay_due_when_they_are_known_as_posted() -> None:
    first = settled(po_88())
    own = [
        Posting(document.slot, kind, "stripe", (id,), amount, "EUR", document.day)
        for document in first.documents
        for kind, id, amount in (("charge", "ch_1A", 11900), ("fee", "ch_1A", 204), ("dispute", "du_1D", -3500))
    ]
    assert settled(po_88(), *own) == first


def test_a_fee_that_is_posted_already_posts_nothing() -> None:
    fee = a_posting("fee", "ch_1A", 204)
    slots = {document.slot for document in settled(po_88(), *POSTED, fee).documents}
    assert "DE01/-/fee/stripe.po_88.txn_1A" not in slots
    parts = [replace(fee, slot=f"eu1/1/fee/{n}", amount_minor=n) for n in (150, 54)]
    assert not settled(po_88(), *POSTED, *parts).cases
    (case,) = settled(po_88(), *POSTED, replace(fee, amount_minor=200)).cases
    assert (case.category, case.money_minor) == ("unbalanced", 4)


def test_a_refund_s_fee_is_its_own_and_no_fee_pays_for_two_lines() -> None:
    report, fee = po_88(), a_posting("fee", "ch_1A", 204)
    charge, refund = report.lines[0], replace(report.lines[2], fee_minor=204, net_minor=-2104)
    again = replace(charge, id="txn_again")
    result = settled(replace(report, lines=(refund, charge, again)), fee)
    assert [slot for slot, _, _ in named(result.documents) if slot.startswith("fee/")] == [
        *("fee/stripe.po_88.txn_again", "fee/stripe.po_88.txn_1C"),
    ]


def test_a_charge_that_differs_from_what_was_settled_is_a_case_with_the_difference() -> None:
    (case,) = settled(po_88(), replace(POSTED[0], amount_minor=12000), *POSTED[1:]).cases
    assert case.category == "unbalanced"
    assert case.cause == (
        "Row 2 of payout po_88: the charge that is posted as eu1/ch_1A/charge/ch_1A differs by -1.00 EUR from what the"
        " gateway settled."
    )


def test_a_posting_settles_one_line_and_no_more() -> None:
    report = po_88()
    twice = replace(report.lines[0], id="txn_again", row=99, fee_minor=0)
    result = settled(replace(report, lines=(*report.lines, twice)), *POSTED)
    assert [line.row for line, _ in result.unknown] == [99]


def test_a_dispute_that_the_gateway_announced_itself_is_not_posted_again() -> None:
    dispute = a_posting("dispute", "du_1D", -3500)
    assert not [each for each in settled(po_88(), *POSTED, dispute).documents if each.kind == "dispute"]


def test_a_dispute_won_comes_back_from_disputed() -> None:
    report = po_88()
    won = replace(report.lines[3], gross_minor=3500, fee_minor=0, net_minor=3500)
    (document,) = [each for each in settled(replace(report, lines=(won,))).documents if each.kind == "dispute"]
    assert balances([document]) == {"clearing:stripe:EUR": 3500, "disputed": -3500}


def test_a_reserve_that_is_released_comes_back_from_the_reserve() -> None:
    report = po_88()
    released = replace(report.lines[5], gross_minor=1000, net_minor=1000)
    documents = settled(replace(report, lines=(released,))).documents
    assert balances(documents[:1]) == {"clearing:stripe:EUR": 1000, "reserve:stripe:EUR": -1000}


def test_a_negative_payout_is_drawn_from_the_bank() -> None:
    report = replace(po_88(), lines=(), net_minor=-500)
    assert balances(settled(report).documents) == {"clearing:stripe:EUR": 500, "in_transit:stripe": -500}


def test_paypal_s_withdrawal_is_a_payout_and_both_sides_of_its_conversion_meet_in_book_currency() -> None:
    documents = [document for report in read("paypal") for document in settled(report).documents]
    payouts = [document for document in documents if document.kind == "payout"]
    assert named(payouts) == [
        ("payout/paypal.20261119-MERCHANT1-EUR.4AB00000000000005", -7500, "EUR"),
        ("payout/paypal.20261119-MERCHANT1-EUR.4AB00000000000006", 15000, "EUR"),
        ("payout/paypal.20261119-MERCHANT1-USD.4AB00000000000004", 9651, "USD"),
    ]
    assert balances(documents, book=True).get("conversion:paypal") is None
    assert balances(payouts, book=True)["fx_loss"] == 221  # 96.51 USD stood at 77.21 and brought 75.00


def test_a_payout_in_a_foreign_currency_leaves_the_clearing_at_what_it_was_carried_at() -> None:
    line = replace(po_88().lines[0], currency="USD", fee_minor=0, net_minor=11900)
    report = replace(po_88(), currency="USD", lines=(line,), net_minor=11900)
    posted = replace(POSTED[0], currency="USD", book_minor=10000)
    (payout,) = settled(report, posted).documents
    assert balances([payout], book=True) == {
        "in_transit:stripe": 9520,  # at 1.25 on the day of the payout
        "clearing:stripe:USD": -10000,
        "fx_loss": 480,
    }


def test_nothing_is_due_before_its_day() -> None:
    early = settled(po_88(), *POSTED, as_of=datetime(2026, 11, 21, 22, 59, tzinfo=UTC))
    assert "DE01/-/payout/stripe.po_88" not in {document.slot for document in early.documents}
    assert early.again_on == date(2026, 11, 22)
    on_the_day = settled(po_88(), *POSTED, as_of=datetime(2026, 11, 21, 23, 0, tzinfo=UTC))  # midnight in Berlin
    assert (len(on_the_day.documents), on_the_day.again_on) == (9, None)


def test_a_payout_that_the_gateway_announced_is_the_same_document_before_and_after_its_report() -> None:
    body = {"payout": "po_88", "amount_minor": 11419, "currency": "EUR", "paid_on": "2026-11-22"}
    fact = PartyFact("gateway", "stripe", "evt_1", "payout", AS_OF, body)
    (alone,) = payout_dues(fact, Postings([]), RULES, ENTITY, AS_OF)
    itemised = settled(po_88(), *POSTED).documents[-1]
    assert (alone.slot, alone.content_hash, alone.day) == (itemised.slot, itemised.content_hash, itemised.day)


def test_a_charge_settled_in_another_currency_without_a_word_of_its_own_goes_at_what_was_posted() -> None:
    line = replace(po_88().lines[1], fee_minor=0, net_minor=8000, other_minor=None, other_currency=None)
    result = settled(replace(po_88(), lines=(line,), net_minor=8000), replace(POSTED[1], ids=("ch_1B",)))
    assert (result.cases, balances(result.documents, book=True).get("conversion:stripe")) == ((), None)


def test_a_payout_of_which_nobody_said_what_it_came_to_waits() -> None:
    result = settled(replace(po_88(), total_from="lines"))
    assert result.documents == ()
    assert result.waits == "nothing says yet what payout po_88 came to: it may not be whole"


def test_the_gateway_s_figures_and_the_posted_ones_roll_forward_alike() -> None:
    report = po_88()
    days = [list(each) for each in (line_movements(report.lines), posted_movements(settled(report).documents))]
    last = [roll_forward(moved, {}, {})[-1].closing_minor for moved in days]
    assert last == [0, 0]
    totals = [
        {
            figure: sum(day.figures[figure] for day in roll_forward(moved, {}, {}))
            for figure in ("captures", "fees", "payouts")
        }
        for moved in days
    ]
    assert totals[0] == totals[1] == {"captures": 19900, "fees": 2081, "payouts": 11419}


LINES = st.lists(
    st.tuples(
        st.sampled_from(["charge", "refund", "fee", "dispute", "reserve", "adjustment", "conversion"]),
        st.integers(-(10**6), 10**6),
        st.integers(-500, 500),
        st.booleans(),
    ),
    max_size=12,
)


@given(LINES)
def test_whatever_is_posted_already_the_clearing_ends_empty(drawn: list[tuple[Any, int, int, bool]]) -> None:
    """Posted before and posted by the payout together clear all that the gateway owed, in both currencies."""
    lines = tuple(
        SettlementLine(
            "stripe", "po_1", kind, f"tx_{n}", None, gross if kind != "fee" else 0, fee,
            (gross if kind != "fee" else 0) - fee, "USD", date(2026, 11, 20), n + 2, f"txn_{n}",
        )
        for n, (kind, gross, fee, _) in enumerate(drawn)
    )  # fmt: skip
    net = sum(line.net_minor for line in lines)
    digest = digest_of("po_1", "USD", (net,), lines)
    report = Report("stripe", "po_1", "USD", date(2026, 11, 22), net, lines, "drawn", digest)
    posted = [
        Posting(
            f"eu1/{line.row}/x/{line.id}", line.kind, "stripe", line.ids, line.gross_minor, "USD", line.at, book_minor=7
        )
        for line, (kind, *_, is_posted) in zip(lines, drawn, strict=True)
        if is_posted and line.gross_minor and kind in ("charge", "refund", "dispute")
    ]
    result = settled(report, *posted)
    documents = payout_dues(report, Postings(posted), RULES, ENTITY, AS_OF)
    assert documents == list(result.documents)
    role = "clearing:stripe:USD"
    assert balances(documents).get(role, 0) + sum(posting.amount_minor for posting in posted) == 0
    if net:  # else nothing takes the exchange difference off
        assert balances(documents, book=True).get(role, 0) + 7 * len(posted) == 0
    assert len({document.slot for document in documents}) == len(documents)


def test_a_fee_that_is_taken_twice_is_posted_and_is_a_case() -> None:
    fee = replace(po_88().lines[0], kind="fee", gross_minor=0, fee_minor=204, net_minor=-204, id="txn_again", row=9)
    report = replace(po_88(), lines=(*po_88().lines, fee), net_minor=11215)
    result = settled(report, *POSTED)
    assert [document.amount_minor for document in result.documents if document.kind == "fee"].count(204) == 2
    (case,) = result.cases
    assert case.cause == "Row 9 of payout po_88 takes the fee of 2.04 EUR for ch_1A a second time."
    other = replace(report, lines=(*po_88().lines, replace(fee, fee_minor=30, net_minor=-30)), net_minor=11389)
    assert settled(other, *POSTED).cases == ()
