"""Four eyes at the command line: what one types waits, until another types yes."""

from __future__ import annotations

import json

import pytest
from cli.conftest import WITH_KLARNA


@pytest.fixture
def people(running, shell, monkeypatch):
    """As who the next commands are typed."""
    tokens = {
        name: json.loads(shell("users", "add", name, "--role", "controller", "--json").stdout)["token"]
        for name in ("anna", "ben")
    }
    return lambda name: monkeypatch.setenv("COUNTERFOIL_API_TOKEN", tokens[name])


def test_in_a_fresh_engine_status_says_that_four_eyes_are_not_in_force(running, shell):
    assert "Four eyes are not in force" in shell("status").stdout
    assert json.loads(shell("status", "--json").stdout)["four_eyes"]["in_force"] is False


def test_rules_wait_for_a_second_person(running, shell, people, tmp_path):
    path = tmp_path / "two.yaml"
    path.write_text(WITH_KLARNA)
    people("anna")
    said = shell("rules", "load", path).stdout
    assert said.startswith("Proposed as 1, until ") and "counterfoil proposals approve 1" in said
    assert "rules: one" in shell("rules", "show").stdout
    assert "1 proposal(s) wait" in shell("status").stdout
    own = shell("proposals", "approve", 1)
    assert (own.exit_code, own.stderr.splitlines()[0]) == (1, "anna proposed this; approving takes somebody else.")
    people("ben")
    assert "Put the rules two in force." in shell("proposals", "list").stdout
    assert "+  - {store" in shell("proposals", "show", 1).stdout
    assert shell("proposals", "approve", 1).stdout == "Done: Put the rules two in force.\n"
    assert "approved proposal 1 already" in shell("proposals", "approve", 1).stdout
    running.chain.flow()
    assert shell("cases").stdout == "No case is open.\n"


def test_a_proposal_is_rejected_with_a_reason(running, shell, people):
    shell("switch", "eu1", "erp", "preview")
    people("anna")
    assert shell("switch", "eu1", "erp", "on", "--yes").stdout.startswith("Proposed as 1")
    people("ben")
    assert shell("proposals", "reject", 1, "--reason", "not today").stdout.startswith("Rejected: Switch erp on")
    assert shell("proposals", "approve", 1).exit_code == 1
    assert "rejected" in shell("proposals", "list", "--decided").stdout


def test_the_engines_own_token_can_no_longer_switch_on_by_itself(running, shell, people):
    shell("switch", "eu1", "erp", "preview")
    refused = shell("switch", "eu1", "erp", "on", "--yes")
    assert refused.exit_code == 1 and "nobody's" in refused.stderr
    assert shell("switch", "eu1", "erp", "off").exit_code == 0  # stopping takes no second person


def test_a_rules_file_on_the_disk_is_left_alone_once_four_eyes_are_in_force(running, shell, people):
    assert running.chain.engine.load_rules(WITH_KLARNA) == "one"
    assert "rules: one" in shell("rules", "show").stdout
