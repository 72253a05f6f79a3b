"""The conformance kit on a real Tryton: a test for each of its checks."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from counterfoil_engine.conformance.check import Check
from counterfoil_engine.conformance.checks import ALL
from counterfoil_engine.conformance.run import conform
from counterfoil_engine.conformance.trial import Trial

from tryton import server as servers
from tryton.conformance import prepared


@pytest.fixture(scope="module")
def trial() -> Iterator[Trial]:
    if reason := servers.missing():
        if os.environ.get("COUNTERFOIL_REQUIRE_SERVICES") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    with prepared(is_with_module=True) as place:
        yield place.trial()


@pytest.mark.parametrize("check", ALL, ids=lambda check: check.name)
def test_tryton_passes(trial: Trial, check: Check) -> None:
    (result,) = conform(trial, [check])
    assert result.state == "passed" or not result.counts, result.came
