"""What an order is found by: however it is written, and never by a list of addresses."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from counterfoil_engine.domain.facts import OrderFacts, Snapshot
from counterfoil_engine.domain.search_terms import term_of, terms_of
from hypothesis import given
from hypothesis import strategies as st

AT = datetime(2026, 11, 22, 18, 4, tzinfo=UTC)
ORDER = {
    "id": 1001,
    "number": "EU-1001",
    "date_created_gmt": "2026-11-22T18:04:00",
    "billing": {"email": "Erika@Example.com "},
    "transaction_id": "ch_1010",
    "total": "85.87",
    "refunds": [{"id": 1, "total": "-6.03"}],
    "line_items": [{"sku": "MUG-Red"}, {"sku": None}, {"sku": ""}],
}


def found_by(*bodies: object) -> dict[str, set[str]]:
    snapshots = tuple(Snapshot("order", 1, n, AT, {"order": body}) for n, body in enumerate(bodies, start=1))
    found: dict[str, set[str]] = {}
    for kind, term, at in terms_of(OrderFacts("eu1", "1001", snapshots)):
        found.setdefault(kind, set()).add(term)
        assert at.tzinfo is not None
    return found


def test_an_order_is_found_by_number_address_transaction_amounts_and_skus():
    assert found_by(ORDER) == {
        "order": {"1001", "eu-1001"},
        "e-mail": {term_of("e-mail", "erika@example.com")},
        "transaction": {"ch_1010"},
        "amount": {"85.87", "6.03"},
        "SKU": {"mug-red"},
    }


def test_the_newest_order_comes_first_by_when_the_store_made_it():
    facts = OrderFacts("eu1", "1001", (Snapshot("order", 1, 1, AT, {"order": ORDER}),))
    assert {term.at for term in terms_of(facts)} == {AT}


def test_an_address_is_kept_as_its_hash_alone():
    assert "erika" not in str(found_by(ORDER)).lower()
    assert len(term_of("e-mail", "erika@example.com")) == 64


def test_an_order_is_found_by_what_it_said_last():
    assert found_by(ORDER, {**ORDER, "total": "90.00"})["amount"] == {"90", "6.03"}


@pytest.mark.parametrize(("kind", "one", "other"), [
    ("e-mail", " Erika@EXAMPLE.com", "erika@example.com"),
    ("amount", "85,870", "85.87"),
    ("amount", "100.00", "100"),
    ("amount", "85.87 EUR", "85.87"),
    ("amount", "€85,87", "85.87"),
    ("amount", "1,284.50", "1284.5"),
    ("amount", "1.284,50", "1284.5"),
    ("amount", "1,234,567.89 USD", "1234567.89"),
    ("SKU", " mug-RED ", "MUG-red"),
    ("transaction", "CH_1010", "ch_1010"),
])  # fmt: skip
def test_ways_to_write_the_same_find_the_same(kind, one, other):
    assert term_of(kind, one) == term_of(kind, other) != ""


NONE = [("e-mail", "nobody"), ("amount", "-1"), ("amount", "1e9"), ("amount", "1,2,3"), ("amount", "١")]


@pytest.mark.parametrize(("kind", "text"), NONE)
def test_what_is_none_of_a_kind_is_no_term_of_it(kind, text):
    assert term_of(kind, text) == ""


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.decimals(allow_nan=False).map(Decimal),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(sorted(ORDER)), _JSON) | _JSON)
def test_whatever_a_store_says_an_order_is_read_for_its_terms(body):
    found_by(body)
