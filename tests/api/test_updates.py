"""The mailbox over the API: signed, bounded, each store its own, and agreed on at hello."""

from __future__ import annotations

from typing import Any

import pytest
from counterfoil_contracts import faults
from counterfoil_contracts.versions import greeting, spoken
from counterfoil_engine.api.app import Engine, create_app
from counterfoil_engine.config import settings
from counterfoil_engine.records.database import Database
from counterfoil_engine.records.events import StoredEvents
from counterfoil_engine.work.receive import Receiver
from fakes.clock import FakeClock
from fakes.commands import FakeCommands
from fakes.engine import World, a_world
from fakes.store_agent import OTHER_SECRET, SECRET, StoreAgent
from fakes.store_updates import an_update, look, result, switch, updates_of
from flask.testing import FlaskClient

NOTHING: dict[str, Any] = {"results": [], "limit": 50}


@pytest.fixture
def world(database: Database, clock: FakeClock) -> World:
    world = a_world(database, clock)
    switch(world, "on")
    return world


@pytest.fixture
def line(world: World, clock: FakeClock) -> FlaskClient:
    secrets = {"COUNTERFOIL_STORE_SECRET_EU1": SECRET, "COUNTERFOIL_STORE_SECRET_US1": OTHER_SECRET}
    told = settings({}, {**secrets, "COUNTERFOIL_API_TOKEN": "t" * 32})
    receiver = Receiver(StoredEvents(world.database, lambda tx, key: None), clock)
    app = create_app(Engine(receiver, FakeCommands(), lambda: None, clock, told, updates=updates_of(world)))
    return app.test_client()


@pytest.fixture
def store(line: FlaskClient, clock: FakeClock) -> StoreAgent:
    return StoreAgent(line, clock)


def test_what_waits_is_fetched_and_what_became_of_it_is_told(store: StoreAgent, world: World) -> None:
    world.due("1001", an_update())
    look(world)
    answer = store.post("/v1/updates", NOTHING)
    assert answer.status_code == 200 and faults("feed/updates.v1", answer.json) == []
    (update,) = answer.json["updates"]
    said = {"results": [result(update)], "limit": 0}
    assert store.post("/v1/updates", said, gzip=True).json == {"updates": [], "more": False}
    assert world.states() == {"store_update/ship-77/r1": "done"}


def test_another_store_sees_and_answers_nothing_of_it(line: FlaskClient, clock: FakeClock, world: World) -> None:
    world.due("1001", an_update())
    look(world)
    (update,) = StoreAgent(line, clock).post("/v1/updates", NOTHING).json["updates"]
    other = StoreAgent(line, clock, "us1", OTHER_SECRET)
    assert other.post("/v1/updates", {"results": [result(update)], "limit": 50}).json["updates"] == []
    assert world.states() == {"store_update/ship-77/r1": "sent"}


def test_what_nobody_signed_or_what_breaks_the_contract_is_refused(store: StoreAgent) -> None:
    assert store.post("/v1/updates", NOTHING, counterfoil_signature=None).status_code == 401
    assert store.post("/v1/updates", {"limit": 5}).status_code == 400
    one = {"key": "k", "hash": "0" * 64, "outcome": "applied", "reason": None}
    assert store.post("/v1/updates", {"results": [one] * 201, "limit": 5}).status_code == 400


def test_both_sides_name_it_at_hello_and_an_older_agent_is_not_told_of_it(store: StoreAgent) -> None:
    assert store.hello(contracts=greeting()).json["contracts"]["updates"] == 1
    assert "updates" not in store.hello(contracts=spoken()).json["contracts"]


def test_an_engine_without_rules_hands_nothing_out(agent: StoreAgent) -> None:
    assert agent.post("/v1/updates", NOTHING).json == {"updates": [], "more": False}
