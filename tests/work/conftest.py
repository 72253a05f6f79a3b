"""Worlds for tests of looks and posting, on both databases."""

import pytest
from fakes.clock import FakeClock
from fakes.databases import DIALECTS, open_database
from fakes.engine import a_world


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture(params=DIALECTS)
def database(request, tmp_path, clock):
    with open_database(request.param, tmp_path, clock) as database:
        yield database


@pytest.fixture
def world(database, clock):
    return a_world(database, clock)
