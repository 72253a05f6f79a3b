"""What a source of facts promises (`ports.PartyFacts`), and what the HTTP adapter makes of one that answers badly."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests
from counterfoil_engine.adapters.party.http import HttpParty
from counterfoil_engine.domain.errors import RateLimited, Retry, Unavailable
from counterfoil_engine.ports import FactPage, NewPartyFact
from counterfoil_engine.work.party_facts import judge
from hypothesis import given, settings
from hypothesis import strategies as st
from ports.other_parties import OtherParty
from ports.test_http_erp import Answering


def ids(page: FactPage) -> list[str]:
    """Every fact of a page keeps to its contract."""
    facts = [judge("wms", "hub-berlin", raw) for raw in page.facts]
    assert all(isinstance(fact, NewPartyFact) for fact in facts)
    return [fact.id for fact in facts if fact.id]


def read_all(party: OtherParty, cursor: str | None = None) -> tuple[list[str], str | None]:
    read: list[str] = []
    for _ in range(100):
        page = party.port.read(cursor)
        read, cursor = [*read, *ids(page)], page.cursor
        if page.is_last:
            return read, cursor
    raise AssertionError("the pages never end")


def test_all_facts_come_page_by_page_and_then_what_is_new(other_party: OtherParty) -> None:
    other_party.give_pages_of(3, overlap=0)
    other_party.ship(7)
    first, cursor = read_all(other_party)
    assert len(first) >= 7 and len(set(first)) == len(first)
    assert read_all(other_party, cursor) == ([], cursor)
    other_party.ship(2)
    later, _ = read_all(other_party, cursor)
    assert len(later) == 2 and not set(later) & set(first)


def test_the_same_cursor_gives_the_same_again(other_party: OtherParty) -> None:
    other_party.give_pages_of(3, overlap=0)
    other_party.ship(5)
    first = other_party.port.read(None)
    assert first.facts == other_party.port.read(None).facts
    second = other_party.port.read(first.cursor)
    assert second.facts == other_party.port.read(first.cursor).facts


def test_pages_may_overlap_and_still_end_with_every_fact(other_party: OtherParty) -> None:
    other_party.give_pages_of(3, overlap=2)
    other_party.ship(8)
    overlapping, _ = read_all(other_party)
    other_party.give_pages_of(100, overlap=0)
    assert set(overlapping) == set(read_all(other_party)[0])
    assert len(overlapping) > len(set(overlapping))


def test_reading_goes_on_after_it_was_down(other_party: OtherParty) -> None:
    other_party.ship(2)
    _, cursor = read_all(other_party)
    other_party.go_down()
    other_party.ship(1)
    with pytest.raises(Unavailable):
        other_party.port.read(cursor)
    other_party.come_back()
    assert len(read_all(other_party, cursor)[0]) == 1


# Sources that answer badly


def answering(body: Any, status: int = 200, **headers: str) -> HttpParty:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    session = Answering((status, raw, named)).session
    return HttpParty("gateway", "stripe", "http://stripe", "t", session, most_answer_bytes=10_000)


NONSENSE: list[Any] = [
    b"",
    b"OK",
    b"<html>",
    b"\xff\xfe",
    b'{"facts":[],"cursor":null',
    b'{"facts":[{"a":1}',
    b"[" * 5_000,
    None,
    [],
    {},
    {"facts": {}, "cursor": None, "more": False},
    {"facts": [], "cursor": 7, "more": False},
    {"facts": [], "cursor": "", "more": False},
    {"facts": [], "cursor": "x" * 501, "more": False},
    {"facts": [], "cursor": "1", "more": "no"},
    {"facts": [], "cursor": "1"},
    {"facts": [1] * 1_001, "cursor": "1", "more": False},
]


@pytest.mark.parametrize("body", NONSENSE, ids=range(len(NONSENSE)))
def test_an_answer_that_is_no_page_is_unavailable_and_never_an_empty_page(body: Any) -> None:
    with pytest.raises(Unavailable) as caught:
        answering(body).read(None)
    assert caught.value.category == "contract" and "the gateway stripe" in caught.value.cause and caught.value.remedy


@pytest.mark.parametrize("status", [201, 204, 301, 400, 401, 404, 408, 410, 500, 502, 504])
def test_any_other_status_is_unavailable(status: int) -> None:
    with pytest.raises(Unavailable):
        answering({"facts": [], "cursor": None, "more": False}, status).read(None)


def test_a_pause_asked_for_is_kept() -> None:
    with pytest.raises(RateLimited) as caught:
        answering(b"", 429, Retry_After="17").read("1")
    assert caught.value.retry_after_s == 17


def test_a_page_that_is_too_big_is_not_read_to_its_end() -> None:
    with pytest.raises(Unavailable):
        answering(b'{"facts":[' + b" " * 20_000 + b'],"cursor":null,"more":false}').read(None)


def test_a_line_that_breaks_is_unavailable() -> None:
    for error in (requests.ConnectionError(), requests.ReadTimeout(), requests.exceptions.ChunkedEncodingError()):
        with pytest.raises(Unavailable):
            HttpParty("tax", "taxes", "http://taxes", "t", Answering(error).session).read(None)


def test_one_fact_that_is_nonsense_does_not_cost_its_neighbours() -> None:
    page = answering(b'{"facts":[{"a":1,"a":2}, 7, "x"],"cursor":"1","more":true}').read(None)
    assert (page.facts, page.cursor, page.is_last) == ([b'{"a":1,"a":2}', b"7", b'"x"'], "1", False)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda children: (
        st.lists(children, max_size=3)
        | st.dictionaries(st.sampled_from(["facts", "cursor", "more", "id", "fact"]), children, max_size=4)
    ),
    max_leaves=10,
)


@settings(max_examples=150, deadline=None)
@given(body=json_values, status=st.sampled_from([200, 200, 200, 400, 404, 429, 500, 503]))
def test_whatever_json_comes_back_it_is_a_page_or_something_to_try_again(body: Any, status: int) -> None:
    try:
        assert isinstance(answering(body, status).read(None), FactPage)
    except Retry as error:
        assert error.cause and error.remedy
