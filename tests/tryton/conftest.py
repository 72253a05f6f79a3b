"""One Tryton for each module of tests, a copy of the template; each way in is tried: with the module and without it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from counterfoil_engine.adapters.erp.tryton import TrytonErp

from tryton import server as servers
from tryton.needs import NEEDS


@pytest.fixture(scope="module")
def tryton() -> Iterator[servers.Server]:
    if reason := servers.missing():
        if os.environ.get("COUNTERFOIL_REQUIRE_SERVICES") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    with servers.copied(NEEDS) as server:
        server.maps = {company: server.map_of(company, needs) for company, needs in NEEDS.items()}
        yield server


@pytest.fixture(params=["with the module", "without the module"])
def erp(request: pytest.FixtureRequest, tryton: servers.Server) -> TrytonErp:
    return tryton.erp(tryton.maps["DE01"], module=request.param == "with the module", commit_lag_s=0.0)
