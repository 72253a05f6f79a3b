"""The conformance kit on the sandbox ERP, in a process of its own and in this one: a test for each of its checks."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
from counterfoil_engine.cli.erp_trial import sandbox
from counterfoil_engine.conformance.check import Check
from counterfoil_engine.conformance.checks import ALL
from counterfoil_engine.conformance.run import conform, verdict
from counterfoil_engine.conformance.trial import Trial
from ports import faults
from ports.planted import Planted


@pytest.fixture(scope="module")
def in_a_process() -> Iterator[Trial]:
    with sandbox() as place:
        yield place.trial()


@pytest.fixture(scope="module")
def in_this_one() -> Trial:
    return Planted().trial(secrets.token_hex(4))


@pytest.fixture
def trial(request: pytest.FixtureRequest, where: str) -> Trial:
    return request.getfixturevalue(where)


@pytest.mark.parametrize("where", ["in_a_process", "in_this_one"])
@pytest.mark.parametrize("check", ALL, ids=lambda check: check.name)
def test_the_sandbox_erp_passes(trial: Trial, check: Check) -> None:
    (result,) = conform(trial, [check])
    assert result.state == "passed", result.came


def test_each_check_has_a_name_of_its_own_and_says_all_that_a_supplier_needs() -> None:
    assert len({check.name for check in ALL}) == len(ALL)
    for check in ALL:
        for sentence in (check.did, check.expected, check.change):
            assert sentence[0].isupper() and sentence.endswith("."), (check.name, sentence)


def test_the_kit_may_be_run_again_on_the_same_company() -> None:
    planted = Planted()
    for run in ("first", "second"):
        results = list(conform(planted.trial(run), ALL))
        assert verdict(results) == (len(ALL), len(ALL)), [one.came for one in results if one.state != "passed"]


@pytest.mark.parametrize("fault", faults.ALL, ids=lambda fault: fault.says)
def test_a_planted_fault_is_seen_by_its_check_and_by_no_other(fault: faults.Fault) -> None:
    planted = Planted()
    fault.plant(planted)
    results = list(conform(planted.trial("run"), ALL))
    seen = {one.check.name: one.came for one in results if one.state in ("failed", "not tried")}
    assert set(seen) == fault.seen_by, seen


def test_each_check_sees_a_fault() -> None:
    assert {check.name for check in ALL} == {name for fault in faults.ALL for name in fault.seen_by}
