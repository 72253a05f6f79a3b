"""What differs over many orders, summed up: the same however they were grouped, and small however many they are."""

from __future__ import annotations

from counterfoil_engine.domain.compare import Differing, compare
from counterfoil_engine.domain.errors import Case
from counterfoil_engine.domain.totals import MOST_CAUSES, MOST_NAMED, Totals
from fakes.engine import a_document
from hypothesis import given
from hypothesis import strategies as st


def dearer(order: int, before_minor: int = 1000, after_minor: int = 1100) -> Differing:
    subject, name = f"order eu1/{order}", str(order)
    before = a_document("invoice", before_minor, order=name)
    return Differing(subject, compare(subject, [before], [a_document("invoice", after_minor, order=name)]))


def parked(order: int, *skus: str, cause: str = "The item has no mapping.") -> Differing:
    rows = tuple({"table": "items", "sku": sku} for sku in skus)
    case = Case("missing_mapping" if skus else "tax", cause, "Add it.", rows)
    return Differing(f"order eu1/{order}", compare("", [], []), (case,))


def total_of(*orders: Differing) -> Totals:
    totals = Totals(looked_at=len(orders))
    for order in orders:
        totals.add(order)
    return totals


def test_documents_are_counted_by_how_they_differ_and_summed_before_and_after():
    said = total_of(dearer(1001), dearer(1002, 500, 600)).as_json()
    assert (said["subjects"], said["differ"]) == (2, 2)
    assert said["documents"] == [
        {
            "how": "posted anew",
            "kind": "invoice",
            "entity": "DE01",
            "currency": "EUR",
            "documents": 2,
            "before_minor": 1500,
            "after_minor": 1700,
        }
    ]
    assert said["months"] == [{"month": "2026-11", "entity": "DE01", "how": "posted anew", "documents": 2}]
    assert [(each["role"], each["difference_minor"]) for each in said["accounts"]] == [
        ("receivable", 200),
        ("revenue:goods", -200),
    ]
    assert [each["subject"] for each in said["named"]] == ["order eu1/1001", "order eu1/1002"]


def test_an_account_that_comes_to_the_same_is_not_told():
    assert total_of(dearer(1001, 1000, 1100), dearer(1002, 1100, 1000)).as_json()["accounts"] == []


def test_orders_that_park_for_one_missing_row_are_one_cause_with_that_row():
    said = total_of(parked(1001, "MUG"), parked(1002, "MUG"), parked(1003, "CUP")).as_json()["park"]
    assert (said["subjects"], said["not_told"]) == (3, 0)
    assert [(each["rows"], each["subjects"], each["named"]) for each in said["causes"]] == [
        ([{"table": "items", "sku": "MUG"}], 2, ["order eu1/1001", "order eu1/1002"]),
        ([{"table": "items", "sku": "CUP"}], 1, ["order eu1/1003"]),
    ]


def test_orders_that_park_without_a_row_are_told_together_by_category():
    said = total_of(parked(1001, cause="Line 1 bears no tax."), parked(1002, cause="Line 2 bears no tax.")).as_json()
    (cause,) = said["park"]["causes"]
    assert (cause["category"], cause["cause"], cause["subjects"]) == ("tax", "Line 1 bears no tax.", 2)


def test_what_is_not_told_one_by_one_is_told_as_a_number():
    many = total_of(*(parked(order, f"SKU-{order}") for order in range(MOST_CAUSES + 7)))
    assert len(many.causes) == MOST_CAUSES
    assert many.as_json()["park"]["not_told"] == 7
    assert len(total_of(*(dearer(order) for order in range(MOST_NAMED + 7))).as_json()["named"]) == MOST_NAMED


orders = st.lists(
    st.one_of(
        st.builds(dearer, st.integers(1, 9), st.integers(0, 9), st.integers(0, 9)),
        st.builds(parked, st.integers(1, 9), st.sampled_from(["MUG", "CUP"])),
    )
)


@given(st.lists(orders))
def test_groups_that_are_counted_apart_come_to_what_all_of_them_come_to(groups):
    merged = Totals()
    for group in groups:
        merged.merge(total_of(*group))
    assert merged.as_json() == total_of(*(order for group in groups for order in group)).as_json()
