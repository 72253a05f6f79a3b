"""What was posted before the start line: by what it is marked, and which document is meant."""

from __future__ import annotations

from datetime import date

import pytest
from counterfoil_engine.domain.old_references import LONGEST, OldDocument, reference_of, which
from fakes.engine import a_document

OLD = OldDocument("WC-1001", "INV-17", 11900, "EUR", date(2026, 9, 30))


@pytest.mark.parametrize(
    ("pattern", "reference"),
    [
        ("WC-{number}", "WC-NL-7"),
        ("{store}/{order}", "eu1/1001"),
        ("{transaction}", "ch_1"),
        ("{order}-R{refund}", None),  # it is no refund
        ("{number} " + "x" * LONGEST, None),
    ],
)
def test_a_pattern_of_the_rules_says_by_what_a_document_is_marked(pattern: str, reference: str | None) -> None:
    payment = a_document("payment", 11900, number="NL-7", body={"transaction": "ch_1"})
    assert reference_of({"payment": pattern}, payment, "eu1") == reference


def test_a_kind_without_a_pattern_and_a_number_that_nobody_can_read_are_not_looked_for() -> None:
    assert reference_of({"invoice": "WC-{number}"}, a_document("payment", 1), "eu1") is None
    assert reference_of({"payment": "WC-{number}"}, a_document("payment", 1, number="a\nb"), "eu1") is None


def test_the_one_that_is_meant_is_alone_and_of_the_very_amount() -> None:
    invoice = a_document("invoice", 11900)
    assert which(invoice, "WC-1001", [OLD]).number == "INV-17"
    assert which(invoice, "WC-1001", []).told == "Nothing is marked WC-1001."
    assert which(invoice, "WC-1001", [OLD, OLD]).told == "2 documents are marked WC-1001: INV-17, INV-17."
    other = which(a_document("invoice", 11901), "WC-1001", [OLD])
    assert (other.outcome, other.number) == ("another amount", None)
    assert other.told == "INV-17 is over 11900 EUR, the order says 11901 EUR (minor units)."
