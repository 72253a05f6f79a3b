"""Posting: lanes, look-ups, batches, breakers, each named by the history that it prevents (K2 to K8, R1)."""

from datetime import date

import pytest
from counterfoil_engine.domain.errors import DatabaseUnavailable, Parked, Unavailable
from counterfoil_engine.records.intents import bucket_of
from counterfoil_engine.records.lanes import dealt
from fakes.engine import a_document


def orders(world, *numbers, kind="payment", amount=100):
    for number in numbers:
        world.due(str(number), a_document(kind, amount, order=str(number)))
    looker = world.looker()
    while looker.step():
        pass


def no_unique_keys(world, commits_after_s=5.0, commit_lag_s=6.0):
    world.erp.unique_keys, world.erp.commits_after_s, world.erp.commit_lag_s = False, commits_after_s, commit_lag_s


# Lost answers and crashes.


def test_a_lost_answer_is_looked_up_and_never_posted_twice(world):
    orders(world, 1001)
    world.erp.lose_answers = 1
    world.run()
    assert world.erp.posted() == ["eu1/1001/payment/x/r1"]
    assert world.states() == {"payment/x/r1": "done"}
    assert world.intents()[0].number == "E0001"


def test_a_call_that_never_arrived_is_sent_again_under_its_own_key(world):
    orders(world, 1001)
    world.erp.lose_calls = 1
    world.run()
    assert world.erp.posted() == ["eu1/1001/payment/x/r1"]
    assert world.states() == {"payment/x/r1": "done"}


def test_an_erp_that_commits_seconds_after_its_client_died_gets_no_second_document(world):
    """The lock dies with the session, not with the call in the ERP."""
    no_unique_keys(world)
    orders(world, 1001)
    world.erp.lose_answers = 1
    dead = world.poster()
    dead.step()  # carried out five seconds later, and the poster dies here without a word
    world.registry.give_back(dead._hold.holder)
    if not world.database.is_sqlite:
        world.database.close()  # the session dies, and its locks with it
    after = world.poster()
    for _ in range(4):
        after.step()
        assert world.erp.posted() == ["eu1/1001/payment/x/r1"]  # a second one would be doubled
        world.clock.pass_time(1)
    world.clock.pass_time(5)
    world.run(poster=after)
    assert world.erp.posted() == ["eu1/1001/payment/x/r1"]
    assert world.states() == {"payment/x/r1": "done"}


def test_with_no_commit_lag_that_erp_doubles_so_the_test_can_see_it(world):
    no_unique_keys(world, commit_lag_s=0.0)
    orders(world, 1001)
    world.erp.lose_answers = 1
    world.run()
    assert len(world.erp.posted()) == 2


def test_a_lane_handed_back_cleanly_needs_no_rest(world):
    no_unique_keys(world)
    first = world.poster()
    first.step()
    first.give_back()
    orders(world, 1001)
    second = world.poster()
    assert second.step()
    assert world.erp.posted() == ["eu1/1001/payment/x/r1"]


def test_two_documents_of_one_key_are_shown_as_doubled(world):
    no_unique_keys(world)
    orders(world, 1001)
    world.erp.lose_answers = 1
    poster = world.poster()
    poster.step()
    world.erp.documents.append(world.erp.documents[0])
    world.clock.pass_time(10)
    world.run(poster=poster)
    assert any("holds 2 documents of the key" in cause for cause in world.open_cases())


def test_the_key_with_another_content_is_a_conflict_and_never_done(world):
    orders(world, 1001)
    world.erp.lose_answers = 1
    poster = world.poster()
    poster.step()
    world.erp.edit("eu1/1001/payment/x/r1", "somebody's")
    world.run(poster=poster)
    assert world.states() == {"payment/x/r1": "refused"}
    assert any("another content" in cause for cause in world.open_cases())
    assert world.one("select count(*) from journal") == 0


def test_find_before_post_where_the_erp_keeps_no_keys_unique(world):
    no_unique_keys(world, commits_after_s=0.0)
    orders(world, 1001)
    poster = world.poster()
    poster.step()
    assert [call for call, _ in world.erp.calls] == ["open_day", "find", "post"]


# Lanes.


def test_a_subject_keeps_its_bucket_whatever_the_number_of_lanes():
    """8 → 4 lanes during an upgrade."""
    assert bucket_of("order eu1/1001") == 9
    for lanes in (1, 4, 8):
        assert sorted(bucket for lane in range(lanes) for bucket in dealt(lane, lanes)) == list(range(64))


def test_eight_lanes_become_four_while_posting_and_no_subject_has_two_posters(world):
    orders(world, *range(1001, 1041))
    old = [world.poster(lane, 8) for lane in range(8)]
    for poster in old[:4]:
        poster.step()
    new = [world.poster(lane, 4) for lane in range(4)]
    for poster in new:
        poster.step()  # what the old ones hold stays theirs
    held = [bucket for poster in old + new for bucket in poster._hold._not_before]
    assert len(held) == len(set(held))
    for poster in old:
        poster.step()
        poster.give_back()
    world.clock.pass_time(6)
    for poster in new:
        while poster.step():
            pass
    assert len(world.erp.posted()) == len(set(world.erp.posted())) == 40


def test_two_posters_never_hold_one_bucket(world):
    from counterfoil_engine.records.database import Database
    from counterfoil_engine.records.lanes import Hold, Registry

    other, registry = world.database, world.registry
    if not other.is_sqlite:  # two processes
        other, registry = Database(world.database.url, world.clock), Registry()
    try:
        mine = Hold(world.database, world.registry, "erp", "DE01", "one").take(range(64), 0)
        assert Hold(other, registry, "erp", "DE01", "two").take(range(64), 0) == []
        assert mine == list(range(64))
    finally:
        if other is not world.database:
            other.close()


def test_a_pooler_in_transaction_mode_is_refused_at_start():
    from contextlib import contextmanager

    from counterfoil_engine.domain.errors import CounterfoilError
    from counterfoil_engine.records.lanes import refuse_poolers

    class Pooled:
        """Two clients that get one server connection between transactions."""

        is_sqlite = False

        @contextmanager
        def transaction(self):
            yield self

        def one(self, sql):
            return {"pid": 7}

    with pytest.raises(CounterfoilError, match="transaction mode"):
        refuse_poolers(Pooled(), Pooled())


# Batches.


def test_a_batch_that_is_refused_is_halved_until_the_culprit_stands_alone(world):
    orders(world, *range(1001, 1009))
    world.erp.poison_keys = {"eu1/1005/payment/x/r1"}
    world.run()
    assert len(world.erp.posted()) == 7
    assert world.states("order eu1/1005") == {"eu1/1005/payment/x/r1": "refused"}
    assert [size for call, size in world.erp.calls if call == "post"] == [8, 4, 4, 2, 1, 1, 2]
    assert world.open_cases() == ["The batch can't be read: eu1/1005/payment/x/r1."]


def test_a_batch_that_timed_out_is_not_halved_but_looked_up_whole(world):
    orders(world, *range(1001, 1009))
    world.erp.lose_answers = 1
    world.run()
    assert [(call, size) for call, size in world.erp.calls if call != "open_day"] == [("post", 8), ("find", 8)]
    assert len(set(world.erp.posted())) == len(world.erp.posted()) == 8


def test_a_batch_half_of_which_was_committed_is_not_posted_whole_again(world):
    no_unique_keys(world, commits_after_s=0.0)
    orders(world, *range(1001, 1005))
    world.erp.lose_answers = 1
    poster = world.poster()
    poster.step()
    del world.erp.documents[2:]
    world.clock.pass_time(7)
    world.run(poster=poster)
    assert len(world.erp.posted()) == len(set(world.erp.posted())) == 4


# Outages.


def test_an_outage_opens_the_breaker_and_everything_resumes_by_itself(world):
    orders(world, *range(1001, 1031))
    world.erp.down = True
    poster = world.poster()
    for _ in range(20):
        poster.step()
    assert world.erp.calls == []
    with world.database.transaction() as tx:
        assert [row["state"] for row in world.records.breakers.shown(tx)] == ["open"]
    world.clock.pass_time(60)
    world.erp.down = False
    world.run(poster=poster)
    assert len(world.erp.posted()) == 30
    sizes = [size for call, size in world.erp.calls if call == "post"]
    assert sizes[:4] == [1, 2, 4, 8]  # half-open is one intent, then a ramp
    with world.database.transaction() as tx:
        assert all(intent.attempts <= 2 for number in (1001, 1030) for intent in world.intents(f"order eu1/{number}"))


def test_an_outage_of_the_engines_own_database_is_no_outage_of_the_party(world):
    orders(world, 1001)
    real, erp_post = world.database.transaction, world.erp.post

    def gone():
        raise DatabaseUnavailable("The engine's database can't be used at the moment.", "Wait.")

    def post(postings):
        world.database.transaction = gone
        return erp_post(postings)

    world.erp.post = post
    poster = world.poster()
    with pytest.raises(DatabaseUnavailable):
        poster.step()
    world.database.transaction, world.erp.post = real, erp_post
    with world.database.transaction() as tx:
        assert world.records.breakers.shown(tx) == []
    poster.forget()
    world.run(poster=poster)
    assert world.erp.posted() == ["eu1/1001/payment/x/r1"]
    assert world.states() == {"payment/x/r1": "done"}


def test_nothing_hammers_a_party_that_is_down(world):
    orders(world, 1001)
    tried = []
    world.erp.open_day = lambda entity, on: tried.append(world.clock.now()) or world.erp._answer("open_day", 1)
    world.erp.down = True
    poster = world.poster()
    for _ in range(300):
        poster.step()
        world.clock.pass_time(1)
    assert 5 <= len(tried) <= 9  # 2, 4, 8 … s apart


def test_a_party_that_asks_for_a_pause_gets_it(world):
    orders(world, 1001)
    world.erp.too_many = True
    poster = world.poster()
    poster.step()
    world.erp.too_many = False
    world.clock.pass_time(29)
    assert not poster.step()
    world.clock.pass_time(2)
    assert poster.step()


def test_every_process_sees_the_breaker(world):
    orders(world, 1001)
    world.erp.down = True
    world.poster().step()
    other = world.poster(1, 2)
    other.step()
    assert other._hold._not_before == {}


# Refusals.


def test_a_refused_posting_is_a_case_and_gets_the_next_number_once_its_cause_has_ended(world):
    from counterfoil_engine.work.unpark import retry

    world.erp.refuse_kinds["payment"] = "data"
    orders(world, 1001)
    world.run()
    assert world.states() == {"payment/x/r1": "refused"}
    assert world.open_cases() == ["The ERP refuses payment."]
    world.run()
    assert sum(call == "post" for call, _ in world.erp.calls) == 1  # permanent: not tried again by itself
    world.erp.refuse_kinds.clear()
    retry(world.records, "order eu1/1001", "anna")
    world.run()
    assert world.states() == {"payment/x/r1": "refused", "payment/x/r2": "done"}
    assert world.open_cases() == []


def test_a_refusal_is_believed_only_where_the_key_is_not_there(world):
    """Something before the ERP says no to a call that had reached it."""
    post = world.erp.post

    def refused_on_its_way_back(postings):
        post(postings)
        raise Parked("The proxy answered 400.", "See its log.", "contract")

    orders(world, 1001)
    world.erp.post = refused_on_its_way_back
    world.run()
    assert world.states() == {"payment/x/r1": "done"}
    assert world.open_cases() == []


def test_what_was_refused_and_came_to_stand_since_gets_no_next_revision_beside_it(world):
    """The ERP still works on the first call as a firewall rejects the second; its unique key guards the first alone."""
    retries_after_a_late_commit(world)
    assert world.erp.posted() == ["eu1/1001/payment/x/r1"]
    assert world.states() == {"payment/x/r1": "done"}
    assert world.open_cases() == []


def test_what_came_to_stand_since_it_was_refused_is_reversed_where_the_order_has_changed_meanwhile(world):
    retries_after_a_late_commit(world, amount=90)
    assert list(world.erp.standing()) == ["eu1/1001/payment/x/r2"]
    assert world.states() == {"payment/x/r1": "done", "payment/x/r1/reversal": "done", "payment/x/r2": "done"}


def test_who_refuses_and_then_can_not_be_asked_is_believed(world):
    orders(world, 1001, 1002)
    world.erp.poison_keys = {"eu1/1001/payment/x/r1"}
    world.erp.find = unavailable
    world.run()
    assert world.erp.posted() == ["eu1/1002/payment/x/r1"]
    assert world.open_cases() == ["The batch can't be read: eu1/1001/payment/x/r1."]


def unavailable(keys):
    raise Unavailable("The ERP answered 400.", "See its log.", category="contract")


def retries_after_a_late_commit(world, amount=100):
    from counterfoil_engine.work.unpark import retry

    orders(world, 1001)
    world.erp.lose_answers, world.erp.commits_after_s = 1, 60.0
    poster = world.poster()
    poster.step()
    world.erp.poison_keys = {"eu1/1001/payment/x/r1"}
    poster.step()
    assert world.states() == {"payment/x/r1": "refused"}
    world.clock.pass_time(60)
    world.erp.poison_keys, world.erp.commits_after_s = set(), 0.0
    retry(world.records, "order eu1/1001", "anna")
    orders(world, 1001, amount=amount)
    world.run(poster=poster)


def test_a_refused_reversal_that_was_not_due_for_a_while_is_tried_again_when_it_is(world):
    world.due("1001", a_document("payment", 100))
    world.run()
    world.erp.refuse_kinds["payment"] = "data"
    world.due("1001", a_document("payment", 90))
    world.run()
    world.due("1001", a_document("payment", 100))
    world.run()
    assert world.open_cases() == []
    world.erp.refuse_kinds.clear()
    world.due("1001", a_document("payment", 90))
    world.run()
    assert list(world.erp.standing()) == ["eu1/1001/payment/x/r2"]


def test_a_reversal_that_is_refused_stays_a_case_where_only_what_it_rests_on_has_changed(world):
    """The credit note is due as it stands, but for the invoice that it names: that one can't go before it."""
    from counterfoil_engine.work.unpark import retry

    world.due("1001", a_document("invoice", 100), a_document("credit_note", 10, after=["invoice/x"]))
    world.run()
    world.erp.refuse_kinds["credit_note"] = "data"
    world.due("1001", a_document("invoice", 90), a_document("credit_note", 10, after=["invoice/x"]))
    world.run()
    assert world.open_cases() == ["The ERP refuses credit_note."]
    world.erp.refuse_kinds.clear()
    retry(world.records, "order eu1/1001", "anna")
    world.run()
    assert sorted(world.erp.standing()) == ["eu1/1001/credit_note/x/r2", "eu1/1001/invoice/x/r2"]
    assert world.open_cases() == []


def test_a_retry_of_one_cause_leaves_alone_what_another_refused(world):
    from counterfoil_engine.work.unpark import retry_all

    world.erp.refuse_kinds.update(payment="conflict", fee="data")
    world.due("1001", a_document("payment", 100), a_document("fee", 3, "f1"))
    world.run()
    retry_all(world.records, "data:The ERP refuses fee.", "anna")
    world.erp.refuse_kinds.clear()
    world.run()
    assert world.states() == {"payment/x/r1": "refused", "fee/f1/r1": "refused", "fee/f1/r2": "done"}
    assert world.open_cases() == ["The ERP refuses payment."]


def test_a_refused_reversal_is_offered_again_under_its_own_key(world):
    from counterfoil_engine.work.unpark import retry

    orders(world, 1001)
    world.run()
    world.erp.refuse_kinds["payment"] = "data"
    world.due("1001", a_document("payment", 90))
    world.run()
    assert world.states() == {"payment/x/r1": "done", "payment/x/r1/reversal": "refused", "payment/x/r2": "ready"}
    assert list(world.erp.standing()) == ["eu1/1001/payment/x/r1"]  # never two
    world.erp.refuse_kinds.clear()
    retry(world.records, "order eu1/1001", "anna")
    world.run()
    assert set(world.states().values()) == {"done"}
    assert list(world.erp.standing()) == ["eu1/1001/payment/x/r2"]


def test_a_refused_reversal_that_is_wanted_no_more_leaves_what_stood(world):
    orders(world, 1001)
    world.run()
    world.erp.refuse_kinds["payment"] = "data"
    world.due("1001", a_document("payment", 90))
    world.run()
    world.due("1001", a_document("payment", 100))
    world.run()
    assert list(world.erp.standing()) == ["eu1/1001/payment/x/r1"]
    assert world.states() == {"payment/x/r1": "done", "payment/x/r1/reversal": "refused"}
    assert world.open_cases() == []


# Dates.


def test_the_posting_date_is_the_first_open_day_and_belongs_to_the_result(world):
    world.erp.closed_until = date(2026, 11, 30)
    orders(world, 1001)
    world.run()
    document = world.erp.documents[0].posting.document
    assert (document["date"], document["event_date"]) == ("2026-12-01", "2026-11-23")
    assert world.intents()[0].posting_date == date(2026, 12, 1)
    assert str(world.one("select posting_date from journal")) == "2026-12-01"
    world.erp.closed_until = None
    with world.database.transaction() as tx:
        world.records.work.mark_due(tx, ["order eu1/1001"])
    world.run()
    assert len(world.erp.posted()) == 1  # another date is no other content


def test_a_period_closed_between_look_and_post_heals_by_itself(world):
    orders(world, 1001)
    world.erp.refuse_kinds["payment"] = "closed_period"
    poster = world.poster()
    poster.step()
    assert world.states() == {"payment/x/r1": "refused"}
    world.erp.refuse_kinds.clear()
    world.erp.closed_until = date(2026, 11, 30)
    world.run(poster=poster)
    assert world.states() == {"payment/x/r1": "refused", "payment/x/r2": "done"}
    assert world.erp.documents[0].posting.document["date"] == "2026-12-01"
    assert world.open_cases() == []


def test_history_does_not_hold_up_what_is_live(world):
    orders(world, *range(2000, 2060))
    with world.database.transaction() as tx:
        tx.run("update intents set class = 'history'")
    orders(world, 1001)
    poster = world.poster()
    poster.step()
    assert "eu1/1001/payment/x/r1" in world.erp.posted()


def test_a_call_that_carries_something_live_isn_t_filled_up_with_history(world):
    orders(world, *range(2000, 2060))
    with world.database.transaction() as tx:
        tx.run("update intents set class = 'history'")
    orders(world, 1001)
    world.erp.batch_size = 20
    world.poster().step()
    assert len(world.erp.posted()) == 6


def test_history_alone_fills_a_call(world):
    orders(world, *range(2000, 2060))
    with world.database.transaction() as tx:
        tx.run("update intents set class = 'history'")
    world.erp.batch_size = 20
    world.poster().step()
    assert len(world.erp.posted()) == 20


def test_the_results_of_a_backfill_are_no_live_work(world):
    world.due("1001", a_document("payment", 100))
    with world.database.transaction() as tx:
        tx.run("update work set class = 'history'")
    world.looker().step()
    world.poster().step()
    assert world.one("select class from work") == "history"


def test_an_erp_whose_answers_break_the_contract_is_not_hammered(world):
    from counterfoil_engine.domain.errors import Parked

    orders(world, 1001)
    asked = []

    def find_day(entity, on):
        asked.append(on)
        raise Parked("The answer can't be read.", "Correct the adapter.", "contract")

    world.erp.open_day = find_day
    poster = world.poster()
    for _ in range(60):
        poster.step()
        world.clock.pass_time(1)
    assert len(asked) <= 6


def test_without_rules_nothing_is_posted_and_nothing_fails(world):
    with world.database.transaction() as tx:
        tx.run("delete from rules_versions")
    world.due("1001", a_document("payment", 100))
    assert world.looker().step() and not world.poster().step()
    assert world.one("select claims from work") == 0  # not the subject's own failure
