"""The API over a real database of either kind, and an agent's and an operator's way into it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from counterfoil_engine.api.app import Engine, create_app
from counterfoil_engine.config import settings
from counterfoil_engine.domain.facts import OrderFacts
from counterfoil_engine.records import close, erp_roles, mailbox, taken_over
from counterfoil_engine.records.database import Database
from counterfoil_engine.records.events import StoredEvents
from counterfoil_engine.records.facts import facts_of
from counterfoil_engine.records.rules_store import Book
from counterfoil_engine.records.wiring import records_over
from counterfoil_engine.work.erp_roles import ErpRoles
from counterfoil_engine.work.receive import Receiver
from counterfoil_engine.work.rules_file import parse_rules
from counterfoil_engine.work.taken_over import TakingOver
from counterfoil_engine.work.updates import Updates
from fakes.clock import FakeClock
from fakes.commands import FakeCommands
from fakes.control import a_control, a_lookup, the_finances
from fakes.databases import DIALECTS, empty, open_database
from fakes.desk import a_desk
from fakes.store_agent import OTHER_SECRET, SECRET, TOKEN, StoreAgent
from fakes.sweeping import a_sweeping
from fakes.watching import a_watching
from flask.testing import FlaskClient


@pytest.fixture(scope="module")
def _clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def clock(_clock: FakeClock) -> FakeClock:
    _clock.start_anew()
    return _clock


@pytest.fixture(scope="module", params=DIALECTS)
def _database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, _clock: FakeClock
) -> Iterator[Database]:
    with open_database(request.param, tmp_path_factory.mktemp("database"), _clock) as opened:
        yield opened


@pytest.fixture
def database(_database: Database, clock: FakeClock) -> Database:
    """One database for each module and dialect, emptied for each test."""
    empty(_database)
    return _database


@pytest.fixture
def client(database: Database, clock: FakeClock) -> FlaskClient:
    environment = {
        "COUNTERFOIL_STORE_SECRET_EU1": SECRET,
        "COUNTERFOIL_STORE_SECRET_US1": OTHER_SECRET,
        "COUNTERFOIL_API_TOKEN": TOKEN,
    }
    limits = {"body_bytes": 200_000, "unpacked_bytes": 1_000_000}

    def check_database() -> None:
        with database.transaction() as tx:
            tx.one("select 1 as one")

    engine = Engine(
        Receiver(StoredEvents(database, lambda tx, key: None), clock),
        FakeCommands(),
        check_database,
        clock,
        settings({"limits": limits}, environment),
        a_control(database),
        updates=Updates(records_over(database), mailbox, Book(parse_rules)),
        cases=a_desk(database, clock),
        sweeping=a_sweeping(database),
        erp_roles=ErpRoles(records_over(database), erp_roles, close, {}),
        taking_over=TakingOver(records_over(database), taken_over, Book(parse_rules), {}),
        finances=the_finances(database),
        watching=a_watching(database),
        lookup=a_lookup(database),
    )
    return create_app(engine).test_client()


@pytest.fixture
def agent(client: FlaskClient, clock: FakeClock) -> StoreAgent:
    agent = StoreAgent(client, clock)
    assert agent.hello().status_code == 200
    return agent


@pytest.fixture
def facts(database: Database):
    def read(order_id: int = 1001, store: str = "eu1") -> OrderFacts:
        with database.transaction() as tx:
            return facts_of(tx, store, str(order_id))

    return read
