"""What the commands answer, asked of a running engine: for people and for programs."""

from __future__ import annotations

import json

import pytest
from builders import a_line, an_order
from cli.conftest import RULES, WITH_KLARNA

ASKING = [
    ("status",),
    ("status", "--check"),
    ("order", "eu1/1001"),
    ("order", "eu1/1003"),
    ("cases",),
    ("cases", "--category", "missing_mapping", "--limit", "1"),
    ("retry", "order eu1/1003"),
    ("retry", "--category", "missing_mapping"),
    ("replay", "--since", "2026-01-01", "--dry-run"),
    ("replay", "--since", "2026-01-01T00:00:00+01:00", "--store", "eu1"),
    ("rules", "show"),
    ("restatements",),
    ("handover", "eu1"),
    ("switch", "eu1", "erp", "preview"),
    ("switch", "eu1", "erp", "on", "--yes"),
    ("confirm",),
]


def test_every_question_is_answered_for_people_and_for_programs_before_and_after_its_name(running, shell):
    for words in ASKING:
        plain = shell(*words)
        status = 1 if words == ("status", "--check") else 0
        assert (plain.exit_code, plain.stderr) == (status, ""), (words, plain.output)
        assert plain.stdout.strip()
        for asked in ([*words, "--json"], ["--json", *words]):
            answer = shell(*asked)
            assert answer.exit_code == status
            assert isinstance(json.loads(answer.stdout), dict)


def test_status_says_first_whether_all_is_well_and_sets_an_exit_status_for_a_monitor(running, shell):
    said = shell("status").stdout.splitlines()
    assert said[0] == "Store eu1: 2 subject(s) are stuck (counterfoil cases)."
    assert any("2 parked, 2 posted" in line and "23.80 EUR" in line for line in said)
    assert shell("status").exit_code == 0
    assert shell("status", "--check").exit_code == 1
    shell("rules", "load", _file(running, WITH_KLARNA))
    running.chain.flow()
    assert shell("status").stdout.splitlines()[0] == "All is as it should be."
    assert shell("status", "--check").exit_code == 0


def _file(running, text: str):
    path = running.chain.outbox.path.parent / "given.yaml"
    path.write_text(text)
    return path


def test_an_order_tells_its_story_in_amounts_that_people_read(running, shell):
    said = shell("order", "eu1/1001").stdout
    assert said.splitlines()[0].startswith("order eu1/1001: posted.")
    for part in ("23.56 EUR", "eu1/1001/invoice/", "clearing:bacs:EUR", "holds", "Facts", "Documents", "Journal"):
        assert part in said
    assert "Mustermann" not in said and "e@example.com" not in said


def test_a_parked_order_names_the_row_to_fill_in(running, shell):
    said = shell("order", "eu1/1003").stdout
    assert said.splitlines()[0].startswith("order eu1/1003: parked.")
    assert "missing row: payment_methods: {store: eu1, method: klarna, gateway:, accept_unpaid:}" in said


def test_orders_that_one_missing_row_holds_are_one_line(running, shell):
    said = shell("cases").stdout.splitlines()
    assert said[0].startswith("2 subjects: [missing_mapping]") and "klarna" in said[0]
    assert len(json.loads(shell("cases", "--json").stdout)["cases"]) == 2
    assert shell("cases", "--category", "tax").stdout == "No case is open.\n"


def test_loading_the_missing_row_frees_all_that_it_held(running, shell):
    assert "resume" in shell("rules", "load", _file(running, WITH_KLARNA)).stdout
    running.chain.flow()
    assert shell("cases").stdout == "No case is open.\n"
    for order_id in (1003, 1004):
        assert json.loads(shell("order", f"eu1/{order_id}", "--json").stdout)["reading"] == "posted"
    assert shell("rules", "show").stdout == WITH_KLARNA


def test_rules_are_checked_at_the_engine_without_being_put_in_force(running, shell):
    before = running.written()
    answer = json.loads(shell("rules", "load", _file(running, WITH_KLARNA), "--dry-run", "--json").stdout)
    assert answer == {"version": "two", "freed": 0, "dry_run": True}
    assert running.written() == before
    assert shell("rules", "show").stdout == RULES


def test_a_dry_run_of_a_replay_says_what_would_be_posted_and_writes_nothing(running, shell):
    shell("rules", "load", _file(running, WITH_KLARNA))
    before = running.written()
    said = shell("replay", "--since", "2020-01-01", "--dry-run").stdout
    assert said.startswith("4 subject(s) looked at; 2 would change. Nothing was written.")
    assert "invoice" in said and "23.80 EUR" in said
    assert running.written() == before


def test_a_replay_looks_again_and_posts_nothing_twice(running, shell):
    documents = running.chain.intents()
    assert shell("replay", "--since", "2020-01-01").stdout == "4 subject(s) are looked at again.\n"
    running.chain.flow()
    assert running.chain.intents() == documents


def test_switching_on_says_first_what_would_be_posted(running, shell):
    assert shell("switch", "eu1", "erp", "preview").stdout == "erp of eu1 is preview.\n"
    running.arrives(an_order(a_line("MUG", 3, "10.00"), id=1005))
    asked = shell("switch", "eu1", "erp", "on")
    assert (asked.exit_code, asked.stdout) == (1, "")
    assert "would post" in asked.stderr and "invoice 35.70 EUR" in asked.stderr and "--yes" in asked.stderr
    running.chain.flow()
    assert running.chain.erp_balances() == running.chain.engine_balances()
    assert json.loads(shell("order", "eu1/1005", "--json").stdout)["documents"][0]["state"] == "ready"
    assert shell("switch", "eu1", "erp", "on", "--yes").exit_code == 0
    running.chain.flow()
    assert {row["state"] for row in json.loads(shell("order", "eu1/1005", "--json").stdout)["documents"]} == {"done"}


def test_a_handover_is_shown_until_it_has_happened(running, shell):
    assert "takes it over" in shell("handover", "eu1").stdout
    assert json.loads(shell("status", "--json").stdout)["stores"][0]["handover"] is True


def test_an_order_of_which_nothing_could_be_read_is_shown(running, shell):
    running.chain.append([_unreadable(1009)])
    running.chain.flow()
    said = shell("order", "eu1/1009").stdout
    assert said.startswith("order eu1/1009: parked. What the store says of it could not be taken in: no JSON")
    assert "can't be read" in "".join(json.loads(shell("status", "--json").stdout)["problems"])
    running.arrives(an_order(id=1009))
    assert json.loads(shell("order", "eu1/1009", "--json").stdout)["reading"] == "posted"
    assert "can't be read" not in "".join(json.loads(shell("status", "--json").stdout)["problems"])


def _unreadable(order_id: int):
    from counterfoil_agent.snapshot import ORDER, tombstone_event

    return tombstone_event(order_id, ORDER, "0" * 64, 100, "no JSON")


@pytest.mark.parametrize("shell_name", ["bash", "zsh", "fish"])
def test_completion_is_there_for_each_shell(shell, shell_name):
    said = shell("completion", shell_name)
    assert said.exit_code == 0
    assert "_COUNTERFOIL_COMPLETE" in said.stdout
