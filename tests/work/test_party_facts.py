"""Reading other parties: what they say is kept once and looked at; a source that fails costs nobody else anything."""

from __future__ import annotations

import threading
import time

import pytest
from counterfoil_engine.bootstrap import PartyLine, SystemClock, build
from counterfoil_engine.domain.errors import Parked, Unavailable
from counterfoil_engine.ports import KeptOut, NewPartyFact, Posted, Posting, Refused, Unknown
from counterfoil_engine.records import party_facts, reports
from counterfoil_engine.records.database import Database
from counterfoil_engine.work.gateways import Gateways
from counterfoil_engine.work.party_facts import FACT_BYTES, judge
from fakes.clock import FakeClock
from fakes.databases import database_url
from fakes.engine import a_document, a_world, the_rules
from fakes.events import incoming
from fakes.party import FakeParty
from fakes.party_facts import captured, fee, payout, raw, shipment
from hypothesis import given
from hypothesis import strategies as st


def an_engine(world, *lines):
    return build(
        world.database,
        world.clock,
        {"DE01": world.erp},
        dues=world.dues,
        parse=lambda text, version: world.book._parse(text, version or "v1"),
        jitter=lambda: 0.0,
        parties=lines,
    )


@pytest.fixture
def stripe(clock):
    return FakeParty(clock)


@pytest.fixture
def engine(world, stripe):
    return an_engine(world, PartyLine("gateway", "stripe", stripe, ["DE01"]))


def kept(world):
    with world.database.transaction() as tx:
        return {row["id"]: row["subject"] for row in tx.all("select id, subject from party_facts")}


def cases(world):
    with world.database.transaction() as tx:
        return [
            (row["subject"], row["store"], row["category"])
            for row in tx.all("select subject, store, category from cases where resolved_at is null order by id")
        ]


def source(world):
    with world.database.transaction() as tx:
        (line,) = reports.status(tx)["sources"]
    return line


# Judging


def test_a_fact_names_its_order_its_moment_and_its_transactions():
    fact = judge("gateway", "stripe", raw(captured("evt_1", "ch_1", "1001", authorisation="pi_1")))
    assert isinstance(fact, NewPartyFact)
    assert (fact.kind, fact.subject, fact.transactions) == ("captured", "order eu1/1001", ("ch_1", "pi_1"))
    assert fact.at.isoformat() == "2026-11-23T09:00:00+00:00"


def test_the_hash_is_of_what_is_said_and_not_of_how_it_is_written():
    one = judge("gateway", "stripe", raw(captured()))
    other = judge("gateway", "stripe", raw(dict(reversed(captured().items()))).replace(b": ", b" :\n "))
    assert one.body_hash == other.body_hash and one.body != other.body


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"", "not JSON"),
        (b"[]", "no such fact"),
        (b'{"fact":"counterfoil.captured.v1","fact":"x"}', "stands twice"),
        (b"[" * 5000, "nested too deeply"),
        (raw({**captured(), "fact": "counterfoil._common.v1"}), "no such fact"),
        (raw({**captured(), "fact": "counterfoil.captured.v9"}), "no such fact"),
        (raw({**captured(), "amount_minor": 10.5}), "/amount_minor"),
        (raw({**captured(), "source": "paypal"}), "another source"),
        (raw({**captured(), "at": "2026-02-30T09:00:00Z"}), "no moment"),
        (raw({**captured(), "id": "a b"}), "/id"),
        (raw(shipment()), "another source"),
        (raw({**captured(), "note": "x" * FACT_BYTES}), "larger than"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_as_its_contract_says_is_kept_out_with_the_reason(said, why):
    out = judge("gateway", "stripe", said)
    assert isinstance(out, KeptOut) and why in out.reason


@given(st.binary(max_size=100) | st.dictionaries(st.sampled_from([*captured()]), st.none() | st.integers()).map(raw))
def test_no_bytes_make_the_judge_fail(said):
    assert isinstance(judge("gateway", "stripe", said), KeptOut | NewPartyFact)


# Reading


def test_what_is_read_is_kept_once_and_the_cursor_moves_with_it(world, engine, stripe):
    stripe.page_facts, stripe.overlap = 2, 1
    stripe.facts += [captured("evt_1", "ch_1", "1001"), fee("txn_1"), payout("po_1")]
    assert engine.step_facts()
    assert kept(world) == {"evt_1": "order eu1/1001", "txn_1": "order eu1/1001"}
    assert not engine.step_facts()
    assert kept(world)["po_1"] == "payout stripe/po_1"
    assert not engine.step_facts()
    assert world.one("select count(*) from party_facts") == 3 and cases(world) == []
    assert world.one("select cursor from source_cursors") == "3"


def test_a_crash_before_the_commit_reads_the_page_again(world, engine, stripe, monkeypatch):
    stripe.facts.append(captured("evt_1", "ch_1", "1001"))
    monkeypatch.setattr(party_facts, "keep_cursor", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        engine.step_facts()
    assert kept(world) == {}
    monkeypatch.undo()
    engine.step_facts()
    assert kept(world) == {"evt_1": "order eu1/1001"}


def test_money_before_its_order_is_looked_at_and_the_look_says_how_far_facts_had_come(world, engine, stripe):
    stripe.facts.append(captured("evt_1", "ch_1", "1001"))
    engine.step_facts()
    assert engine.step_look()
    assert world.looked == ["1001"]
    assert world.one("select party_arrival from looks") == 1
    with world.database.transaction() as tx:
        told = reports.order(tx, "eu1", "1001")
    assert [(fact["source"], fact["kind"]) for fact in told["party_facts"]] == [("stripe", "captured")]


def test_a_conflict_is_a_case_of_its_order_and_the_first_word_counts(world, engine, stripe):
    stripe.facts += [captured("evt_1", order="1001"), captured("evt_1", order="1001", amount_minor=1)]
    engine.step_facts()
    assert cases(world) == [("order eu1/1001", "eu1", "conflict")]
    assert "evt_1" in world.open_cases()[0]
    assert source(world)["facts"] == 1


def test_a_broken_fact_is_a_case_of_its_source_until_it_is_said_right(world, engine, stripe):
    stripe.facts += [captured("evt_1", order="1001", amount_minor="10"), captured("evt_2", "ch_2", "1002"), b"{"]
    engine.step_facts()
    assert kept(world) == {"evt_2": "order eu1/1002"}
    assert {case[:1] + case[2:] for case in cases(world)} == {("gateway stripe", "contract")}
    assert (source(world)["unread"], source(world)["facts"]) == (2, 1)
    with world.database.transaction() as tx:
        tx.run("delete from party_facts_kept_out where id is null")
    stripe.facts.append(captured("evt_1", order="1001"))
    engine.step_facts()
    assert kept(world)["evt_1"] == "order eu1/1001"
    assert cases(world) == [] and source(world)["unread"] == 0


def test_a_thousand_facts_broken_alike_are_one_case(world, engine, stripe):
    stripe.page_facts = 1000
    stripe.facts += [captured(f"evt_{number}", amount_minor=None) for number in range(1000)]
    engine.step_facts()
    assert len(cases(world)) == 1 and source(world)["unread"] == 1000


def test_a_source_that_is_down_rests_and_goes_on_by_itself(world, engine, stripe, clock):
    stripe.facts.append(captured("evt_1", order="1001"))
    stripe.down = True
    assert not engine.step_facts()
    with world.database.transaction() as tx:
        problems = reports.status(tx)["problems"]
    assert any(problem.startswith("gateway of stripe is open: ") for problem in problems)
    stripe.down = False
    if world.database.is_sqlite:
        engine.step_facts()
        assert kept(world) == {}  # the breaker is open: nothing hammers it
    with world.database.transaction() as tx:
        tx.run("update breakers set until = %s", tx.now())
    engine.step_facts()
    assert kept(world) == {"evt_1": "order eu1/1001"}


def test_one_source_that_is_down_does_not_hold_another(world, stripe, clock):
    hub = FakeParty(clock, facts=[shipment("ship-1", "1001")])
    stripe.down = True
    an_engine(world, PartyLine("gateway", "stripe", stripe), PartyLine("wms", "hub-berlin", hub)).step_facts()
    assert kept(world) == {"ship-1": "order eu1/1001"}


def test_status_says_how_each_source_stands(world, engine, stripe, clock):
    stripe.facts += [captured("evt_1", "ch_1"), captured("evt_2", "ch_2", "1002")]
    engine.step_facts()
    clock.pass_time(3)
    line = source(world)
    assert (line["party"], line["source"], line["facts"], line["unmatched"]) == ("gateway", "stripe", 2, 1)
    if world.database.is_sqlite:
        assert (line["last_read_s"], line["lag_s"]) == (3.0, 3.0)


# Sending


def test_documents_for_other_parties_go_by_the_same_lanes(world, clock):
    hub, taxes, stripe = FakeParty(clock, lanes=2), FakeParty(clock), FakeParty(clock)
    rules = the_rules()
    rules.stores["eu1"].switches.update({"wms": "on", "tax": "on", "gateway": "on"})
    world.book._parse = lambda text, version: rules
    engine = an_engine(
        world,
        PartyLine("wms", "hub-berlin", hub, ["DE01"]),
        PartyLine("tax", "taxes", taxes, ["DE01"]),
        PartyLine("gateway", "stripe", stripe, ["DE01"]),
    )
    engine.events.greet("eu1", "a" * 32, "1", {"order": [1]})
    due = (
        a_document("payment", 100),
        a_document("fulfilment", 100, party="wms"),
        a_document("tax_quote", 100, party="tax"),
        a_document("capture", 100, party="gateway", body={"gateway": "stripe"}),
        a_document("refund_order", 100, party="gateway", body={"gateway": "paypal"}),
    )
    world.facts["1001"] = [due]
    engine.events.append("eu1", [incoming("event 1001", 1, 1001)])
    for _ in range(6):
        engine.step_look()
        engine.step_post()
    assert world.erp.posted() == ["eu1/1001/payment/x/r1"]
    assert (hub.posted(), taxes.posted()) == (["eu1/1001/fulfilment/x/r1"], ["eu1/1001/tax_quote/x/r1"])
    assert stripe.posted() == ["eu1/1001/capture/x/r1"]
    assert any("'paypal'" in cause for cause in world.open_cases())
    engine.give_back()


def test_what_rests_on_another_partys_document_waits_for_its_result(world, clock):
    hub = FakeParty(clock)
    rules = the_rules()
    rules.stores["eu1"].switches.update({"wms": "on"})
    world.book._parse = lambda text, version: rules
    engine = an_engine(world, PartyLine("wms", "hub-berlin", hub, ["DE01"]))
    engine.events.greet("eu1", "a" * 32, "1", {"order": [1]})
    order, goods = a_document("sales_order", 100), a_document("fulfilment", 0, party="wms", after=["sales_order/x"])
    world.facts["1001"] = [(order, goods)]
    engine.events.append("eu1", [incoming("event 1001", 1, 1001)])
    world.erp.down = True
    engine.step_look()
    for _ in range(3):
        engine.step_post()
    assert hub.posted() == [] and world.one("select count(*) from waits") == 1
    world.erp.down = False
    with world.database.transaction() as tx:
        tx.run("update breakers set until = %s", tx.now())
    for _ in range(3):
        engine.step_post()
    assert (world.erp.posted(), hub.posted()) == (["eu1/1001/sales_order/x/r1"], ["eu1/1001/fulfilment/x/r1"])
    assert engine.jobs.waits() == []
    engine.give_back()


def one(key: str, gateway: str) -> Posting:
    return Posting(key, "h", {"kind": "capture", "gateway": gateway})


def test_each_document_goes_to_the_gateway_that_it_names(clock):
    stripe, paypal = FakeParty(clock), FakeParty(clock)
    both = Gateways({"stripe": stripe, "paypal": paypal})
    outcomes = both.post([one("a", "paypal"), one("b", "stripe"), one("c", "klarna"), one("d", "paypal")])
    assert [type(outcome) for outcome in outcomes] == [Posted, Posted, Refused, Posted]
    assert (stripe.posted(), paypal.posted()) == (["b"], ["a", "d"])
    assert set(both.find(["a", "b", "x"])) == {"a", "b"}
    assert both.health().ok and (both.lanes, both.batch_size, both.commit_lag_s) == (1, 20, 0)


def test_one_gateway_down_leaves_its_part_unknown_and_all_down_are_unavailable(clock):
    stripe, paypal = FakeParty(clock), FakeParty(clock, down=True)
    both = Gateways({"stripe": stripe, "paypal": paypal})
    assert both.post([one("a", "paypal"), one("b", "stripe")]) == [Unknown("a"), Posted("b", "E0001")]
    stripe.down = True
    with pytest.raises(Unavailable):
        both.post([one("c", "paypal"), one("d", "stripe")])
    assert not both.health().ok


def test_a_rejected_batch_of_one_gateway_is_taken_apart_there(clock):
    stripe, paypal = FakeParty(clock, poison_keys={"b"}), FakeParty(clock)
    both = Gateways({"stripe": stripe, "paypal": paypal})
    outcomes = both.post([one("a", "stripe"), one("b", "stripe"), one("c", "paypal")])
    assert [type(outcome) for outcome in outcomes] == [Posted, Refused, Posted]
    with pytest.raises(Parked):
        stripe.post([one("b", "stripe")])


def test_threads_read_until_they_are_told_to_stop(tmp_path):
    clock = SystemClock()
    with database_url("sqlite", tmp_path) as url:
        database = Database(url, clock)
        world = a_world(database, clock)
        stripe = FakeParty(FakeClock(), facts=[captured(f"evt_{n}", f"ch_{n}") for n in range(9)], page_facts=2)
        engine = an_engine(world, PartyLine("gateway", "stripe", stripe))
        stop = threading.Event()
        threads = engine.run("scheduler", stop)
        deadline = time.monotonic() + 20
        while world.one("select count(*) from party_facts") < 9 and time.monotonic() < deadline:
            time.sleep(0.05)
        stop.set()
        for thread in threads:
            thread.join(timeout=10)
        assert world.one("select count(*) from party_facts") == 9
        assert not any(thread.is_alive() for thread in threads)
        database.close()
