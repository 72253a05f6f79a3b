"""Rules tried for people who don't wait at a terminal: one process computes, whoever asks can look how far it is."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from counterfoil_engine.domain.errors import Unavailable
from counterfoil_engine.ports import Caller, Rejected
from counterfoil_engine.records import trials
from counterfoil_engine.work.rules_file import parse_rules
from counterfoil_engine.work.trials import OPEN_MAX, Trials

CARL = Caller("carl", "controller")
SINCE = datetime(2026, 10, 1, tzinfo=UTC)
TEXT = "rules: two\nentities:\n  - {id: DE01, book_currency: EUR, zone: UTC, country: DE}\n"
TEXT += "stores:\n  - {id: eu1, entity: DE01, start_line: 2020-01-01T00:00:00Z}\n"


def finds_two(text, since, told):
    told(1_000)
    return {"differ": 2, "text": text, "since": since.isoformat()}


def some(world, tries=finds_two):
    return Trials(world.records, trials, parse_rules, tries)


def test_a_trial_waits_is_computed_once_and_says_what_it_came_to(world):
    tried = some(world)
    number = tried.ask(TEXT, SINCE, CARL)
    assert (tried.show(number)["state"], tried.show(number)["version"]) == ("waiting", "two")
    assert tried.step() and not tried.step()
    shown = tried.show(number)
    assert (shown["state"], shown["looked_at"], shown["asked_by"]) == ("done", 1_000, "carl")
    assert shown["result"] == {"differ": 2, "text": TEXT, "since": SINCE.isoformat()}


def test_one_that_fails_says_why(world):
    def fails(text, since, told):
        raise Unavailable("The database can't be read.", "Try again.")

    tried = some(world, fails)
    number = tried.ask(TEXT, SINCE, CARL)
    assert tried.step()
    assert (tried.show(number)["state"], tried.show(number)["cause"]) == ("failed", "The database can't be read.")


def test_one_whose_process_ended_is_over_after_a_while(world):
    tried = some(world)
    number = tried.ask(TEXT, SINCE, CARL)
    with world.database.transaction() as tx:
        assert trials.begin(tx, number) and not trials.begin(tx, number)
    world.clock.pass_time(601)
    assert not tried.step()
    assert tried.show(number)["cause"] == "The process that computed it has ended."


def test_what_is_no_rules_and_the_one_too_many_are_refused(world):
    tried = some(world)
    with pytest.raises(Rejected, match="The rules"):
        tried.ask("rules: two\nentitys: []\n", SINCE, CARL)
    for _ in range(OPEN_MAX):
        tried.ask(TEXT, SINCE, CARL)
    with pytest.raises(Rejected, match="wait already"):
        tried.ask(TEXT, SINCE, CARL)
