"""Each test here runs on both databases, under the same name."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from counterfoil_engine.records.database import Database
from fakes.clock import FakeClock
from fakes.databases import DIALECTS, empty, open_database


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
