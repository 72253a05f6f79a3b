"""The events as they are kept: once each, in their place, with the facts that are read from them."""

from __future__ import annotations

import threading
from datetime import date
from decimal import Decimal

import pytest
from counterfoil_engine.domain.facts import OrderFacts
from counterfoil_engine.ports import Appended, Rejected, Watermark
from counterfoil_engine.records import heartbeats
from counterfoil_engine.records.database import Database
from counterfoil_engine.records.events import StoredEvents, add_partitions
from counterfoil_engine.records.facts import facts_of, subjects_since
from counterfoil_engine.records.stores import kept_invalid, store_states
from fakes.clock import FakeClock
from fakes.events import MORNING, event_id, incoming

ONE, OTHER = "1" * 32, "2" * 32


class Intake:
    """A store's events in a database, and what they woke."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.woken: list[str] = []
        self.log = StoredEvents(database, lambda tx, key: self.woken.append(key))

    def hello(self, installation: str = ONE) -> Watermark:
        return self.log.greet("eu1", installation, "0.1.0", {"order": [1]})

    def send(self, *events) -> Appended:
        return self.log.append("eu1", events)

    def verdicts(self, *events) -> list[str]:
        return [verdict.verdict for verdict in self.send(*events).verdicts]

    def facts(self, order_id: str = "1001") -> OrderFacts:
        with self.database.transaction() as tx:
            return facts_of(tx, "eu1", order_id)

    def totals(self, order_id: str = "1001") -> list[str]:
        return [snapshot.body["order"]["total"] for snapshot in self.facts(order_id).snapshots]

    def proven(self, order_id: str = "1001") -> list[bool]:
        return [snapshot.proven for snapshot in self.facts(order_id).snapshots]

    def due(self) -> list[str]:
        with self.database.transaction() as tx:
            return [row["subject"] for row in tx.all("select subject from work order by subject")]

    def all_looked_at(self) -> None:
        with self.database.transaction() as tx:
            tx.run("delete from work")

    def rows(self) -> list:
        with self.database.transaction() as tx:
            return tx.all("select * from events order by arrival")


@pytest.fixture
def intake(database: Database) -> Intake:
    intake = Intake(database)
    intake.hello()
    return intake


def test_a_delivery_that_comes_twice_is_one_fact(intake: Intake):
    assert intake.verdicts(incoming("a", 1), incoming("b", 2, 1002)) == ["stored", "stored"]
    assert intake.verdicts(incoming("a", 1), incoming("b", 2, 1002)) == ["duplicate", "duplicate"]
    assert intake.totals() == ["10.00"]
    assert len(intake.rows()) == 2


def test_one_event_twice_in_one_batch_is_one_fact(intake: Intake):
    sent = intake.send(incoming("a", 1), incoming("a", 2))
    assert [verdict.verdict for verdict in sent.verdicts] == ["stored", "duplicate"]
    assert sent.watermark == Watermark(1, 2, event_id("a"))
    assert intake.totals() == ["10.00"]


def test_a_new_fact_makes_its_order_due_and_a_duplicate_does_not(intake: Intake):
    intake.send(incoming("a", 1))
    assert intake.due() == ["order eu1/1001"]
    intake.all_looked_at()
    intake.send(incoming("a", 1))
    assert intake.due() == []


def test_numbers_that_come_out_of_order_leave_a_hole_until_it_is_filled(intake: Intake):
    sent = intake.send(incoming("c", 3), incoming("e", 5, 1002))
    assert (sent.watermark, sent.holes) == (Watermark(1, 0, None), [(1, 2), (4, 4)])
    sent = intake.send(incoming("a", 1, 1003), incoming("b", 2, 1004))
    assert (sent.watermark, sent.holes) == (Watermark(1, 3, event_id("c")), [(4, 4)])
    sent = intake.send(incoming("d", 4, 1005))
    assert (sent.watermark, sent.holes) == (Watermark(1, 5, event_id("e")), [])


def test_holes_are_told_only_so_many_at_a_time(intake: Intake):
    sent = intake.send(*[incoming(f"e{n}", n, 2000 + n) for n in range(2, 200, 2)])
    assert sent.holes == [(n, n) for n in range(1, 40, 2)]


def test_a_backlog_of_many_thousands_ahead_is_passed_in_one_go(intake: Intake):
    for start in range(2, 3002, 500):
        intake.send(*[incoming(f"e{n}", n, 2000 + n) for n in range(start, start + 500)])
    assert intake.send(incoming("e1", 1, 2001)).watermark == Watermark(1, 3001, event_id("e3001"))
    with intake.database.transaction() as tx:
        assert tx.all("select * from numbers") == []


def test_a_snapshot_is_proven_once_the_watermark_has_passed_it(intake: Intake):
    intake.send(incoming("b", 2))
    assert intake.proven() == [False]
    assert intake.woken == []
    intake.send(incoming("a", 1, 1002))
    assert intake.proven() == [True]
    assert intake.woken == ["watermark eu1"]


def test_facts_read_a_b_a_in_whatever_order_they_came(intake: Intake):
    first, edited, back = incoming("1", 1), incoming("2", 2, total="12.00"), incoming("3", 3)
    for event in (back, first, edited):
        intake.send(event)
    assert intake.totals() == ["10.00", "12.00", "10.00"]


def test_a_body_equal_to_the_latest_is_no_second_copy_and_no_new_look(intake: Intake):
    intake.send(incoming("a", 1))
    intake.all_looked_at()
    assert intake.verdicts(incoming("b", 2), incoming("c", 3)) == ["stored", "stored"]
    assert [(row["same_as"], row["body"] is None) for row in intake.rows()] == [
        (None, False),
        (event_id("a"), True),
        (event_id("a"), True),
    ]
    assert intake.due() == []
    assert intake.totals() == ["10.00"] * 3


def test_an_older_snapshot_with_the_latest_body_does_make_its_order_due(intake: Intake):
    intake.send(incoming("b", 2))
    intake.all_looked_at()
    intake.send(incoming("a", 1))
    assert intake.due() == ["order eu1/1001"]
    assert [(snapshot.n, snapshot.proven) for snapshot in intake.facts().snapshots] == [(1, True), (2, True)]


def test_one_id_with_two_contents_is_a_conflict_that_is_kept_and_shown(intake: Intake):
    intake.send(incoming("a", 1))
    sent = intake.send(incoming("a", 1, total="99.00"), incoming("b", 2, 1002))
    assert [verdict.verdict for verdict in sent.verdicts] == ["kept-invalid", "stored"]
    assert sent.verdicts[0].reason.startswith("conflict")
    assert intake.totals() == ["10.00"]
    with intake.database.transaction() as tx:
        shown = kept_invalid(tx, "eu1")
    assert [row["event_id"].partition("~")[0] for row in shown] == [event_id("a")]
    assert b"99.00" in bytes(next(row for row in intake.rows() if "~" in row["event_id"])["body"])


def test_a_conflict_that_is_sent_again_is_kept_once(intake: Intake):
    intake.send(incoming("a", 1))
    for _ in range(3):
        assert intake.verdicts(incoming("a", 1, total="99.00")) == ["kept-invalid"]
    assert len(intake.rows()) == 2


def test_an_invalid_event_is_kept_fills_its_number_and_is_no_fact(intake: Intake):
    sent = intake.send(incoming("a", 1, reason="/order/total: is missing"), incoming("b", 2))
    assert [(v.verdict, v.reason) for v in sent.verdicts] == [
        ("kept-invalid", "/order/total: is missing"),
        ("stored", None),
    ]
    assert sent.watermark.n == 2
    assert [snapshot.n for snapshot in intake.facts().snapshots] == [2]
    assert intake.verdicts(incoming("a", 1, reason="/order/total: is missing")) == ["kept-invalid"]


def test_numbers_in_a_body_are_decimal_and_what_no_text_column_holds_is_replaced(intake: Intake):
    body = rb'{"order": {"id": 1001, "rate": 0.1, "note": "a\u0000b\ud800c", "big": 123456789012345678901234}}'
    intake.send(incoming("a", 1, body=body))
    order = intake.facts().snapshots[0].body["order"]
    assert order == {"id": 1001, "rate": Decimal("0.1"), "note": "a\ufffdb\ufffdc", "big": 123456789012345678901234}
    assert bytes(intake.rows()[0]["body"]) == body


def test_an_order_nobody_sent_has_no_facts(intake: Intake):
    assert intake.facts("4711") == OrderFacts("eu1", "4711", ())


# Epochs


def test_the_first_installation_gets_epoch_1_and_keeps_it(database: Database):
    intake = Intake(database)
    assert intake.hello() == Watermark(1, 0, None)
    intake.send(incoming("a", 1))
    assert intake.hello() == Watermark(1, 1, event_id("a"))


def test_a_second_installation_is_refused_until_a_person_hands_over(intake: Intake):
    with pytest.raises(Rejected) as refused:
        intake.hello(OTHER)
    assert refused.value.slug == "other-installation"
    assert "counterfoil handover eu1" in refused.value.remedy
    intake.log.hand_over("eu1")
    assert intake.hello(OTHER) == Watermark(2, 0, None)
    with pytest.raises(Rejected):
        intake.hello(ONE)
    with pytest.raises(Rejected) as old:
        intake.send(incoming("a", 1))
    assert old.value.slug == "epoch"


def test_handing_over_a_store_nobody_knows_says_so(intake: Intake):
    with pytest.raises(Rejected) as refused:
        intake.log.hand_over("nowhere")
    assert refused.value.slug == "no-such-store"


def test_asking_for_an_epoch_twice_gives_it_once(intake: Intake):
    assert intake.log.grant_epoch("eu1", ONE, 1, "restored") == Watermark(2, 0, None)
    assert intake.log.grant_epoch("eu1", ONE, 1, "restored") == Watermark(2, 0, None)
    intake.send(incoming("a", 1, epoch=2))
    with pytest.raises(Rejected):
        intake.log.grant_epoch("eu1", ONE, 1, "restored")


def test_orders_of_later_events_are_told_the_newest_first_but_for_those_that_are_gone(intake: Intake):
    intake.send(incoming("a", 1), incoming("b", 2, 1002), incoming("c", 3, 1003), incoming("d", 4, 1002, "12.00"))
    gone = incoming("e", 5, 1003)._replace(type="counterfoil.gone.v1")
    intake.send(gone, incoming("f", 6, 1004))
    assert intake.log.orders_after("eu1", 1, 1, 10) == [1004, 1002]
    assert intake.log.orders_after("eu1", 0, 0, 2) == [1004, 1002]
    intake.log.grant_epoch("eu1", ONE, 1, "restored")
    intake.send(incoming("g", 1, 1005, epoch=2))
    assert intake.log.orders_after("eu1", 1, 5, 10) == [1005, 1004]


def test_another_installation_gets_no_epoch(intake: Intake):
    with pytest.raises(Rejected) as refused:
        intake.log.grant_epoch("eu1", OTHER, 1, "restored")
    assert refused.value.slug == "other-installation"


def test_two_events_under_one_number_are_not_both_taken(intake: Intake):
    """An agent restored from a backup, or started twice, counts again from where it was."""
    intake.send(incoming("a", 1), incoming("c", 3))
    for event in (incoming("x", 1, 1002), incoming("y", 3, 1002)):
        with pytest.raises(Rejected) as refused:
            intake.send(incoming("new", 4, 1003), event)
        assert refused.value.slug == "epoch"
    assert len(intake.rows()) == 2  # and nothing of the batch was kept


def test_a_renumbered_event_fills_its_new_number_and_is_no_second_fact(intake: Intake):
    intake.send(incoming("a", 1), incoming("b", 2, 1002))
    intake.log.grant_epoch("eu1", ONE, 1, "restored")
    sent = intake.send(incoming("b", 1, 1002, epoch=2), incoming("c", 2, 1002, "12.00", epoch=2))
    assert [verdict.verdict for verdict in sent.verdicts] == ["duplicate", "stored"]
    assert sent.watermark == Watermark(2, 2, event_id("c"))
    assert [(s.epoch, s.n, s.proven) for s in intake.facts("1002").snapshots] == [(1, 2, True), (2, 2, True)]


def test_what_was_passed_keeps_its_place_when_a_restored_agent_sends_it_again(intake: Intake):
    """Or the older snapshot would stand after a newer one, and revive what it said."""
    intake.send(incoming("pending", 1), incoming("paid", 2, total="12.00"))
    intake.log.grant_epoch("eu1", ONE, 1, "restored from yesterday")
    intake.send(incoming("pending", 1, epoch=2))
    assert intake.totals() == ["10.00", "12.00"]


def test_what_came_above_a_hole_takes_the_place_that_its_new_number_gives_it(intake: Intake):
    intake.send(incoming("late", 2, total="12.00"))  # its predecessor, number 1, never came
    intake.log.grant_epoch("eu1", ONE, 1, "numbers lost")
    intake.send(incoming("early", 1, total="10.00", epoch=2, occurred_at=MORNING))
    assert (intake.totals(), intake.proven()) == (["10.00", "12.00"], [True, False])
    sent = intake.send(incoming("late", 2, total="12.00", epoch=2))
    assert sent.verdicts[0].verdict == "duplicate"
    assert (intake.totals(), intake.proven()) == (["10.00", "12.00"], [True, True])


def test_what_a_lost_agent_left_above_a_hole_is_proven_once_its_successor_is_past_it(intake: Intake):
    intake.send(incoming("left behind", 2, total="12.00"))
    intake.log.hand_over("eu1")
    intake.hello(OTHER)
    assert intake.proven() == [False]
    intake.send(incoming("other order", 1, 1002, epoch=2, occurred_at=MORNING.replace(hour=11)))
    assert intake.proven() == [True]
    intake.send(incoming("read anew", 2, total="15.00", epoch=2, occurred_at=MORNING.replace(hour=12)))
    assert intake.totals() == ["12.00", "15.00"]


# What people see


def test_a_store_shows_how_its_intake_stands(intake: Intake):
    intake.send(incoming("a", 1), incoming("c", 3, reason="broken"))
    intake.log.beat("eu1", b'{"depth_events": 7}')
    with intake.database.transaction() as tx:
        (state,) = store_states(tx)
    assert (state.store, state.installation, state.watermark.n, state.holes) == ("eu1", ONE, 1, [(2, 2)])
    assert (state.kept_invalid, state.heartbeat["depth_events"], state.handover) == (1, 7, False)
    assert state.heartbeat_at and state.hello_at and state.received_at


def test_old_heartbeats_are_forgotten_but_not_the_last(intake: Intake, clock: FakeClock):
    for _ in range(3):
        intake.log.beat("eu1", b"{}")
        clock.pass_time(1)
    with intake.database.transaction() as tx:
        heartbeats.prune(tx, tx.now())
        assert len(tx.all("select * from heartbeats")) == 1


def test_a_replay_finds_the_orders_of_which_something_came_since(intake: Intake, clock: FakeClock):
    intake.send(incoming("a", 1), incoming("b", 2, 1002), incoming("bad", 3, 1003, reason="broken"))
    with intake.database.transaction() as tx:
        assert subjects_since(tx, MORNING.replace(year=2000)) == ["order eu1/1001", "order eu1/1002"]
        assert subjects_since(tx, MORNING.replace(year=2000), "us1") == []
        assert subjects_since(tx, MORNING.replace(year=2100)) == []


def test_months_ahead_have_partitions_and_a_date_outside_them_still_has_a_home(intake: Intake):
    intake.send(incoming("a", 1, occurred_on=date(2026, 12, 5)))
    with intake.database.transaction() as tx:
        added = add_partitions(tx, date(2026, 11, 1), 3)
        again = add_partitions(tx, date(2026, 11, 1), 3)
    assert added == ([] if intake.database.is_sqlite else ["events_2026_11", "events_2027_01"])
    assert again == []
    days = [date(2026, 11, 30), date(2027, 1, 1), date(1970, 1, 1), date(9999, 12, 31)]
    events = [incoming(str(day), n, occurred_on=day) for n, day in enumerate(days, start=2)]
    assert intake.verdicts(*events) == ["stored"] * 4
    assert intake.verdicts(*events) == ["duplicate"] * 4


def test_two_writers_for_one_store_lose_nothing_and_double_nothing(intake: Intake):
    """Both send the same hundred events in batches of ten, one of them the last batch first."""
    batches = [[incoming(f"e{n}", n, 2000 + n % 7) for n in range(i, i + 10)] for i in range(1, 101, 10)]
    stored: list[int] = []

    def send(order: list) -> None:
        for batch in order:
            stored.append(intake.verdicts(*batch).count("stored"))
        if not intake.database.is_sqlite:
            intake.database.close()

    writers = [threading.Thread(target=send, args=(order,)) for order in (batches, batches[::-1])]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sum(stored) == 100
    assert intake.send().watermark == Watermark(1, 100, event_id("e100"))
    assert intake.rows()[-1]["arrival"] == 100
