"""An agent that was told no address of a feed asks the API: it gets the same numbers, only nothing waits for it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from counterfoil_contracts import faults
from counterfoil_engine.api.app import Engine, create_app
from counterfoil_engine.config import settings
from counterfoil_engine.records import ats, cases, feed, identity, store_writes
from counterfoil_engine.records.database import Database
from counterfoil_engine.work.feed import Feed
from counterfoil_engine.work.feed_cases import FeedCases
from counterfoil_engine.work.receive import Receiver
from fakes.clock import FakeClock
from fakes.commands import FakeCommands
from fakes.stock import StockWorld
from fakes.store_agent import SECRET, StoreAgent

FIRST = 1 << 40


@pytest.fixture
def world(database: Database, clock: FakeClock) -> StockWorld:
    world = StockWorld(database, clock)
    with database.transaction() as tx:
        identity.establish(tx, "here", "an-id", 0)
    world.position("MUG", 10)
    world.publish()
    return world


@pytest.fixture
def store(world: StockWorld, clock: FakeClock) -> StoreAgent:
    numbers = Feed(world.database, world.book, identity, ats, feed, store_writes, FeedCases(cases, store_writes))
    told = settings({}, {"COUNTERFOIL_STORE_SECRET_EU1": SECRET, "COUNTERFOIL_API_TOKEN": "t" * 32})
    receiver = Receiver(world.events, clock)
    engine = Engine(receiver, FakeCommands(), lambda: None, clock, told, feed=numbers)
    return StoreAgent(create_app(engine).test_client(), clock)


def _asked(version: int, wait_s: float = 20) -> dict[str, Any]:
    return {"version": version, "engine_epoch": None, "wait_s": wait_s, "limit": 1000}


def test_it_is_told_what_changed(store: StoreAgent, clock: FakeClock) -> None:
    began = clock.now()
    answer = store.post("/v1/feed", _asked(0))
    assert answer.status_code == 200 and faults("feed/numbers.v1", answer.json) == []
    assert [(row["sku"], row["number"]) for row in answer.json["rows"]] == [("MUG", 10)]
    assert clock.now() == began


def test_where_nothing_did_it_is_told_so_within_a_second(store: StoreAgent, clock: FakeClock) -> None:
    began = clock.now()
    answer = store.post("/v1/feed", _asked(FIRST + 1))
    assert (answer.json["rows"], answer.json["version"]) == ([], FIRST + 1)
    assert (clock.now() - began).total_seconds() == 1


def test_what_became_of_the_numbers_is_kept(store: StoreAgent, world: StockWorld) -> None:
    one = {"sku": "MUG", "version": FIRST + 1, "number": 10, "verdict": "applied", "stock": 10, "reason": None}
    one["at"] = datetime.now(UTC).isoformat()
    said = {"writes": [one], "drift": [], "unknown": None, "doubled": None}
    assert store.post("/v1/feed/writes", said).json == {"noted": 1}
    with world.database.transaction() as tx:
        last = store_writes.last_write(tx, "eu1")
    assert last is not None and (last["sku_key"], last["verdict"]) == ("mug", "applied")


def test_a_question_that_nobody_signed_or_that_breaks_its_contract_is_refused(store: StoreAgent) -> None:
    assert store.post("/v1/feed", _asked(0), counterfoil_signature=None).status_code == 401
    assert store.post("/v1/feed", {"version": "all"}).status_code == 400
