"""Rules, code and time; switches, start lines and restores (R1 to R4), each named by the history that it prevents."""

from dataclasses import replace

import pytest
from counterfoil_engine.domain.errors import CounterfoilError
from counterfoil_engine.records import identity, intents
from counterfoil_engine.work.look import LookSettings
from counterfoil_engine.work.restate import approve, held, release_brake
from counterfoil_engine.work.switches import confirm_identity, doubt_identity, switch
from counterfoil_engine.work.unpark import retry
from fakes.engine import a_document, the_rules


def dearer(document):
    """Rules (or code) that make every invoice 100 dearer."""
    if document.kind != "invoice":
        return document
    amount = document.amount_minor + 100
    return replace(document, amount_minor=amount, body={**document.body, "amount": amount})


def an_order(total=1000, *more):
    return (
        a_document("sales_order", total, "order"),
        a_document("invoice", total, "a", after=["sales_order/order"]),
        *more,
    )


def look_again(world):
    with world.database.transaction() as tx:
        world.records.work.mark_due(tx, ["order eu1/1001"], "repair")
    world.clock.pass_time(2)
    world.run()


# R2.


def test_a_note_in_november_does_not_reverse_a_march_invoice_by_todays_rules(world):
    world.due("1001", *an_order())
    world.run()
    world.by_rules["v2"] = dearer
    world.load_rules("v2")
    world.due("1001", *an_order())  # a note was added: the same is due
    world.run()
    assert len(world.erp.posted()) == 2
    (row,) = held(world.records)
    assert (row["version"], row["moved"], row["subjects"], row["slots"]) == ("v2", "rules", 1, 1)
    assert (row["standing_minor"], row["due_minor"]) == (1000, 1100)


def test_a_restatement_is_posted_after_approval_and_then_no_longer_held(world):
    world.due("1001", *an_order())
    world.run()
    world.by_rules["v2"] = dearer
    world.load_rules("v2")
    look_again(world)
    assert approve(world.records, "v2", "anna") == 1
    world.clock.pass_time(2)
    world.run()
    assert world.erp.standing()["eu1/1001/invoice/a/r2"]["amount_minor"] == 1100
    assert held(world.records) == []
    with pytest.raises(CounterfoilError):
        approve(world.records, "v2", "anna")


def test_where_facts_moved_too_their_part_is_posted_by_the_documents_own_rules(world):
    world.due("1001", *an_order(1000))
    world.run()
    world.by_rules["v2"] = dearer
    world.load_rules("v2")
    world.due("1001", *an_order(700))
    world.run()
    assert world.erp.standing()["eu1/1001/invoice/a/r2"]["amount_minor"] == 700
    assert world.erp.standing()["eu1/1001/sales_order/order/r2"]["amount_minor"] == 700
    (row,) = held(world.records)
    assert (row["standing_minor"], row["due_minor"]) == (700, 800)
    assert {intent.rules_version for intent in world.intents() if intent.key.endswith("r2")} == {"v1"}


def test_where_code_moved_all_is_held(world):
    world.due("1001", *an_order(1000))
    world.run()
    world.code = dearer
    world.due("1001", *an_order(700))
    world.run()
    assert len(world.erp.posted()) == 2
    assert {row["moved"] for row in held(world.records)} == {"code"}
    assert approve(world.records, "code 1", "anna") == 1
    world.clock.pass_time(2)
    world.run()
    assert world.erp.standing()["eu1/1001/invoice/a/r2"]["amount_minor"] == 800


def test_new_rules_are_free_to_post_what_is_new(world):
    world.due("1001", *an_order())
    world.run()
    world.by_rules["v2"] = dearer
    world.load_rules("v2")
    world.due("1002", a_document("invoice", 500, order="1002"))
    world.run()
    assert world.erp.standing()["eu1/1002/invoice/x/r1"]["amount_minor"] == 600
    assert held(world.records) == []


def test_rules_switched_between_look_and_post_change_what_was_never_sent(world):
    world.due("1001", *an_order())
    world.looker().step()
    world.by_rules["v2"] = dearer
    world.load_rules("v2")
    look_again(world)
    assert world.erp.standing()["eu1/1001/invoice/a/r1"]["amount_minor"] == 1100
    assert held(world.records) == []


@pytest.mark.parametrize("group", [1, 20])
def test_reversals_above_a_number_stop_and_ask(world, group):
    numbers = range(1001, 1007)
    for number in numbers:
        world.due(str(number), a_document("payment", 100, order=str(number)))
    world.run()
    world.settings = LookSettings(reversals_an_hour=3, group=group)
    for number in numbers:
        world.due(str(number))
    world.run()
    reversals = [key for key in world.erp.posted() if key.endswith("/reversal")]
    assert len(reversals) == 3
    assert len([cause for cause in world.open_cases() if "Reversals in DE01 are stopped" in cause]) == 3
    world.clock.pass_time(7200)  # it doesn't let go by itself
    look_again(world)
    assert len([key for key in world.erp.posted() if key.endswith("/reversal")]) == 3
    assert release_brake(world.records, "DE01", "anna") == 3
    world.clock.pass_time(2)
    world.run()
    assert len([key for key in world.erp.posted() if key.endswith("/reversal")]) == 6
    assert world.open_cases() == []


def test_reversals_above_an_amount_stop_and_ask(world):
    world.due("1001", a_document("payment", 100_000))
    world.run()
    world.settings = LookSettings(reversed_book_minor_an_hour=99_999)
    world.due("1001")
    world.run()
    assert world.erp.posted() == ["eu1/1001/payment/x/r1"]


# Switches.


def test_preview_shows_what_would_be_posted_and_sends_nothing(world):
    world.load_rules("v2", switch="preview")
    world.due("1001", *an_order())
    world.run()
    assert world.erp.posted() == []
    assert set(world.states().values()) == {"ready"}
    with world.database.transaction() as tx:
        assert [(row["kind"], row["amount_minor"]) for row in intents.would_post(tx, "eu1", "erp")] == [
            ("invoice", 1000),
            ("sales_order", 1000),
        ]


def test_switching_on_shows_what_would_be_posted_and_asks(world):
    """Go-live doubles everything the old connector posted."""
    rules = the_rules("v2", "preview")
    world.load_rules("v2", switch="preview")
    world.due("1001", *an_order())
    world.run()
    with pytest.raises(CounterfoilError, match="would post 2 documents"):
        switch(world.records, rules, "eu1", "erp", "on", "anna")
    world.run()
    assert world.erp.posted() == []
    assert len(switch(world.records, rules, "eu1", "erp", "on", "anna", confirmed=True).would_post) == 2
    world.run()
    assert len(world.erp.posted()) == 2


def test_off_writes_no_intents_and_on_again_catches_up(world):
    rules = the_rules()
    switch(world.records, rules, "eu1", "erp", "off", "anna")
    world.due("1001", *an_order())
    world.run()
    assert world.states() == {}
    switch(world.records, rules, "eu1", "erp", "on", "anna", confirmed=True)
    world.clock.pass_time(2)
    world.run()
    assert set(world.states().values()) == {"done"}


def test_a_switch_of_a_party_that_is_none_is_refused(world):
    """A misspelt `off` in an emergency would otherwise be taken, and stop nothing."""
    with pytest.raises(CounterfoilError, match="no party 'epr'"):
        switch(world.records, the_rules("v2", "on"), "eu1", "epr", "off", "anna")


def test_a_switch_takes_effect_between_groups_and_never_inside_one(world):
    world.due("1001", a_document("payment", 100))
    world.run()
    world.due("1001", a_document("payment", 90))
    world.looker().step()
    poster = world.poster()
    poster.step()  # the reversal has its result, what replaces it has not
    with world.database.transaction() as tx:
        assert [(row["done"], row["open"]) for row in intents.half_done(tx)] == [(1, 1)]
    switch(world.records, the_rules(), "eu1", "erp", "preview", "anna")
    world.due("1002", a_document("payment", 100, order="1002"))
    world.clock.pass_time(2)
    world.run(poster=poster)
    assert list(world.erp.standing()) == ["eu1/1001/payment/x/r2"]
    assert world.states("order eu1/1002") == {"eu1/1002/payment/x/r1": "ready"}
    with world.database.transaction() as tx:
        assert intents.half_done(tx) == []


def test_a_change_after_the_switch_went_to_preview_begins_no_new_group(world):
    world.due("1001", a_document("payment", 100))
    world.run()
    world.due("1001", a_document("payment", 90))
    world.run()
    switch(world.records, the_rules(), "eu1", "erp", "preview", "anna")
    world.due("1001", a_document("payment", 80))
    world.clock.pass_time(2)
    world.run()
    assert list(world.erp.standing()) == ["eu1/1001/payment/x/r2"]


# R3.


def taken(kind, amount, natural="x", **more):
    return a_document(kind, amount, natural, taken_over=True, **more)


def test_what_was_made_before_the_start_line_is_never_posted_and_later_refunds_refer_to_it(world):
    old = (taken("sales_order", 1000, "order"), taken("invoice", 1000, "a", after=["sales_order/order"]))
    numbers = {"eu1/1001/invoice/a/r1": "RE-77"}
    looker = world.looker(
        numbers=lambda rules, wanted: {one.key: numbers[one.key] for one in wanted if one.key in numbers}
    )
    world.due("1001", *old)
    world.run(looker)
    assert world.erp.posted() == []
    assert {intent.number for intent in world.intents()} == {"RE-77", "taken over"}
    world.due("1001", *old, a_document("credit_note", 300, "r1", after=["invoice/a"]))
    world.run(looker)
    assert world.erp.posted() == ["eu1/1001/credit_note/r1/r1"]
    assert world.one("select count(*) from journal where document like %s", "%invoice%") == 0


def test_what_was_taken_over_is_never_reversed_but_asked_about(world):
    world.due("1001", taken("invoice", 1000, "a"))
    world.run()
    world.due("1001", taken("invoice", 900, "a"))
    world.run()
    assert world.erp.posted() == []
    assert any("from before the start line has changed" in cause for cause in world.open_cases())
    retry(world.records, "order eu1/1001", "anna")  # corrected in the ERP by hand
    world.clock.pass_time(2)
    world.run()
    assert world.open_cases() == [] and world.erp.posted() == []
    assert world.intents()[0].amount_minor == 900


def test_an_erp_that_is_down_does_not_lose_the_numbers_of_what_is_taken_over(world):
    from counterfoil_engine.domain.errors import Unavailable

    answers = [Unavailable("It is down.", "It is tried again.")]

    def numbers(rules, wanted):
        if answers:
            raise answers.pop()
        return {one.key: "RE-77" for one in wanted}

    world.due("1001", taken("invoice", 1000, "a"))
    looker = world.looker(numbers=numbers)
    looker.step()
    assert world.intents() == [] and world.one("select claims from work") == 0
    world.clock.pass_time(10)
    world.run(looker)
    assert [intent.number for intent in world.intents()] == ["RE-77"]


# R4.


def restarted(world, place="here", starts=0):
    with world.database.transaction() as tx:
        return identity.establish(tx, place, "an-id", starts)


def test_a_copy_elsewhere_comes_up_with_every_switch_at_preview(world):
    restarted(world)
    world.due("1001", *an_order())
    world.looker().step()
    world.erp.lose_calls = 1
    world.poster().step()
    assert restarted(world, place="a laptop")["confirmed"] == 0
    world.clock.pass_time(10)
    calls = len(world.erp.calls)
    world.run()
    assert len(world.erp.calls) == calls and world.erp.posted() == []  # not even what its original began
    assert restarted(world, place="a laptop")["confirmed"] == 0
    assert restarted(world, place="here")["confirmed"] == 0  # it stays so until a person says yes


def test_one_that_started_less_often_than_was_seen_was_restored(world):
    restarted(world)
    assert restarted(world, starts=1)["confirmed"] == 1
    assert restarted(world, starts=2)["confirmed"] == 1
    assert restarted(world, starts=9)["confirmed"] == 0


def test_after_a_restore_what_the_erp_holds_is_adopted_before_the_first_post(world):
    """The engine restored to an hour ago posts everything of that hour again."""
    restarted(world)
    for total in (1000, 900):
        world.due("1001", *an_order(total))
        world.run()
    before = world.erp.posted()
    with world.database.transaction() as tx:  # an hour is gone
        for table in ("intents", "waits", "journal", "looks", "subjects", "work"):
            tx.run(f"delete from {table}")
    doubt_identity(world.records, "restored from last night's backup", "anna")
    world.run()
    assert confirm_identity(world.records, "here", "anna") == 2
    look_again(world)
    assert world.erp.posted() == before
    assert world.open_cases() == []
    assert set(world.states().values()) == {"done"}
    assert world.one("select sum(debit_minor) from journal where role = 'receivable'") == 1800
    world.due("1001", *an_order(800))
    world.run()
    assert sorted(world.erp.standing()) == ["eu1/1001/invoice/a/r3", "eu1/1001/sales_order/order/r3"]


def test_after_a_restore_nothing_goes_beside_a_later_revision_that_stands(world):
    """r1 was refused and r2 posted; the restored engine knows neither and makes an r1, which the ERP has never seen."""
    restarted(world)
    world.due("1001", *an_order(1000))
    world.looker().step()
    poster = world.poster()
    world.erp.refuse_kinds["invoice"] = "closed_period"
    while "refused" not in world.states().values():
        poster.step()
    world.erp.refuse_kinds.clear()
    world.run(poster=poster)
    assert "eu1/1001/invoice/a/r2" in world.erp.standing()
    before = world.erp.posted()
    with world.database.transaction() as tx:  # an hour is gone
        for table in ("intents", "waits", "journal", "looks", "subjects", "work", "cases"):
            tx.run(f"delete from {table}")
    doubt_identity(world.records, "restored from last night's backup", "anna")
    world.due("1001", *an_order(1000))
    world.looker().step()
    assert world.states()["invoice/a/r1"] == "ready"
    confirm_identity(world.records, "here", "anna")
    world.poster().step()
    assert "invoice/a/r1" not in world.states()  # withdrawn as r2 was adopted, before anything is posted
    look_again(world)
    assert world.erp.posted() == before
    assert world.open_cases() == []


def test_after_a_restore_what_was_on_its_way_is_not_sent_beside_the_revision_that_followed_it(world):
    """The backup was taken while r1 was on its way; it was refused, and r2 posted."""
    restarted(world)
    world.due("1001", *an_order(1000))
    world.looker().step()
    poster = world.poster()
    world.erp.refuse_kinds["invoice"] = "closed_period"
    while "refused" not in world.states().values():
        poster.step()
    world.erp.refuse_kinds.clear()
    world.run(poster=poster)
    poster.give_back()
    before = world.erp.posted()
    with world.database.transaction() as tx:  # what came since the backup is gone
        tx.run("delete from intents where key = 'eu1/1001/invoice/a/r2'")
        tx.run("update intents set state = 'sent', result_at = null, released = 0 where key = 'eu1/1001/invoice/a/r1'")
    doubt_identity(world.records, "restored from last night's backup", "anna")
    confirm_identity(world.records, "here", "anna")
    world.run()
    assert world.erp.posted() == before
    assert world.states()["invoice/a/r1"] == "refused"
    assert world.open_cases() == []


def test_after_a_restore_what_was_made_for_an_order_meanwhile_waits_for_a_look_at_what_stands(world):
    """A credit note of the invoice that the backup knows would be posted against the one that replaced it."""
    restarted(world)
    world.due("1001", *an_order(1000))
    world.run()
    last = world.one("select max(id) from intents")
    world.due("1001", *an_order(900))
    world.run()
    assert "eu1/1001/invoice/a/r2" in world.erp.standing()
    with world.database.transaction() as tx:  # what came since the backup is gone
        tx.run("delete from intents where id > %s", last)
        tx.run("delete from journal where document like %s", "%/r2")
        tx.run("delete from journal where document like %s", "%/reversal")
    doubt_identity(world.records, "restored from last night's backup", "anna")
    world.due("1001", *an_order(1000, a_document("credit_note", 100, "x", after=["invoice/a"])))
    world.looker().step()
    assert world.states()["credit_note/x/r1"] == "ready"
    confirm_identity(world.records, "here", "anna")
    world.poster().step()
    assert "credit_note/x/r1" not in world.states()
    assert "eu1/1001/credit_note/x/r1" not in world.erp.posted()


def test_after_a_restore_two_documents_of_one_key_are_shown_as_doubled(world):
    restarted(world)
    world.due("1001", *an_order(1000))
    world.run()
    world.erp.documents.append(world.erp.documents[0])
    with world.database.transaction() as tx:
        for table in ("intents", "waits", "journal", "looks", "subjects", "work"):
            tx.run(f"delete from {table}")
    doubt_identity(world.records, "restored from last night's backup", "anna")
    confirm_identity(world.records, "here", "anna")
    look_again(world)
    assert any("holds 2 documents of the key" in cause for cause in world.open_cases())
    assert set(world.states().values()) == {"done"}


def test_a_refusal_is_over_for_the_restored_engine_too_once_the_erp_holds_the_slot(world):
    """A customer is looked at by nobody: no look would end its case."""
    restarted(world)
    customer = replace(a_document("customer", 0, "eu1-7"), slot="DE01/-/customer/eu1-7", subject="customer DE01/eu1-7")
    world.due("1001", customer)
    world.erp.refuse_kinds["customer"] = "closed_period"
    world.looker().step()
    poster = world.poster()
    poster.step()
    assert len(world.open_cases()) == 1
    world.erp.refuse_kinds.clear()
    with world.database.transaction() as tx:
        (open_case,) = tx.all("select * from cases")
    world.run(poster=poster)
    assert "DE01/-/customer/eu1-7/r2" in world.erp.standing()
    with world.database.transaction() as tx:  # as it was when r1 had just been refused
        tx.run("delete from intents where key like %s", "%/r2")
        tx.run("update cases set resolved_at = null, resolution = null where id = %s", open_case["id"])
    doubt_identity(world.records, "restored from last night's backup", "anna")
    confirm_identity(world.records, "here", "anna")
    world.poster().step()
    assert world.open_cases() == []


RECEIVABLE = "select sum(debit_minor) - sum(credit_minor) from journal where role = 'receivable'"


def test_a_reversal_that_is_adopted_undoes_what_the_ledger_still_holds(world):
    """Restored to between a posting and its edit: the ledger has the posting with its journal, the ERP its reversal."""
    restarted(world)
    world.due("1001", *an_order(1000))
    world.run()
    tables = ("intents", "waits", "journal", "looks", "subjects", "work")
    with world.database.transaction() as tx:
        kept = {table: tx.all(f"select * from {table}") for table in tables}
    world.due("1001", *an_order(900))
    world.run()
    before, balance = world.erp.posted(), world.one(RECEIVABLE)
    with world.database.transaction() as tx:
        for table in tables:
            tx.run(f"delete from {table}")
            for row in kept[table]:
                names, marks = ", ".join(row), ", ".join(["%s"] * len(row))
                own_ids = "" if tx.is_sqlite or "id" not in row else "overriding system value "
                tx.run(f"insert into {table} ({names}) {own_ids}values ({marks})", *row.values())
    confirm_identity(world.records, "here", "anna")
    look_again(world)
    assert world.erp.posted() == before
    assert world.open_cases() == [] and set(world.states().values()) == {"done"}
    assert world.one(RECEIVABLE) == balance != 0


def test_adopted_documents_without_facts_are_neither_reversed_nor_posted(world):
    restarted(world)
    world.due("1001", *an_order(1000))
    world.run()
    before = world.erp.posted()
    with world.database.transaction() as tx:  # facts are gone as well, and the agent has sent nothing yet
        for table in ("intents", "waits", "journal", "looks", "subjects", "work", "events"):
            tx.run(f"delete from {table}")
    world.facts.clear()
    confirm_identity(world.records, "here", "anna")
    look_again(world)
    world.due("1001", *an_order(700))  # an older state comes first
    world.run()
    assert world.erp.posted() == before
    assert any("no fact explains since the restore" in cause for cause in world.open_cases())
    world.due("1001", *an_order(1000))
    world.run()
    assert world.erp.posted() == before and world.open_cases() == []


def test_what_is_adopted_may_rest_on_the_order_as_it_was_before_its_edit_and_is_reversed_then(world):
    """Restored to before an order came in, which has been edited since: the agent sends both of its facts at once."""
    restarted(world)
    world.due("1001", *an_order(1000))
    world.run()
    with world.database.transaction() as tx:
        for table in ("intents", "waits", "journal", "looks", "subjects", "work", "events"):
            tx.run(f"delete from {table}")
    world.facts.clear()
    confirm_identity(world.records, "here", "anna")
    world.due("1001", *an_order(1000))
    world.due("1001", *an_order(700))
    look_again(world)
    for _ in range(5):
        world.clock.pass_time(2)
        world.run()
    assert sorted(world.erp.standing()) == ["eu1/1001/invoice/a/r2", "eu1/1001/sales_order/order/r2"]
    assert world.open_cases() == [] and world.one(RECEIVABLE) == 700 * 2


def test_an_order_that_the_erp_alone_still_holds_is_a_case_until_a_person_has_dealt_with_it(world):
    """Agent and engine restored, and the order deleted in the store meanwhile: nobody has its facts any more."""
    restarted(world)
    world.due("1001", *an_order(1000))
    world.run()
    before = world.erp.posted()
    with world.database.transaction() as tx:
        for table in ("intents", "waits", "journal", "looks", "subjects", "work", "events"):
            tx.run(f"delete from {table}")
    world.facts.clear()
    confirm_identity(world.records, "here", "anna")
    look_again(world)
    (cause,) = world.open_cases()
    assert cause.startswith("The ERP holds eu1/1001/") and "no fact of the order has come in" in cause
    assert world.erp.posted() == before
    retry(world.records, "order eu1/1001", "anna")
    world.clock.pass_time(2)
    world.run()
    assert world.open_cases() == [] and world.erp.posted() == before


def test_ready_intents_that_the_erp_holds_already_become_done_with_its_number(world):
    restarted(world)
    world.due("1001", a_document("payment", 100))
    world.run()
    with world.database.transaction() as tx:
        tx.run("update intents set state = 'ready', ever_sent = 0, number = null, result_at = null")
        tx.run("delete from journal")
    confirm_identity(world.records, "here", "anna")
    posts = len([call for call, _ in world.erp.calls if call == "post"])
    world.run()
    assert len([call for call, _ in world.erp.calls if call == "post"]) == posts
    assert world.intents()[0].number == "E0001"
    assert world.one("select count(*) from journal") == 2


def test_a_second_start_in_the_same_place_goes_on_as_before(world):
    for _ in range(3):
        assert restarted(world)["confirmed"] == 1
