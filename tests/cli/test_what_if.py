"""Rules that are tried before they are in force, over the database of an engine that runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from builders import a_line, an_order
from cli.conftest import RULES, Running

MERCHANDISE = RULES.replace("rules: one", "rules: tried").replace("class: goods", "class: merchandise")
WITHOUT_BACS = RULES.replace("rules: one", "rules: tried").split("payment_methods:")[0]
WITH_KLARNA = RULES.replace("rules: one", "rules: tried").replace("method: bacs", 'method: "*"')


@pytest.fixture
def tried(running: Running, shell, tmp_path: Path):
    """What `counterfoil rules try` answers, as JSON or as people read it."""

    def asked(text: str, *words: object, as_json: bool = True) -> Any:
        file = tmp_path / "tried.yaml"
        file.write_text(text)
        options = ["--json"] if as_json else []
        words = words or ("--since", "2020-01-01")
        result = shell(*options, "rules", "try", file, "--database", running.chain.database.url, *words)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout) if as_json else result.stdout

    return asked


def test_another_class_moves_revenue_between_its_accounts_and_nothing_is_written(running: Running, tried):
    before = running.written()
    said = tried(MERCHANDISE)
    assert (said["in_force"], said["tried"], said["subjects"], said["differ"]) == ("one", "tried", 4, 2)
    moved = {each["role"]: each["difference_minor"] for each in said["accounts"]}
    assert moved["revenue:goods"] == -moved["revenue:merchandise"] > 0
    assert len(moved) == 2
    assert running.written() == before


def test_what_a_try_says_is_what_is_then_held_of_posted_documents(running: Running, tried, shell, tmp_path: Path):
    said = tried(MERCHANDISE)
    assert shell("rules", "load", tmp_path / "tried.yaml").exit_code == 0
    running.chain.look_at_all_again()
    (held,) = json.loads(shell("--json", "restatements").stdout)["held"]
    assert (held["version"], held["subjects"]) == ("tried", said["differ"])
    assert held["slots"] == sum(each["documents"] for each in said["documents"])
    assert held["standing_minor"] == sum(each["before_minor"] for each in said["documents"])
    assert held["due_minor"] == sum(each["after_minor"] for each in said["documents"])


def test_orders_that_would_park_are_shown_with_the_missing_row(tried):
    park = tried(WITHOUT_BACS)["park"]
    assert [(each["subjects"], each["rows"][0]["method"]) for each in park["causes"]] == [(2, "bacs")]
    told = tried(WITHOUT_BACS, as_json=False)
    assert "2 would park" in told
    assert "missing row: payment_methods: {" in told and "method: bacs" in told
    assert "such as order eu1/1001, order eu1/1002" in told


def test_orders_that_are_parked_and_would_go_on_are_counted(tried):
    said = tried(WITH_KLARNA)
    assert (said["resume"], said["park"]["subjects"]) == (2, 0)
    assert {each["how"] for each in said["documents"]} == {"new"}


def test_rules_that_change_nothing_say_so(tried):
    assert "Nothing would differ." in tried(RULES.replace("rules: one", "rules: tried"), as_json=False)


def test_people_read_documents_months_accounts_and_orders(tried):
    told = tried(MERCHANDISE, as_json=False)
    for words in ("posted anew", "revenue:merchandise", "By the documents' own months", "eu1/1001/invoice/acceptance"):
        assert words in told


def test_only_orders_since_then_and_of_that_store_are_looked_at(running: Running, tried):
    assert tried(MERCHANDISE, "--since", "2100-01-01")["subjects"] == 0
    assert tried(MERCHANDISE, "--since", "2020-01-01", "--store", "us1")["subjects"] == 0
    noon = running.chain.clock.now()
    running.chain.clock.sleep(60)
    running.arrives(an_order(a_line("CUP"), id=1005))
    assert tried(MERCHANDISE, "--since", noon.isoformat())["subjects"] == 1


def test_a_try_without_a_database_or_with_faulty_rules_says_what_to_do(running, shell, tmp_path, monkeypatch):
    monkeypatch.delenv("COUNTERFOIL_DATABASE", raising=False)
    file = tmp_path / "tried.yaml"
    file.write_text(RULES)
    nowhere = shell("rules", "try", file, "--since", "2026-01-01")
    assert nowhere.exit_code == 2 and "COUNTERFOIL_DATABASE" in nowhere.stderr
    gone = shell("rules", "try", file, "--since", "2026-01-01", "--database", f"sqlite:///{tmp_path}/none.sqlite")
    assert gone.exit_code == 1 and "can't be read" in gone.stderr
    file.write_text("rules: [")
    faulty = shell("rules", "try", file, "--since", "2026-01-01", "--database", running.chain.database.url)
    assert faulty.exit_code == 1 and "line 2" in faulty.stderr


@pytest.fixture
def shadow(running: Running, shell, tmp_path: Path):
    """What `counterfoil rules shadow FILE …` answers."""

    def asked(do: str, text: str = MERCHANDISE, status: int = 0) -> Any:
        file = tmp_path / "shadow.yaml"
        file.write_text(text)
        result = shell("--json", "rules", "shadow", file, do)
        assert result.exit_code == status, result.output
        return json.loads(result.stdout)

    return asked


TOTALS = ("subjects", "differ", "documents", "months", "accounts", "park", "resume", "named")


@pytest.mark.parametrize("text", [MERCHANDISE, WITHOUT_BACS, WITH_KLARNA], ids=["class", "parks", "resumes"])
def test_a_shadow_shows_the_totals_that_a_try_shows(running: Running, shadow, tried, text: str):
    assert shadow("start", text) == {"version": "tried", "runs": True}
    running.chain.look_at_all_again()
    told, expected = shadow("show", text), tried(text)
    assert told["differ"] > 0
    assert {name: told[name] for name in TOTALS} == {name: expected[name] for name in TOTALS}


def test_rules_in_shadow_post_nothing_open_no_case_and_hold_no_restatement(running: Running, shadow, shell):
    before = running.written()
    shadow("start", WITHOUT_BACS)
    running.chain.look_at_all_again()
    assert {name: running.written()[name] for name in ("intents", "journal")} == {
        name: before[name] for name in ("intents", "journal")
    }
    assert [row["cause"] for row in running.written()["cases"]] == [row["cause"] for row in before["cases"]]
    assert json.loads(shell("--json", "restatements").stdout)["held"] == []


def test_a_new_order_is_computed_by_both_as_it_comes(running: Running, shadow):
    shadow("start")
    running.arrives(an_order(a_line("CUP"), id=1005))
    told = shadow("show")
    assert [each["subject"] for each in told["named"]] == ["order eu1/1005"]


def test_what_no_longer_differs_is_no_longer_shown(running: Running, shadow, shell, tmp_path: Path):
    shadow("start")
    running.chain.look_at_all_again()
    assert shadow("show")["differ"] == 2
    shell("rules", "load", tmp_path / "shadow.yaml")
    running.chain.look_at_all_again()
    assert shadow("show")["differ"] == 0


def test_one_shadow_runs_at_a_time_and_a_stopped_one_is_still_shown(running: Running, shadow):
    shadow("start")
    other = WITHOUT_BACS.replace("rules: tried", "rules: other")
    assert "run in shadow already" in shadow("start", other, status=1)["error"]["cause"]
    running.chain.look_at_all_again()
    assert shadow("stop") == {"version": "tried", "runs": False}
    running.arrives(an_order(a_line("CUP"), id=1005))
    told = shadow("show")
    assert (told["runs"], told["differ"]) == (False, 2)
    assert "don't run in shadow" in shadow("stop", status=1)["error"]["cause"]
    shadow("start", other)
    assert "don't run in shadow" in shadow("show", status=1)["error"]["cause"]


def test_people_read_what_a_shadow_found(running: Running, shadow, shell, tmp_path: Path):
    shadow("start")
    running.chain.look_at_all_again()
    told = shell("rules", "shadow", tmp_path / "shadow.yaml", "show").stdout
    assert "tried runs in shadow since" in told and "revenue:merchandise" in told
