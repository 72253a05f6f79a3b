"""What an agent says to the engine, and what it is answered."""

from __future__ import annotations

from email.utils import parsedate_to_datetime

from fakes.events import an_order, cloud_event, event_id
from fakes.store_agent import INSTALLATION, OTHER_SECRET, StoreAgent

OTHER_INSTALLATION = "2" * 32


def _verdicts(answer) -> list[str]:
    assert answer.status_code == 200, answer.json
    return [verdict["verdict"] for verdict in answer.json["verdicts"]]


def test_an_agent_says_hello_and_learns_where_it_stands(client, clock):
    answer = StoreAgent(client, clock).hello()
    assert answer.json == {
        "epoch": 1,
        "stored_through": {"n": 0, "id": None},
        "contracts": {"gone": 1, "heartbeat": 1, "order": 1},
        "retain_s": 604800,
        "server_time": "2026-11-23T09:00:00.000Z",
    }


def test_every_answer_tells_the_time_that_signatures_are_judged_by(client, clock):
    clock.pass_time(90)
    for answer in (StoreAgent(client, clock).hello(), client.get("/v1/nothing"), client.post("/v1/hello")):
        assert parsedate_to_datetime(answer.headers["Date"]) == clock.now()


def test_a_batch_is_answered_with_a_verdict_for_each_event(agent, facts):
    answer = agent.send(cloud_event(1, "a"), cloud_event(2, "b", an_order(1002)))
    assert answer.json == {
        "verdicts": [
            {"n": 1, "id": event_id("a"), "verdict": "stored", "reason": None},
            {"n": 2, "id": event_id("b"), "verdict": "stored", "reason": None},
        ],
        "stored_through": {"n": 2, "id": event_id("b")},
        "holes": [],
        "server_time": "2026-11-23T09:00:00.000Z",
    }
    assert facts(1002).snapshots[0].body == an_order(1002)


def test_a_packed_batch_is_unpacked(agent):
    assert _verdicts(agent.send(cloud_event(1), gzip=True)) == ["stored"]


def test_a_request_repeated_within_the_window_is_harmless(agent, facts):
    assert _verdicts(agent.send(cloud_event(1), timestamp=1795424400)) == ["stored"]
    assert _verdicts(agent.send(cloud_event(1), timestamp=1795424400)) == ["duplicate"]
    assert len(facts().snapshots) == 1


def test_a_number_that_will_never_be_sent_is_closed_by_a_void(agent):
    agent.send(cloud_event(2))
    answer = agent.send(
        cloud_event(
            1,
            data={"reason": "its row is gone"},
            type="counterfoil.void.v1",
            dataschema="urn:counterfoil:events:void:1",
            subject="number/1",
        )
    )
    assert (_verdicts(answer), answer.json["stored_through"]["n"]) == (["stored"], 2)


def test_a_tombstone_lets_the_numbers_after_it_go_on(agent):
    tombstone = {"of": "counterfoil.order.v1", "hash": "a" * 64, "size_bytes": 9, "reason": "a firewall stops it"}
    answer = agent.send(
        cloud_event(1, data=tombstone, type="counterfoil.tombstone.v1", dataschema="urn:counterfoil:events:tombstone:1")
    )
    assert _verdicts(answer) == ["stored"]


def test_a_deleted_order_is_a_fact(agent, facts):
    evidence = {"at": "2026-11-23T09:00:00Z", "status": 404, "code": "no_such_order", "control_order_id": 46}
    gone = {"order_id": 47, "code": "no_such_order", "evidence": [evidence, evidence]}
    event = cloud_event(
        1, data=gone, type="counterfoil.gone.v1", dataschema="urn:counterfoil:events:gone:1", subject="order/47"
    )
    assert _verdicts(agent.send(event)) == ["stored"]
    assert [(s.kind, s.body["order_id"]) for s in facts(47).snapshots] == [("gone", 47)]


def test_an_event_of_another_epoch_sends_the_agent_back_to_hello(agent):
    answer = agent.send(cloud_event(1, epoch=2))
    assert (answer.status_code, answer.json["type"]) == (409, "/problems/epoch")


def test_events_before_the_first_hello_are_sent_back_to_it(client, clock):
    answer = StoreAgent(client, clock).send(cloud_event(1))
    assert (answer.status_code, answer.json["type"]) == (409, "/problems/epoch")


def test_a_new_epoch_begins_at_number_1(agent):
    agent.send(cloud_event(1))
    asked = {"store": "eu1", "installation": INSTALLATION, "epoch": 1, "reason": "restored from a backup"}
    answer = agent.post("/v1/epoch", asked)
    assert (answer.json["epoch"], answer.json["stored_through"]) == (2, {"n": 0, "id": None})
    assert _verdicts(agent.send(cloud_event(1, "new", epoch=2))) == ["stored"]


def test_a_second_installation_is_told_who_can_help(agent):
    answer = agent.hello(OTHER_INSTALLATION)
    assert (answer.status_code, answer.json["type"]) == (409, "/problems/other-installation")
    assert "counterfoil handover eu1" in answer.json["remedy"]


def test_an_agent_without_a_common_contract_is_told_which_side_to_update(client, clock):
    answer = StoreAgent(client, clock).hello(contracts={"order": [7]})
    assert (answer.status_code, answer.json["type"]) == (409, "/problems/contracts")
    assert "Update this side" in answer.json["remedy"]


def test_a_heartbeat_needs_no_number(agent):
    answer = agent.post("/v1/heartbeat", a_heartbeat())
    assert answer.json == {"stored_through": {"n": 0, "id": None}, "server_time": "2026-11-23T09:00:00.000Z"}


def test_a_heartbeat_that_breaks_its_contract_is_told_how(agent):
    for change in ({"data": {"depth_events": -1}}, {"type": "counterfoil.order.v1"}, {"time": "now"}):
        answer = agent.post("/v1/heartbeat", a_heartbeat() | change)
        assert (answer.status_code, answer.json["type"]) == (400, "/problems/contract")
    answer = agent.post("/v1/heartbeat", a_heartbeat() | {"source": "/stores/us1"})
    assert (answer.status_code, answer.json["type"]) == (403, "/problems/other-store")


def test_two_stores_don_t_see_each_other(agent, client, clock, facts):
    other = StoreAgent(client, clock, "us1", OTHER_SECRET)
    assert other.hello("3" * 32).json["epoch"] == 1
    assert _verdicts(agent.send(cloud_event(1, "same id"))) == ["stored"]
    assert _verdicts(other.send(cloud_event(1, "same id", an_order(total="5.00"), store="us1"))) == ["stored"]
    assert facts(store="eu1").snapshots[0].body["order"]["total"] == "10.00"
    assert facts(store="us1").snapshots[0].body["order"]["total"] == "5.00"


def a_heartbeat() -> dict:
    data = {
        "depth_events": 0,
        "oldest_age_s": None,
        "newest_order_id": 1001,
        "clock_offset_s": 0.2,
        "outbox_bytes": 4096,
        "disk_free_bytes": 10**9,
        "agent_version": "0.1.0",
    }
    event = cloud_event(1, data=data, type="counterfoil.heartbeat.v1", dataschema="urn:counterfoil:events:heartbeat:1")
    return {name: value for name, value in event.items() if name not in ("epoch", "n", "occurredon", "subject")}
