"""What any ERP promises (`ports.Erp`): one set of tests, run on the sandbox over HTTP and on the fake alike."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from counterfoil_engine.adapters.erp.http import HttpErp
from counterfoil_engine.domain.errors import RateLimited, Unavailable
from counterfoil_engine.ports import Outcome, Posted, Posting, Refused, Unknown
from ports.conftest import Party, SandboxParty
from sandbox.erp_documents import Json, a_customer, a_payment, an_invoice, an_order, reversed_


def posting(document: Json) -> Posting:
    return Posting(document["key"], document["content_hash"], document)


def postings(documents: Sequence[Json]) -> list[Posting]:
    return [posting(document) for document in documents]


ORDER = postings(an_order())
PAYMENT = posting(a_payment())
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


# Once, whatever happens


def test_a_batch_has_an_outcome_for_each_in_its_order(party: Party) -> None:
    outcomes = party.erp.post(ORDER)
    assert [outcome.key for outcome in outcomes] == [each.key for each in ORDER]
    assert all(isinstance(outcome, Posted) and outcome.number for outcome in outcomes)


def test_the_same_document_posted_twice_stands_once_under_its_first_number(party: Party) -> None:
    assert party.erp.post(ORDER) == party.erp.post(ORDER)
    found = party.erp.find([each.key for each in ORDER])
    assert [len(found[each.key]) for each in ORDER] == [1] * len(ORDER)


def test_the_same_document_posted_by_ten_at_once_stands_once(over_http: SandboxParty) -> None:
    outcomes: list[Outcome] = []
    start = threading.Barrier(10)

    def post() -> None:
        start.wait()
        outcomes.extend(over_http.erp.post([PAYMENT]))

    threads = [threading.Thread(target=post) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 10 and len(set(outcomes)) == 1 and isinstance(outcomes[0], Posted)
    assert len(over_http.erp.find([PAYMENT.key])[PAYMENT.key]) == 1


def test_another_content_under_a_key_that_stands_is_a_conflict_and_changes_nothing(party: Party) -> None:
    party.erp.post([PAYMENT])
    (outcome,) = party.erp.post([posting(a_payment(1))])
    assert isinstance(outcome, Refused) and outcome.case.category == "conflict"
    assert [found.content_hash for found in party.erp.find([PAYMENT.key])[PAYMENT.key]] == [PAYMENT.content_hash]


def test_find_gives_number_and_hash_and_leaves_out_what_is_not_there(party: Party) -> None:
    (posted,) = party.erp.post([PAYMENT])
    found = party.erp.find([PAYMENT.key, "eu1/9/invoice/1/r1"])
    assert list(found) == [PAYMENT.key]
    (there,) = found[PAYMENT.key]
    assert isinstance(posted, Posted)
    assert (there.number, there.content_hash) == (posted.number, PAYMENT.content_hash)
    assert there.posted_at.tzinfo is not None
    assert party.erp.find([]) == {}


# Answers that get lost


def test_a_lost_answer_is_unknown_and_the_document_is_found(party: Party) -> None:
    party.lose_answer()
    assert party.erp.post([PAYMENT]) == [Unknown(PAYMENT.key)]
    assert len(party.erp.find([PAYMENT.key])[PAYMENT.key]) == 1
    (again,) = party.erp.post([PAYMENT])
    assert isinstance(again, Posted)


def test_a_lost_call_is_unknown_and_nothing_is_found(party: Party) -> None:
    party.lose_call()
    assert party.erp.post(ORDER) == [Unknown(each.key) for each in ORDER]
    assert party.erp.find([each.key for each in ORDER]) == {}


def test_what_commits_after_its_client_died_is_found_once_commit_lag_has_passed(careless_party: Party) -> None:
    careless_party.commit_late(1.0)
    began = careless_party.clock.now()
    assert careless_party.erp.post([PAYMENT]) == [Unknown(PAYMENT.key)]
    assert careless_party.erp.find([PAYMENT.key]) == {}
    lag_s = careless_party.erp.commit_lag_s
    assert lag_s > 1.0
    careless_party.clock.sleep(lag_s - (careless_party.clock.now() - began).total_seconds())
    assert len(careless_party.erp.find([PAYMENT.key])[PAYMENT.key]) == 1


def test_a_client_that_dies_in_the_call_does_not_stop_the_commit(over_http: SandboxParty) -> None:
    over_http.sandbox.change_modes({"unique_keys": False, "commit_delay_s": 0.8})
    dying = HttpErp(over_http.url, "t", timeout_s=0.2)
    assert dying.post([PAYMENT]) == [Unknown(PAYMENT.key)]
    assert over_http.erp.find([PAYMENT.key]) == {}
    over_http.clock.sleep(1.0)
    assert len(over_http.erp.find([PAYMENT.key])[PAYMENT.key]) == 1


def test_where_keys_are_unique_who_posts_again_at_once_gets_the_same_document(party: Party) -> None:
    party.commit_late(0.3)
    assert party.erp.post([PAYMENT]) == [Unknown(PAYMENT.key)]
    (again,) = party.erp.post([PAYMENT])
    party.clock.sleep(0.5)
    (found,) = party.erp.find([PAYMENT.key])[PAYMENT.key]
    assert again == Posted(PAYMENT.key, found.number)


def test_where_keys_are_not_unique_both_documents_of_a_key_are_found(careless_party: Party) -> None:
    careless_party.erp.post([PAYMENT])
    careless_party.erp.post([PAYMENT])
    first, second = careless_party.erp.find([PAYMENT.key])[PAYMENT.key]
    assert first.number != second.number


# Days without an ERP


def test_an_erp_that_is_down_is_unavailable_to_every_call_and_nothing_was_done(party: Party) -> None:
    party.go_down()
    for call in _calls(party.erp):
        with pytest.raises(Unavailable):
            call()
    health = party.erp.health()
    assert not health.ok and health.detail


def test_a_pause_asked_for_says_how_long(party: Party) -> None:
    party.ask_for_pause()
    with pytest.raises(RateLimited) as caught:
        party.erp.post([PAYMENT])
    assert caught.value.retry_after_s == 30


def _calls(erp: Any) -> list[Any]:
    return [
        lambda: erp.post([PAYMENT]),
        lambda: erp.find([PAYMENT.key]),
        lambda: list(erp.list_since(LONG_AGO)),
        lambda: erp.open_day("DE01", date(2026, 11, 23)),
    ]


# What was written, and when


def test_list_since_gives_everything_written_from_that_moment_on(party: Party) -> None:
    party.erp.post(ORDER)
    party.clock.sleep(0.01)
    since = party.clock.now()
    later = postings([a_payment(natural_id=str(number)) for number in range(3)])
    party.erp.post(later)
    assert {found.key for found in party.erp.list_since(since)} == {each.key for each in later}
    assert len(list(party.erp.list_since(since - timedelta(days=1)))) == len(ORDER) + 3


def test_an_open_day_stays_and_a_closed_one_moves_to_the_first_open_one(party: Party) -> None:
    assert party.erp.open_day("DE01", date(2026, 11, 23)) == date(2026, 11, 23)
    party.close_november()
    assert party.erp.open_day("DE01", date(2026, 11, 23)) == date(2026, 12, 1)
    assert party.erp.open_day("DE01", date(2026, 12, 5)) == date(2026, 12, 5)


def test_it_works_and_declares_how_it_wants_to_be_called(party: Party) -> None:
    assert party.erp.health().ok
    assert party.erp.lanes >= 1 and party.erp.batch_size >= 1 and party.erp.commit_lag_s == 0


# What only an ERP with books can promise


def test_what_does_not_balance_is_refused_beside_neighbours_that_stand(in_process: SandboxParty) -> None:
    good, bad = posting(a_payment()), posting(an_invoice(amount_minor=3009))
    in_process.erp.post(postings(an_order()[:2]))
    posted, refused = in_process.erp.post([good, bad])
    assert isinstance(posted, Posted)
    assert isinstance(refused, Refused) and refused.case.category == "unbalanced"
    assert refused.case.cause and refused.case.remedy


def test_a_closed_period_is_refused_and_the_open_day_is_accepted(in_process: SandboxParty) -> None:
    in_process.close_november()
    (refused,) = in_process.erp.post([PAYMENT])
    assert isinstance(refused, Refused) and refused.case.category == "closed_period"
    open_day = in_process.erp.open_day("DE01", date(2026, 11, 23))
    (posted,) = in_process.erp.post([posting(a_payment(date=open_day.isoformat()))])
    assert isinstance(posted, Posted)


def test_a_reversal_mirrors_its_document_so_that_nothing_is_left(in_process: SandboxParty) -> None:
    in_process.erp.post([PAYMENT, posting(reversed_(a_payment()))])
    balances = in_process.erp.balances("DE01")
    assert set(balances) == {("clearing:stripe:EUR", "EUR"), ("deposits", "EUR")}
    assert all(line.debit_minor == line.credit_minor == 3008 for line in balances.values())


def test_rates_are_decimals_or_unknown(in_process: SandboxParty) -> None:
    in_process.sandbox.books.set_rate("USD", "EUR", date(2026, 1, 1), "1.25")
    assert in_process.erp.rate("USD", "EUR", date(2026, 11, 23)) == Decimal("1.25")
    assert in_process.erp.rate("CHF", "EUR", date(2026, 11, 23)) is None


def test_a_thousand_documents_are_listed_over_pages_and_found_over_calls(in_process: SandboxParty) -> None:
    many = postings([a_payment(natural_id=str(number)) for number in range(1_200)])
    for start in range(0, len(many), in_process.erp.batch_size):
        in_process.erp.post(many[start : start + in_process.erp.batch_size])
    assert len(in_process.erp.find([each.key for each in many])) == 1_200
    listed = [found.key for found in in_process.erp.list_since(in_process.clock.now() - timedelta(days=1))]
    assert sorted(listed) == sorted(each.key for each in many)


def test_a_customers_name_survives_the_way(in_process: SandboxParty) -> None:
    name = "Zoë “Ω” O'Hara; drop table documents; <b>"
    document = {**a_customer(), "personal": {"name": name, "email": "z@example.com"}}
    (posted,) = in_process.erp.post([posting(document)])
    assert isinstance(posted, Posted)
    row = in_process.sandbox.books.document(1)
    assert row is not None and json.loads(row["body"])["personal"]["name"] == name
