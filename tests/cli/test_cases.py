"""Cases at the command line: one cause a line, each with its history, ended by one command."""

from __future__ import annotations

import json

import pytest
from builders import a_line, an_order


def number_of(shell) -> int:
    return json.loads(shell("cases", "--json").stdout)["causes"][0]["case"]


def test_a_cause_says_what_it_is_worth_how_old_it_is_and_where_its_runbook_is(running, shell):
    said = shell("cases").stdout.splitlines()
    assert said[0].startswith("2 subjects: [missing_mapping]") and said[0].endswith("(23.80 EUR)")
    assert said[-1].startswith(f"  case {number_of(shell)}, oldest of 20")
    assert said[-1].endswith("docs/runbooks/cases.md#missing_mapping")


def test_cases_are_asked_for_one_by_one_by_filters_and_by_pages(running, shell):
    single = shell("cases", "--single", "--store", "eu1", "--min-amount", "11.90", "--sort", "age").stdout
    assert "order eu1/1003" in single and "order eu1/1004" in single
    assert shell("cases", "--min-amount", "11.91").stdout == "No case is open.\n"
    assert shell("cases", "--older-than", "1h").stdout == "No case is open.\n"
    second = shell("cases", "--single", "--limit", "1", "--page", "2").stdout
    assert "order eu1/1004" in second and "1003" not in second and "1 of 2" in second


def test_a_case_shows_its_steps_and_its_history(running, shell):
    number = number_of(shell)
    shell("users", "add", "anna", "--role", "operator")
    assert shell("cases", "assign", number, "anna", "--alike").stdout == "anna looks after 2 case(s).\n"
    assert shell("cases", "comment", number, "asked the shop").stdout == "Said at 1 case(s).\n"
    said = shell("cases", "show", number).stdout
    for part in ("open", "received → proven", "2 subjects share this cause; anna looks after it", "asked the shop"):
        assert part in said, said
    assert "anna looks after it" in shell("cases", "--owner", "anna").stdout


def test_a_case_is_put_off_and_taken_back(running, shell):
    number = number_of(shell)
    assert "2 case(s) are put off until 2999-01-01" in shell("cases", "snooze", number, "2999-01-01", "--alike").stdout
    assert shell("cases").stdout == "No case is open.\n2 case(s) are put off (--snoozed).\n"
    assert shell("cases", "--snoozed").stdout.startswith("2 subjects")
    shell("cases", "snooze", number, "--alike")
    assert shell("cases").stdout.startswith("2 subjects")


def test_filling_in_the_missing_row_is_one_command_and_frees_all_that_it_held(running, shell):
    number = number_of(shell)
    said = shell("cases", "fill", number, "--set", "gateway=klarna", "--set", "accept_unpaid=false")
    assert said.stdout == "Version one.1; 2 subject(s) resume.\n", said.output
    running.chain.flow()
    assert shell("cases").stdout == "No case is open.\n"
    rules = shell("rules", "show").stdout
    assert rules.startswith("rules: one.1\n") and "method: klarna, gateway: klarna" in rules
    history = json.loads(shell("cases", "show", number, "--json").stdout)["history"]
    assert [entry["what"] for entry in history] == ["opened", "filled in", "resolved"]
    assert "with the rules one.1" in history[1]["said"]


@pytest.mark.parametrize("words", [("gateway=klarna", "colour=red"), ("accept_unpaid=maybe",)])
def test_what_no_row_can_hold_is_refused_and_changes_nothing(running, shell, words):
    given = [part for word in words for part in ("--set", word)]
    assert shell("cases", "fill", number_of(shell), *given).exit_code == 1
    assert shell("rules", "show").stdout.startswith("rules: one\n")


def test_filling_in_waits_for_a_second_person_where_four_eyes_are_in_force(running, shell, monkeypatch):
    number = number_of(shell)
    tokens = {}
    for name in ("anna", "ben"):
        added = shell("users", "add", name, "--role", "controller", "--json").stdout
        tokens[name] = json.loads(added)["token"]
    monkeypatch.setenv("COUNTERFOIL_API_TOKEN", tokens["anna"])
    asked = shell("cases", "fill", number, "--set", "gateway=klarna", "--set", "accept_unpaid=false").stdout
    assert asked.startswith("Proposed as 1")
    assert "as proposal 1" in shell("cases", "show", number).stdout
    monkeypatch.setenv("COUNTERFOIL_API_TOKEN", tokens["ben"])
    shell("proposals", "approve", 1)
    running.chain.flow()
    assert shell("cases").stdout == "No case is open.\n"


def test_a_preview_says_what_filling_in_would_post_and_writes_nothing(running, shell):
    before = running.written()
    said = shell("cases", "preview", number_of(shell), "--set", "gateway=klarna", "--set", "accept_unpaid=false").stdout
    assert said.startswith("2 of 2 subject(s) looked at. Nothing was written.")
    assert "eu1/1003/invoice/" in said and "23.80 EUR" in said
    as_it_is = shell("cases", "preview", number_of(shell)).stdout
    assert "order eu1/1003 is parked still: The payment method 'klarna' has no mapping." in as_it_is
    assert running.written() == before


def test_an_order_that_cannot_be_read_is_corrected_from_a_file(running, shell, tmp_path):
    running.arrives(an_order(a_line("MUG"), id=1009, total="11.905"))
    single = json.loads(shell("cases", "--category", "data", "--json").stdout)["cases"]
    patch = tmp_path / "total.json"
    patch.write_text('[{"op": "replace", "path": "/order/total", "value": "11.90"}]')
    said = shell("cases", "correct", single[0]["id"], "--patch", patch, "--reason", "three decimals")
    assert said.stdout == "Correction 1: order eu1/1009 is looked at again.\n", said.output
    running.chain.flow()
    assert json.loads(shell("order", "eu1/1009", "--json").stdout)["reading"] == "posted"
