"""Fifteen hundred bad requests among the tests, and what the generators promise."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
from counterfoil_engine import demo
from fuzz import attacks, mutate
from fuzz.attacks import Keys, attack

TESTS = Path(__file__).parents[1]
TIMEOUT_S = 600  # on a machine that has much else to do; by itself it takes less than one minute


@pytest.mark.slow
def test_bad_requests_break_nothing_and_the_good_between_them_arrive() -> None:
    command = [sys.executable, "-m", "fuzz", "--requests", "1500", "--seed", "1"]
    ended = subprocess.run(command, cwd=TESTS, capture_output=True, text=True, timeout=TIMEOUT_S)
    said = ended.stdout + ended.stderr
    assert ended.returncode == 0, said
    assert re.fullmatch(r"fuzz: 15\d\d requests, 0 server errors, 0 good events missing", said.splitlines()[-1]), said


@pytest.fixture
def keys() -> Keys:
    attacks.set_rules(demo.rules())
    names = ("api", "erp", "hook", "shop", "good", "hostile")
    return Keys({name: f"secret of {name}" for name in names}, "zqbcdfghjklm")


def test_a_seed_and_a_number_make_the_same_request_again(keys: Keys) -> None:
    one, same = (attack(keys, random.Random("7 42")) for _ in range(2))
    assert (one.what, one.method, one.path) == (same.what, same.method, same.path)


def test_requests_go_to_all_three_and_each_can_be_put_into_bytes(keys: Keys) -> None:
    made = [attack(keys, random.Random(f"1 {number}")) for number in range(400)]
    assert {each.target for each in made} == {"engine", "webhook", "erp"}
    assert all(isinstance(each.to_bytes(), bytes) for each in made)


def test_what_a_hostile_request_does_by_right_never_names_a_good_store(keys: Keys) -> None:
    """Else a good event might be missing by right, and the run would prove nothing."""
    for number in range(600):
        made = attack(keys, random.Random(f"2 {number}"))
        if made.target == "engine" and made.path.startswith(("/v1/switch", "/v1/handover", "/v1/replay")):
            assert b'"good"' not in made.body and b'"shop"' not in made.body


def test_raw_pieces_stand_in_the_json_as_they_are() -> None:
    assert mutate.encoded({"a": [mutate.Raw(b"NaN"), "x"]}) == b'{"a":[NaN,"x"]}'
    assert mutate.encoded({"ä": "\ud800"}) == b'{"\xc3\xa4":"\xed\xa0\x80"}'
