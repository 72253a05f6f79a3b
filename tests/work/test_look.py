"""Looks: each rule of claims, dues and difference, named by the history that it prevents (L1 to L6, K1 to K3)."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from counterfoil_engine.domain.errors import Case
from counterfoil_engine.ports import LostClaim, Stale
from counterfoil_engine.work.look import LookSettings
from fakes.engine import a_document


def an_order(total=11900, order="1001"):
    return (
        a_document("sales_order", total, "order", order),
        a_document("payment", total, "card", order),
        a_document("invoice", total, "acceptance", order, after=["sales_order/order"]),
    )


def test_an_order_becomes_one_set_of_documents(world):
    world.due("1001", *an_order())
    world.run()
    assert sorted(world.erp.posted()) == [
        "eu1/1001/invoice/acceptance/r1",
        "eu1/1001/payment/card/r1",
        "eu1/1001/sales_order/order/r1",
    ]
    assert set(world.states().values()) == {"done"}
    assert world.work() == []


def test_looking_again_at_what_is_posted_posts_nothing(world):
    world.due("1001", *an_order())
    world.run()
    before = world.erp.posted()
    for _ in range(3):
        with world.database.transaction() as tx:
            world.records.work.mark_due(tx, ["order eu1/1001"], "history")
        world.run()
    assert world.erp.posted() == before


def test_a_document_goes_only_after_the_result_of_what_it_waits_for(world):
    world.due("1001", *an_order())
    world.run()
    keys = world.erp.posted()
    assert keys.index("eu1/1001/sales_order/order/r1") < keys.index("eu1/1001/invoice/acceptance/r1")
    assert all(size <= 2 for call, size in world.erp.calls if call == "post")  # never in one batch with it


def test_an_edit_reverses_and_posts_anew_in_order(world):
    world.due("1001", *an_order(11900))
    world.run()
    world.due("1001", *an_order(9900))
    world.run()
    keys = [key.removeprefix("eu1/1001/") for key in world.erp.posted()]
    assert sorted(world.erp.standing()) == [
        "eu1/1001/invoice/acceptance/r2",
        "eu1/1001/payment/card/r2",
        "eu1/1001/sales_order/order/r2",
    ]
    # The invoice rested on the sales order: it is undone first, and made again last.
    order = [
        "invoice/acceptance/r1/reversal",
        "sales_order/order/r1/reversal",
        "sales_order/order/r2",
        "invoice/acceptance/r2",
    ]
    assert [keys.index(key) for key in order] == sorted(keys.index(key) for key in order)


def test_edited_to_and_fro_the_right_one_stands_under_a_key_of_its_own(world):
    """Edited A→B→A; the right one "is posted" under a key that is taken; the reversal is refused and two stand."""
    for total in (11900, 9900, 11900):
        world.due("1001", *an_order(total))
        world.run()
    assert [key for key in world.erp.standing() if "invoice" in key] == ["eu1/1001/invoice/acceptance/r3"]
    assert world.erp.standing()["eu1/1001/invoice/acceptance/r3"]["amount_minor"] == 11900
    assert len(world.erp.posted()) == len(set(world.erp.posted()))


def test_edited_to_and_fro_before_anything_was_sent_posts_the_last_alone(world):
    for total in (11900, 9900, 11900):
        world.due("1001", *an_order(total))
        world.looker().step()
        world.clock.pass_time(2)
    world.run()
    assert sorted(world.erp.posted()) == [
        "eu1/1001/invoice/acceptance/r1",
        "eu1/1001/payment/card/r1",
        "eu1/1001/sales_order/order/r1",
    ]


def test_a_slot_that_was_sent_without_result_gets_nothing_new(world):
    world.due("1001", a_document("payment", 11900))
    world.looker().step()
    world.erp.lose_answers = 1
    poster = world.poster()
    poster.step()
    assert world.states() == {"payment/x/r1": "sent"}
    world.due("1001", a_document("payment", 9900))
    world.clock.pass_time(2)
    world.looker().step()
    assert world.states() == {"payment/x/r1": "sent"}
    world.run(poster=poster)
    assert world.states() == {"payment/x/r1": "done", "payment/x/r1/reversal": "done", "payment/x/r2": "done"}


def test_a_reversal_bears_the_day_of_what_made_it_undue_and_the_original_negated(world):
    world.due("1001", a_document("payment", 11900))
    world.run()
    world.due("1001")
    world.run()
    reversal = world.erp.documents[-1].posting.document
    assert reversal["reverses"] == "eu1/1001/payment/x/r1"
    assert (reversal["amount_minor"], reversal["kind"], reversal["date"]) == (-11900, "payment", "2026-11-23")
    assert world.one("select coalesce(sum(debit_minor - credit_minor), 0) from journal where role = 'receivable'") == 0


# Claims.


def test_a_stale_workers_look_writes_nothing(world):
    """gen reused after a delete: a stale worker's finish removes a newer event's row."""
    world.due("1001", a_document("payment", 11900))
    stale = world.looker()
    with world.database.transaction() as tx:
        (claim,) = world.records.claims.claim(tx, ["live"], 5, 60, 0, "stale")
    world.clock.pass_time(61)
    with world.database.transaction() as tx:
        (fresh,) = world.records.claims.claim(tx, ["live"], 5, 60, 0, "fresh")
    with pytest.raises(LostClaim):
        stale._together([claim])
    assert world.intents() == []
    world.looker()._together([fresh])
    assert world.states() == {"payment/x/r1": "ready"}


def test_a_stale_finish_cannot_remove_a_newer_mark(world):
    world.due("1001", a_document("payment", 11900))
    with world.database.transaction() as tx:
        (claim,) = world.records.claims.claim(tx, ["live"], 5, 60, 0, "first")
    with world.database.transaction() as tx:
        world.records.claims.finish(tx, [claim])
    assert world.work() == []
    with world.database.transaction() as tx:
        world.records.work.mark_due(tx, ["order eu1/1001"], "live")
        with pytest.raises(LostClaim):
            world.records.claims.finish(tx, [claim])
    assert world.work() == ["order eu1/1001"]
    assert world.one("select gen from work") > claim.gen


def test_what_was_marked_anew_during_a_look_stays_due_and_its_intents_stay(world):
    world.due("1001", a_document("payment", 11900))
    looker = world.looker()
    read = world.read

    def read_then_an_event_comes(tx, store, order_id, through_arrival=None):
        facts = read(tx, store, order_id, through_arrival)
        if len(world.looked) == 0:
            world.records.work.mark_due(tx, ["order eu1/1001"], "live")
        return facts

    looker._readers["order"]._facts = read_then_an_event_comes
    looker.step()
    assert world.states() == {"payment/x/r1": "ready"}
    assert world.work() == ["order eu1/1001"]
    assert world.one("select claims from work") == 0


def test_a_subject_rests_a_second_between_looks(world):
    world.due("1001", a_document("payment", 11900))
    looker = world.looker()
    assert looker.step()
    world.due("1001", a_document("payment", 9900))
    assert not looker.step()
    world.clock.pass_time(1.1)
    assert looker.step()


def test_a_group_that_fails_is_run_one_by_one_and_its_neighbours_go_on(world):
    world.due("1001", a_document("payment", 100, order="1001"))
    world.due("1002", a_document("payment", 100, order="1002"))
    world.due("1003", a_document("payment", 100, order="1003"))

    def poisoned(facts, rules, as_of):
        if facts.order_id == "1002":
            raise ZeroDivisionError
        return world.dues(facts, rules, as_of)

    world.looker(dues=poisoned).step()
    assert world.states("order eu1/1001") and world.intents("order eu1/1003")
    assert world.work() == ["order eu1/1002"]


def test_a_subject_that_kills_its_worker_is_taken_alone_then_parks_as_a_case(world):
    world.due("1000", a_document("payment", 100, order="1000"))
    sizes = []
    for attempt in range(5):
        world.clock.pass_time(61)
        world.due("1001", a_document("payment", 100))
        with world.database.transaction() as tx:
            claims = world.records.claims.claim(tx, ["live"], 5, 60, 0, f"dies {attempt}")  # and never comes back
            sizes.append(len(claims))
    assert sizes == [2, 2, 2, 1, 1]
    world.clock.pass_time(61)
    looker = world.looker(settings=LookSettings(group=1))
    for _ in range(8):
        looker.step()
        world.clock.pass_time(61)
    assert any("came to no end" in cause for cause in world.open_cases())
    # A new event lets it try again.
    world.due("1001", a_document("payment", 100))
    world.due("1000", a_document("payment", 100, order="1000"))
    world.run()
    assert world.states() == {"payment/x/r1": "done"}


def test_history_is_never_starved_and_live_goes_first(world):
    for number in range(40):
        world.due(str(2000 + number), a_document("payment", 1, order=str(2000 + number)))
    with world.database.transaction() as tx:
        tx.run("update work set class = 'history' where subject >= 'order eu1/2020'")
    looker = world.looker(settings=LookSettings(group=1))
    for _ in range(12):
        looker.step()
    history = [order for order in world.looked if order >= "2020"]
    assert len(world.looked) == 12 and 1 <= len(history) <= 2 and world.looked[0] < "2020"


def test_a_look_records_the_moment_and_rules_that_it_was_made_by(world):
    world.due("1001", a_document("payment", 11900))
    world.looker().step()
    look_id = world.intents()[0].look_id
    with world.database.transaction() as tx:
        look = world.records.looks.read(tx, look_id)
    assert (look.as_of, look.rules_version, look.arrival) == (world.clock.now(), "v1", 1)


def test_time_alone_makes_a_subject_due_again(world):
    """Time passes, no fact arrives, nobody looks."""
    world.more["again_at"] = world.clock.now().replace(hour=12)
    world.due("1001", a_document("payment", 11900))
    world.run()
    with world.database.transaction() as tx:
        assert world.records.looks.mark_again(tx) == 0
    world.clock.pass_time(4 * 3600)
    with world.database.transaction() as tx:
        assert world.records.looks.mark_again(tx) == 1
    assert world.work() == ["order eu1/1001"]


# Waits.


def the_watermark(world, through):
    with world.database.transaction() as tx:
        tx.run(
            "insert into epochs (store, epoch, installation, granted_at, stored_through) values ('eu1', 1, 'i', %s, %s)"
            " on conflict (store, epoch) do update set stored_through = excluded.stored_through",
            tx.now(),
            through,
        )


def test_what_rests_on_being_first_waits_for_the_watermark_and_is_woken_by_it(world):
    world.proven, world.more["waits"] = False, ("watermark eu1",)
    world.due("1001")
    the_watermark(world, 0)
    world.looker().step()
    assert world.work() == []
    the_watermark(world, 1)
    with world.database.transaction() as tx:
        world.records.waits.wake(tx, "watermark eu1")
    assert world.work() == ["order eu1/1001"]


def test_a_watermark_that_passes_while_the_look_runs_wakes_nobody_in_vain(world):
    world.proven, world.more["waits"] = False, ("watermark eu1",)
    world.due("1001")
    the_watermark(world, 1)  # it passed after the facts were read
    world.looker().step()
    assert world.one("select count(*) from waits") == 0
    assert world.work() == ["order eu1/1001"]


def test_the_hourly_pass_frees_a_lost_wake_up_and_counts_it_as_a_defect(world):
    world.proven, world.more["waits"] = False, ("watermark eu1",)
    world.due("1001")
    the_watermark(world, 0)
    world.looker().step()
    with world.database.transaction() as tx:
        assert world.records.waits.check_again(tx) == []
    the_watermark(world, 5)  # and whoever raised it woke nobody
    with world.database.transaction() as tx:
        assert world.records.waits.check_again(tx) == ["subject order eu1/1001 on watermark eu1"]
        assert world.records.waits.defects(tx) == 1
    assert world.work() == ["order eu1/1001"]


def test_an_intents_wake_up_that_was_lost_is_freed_and_counted_too(world):
    world.due("1001", *an_order())
    world.looker().step()
    with world.database.transaction() as tx:
        waiting = tx.all("select * from waits")
    world.run()
    assert world.one("select count(*) from waits") == 0
    with world.database.transaction() as tx:
        row = waiting[0]
        tx.run(
            "insert into waits (on_key, waiter, party, entity, key, since) values (%s, %s, %s, %s, %s, %s)",
            *[row[name] for name in ("on_key", "waiter", "party", "entity", "key", "since")],
        )
        assert len(world.records.waits.check_again(tx)) == 1


# What several orders share.


def with_customer(order):
    customer = a_document("customer", 0, slot="DE01/-/customer/eu1-2", subject="customer DE01/eu1-2", order=order)
    return customer, a_document("sales_order", 100, "order", order, after=["DE01/-/customer/eu1-2"])


def test_two_first_orders_of_one_customer_make_one(world):
    world.due("1001", *with_customer("1001"))
    world.due("1002", *with_customer("1002"))
    world.run()
    assert sorted(world.erp.posted()) == [
        "DE01/-/customer/eu1-2/r1",
        "eu1/1001/sales_order/order/r1",
        "eu1/1002/sales_order/order/r1",
    ]
    assert world.erp.posted()[0] == "DE01/-/customer/eu1-2/r1"


def test_a_customer_that_is_refused_holds_its_orders_until_it_is_retried(world):
    from counterfoil_engine.work.unpark import retry

    world.erp.refuse_kinds["customer"] = "data"
    world.due("1001", *with_customer("1001"))
    world.due("1002", *with_customer("1002"))
    world.run()
    assert world.erp.posted() == []
    assert world.open_cases() == ["The ERP refuses customer."]
    world.erp.refuse_kinds.clear()
    retry(world.records, "customer DE01/eu1-2", "anna")
    world.run()
    assert sorted(world.erp.posted()) == [
        "DE01/-/customer/eu1-2/r2",
        "eu1/1001/sales_order/order/r1",
        "eu1/1002/sales_order/order/r1",
    ]
    assert world.open_cases() == []


# Cases.


def test_a_case_resolves_itself_when_its_cause_is_gone(world):
    world.cases["1001"] = (Case("data", "The amount is odd.", "Correct it."),)
    world.due("1001")
    world.run()
    assert world.open_cases() == ["The amount is odd."]
    world.cases.clear()
    world.due("1001", a_document("payment", 100))
    world.run()
    assert world.open_cases() == []


def test_new_rules_free_all_that_a_missing_row_held_and_leave_the_rest(world):
    from dataclasses import replace
    from datetime import date

    from counterfoil_engine.domain.rules import Row
    from counterfoil_engine.work.unpark import load_rules
    from fakes.engine import the_rules

    def missing(method):
        row = {"table": "payment_methods", "store": "eu1", "method": method, "gateway": None}
        return (Case("missing_mapping", f"The payment method {method} has no mapping.", "Add it.", (row,)),)

    for order, method in (("1001", "klarna"), ("1002", "klarna"), ("1003", "paypal")):
        world.cases[order] = missing(method)
        world.due(order)
    world.run()
    with world.database.transaction() as tx:
        assert [group["subjects"] for group in world.records.cases.grouped(tx)] == [2, 1]
    row = Row({"store": "*", "method": "klarna"}, date(2020, 1, 1), {"gateway": "klarna"})
    rules = replace(the_rules("v2"), tables={"payment_methods": [row]})
    text = '{"version": "v2", "switch": "on"}'
    assert load_rules(world.records, lambda _: rules, text, "anna") == ("v2", 2)
    assert world.work() == ["order eu1/1001", "order eu1/1002"]


def test_more_than_a_few_revisions_a_day_are_a_conflict_and_not_an_edit(world):
    for total in range(100, 108):
        world.due("1001", a_document("payment", total))
        world.run()
    postings = [key for key in world.erp.posted() if not key.endswith("reversal")]
    assert len(postings) == 5
    assert any("was posted 5 times within a day" in cause for cause in world.open_cases())
    from counterfoil_engine.work.unpark import retry

    retry(world.records, "order eu1/1001", "anna")
    world.run()
    assert next(iter(world.erp.standing().values()))["amount_minor"] == 107
    assert world.open_cases() == []


def test_a_look_that_another_one_overtook_leaves_no_failure_behind(world):
    """A subject's own failures alone are kept for the case that it may become."""
    world.due("1001", *an_order())
    looker, real = world.looker(), world.records.claims.finish
    failing = [Stale("order eu1/1001")]

    def finish(tx, claims):
        if failing:
            raise failing.pop()
        return real(tx, claims)

    looker._records = replace(world.records, claims=SimpleNamespace(**{**vars(world.records.claims), "finish": finish}))
    looker.step()
    world.clock.pass_time(10)
    world.run()
    assert world.work() == []
    assert world.one("select count(*) from failures") == 0


def test_what_was_refused_and_due_otherwise_for_a_while_is_tried_again_when_it_is_due_again(world):
    """Edited from A to B and back to A: no case is left that could say why A isn't posted."""
    world.due("1001", *an_order(11900))
    world.erp.refuse_kinds["sales_order"] = "missing_mapping"
    world.run()
    assert world.states()["sales_order/order/r1"] == "refused"
    world.erp.refuse_kinds.clear()
    for total in (10000, 11900):
        world.due("1001", *an_order(total))
        world.looker().step()
        world.clock.pass_time(2)
    world.run()
    assert "eu1/1001/sales_order/order/r2" in world.erp.standing()
    assert world.open_cases() == []
