"""Each test here runs on both databases, under the same name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from counterfoil_engine.records.database import Database
from fakes.clock import FakeClock
from fakes.databases import DIALECTS, open_database


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=DIALECTS)
def database(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> Iterator[Database]:
    with open_database(request.param, tmp_path, clock) as opened:
        yield opened
