"""What a party that documents are posted to promises (`ports.PostingParty`), beside the ERP: as `test_erp.py`."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from counterfoil_engine.domain.errors import RateLimited, Unavailable
from counterfoil_engine.ports import Posted, Posting, Refused, Unknown
from ports.other_parties import OtherParty, in_process
from sandbox.erp_documents import Json, a_payment
from sandbox.party_documents import a_cancellation, a_fulfilment


def posting(document: Json) -> Posting:
    return Posting(document["key"], document["content_hash"], document)


ONE = posting(a_fulfilment())
TWO = posting(a_cancellation("1"))


def test_a_batch_has_an_outcome_for_each_in_its_order(other_party: OtherParty) -> None:
    outcomes = other_party.port.post([ONE, TWO])
    assert [outcome.key for outcome in outcomes] == [ONE.key, TWO.key]
    assert all(isinstance(outcome, Posted) and outcome.number for outcome in outcomes)


def test_the_same_document_posted_twice_stands_once_under_its_first_number(other_party: OtherParty) -> None:
    assert other_party.port.post([ONE]) == other_party.port.post([ONE])
    assert len(other_party.port.find([ONE.key])[ONE.key]) == 1


def test_another_content_under_a_key_that_stands_is_a_conflict(other_party: OtherParty) -> None:
    other_party.port.post([ONE])
    (outcome,) = other_party.port.post([posting({**a_fulfilment("3"), "content_hash": "0" * 64})])
    assert isinstance(outcome, Refused) and outcome.case.category == "conflict"


def test_find_gives_number_and_hash_and_leaves_out_what_is_not_there(other_party: OtherParty) -> None:
    (posted,) = other_party.port.post([ONE])
    found = other_party.port.find([ONE.key, "eu1/9/fulfilment/1/r1"])
    assert list(found) == [ONE.key]
    (there,) = found[ONE.key]
    assert (there.number, there.content_hash) == (posted.number, ONE.content_hash)


def test_a_lost_answer_is_unknown_and_the_document_is_found(other_party: OtherParty) -> None:
    other_party.lose_answer()
    assert other_party.port.post([ONE]) == [Unknown(ONE.key)]
    assert len(other_party.port.find([ONE.key])[ONE.key]) == 1


def test_a_lost_call_is_unknown_and_nothing_is_found(other_party: OtherParty) -> None:
    other_party.lose_call()
    assert other_party.port.post([ONE]) == [Unknown(ONE.key)]
    assert other_party.port.find([ONE.key]) == {}


def test_what_commits_after_its_client_died_stands_once(other_party: OtherParty) -> None:
    other_party.commit_late(0.3)
    assert other_party.port.post([ONE]) == [Unknown(ONE.key)]
    other_party.port.post([ONE])
    other_party.clock.sleep(0.5)
    assert len(other_party.port.find([ONE.key])[ONE.key]) == 1


def test_one_that_is_down_is_unavailable_and_says_so(other_party: OtherParty) -> None:
    other_party.go_down()
    for call in (
        lambda: other_party.port.post([ONE]),
        lambda: other_party.port.find([ONE.key]),
        lambda: list(other_party.port.list_since(datetime(2020, 1, 1, tzinfo=UTC))),
        lambda: other_party.port.read(None),
    ):
        with pytest.raises(Unavailable):
            call()
    assert not other_party.port.health().ok


def test_a_pause_asked_for_says_how_long(other_party: OtherParty) -> None:
    other_party.ask_for_pause()
    for call in (lambda: other_party.port.post([ONE]), lambda: other_party.port.read(None)):
        with pytest.raises(RateLimited) as caught:
            call()
        assert caught.value.retry_after_s == 30


def test_list_since_gives_what_was_written_from_that_moment_on(other_party: OtherParty) -> None:
    other_party.port.post([ONE])
    other_party.clock.sleep(0.01)
    since = other_party.clock.now()
    other_party.port.post([TWO])
    assert [found.key for found in other_party.port.list_since(since)] == [TWO.key]
    assert len(list(other_party.port.list_since(since - timedelta(days=400)))) >= 2


def test_it_declares_how_it_wants_to_be_called_and_has_no_closed_days(other_party: OtherParty) -> None:
    assert other_party.port.health().ok
    assert other_party.port.lanes >= 1 and other_party.port.batch_size >= 1 and other_party.port.commit_lag_s == 0
    assert other_party.port.open_day("DE01", date(2026, 11, 23)) == date(2026, 11, 23)


def test_what_is_not_for_it_is_refused_beside_neighbours_that_stand() -> None:
    refused, posted = in_process().port.post([posting(a_payment()), ONE])
    assert isinstance(refused, Refused) and refused.case.cause and refused.case.remedy
    assert isinstance(posted, Posted)


def test_errors_name_the_party() -> None:
    wms = in_process()
    wms.go_down()
    with pytest.raises(Unavailable, match="The WMS hub-berlin answered 503"):
        wms.port.post([ONE])
