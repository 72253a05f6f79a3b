"""The audit log at the command line: what people decided, and whether it is still what was written."""

from __future__ import annotations

import json


def test_what_people_decided_is_listed_and_verified(running, shell):
    shell("switch", "eu1", "erp", "preview")
    shell("retry", "order eu1/1003")
    said = shell("audit", "list").stdout
    assert "switch" in said and "retry" in said and "operator" in said and "party: erp" in said
    verified = shell("audit", "verify")
    assert verified.exit_code == 0
    assert "all as they were written" in verified.stdout


def test_whoever_lets_another_agent_take_a_store_over_is_named(running, shell):
    shell("handover", "eu1")
    entry = json.loads(shell("audit", "list", "--json").stdout)["entries"][-1]
    assert (entry["who"], entry["what"], entry["detail"]) == ("operator", "hand over", {"store": "eu1"})


def test_entries_before_a_day_are_left_out(running, shell):
    shell("switch", "eu1", "erp", "preview")
    assert shell("audit", "list", "--since", "2999-01-01").stdout == "Nobody has decided anything yet.\n"
    assert json.loads(shell("audit", "list", "--since", "2020-01-01", "--json").stdout)["entries"]


def test_a_changed_entry_is_found_and_named(running, shell):
    for setting in ("preview", "off", "preview"):
        shell("switch", "eu1", "erp", setting)
    with running.chain.database.transaction() as tx:
        tx.run("update audit set who = 'somebody else' where detail like '%%off%%'")
    found = shell("audit", "verify", "--json")
    assert found.exit_code == 1
    [fault] = json.loads(found.stdout)["faults"]
    assert "'switch' by somebody else" in fault
