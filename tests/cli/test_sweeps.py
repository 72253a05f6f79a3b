"""Sweeps and breaks as people type them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from cli.conftest import Running
from click.testing import Result
from counterfoil_engine.domain.breaks import Found
from counterfoil_engine.records import breaks

Shell = Callable[..., Result]


def a_break(running: Running, subject: str = "order eu1/7", **more: Any) -> int:
    found = Found("orders", "eu1", subject, "unknown", "It isn't there.", "Look for it.", units=-1, **more)
    with running.chain.database.transaction() as tx:
        breaks.keep(tx, [(found, "proposed", "propose (default)")])
        return breaks.ids_of(tx, "orders", "eu1", [subject])[subject, "unknown"]


def test_no_break_is_said_as_a_sentence(running: Running, shell: Shell) -> None:
    assert "No break stands." in shell("breaks").output


def test_breaks_are_listed_with_class_size_age_state_and_policy(running: Running, shell: Shell) -> None:
    number = a_break(running, amount_minor=-11900, currency="EUR")
    said = shell("breaks").output
    for part in ("order eu1/7", "unknown", "-1 units, -119.00 EUR", "0 min", "proposed", "propose (default)"):
        assert part in said
    (one,) = json.loads(shell("breaks", "--json").output)["breaks"]
    assert (one["id"], one["amount_minor"], one["remedy"]) == (number, -11900, "Look for it.")


def test_a_break_is_accepted_for_a_reason_which_its_history_and_the_audit_log_keep(
    running: Running, shell: Shell
) -> None:
    number = a_break(running)
    assert shell("breaks", "accept", str(number)).exit_code == 2, "a reason is needed"
    assert f"Break {number} is accepted." in shell("breaks", "accept", str(number), "--reason", "on purpose").output
    assert "No break stands." in shell("breaks").output
    assert "accepted: on purpose" in shell("breaks", "show", str(number)).output
    assert "accept break" in str(running.written()["audit"])


def test_healing_begins_a_repair_and_says_of_what(running: Running, shell: Shell) -> None:
    numbers = [str(a_break(running)), str(a_break(running, "order eu1/8"))]
    said = shell("breaks", "heal", *numbers).output
    assert "The repair of order eu1/7 has begun." in said and "order eu1/8" in said
    assert "healing" in shell("breaks").output


def test_a_break_that_there_is_not_is_said_with_what_helps(running: Running, shell: Shell) -> None:
    said = shell("breaks", "heal", "99")
    assert said.exit_code == 1 and "There is no break 99." in said.output and "counterfoil breaks" in said.output


def test_a_store_whose_agent_answers_no_sweeps_is_said_so(running: Running, shell: Shell) -> None:
    said = shell("sweep", "stock", "--store", "eu1")
    assert said.exit_code == 1 and "eu1" in said.output and "Traceback" not in said.output
