"""What agents of each version really sent is understood by the engine of today. Recordings are never edited."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from contracts.traffic import TRAFFIC, engine_over, recording
from counterfoil_contracts import contract_of, faults
from counterfoil_engine.api.requests import signature
from counterfoil_engine.records.database import Database
from fakes.clock import FakeClock
from fakes.databases import DIALECTS, open_database
from fakes.store_agent import SECRET

# A recording that changes is no recording: its hash stands here once it was made.
RECORDINGS = {
    "agent-v1.jsonl": "bbcc18700dc4380f4b461f56afea270f7287f753faa704a594b4c8f26a181865",
}


def events(name: str) -> list[bytes]:
    """Every event that was sent, as its bytes; a heartbeat is one too."""
    found: list[bytes] = []
    for request in recording(name):
        if request.path == "/v1/events":
            found += [bytes(raw) for raw in msgspec.json.decode(request.unpacked, type=list[msgspec.Raw])]
        elif request.path == "/v1/heartbeat":
            found.append(request.unpacked)
    return found


def test_no_recording_is_edited_or_left_out() -> None:
    hashes = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in TRAFFIC.glob("*.jsonl")}
    assert hashes == RECORDINGS


@pytest.mark.parametrize("name", RECORDINGS)
def test_every_event_ever_sent_keeps_to_todays_contracts(name: str) -> None:
    for raw in events(name):
        assert faults("events/envelope.v1", raw) == []
        event = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
        contract = contract_of(msgspec.json.decode(event["type"], type=str))
        assert contract is not None
        assert faults(contract, bytes(event["data"])) == []


@pytest.mark.parametrize("name", RECORDINGS)
def test_every_request_ever_sent_was_signed_as_today(name: str) -> None:
    for request in recording(name):
        stamp = request.headers["Counterfoil-Timestamp"]
        expected = signature(SECRET, request.method, request.path, stamp, request.body)
        assert request.headers["Counterfoil-Signature"] == expected


def test_the_first_recording_has_each_kind_of_request_and_event() -> None:
    requests = recording("agent-v1.jsonl")
    assert {request.path for request in requests} == {"/v1/hello", "/v1/epoch", "/v1/events", "/v1/heartbeat"}
    types = {msgspec.json.decode(raw)["type"] for raw in events("agent-v1.jsonl")}
    assert types == {f"counterfoil.{each}.v1" for each in ("order", "gone", "heartbeat", "tombstone")}
    assert {request.headers.get("Content-Encoding") for request in requests} == {None, "gzip"}
    assert {request.headers["Content-Type"] for request in requests} == {
        "application/json",
        "application/cloudevents-batch+json",
    }


@pytest.fixture(params=DIALECTS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Database, FakeClock]]:
    clock = FakeClock()
    with open_database(request.param, tmp_path, clock) as opened:
        yield opened, clock


@pytest.mark.parametrize("name", RECORDINGS)
def test_replayed_into_an_empty_engine_it_gets_the_answers_of_then(
    name: str, database: tuple[Database, FakeClock]
) -> None:
    opened, clock = database
    client = engine_over(opened, clock).test_client()
    for request in recording(name):
        if request.answer is None:
            continue  # a firewall's no never reached the engine
        clock.pass_time((request.at - clock.now()).total_seconds())
        answer = client.open(request.path, method=request.method, data=request.body, headers=dict(request.headers))
        assert answer.status_code == request.status
        said = answer.get_json()
        for field in ("epoch", "stored_through", "verdicts"):
            assert said.get(field) == request.answer.get(field), (request.path, field)
