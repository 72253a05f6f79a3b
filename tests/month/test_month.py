"""A small month, closed to the cent; and each kind of planted error named by the shipped checks for what it is."""

from __future__ import annotations

from collections import Counter

import pytest
from counterfoil_engine.domain.tie_out import Tie
from loguru import logger

from month import planted
from month.planted import KINDS
from month.result import Result, worked
from month.show import amounts, lines_of


@pytest.fixture(scope="module")
def spoilt() -> Result:
    """A month with one error of each kind."""
    logger.remove()
    return worked(4, 120, KINDS, 1)


@pytest.fixture(scope="module")
def clean() -> Result:
    logger.remove()
    return worked(2, 40, (), 0)


def test_a_month_without_errors_leaves_nothing_and_names_nothing(clean: Result) -> None:
    assert (clean.remainder_minor, clean.found, clean.plan.planted) == (0, [], [])
    assert clean.open == {"DE01": [], "US01": []}
    assert list(lines_of(clean))[-1] == "month: remainder 0.00, planted 0, named 0"
    assert {tie.difference for _, tie in clean.trial} == {(0, 0)}


def test_each_kind_of_error_is_planted_and_named_for_what_it_is(spoilt: Result) -> None:
    assert Counter(one.kind for one in spoilt.plan.planted) == dict.fromkeys(KINDS, 1)
    assert (spoilt.missed, spoilt.unplanned) == ([], [])
    assert all(finding.cause.endswith(".") and finding.remedy.endswith(".") for finding in spoilt.found)


def test_what_the_errors_leave_in_the_ledgers_is_explained_to_the_last_cent(spoilt: Result) -> None:
    differing = [tie for _, tie in spoilt.trial if tie.difference != (0, 0)]
    assert {"receivable", "suspense"} <= {tie.role for tie in differing}
    assert spoilt.remainder_minor == 0
    assert list(lines_of(spoilt))[-1] == "month: remainder 0.00, planted 10, named 10"


def test_the_close_check_itself_says_how_many_documents_are_not_as_posted(spoilt: Result) -> None:
    said = " ".join(sentence for sentences in spoilt.open.values() for sentence in sentences)
    for kind in ("missing", "doubled", "other accounts", "on a control account"):
        assert f"documents in the ERP ({kind}): 0 documents, the ERP has 1." in said


def test_a_month_has_all_that_shops_meet(spoilt: Result) -> None:
    lives = spoilt.plan.lives
    assert {life.method for life in lives} == {"stripe", "paypal", "bacs", "cod"}
    assert {life.market.currency for life in lives} == {"EUR", "GBP", "USD", "JPY"}
    assert {life.status for life in lives} >= {"completed", "processing", "on-hold", "cancelled", "refunded"}
    assert any(life.is_parted for life in lives)
    assert {txn.category for life in lives for txn in life.money} >= {"charge", "refund", "fee", "dispute"}
    assert spoilt.documents["tender"] and spoilt.documents["credit_note"] and spoilt.documents["dispute"]


def test_what_nothing_explains_is_no_good_month(clean: Result) -> None:
    entity, tie = clean.trial[0]
    apart = Tie(tie.role, tie.currency, tie.ours, (tie.theirs[0] + 1, tie.theirs[1]), tie.explained)
    clean.trial[0] = (entity, apart)
    try:
        assert not clean.is_good
        assert list(lines_of(clean))[-1] == "month: remainder 0.01, planted 0, named 0"
    finally:
        clean.trial[0] = (entity, tie)


def test_an_error_that_nothing_names_is_no_good_month(clean: Result) -> None:
    clean.plan.note(planted.DELETED, "eu1/1/invoice/x/r1")
    try:
        assert not clean.is_good
        assert "  NOT NAMED  a document was deleted in the ERP: eu1/1/invoice/x/r1" in list(lines_of(clean))
    finally:
        clean.plan.planted.clear()


def test_amounts_are_in_the_major_units_of_their_currency() -> None:
    assert [amounts("EUR")(minor) for minor in (-123456, 5, 0)] == ["-1,234.56", "0.05", "."]
    assert amounts("JPY")(1785) == "1,785"
