"""What operators call, and what keeps others out."""

from __future__ import annotations

import dataclasses

import pytest
from counterfoil_engine.api.app import Engine, create_app
from counterfoil_engine.config import settings
from counterfoil_engine.domain.errors import CounterfoilError, RateLimited, Unavailable
from fakes.clock import FakeClock
from fakes.commands import FakeCommands
from fakes.store_agent import TOKEN


class Broken(FakeCommands):
    """Raises what it was given at every status."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def status(self):
        raise self.error


def _client(commands: FakeCommands | None = None, token: str = TOKEN):
    told = settings({}, {"COUNTERFOIL_API_TOKEN": token} if token else {})
    return create_app(Engine(None, commands or FakeCommands(), lambda: None, FakeClock(), told)).test_client()


@pytest.fixture
def client():
    return _client()


HEADERS = {"Authorization": f"Bearer {TOKEN}"}


def test_commands_say_what_they_were_asked(client):
    for path, expected in [
        ("/v1/status", {"stores": []}),
        ("/v1/orders/eu1/1001", {"order": "eu1/1001"}),
        ("/v1/rules", {"versions": []}),
        ("/v1/rules/shadow?version=two", {"version": "two"}),
        ("/v1/restatements", {"restatements": []}),
    ]:
        assert client.get(path, headers=HEADERS).json == expected
    for path, body, expected in [
        ("/v1/retry", {"subject": "order eu1/1"}, {"subject": "order eu1/1", "category": None}),
        ("/v1/retry", {"category": "outage"}, {"subject": None, "category": "outage"}),
        (
            "/v1/replay",
            {"since": "2026-11-01T00:00:00Z", "dry_run": True},
            {"since": "2026-11-01T00:00:00+00:00", "store": None, "dry_run": True},
        ),
        ("/v1/rules", {"text": "rules: x"}, {"length": 8, "dry_run": False}),
        ("/v1/rules/shadow", {"text": "rules: x"}, {"length": 8}),
        ("/v1/rules/shadow/stop", {"version": "two"}, {"version": "two"}),
        ("/v1/approve", {"version": "2"}, {"version": "2"}),
        ("/v1/handover", {"store": "eu1"}, {"store": "eu1"}),
        ("/v1/release-brake", {"entity": "DE01"}, {"entity": "DE01"}),
        ("/v1/pass-over", {"store": "eu1"}, {"store": "eu1"}),
        (
            "/v1/switch",
            {"store": "eu1", "party": "erp", "setting": "on"},
            {"store": "eu1", "party": "erp", "setting": "on", "confirmed": False},
        ),
        ("/v1/confirm", {}, {"engine_epoch": 1}),
    ]:
        assert client.post(path, json=body, headers=HEADERS).json == expected


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/retry", {"subjct": "order eu1/1"}),
        ("/v1/retry", {"subject": "a\x00b"}),
        ("/v1/retry", {"subject": ""}),
        ("/v1/retry", [1]),
        ("/v1/replay", {}),
        ("/v1/replay", {"since": "yesterday"}),
        ("/v1/replay", {"since": "2026-11-01T00:00:00"}),
        ("/v1/replay", {"since": "0001-01-01T00:00:00+14:00"}),
        ("/v1/replay", {"since": "9999-12-31T23:59:59-14:00"}),
        ("/v1/replay", {"since": "2026-11-01T00:00:00Z", "dry_run": "no"}),
        ("/v1/rules", {"text": 7}),
        ("/v1/approve", {"version": None}),
        ("/v1/handover", {"store": "x" * 201}),
        ("/v1/release-brake", {}),
        ("/v1/switch", {"store": "eu1", "party": "erp", "setting": "full"}),
        ("/v1/confirm", {"yes": True}),
    ],
)
def test_a_wrong_command_is_told_what_is_wrong(client, path, body):
    answer = client.post(path, json=body, headers=HEADERS)
    assert (answer.status_code, answer.json["type"]) == (400, "/problems/contract")
    assert answer.json["detail"] and answer.json["remedy"]


def test_an_order_nobody_knows_is_not_found(client):
    answer = client.get("/v1/orders/eu1/404", headers=HEADERS)
    assert (answer.status_code, answer.json["type"]) == (404, "/problems/no-such-subject")


@pytest.mark.parametrize(
    "header", ["", "Bearer guess", "Basic eDp5", TOKEN, "Bearer " + TOKEN[:-1], "Bearer ", "Bearer \xe9"]
)
def test_nobody_commands_without_the_token(client, header):
    answer = client.get("/v1/status", headers={"Authorization": header})
    assert (answer.status_code, answer.json["type"]) == (401, "/problems/token")
    assert TOKEN not in answer.text


def test_without_a_token_in_the_engine_nobody_commands_at_all():
    answer = _client(token="").get("/v1/status", headers={"Authorization": "Bearer "})
    assert (answer.status_code, answer.json["type"]) == (403, "/problems/token-not-set")
    assert "COUNTERFOIL_API_TOKEN" in answer.json["remedy"]


def test_a_defect_shows_no_trace_and_no_data():
    answer = _client(Broken(RuntimeError("erika@example.com"))).get("/v1/status", headers=HEADERS)
    assert (answer.status_code, answer.json["type"]) == (500, "/problems/failed")
    assert "erika" not in answer.text and "RuntimeError" not in answer.text


def test_an_outage_says_when_to_come_again():
    error = Unavailable("The database is away.", "Wait.")
    answer = _client(Broken(error)).get("/v1/status", headers=HEADERS)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    limited = RateLimited("Too many.", "Wait.", retry_after_s=1.2)
    answer = _client(Broken(limited)).get("/v1/status", headers=HEADERS)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "2")


def test_any_other_error_for_people_is_passed_on_with_its_remedy():
    answer = _client(Broken(CounterfoilError("No rules are loaded.", "Load some."))).get("/v1/status", headers=HEADERS)
    assert (answer.status_code, answer.json["detail"], answer.json["remedy"]) == (
        400,
        "No rules are loaded.",
        "Load some.",
    )


def test_health_needs_no_token_and_tells_an_outage():
    def away() -> None:
        raise Unavailable("The database is away.", "Wait.")

    engine = Engine(None, FakeCommands(), lambda: None, FakeClock(), settings({}, {}))
    assert create_app(engine).test_client().get("/v1/health").json == {"ok": True}
    assert (
        create_app(dataclasses.replace(engine, check_database=away)).test_client().get("/v1/health").status_code == 503
    )
