"""What differs between two times the dues of one order, and what that comes to by account."""

from __future__ import annotations

import json
from dataclasses import replace

from counterfoil_engine.domain.compare import Account, Changed, compare, differing
from counterfoil_engine.domain.documents import Document, Dues, JournalLine, say_the_same
from counterfoil_engine.domain.errors import Case
from fakes.engine import DAY, a_document
from hypothesis import given
from hypothesis import strategies as st

ORDER = "order eu1/1001"
MISSING = Case("missing_mapping", "No mapping.", "Add it.", ({"table": "items", "sku": "MUG"},))


def dues(*documents: Document, cases: tuple[Case, ...] = ()) -> Dues:
    return Dues(ORDER, "posted", "because", "EUR", 0, documents, cases)


def booked_at(document: Document, book_minor: int) -> Document:
    journal = [
        JournalLine("receivable", document.amount_minor, 0, book_minor, 0),
        JournalLine("revenue:goods", 0, document.amount_minor, 0, book_minor),
    ]
    return replace(document, journal=tuple(journal), body={**document.body, "book_minor": book_minor})


def account(role: str, before_minor: int, after_minor: int) -> Account:
    return Account("DE01", role, "EUR", "EUR", before_minor, after_minor, before_minor, after_minor)


def test_what_is_due_alike_does_not_differ():
    assert (
        differing(dues(a_document("invoice", 1000)), dues(replace(a_document("invoice", 1000), why="v2@1: anew")))
        is None
    )


def test_a_document_that_is_due_otherwise_is_posted_anew():
    found = compare(ORDER, [a_document("invoice", 1000)], [a_document("invoice", 1100)])
    assert found.documents == (Changed("eu1/1001/invoice/x", "invoice", "DE01", "EUR", DAY, "posted anew", 1000, 1100),)
    assert found.accounts == (account("receivable", 1000, 1100), account("revenue:goods", -1000, -1100))


def test_a_document_that_is_no_longer_due_is_reversed_and_one_that_comes_is_new():
    found = compare(ORDER, [a_document("tender", 500)], [a_document("invoice", 700)])
    assert [(each.kind, each.how, each.before_minor, each.after_minor) for each in found.documents] == [
        ("invoice", "new", 0, 700),
        ("tender", "reversed", 500, 0),
    ]
    assert found.accounts == (account("receivable", 500, 700), account("revenue:goods", -500, -700))


def test_other_book_amounts_of_the_same_content_are_booked_otherwise_since_what_is_posted_stands():
    one, other = booked_at(a_document("invoice", 1000), 900), booked_at(a_document("invoice", 1000), 910)
    found = compare(ORDER, [one], [other])
    assert [each.how for each in found.documents] == ["booked otherwise"]
    assert found.accounts[0] == Account("DE01", "receivable", "EUR", "EUR", 1000, 1000, 900, 910)


def test_an_entity_that_changes_moves_the_amounts_from_the_ones_accounts_to_the_others():
    found = compare(ORDER, [a_document("invoice", 1000)], [a_document("invoice", 1000, entity="FR01")])
    assert [each.how for each in found.documents] == ["posted anew"]
    assert [(each.entity, each.before_minor, each.after_minor) for each in found.accounts] == [
        ("DE01", 1000, 0),
        ("DE01", -1000, 0),
        ("FR01", 0, 1000),
        ("FR01", 0, -1000),
    ]


def test_a_customer_is_asked_for_and_never_changed_by_an_order():
    customer = a_document("customer", 0, subject="customer DE01/c-1", slot="DE01/-/customer/c-1")
    assert compare(ORDER, [customer], []).documents == ()


def test_an_order_that_parks_anew_says_why_and_one_that_no_longer_parks_resumes():
    parks = differing(dues(), dues(cases=(MISSING,)))
    assert parks is not None and parks.parks == (MISSING,) and not parks.resumes
    resumes = differing(dues(cases=(MISSING,)), dues())
    assert resumes is not None and resumes.parks == () and resumes.resumes
    assert differing(dues(cases=(MISSING,)), dues(cases=(MISSING,))) is None


documents = st.lists(
    st.builds(
        a_document,
        st.sampled_from(["invoice", "payment", "tender"]),
        st.integers(-5, 5),
        natural=st.sampled_from(["a", "b"]),
        entity=st.sampled_from(["DE01", "FR01"]),
    ),
    unique_by=lambda document: document.slot,
)


@given(documents, documents)
def test_the_accounts_move_as_the_documents_do_whichever_way_it_is_asked(before, after):
    there, back = compare(ORDER, before, after), compare(ORDER, after, before)
    assert [each.slot for each in there.documents] == [each.slot for each in back.documents]
    for one, other in zip(there.accounts, back.accounts, strict=True):
        assert (one.before_minor, one.after_minor) == (other.after_minor, other.before_minor)
    moved = sum(each.after_minor - each.before_minor for each in there.accounts if each.role == "receivable")
    assert moved == sum(each.amount_minor for each in after) - sum(each.amount_minor for each in before)
    assert compare(ORDER, before, before).documents == ()


keys = st.sampled_from(["line", "net_minor", "book_minor", "net_book_minor", "personal"])
values = st.one_of(st.none(), st.integers(0, 2), st.sampled_from(["", "1"]))
bodies = st.dictionaries(keys, st.one_of(values, st.lists(st.dictionaries(keys, values), max_size=2)))


@given(bodies, bodies, st.integers(0, 1), st.integers(0, 1))
def test_documents_say_the_same_just_where_their_hashes_do(body, other_body, amount, other_amount):
    one, other = a_document("invoice", amount, body=body), a_document("invoice", other_amount, body=other_body)
    assert say_the_same(one, other) == (one.content_hash == other.content_hash)
    assert say_the_same(one, replace(one, body=json.loads(json.dumps(one.body))))
