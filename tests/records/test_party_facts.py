"""Facts of other parties: each once, on the subject that it is about, however late anybody says which that is."""

from __future__ import annotations

import json
import threading
from importlib import resources
from typing import Any

import pytest
from counterfoil_engine.records import facts as order_facts
from counterfoil_engine.records import party_facts
from counterfoil_engine.records.database import Database, Transaction, statements
from counterfoil_engine.records.events import StoredEvents
from fakes.clock import FakeClock
from fakes.databases import empty
from fakes.events import an_order, incoming
from fakes.party_facts import authorised, captured, fee, judged, payout, shipment
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

INSTALLATION = "a" * 32


@pytest.fixture
def log(database: Database) -> StoredEvents:
    log = StoredEvents(database, lambda tx, key: None)
    log.greet("eu1", INSTALLATION, "1", {})
    return log


def take(database: Database, *bodies: dict[str, Any]) -> list[tuple[str, str]]:
    with database.transaction() as tx:
        return [tuple(verdict) for verdict in party_facts.take(tx, [judged(body) for body in bodies])]


def bear(log: StoredEvents, order_id: int, transaction: str | None, n: int = 1) -> None:
    """A snapshot of an order that bears this transaction."""
    log.append("eu1", [incoming(f"{order_id} {n}", n, order_id, transaction=transaction)])


def stands_on(database: Database, *ids: str) -> list[str]:
    with database.transaction() as tx:
        rows = {row["id"]: row["subject"] for row in tx.all("select id, subject from party_facts")}
    return [rows[name] for name in ids]


def due(database: Database) -> list[str]:
    with database.transaction() as tx:
        return [row["subject"] for row in tx.all("select subject from work where class = 'live' order by subject")]


def of(database: Database, order_id: str, through: int | None = None) -> list[str]:
    with database.transaction() as tx:
        return [fact.id for fact in order_facts.facts_of(tx, "eu1", order_id, None, through).party_facts]


# Once


def test_a_fact_is_stored_once_and_its_order_is_due(database: Database) -> None:
    assert take(database, shipment("ship-1", "1001")) == [("stored", "order eu1/1001")]
    assert due(database) == ["order eu1/1001"]
    with database.transaction() as tx:
        tx.run("delete from work")
    assert take(database, shipment("ship-1", "1001")) == [("duplicate", "order eu1/1001")]
    assert due(database) == []
    assert of(database, "1001") == ["ship-1"]


def test_the_same_fact_twice_in_a_page_is_stored_once(database: Database) -> None:
    verdicts = take(database, shipment("ship-1"), shipment("ship-1"))
    assert [verdict for verdict, _ in verdicts] == ["stored", "duplicate"]


def test_the_same_words_in_another_order_are_a_duplicate(database: Database) -> None:
    take(database, shipment("ship-1"))
    assert take(database, dict(reversed(shipment("ship-1").items()))) == [("duplicate", "order eu1/1001")]


def test_another_content_under_a_known_id_is_kept_out_and_changes_nothing(database: Database) -> None:
    take(database, captured("evt_1", order="1001"))
    assert take(database, captured("evt_1", order="1001", amount_minor=1)) == [("conflict", "order eu1/1001")]
    assert take(database, captured("evt_1", order="1001", amount_minor=1)) == [("conflict", "order eu1/1001")]
    with database.transaction() as tx:
        (fact,) = party_facts.of_group(tx, ["order eu1/1001"])["order eu1/1001"]
        (kept,) = tx.all("select id, body from party_facts_kept_out")
    assert fact.body["amount_minor"] == 1000
    assert (kept["id"], json.loads(bytes(kept["body"]))["amount_minor"]) == ("evt_1", 1)


def test_one_id_of_two_sources_is_two_facts(database: Database) -> None:
    verdicts = take(
        database, captured("1", "a", "1001"), {**captured("1", "b", "1002"), "source": "paypal"}, shipment("1", "1003")
    )
    assert verdicts == [("stored", f"order eu1/{order}") for order in (1001, 1002, 1003)]


def test_facts_are_read_as_they_came_by_arrival_without_floats(database: Database) -> None:
    take(database, shipment("ship-2", "1001", minute=5), shipment("ship-1", "1001", quantity="0.5", weight_kg=1.25))
    with database.transaction() as tx:
        second, first = order_facts.facts_of(tx, "eu1", "1001").party_facts
    assert [(fact.id, fact.arrival) for fact in (second, first)] == [("ship-2", 1), ("ship-1", 2)]
    assert (first.party, first.source, first.kind, first.at.isoformat()) == (
        "wms",
        "hub-berlin",
        "shipment",
        "2026-11-23T09:00:00+00:00",
    )
    assert str(first.body["weight_kg"]) == "1.25" and not isinstance(first.body["weight_kg"], float)


def test_what_came_after_a_look_is_not_among_the_facts_that_it_saw(database: Database) -> None:
    take(database, shipment("ship-1"))
    take(database, shipment("ship-2"))
    assert (of(database, "1001"), of(database, "1001", 1)) == (["ship-1", "ship-2"], ["ship-1"])


# Whose a transaction is


def test_a_capture_before_its_order_waits_and_comes_to_it(database: Database, log: StoredEvents) -> None:
    assert take(database, captured("evt_1", "ch_1")) == [("stored", "unmatched stripe/ch_1")]
    assert due(database) == ["unmatched stripe/ch_1"]
    bear(log, 1001, "ch_1")
    assert stands_on(database, "evt_1") == ["order eu1/1001"]
    assert due(database) == ["order eu1/1001", "unmatched stripe/ch_1"]
    assert of(database, "1001") == ["evt_1"]


def test_a_capture_after_its_order_finds_it(database: Database, log: StoredEvents) -> None:
    bear(log, 1001, "ch_1")
    assert take(database, captured("evt_1", "ch_1")) == [("stored", "order eu1/1001")]


def test_a_look_before_a_fact_came_to_its_order_has_not_seen_it(database: Database, log: StoredEvents) -> None:
    take(database, captured("evt_1", "ch_1"))
    take(database, shipment("ship-1", "1001"))
    seen_through = 2
    bear(log, 1001, "ch_1")
    assert of(database, "1001", seen_through) == ["ship-1"]
    assert of(database, "1001") == ["ship-1", "evt_1"]


def test_a_fact_that_names_the_order_brings_those_along_that_do_not(database: Database) -> None:
    take(database, fee("txn_1", "ch_1"))
    take(database, captured("evt_1", "ch_1", order="1001"), fee("txn_2", "ch_1"))
    assert stands_on(database, "txn_1", "evt_1", "txn_2") == ["order eu1/1001"] * 3


def test_a_capture_is_found_by_its_authorisation_and_its_fee_by_the_capture(database: Database) -> None:
    """The fee comes first, then the capture, then what names the order: each waits for the next."""
    take(database, fee("txn_1", "ch_1"))
    take(database, captured("evt_1", "ch_1", authorisation="pi_1"))
    assert stands_on(database, "txn_1", "evt_1") == ["unmatched stripe/ch_1"] * 2
    take(database, authorised("evt_0", "pi_1", order="1001"))
    assert stands_on(database, "txn_1", "evt_1", "evt_0") == ["order eu1/1001"] * 3


def test_an_order_that_bears_the_authorisation_gets_capture_and_fee(database: Database, log: StoredEvents) -> None:
    take(database, fee("txn_1", "ch_1"), captured("evt_1", "ch_1", authorisation="pi_1"))
    bear(log, 1001, "pi_1")
    assert stands_on(database, "txn_1", "evt_1") == ["order eu1/1001"] * 2
    assert take(database, fee("txn_2", "ch_1")) == [("stored", "order eu1/1001")]


def test_within_a_page_the_last_may_say_whose_the_first_is(database: Database) -> None:
    take(
        database,
        fee("txn_1", "ch_1"),
        captured("evt_1", "ch_1", authorisation="pi_1"),
        authorised("evt_0", "pi_1", order="1001"),
    )
    assert stands_on(database, "txn_1", "evt_1", "evt_0") == ["order eu1/1001"] * 3


def test_what_one_gateway_says_of_a_transaction_is_nothing_to_another(database: Database) -> None:
    take(database, captured("evt_1", "1", order="1001"))
    assert take(database, {**fee("txn_1", "1"), "source": "paypal"}) == [("stored", "unmatched paypal/1")]


def test_a_later_transaction_of_an_order_is_its_own_too(database: Database, log: StoredEvents) -> None:
    bear(log, 1001, "ch_1", 1)
    log.append("eu1", [incoming("again", 2, 1001, "11.00", transaction="ch_2")])
    assert take(database, captured("evt_1", "ch_1"), captured("evt_2", "ch_2")) == [("stored", "order eu1/1001")] * 2


def test_the_first_order_that_bears_a_transaction_keeps_it(database: Database, log: StoredEvents) -> None:
    bear(log, 1001, "ch_1", 1)
    bear(log, 1002, "ch_1", 2)
    assert take(database, captured("evt_1", "ch_1")) == [("stored", "order eu1/1001")]


def test_orders_from_before_are_found_by_their_transactions_too(database: Database, log: StoredEvents) -> None:
    """What the migration reads out of the orders that were stored before it."""
    for n, (order_id, transaction) in enumerate([(1001, "ch_1"), (1002, ""), (1003, None), (1004, "ch_1")], start=1):
        body = json.dumps(an_order(order_id, transaction_id=transaction)).encode()
        log.append("eu1", [incoming(f"e{n}", n, order_id, body=body)])
    odd = json.dumps(an_order(1005, note="\x00", transaction_id="ch_5")).encode()
    log.append("eu1", [incoming("e5", 5, 1005, body=odd)])
    text = (resources.files("counterfoil_engine.records") / "migrations" / "0005_party_facts.sql").read_text()
    (fill,) = (each for each in statements(text, database.is_sqlite) if each.startswith("insert"))
    with database.transaction() as tx:
        assert tx.one("select * from transactions") is None
        tx.run(fill)
        rows = {row["transaction_id"]: row["subject"] for row in tx.all("select * from transactions")}
    assert rows["ch_1"] == "order eu1/1001" and "" not in rows
    assert take(database, captured("evt_1", "ch_1")) == [("stored", "order eu1/1001")]


def test_an_order_without_a_transaction_gets_nothing(database: Database, log: StoredEvents) -> None:
    take(database, fee("txn_1", None))
    bear(log, 1001, None)
    assert stands_on(database, "txn_1") == ["unmatched stripe/txn_1"]


def test_a_payout_is_a_subject_of_its_own(database: Database) -> None:
    assert take(database, payout("po_1")) == [("stored", "payout stripe/po_1")]
    assert due(database) == ["payout stripe/po_1"]


SAID = {
    "fee": fee("txn_1", "ch_1"),
    "capture": captured("evt_1", "ch_1", authorisation="pi_1"),
    "authorisation": authorised("evt_0", "pi_1"),
    "dispute's fee": fee("txn_2", "ch_1"),
}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations([*SAID, "order"]), pages=st.integers(1, 4))
def test_in_whatever_order_they_come_all_end_on_the_order(
    database: Database, log: StoredEvents, order: list[str], pages: int
) -> None:
    empty(database)
    log.greet("eu1", INSTALLATION, "1", {})
    at = order.index("order")
    for part in (order[:at], order[at:]):
        names = [name for name in part if name != "order"]
        if "order" in part:
            bear(log, 1001, "pi_1")
        for start in range(0, len(names), pages):
            take(database, *(SAID[name] for name in names[start : start + pages]))
    assert stands_on(database, "txn_1", "evt_1", "evt_0", "txn_2") == ["order eu1/1001"] * 4


@pytest.mark.parametrize("first", ["order", "capture"])
def test_order_and_capture_that_overlap_find_each_other(database: Database, first: str) -> None:
    """Neither sees what the other has not committed: the second one waits for the transaction's row, and then sees."""

    def say_order(tx: Transaction) -> None:
        party_facts.match_orders(tx, [("ch_1", "order eu1/1001")])

    def say_capture(tx: Transaction) -> None:
        party_facts.take(tx, [judged(captured("evt_1", "ch_1"))])

    one, other = (say_order, say_capture) if first == "order" else (say_capture, say_order)

    def overlap() -> None:
        with database.transaction() as tx:
            other(tx)
        if not database.is_sqlite:
            database.close()

    second = threading.Thread(target=overlap)
    with database.transaction() as tx:
        one(tx)
        second.start()
        second.join(timeout=0.3)
        assert second.is_alive()
    second.join()
    assert stands_on(database, "evt_1") == ["order eu1/1001"]


# How far each source was read


def test_the_cursor_is_where_reading_goes_on(database: Database, clock: FakeClock) -> None:
    with database.transaction() as tx:
        assert party_facts.cursor_of(tx, "gateway", "stripe") is None
        party_facts.keep_cursor(tx, "gateway", "stripe", "17", is_all=True)
    caught_up_at = clock.now()
    take(database, captured("evt_1"), captured("evt_2", "ch_2", "1001"), fee("txn_9", None))
    with database.transaction() as tx:
        party_facts.keep_cursor(tx, "gateway", "stripe", "18", is_all=False)
        assert party_facts.cursor_of(tx, "gateway", "stripe") == "18"
        (state,) = party_facts.states(tx)
    assert (state.facts, state.unmatched, state.unread) == (3, 1, 0)
    if database.is_sqlite:
        assert state.caught_up_at == caught_up_at
