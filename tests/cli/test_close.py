"""Closing at the command line, over real orders."""

from __future__ import annotations

import json
from datetime import datetime


def test_a_period_is_checked_line_by_line(running, shell):
    period = _period_of_the_orders(running)
    said = shell("close", "check", "DE01", period)
    assert said.exit_code == 1  # two orders wait for a mapping
    assert said.stdout.splitlines()[0] == f"DE01 {period}: 2 line(s) ought to be settled."
    assert "orders not in the ERP" in said.stdout and "open cases" in said.stdout
    assert "tax of the period" in said.stdout and "closing balance" in said.stdout
    told = json.loads(shell("close", "check", "DE01", period, "--json").stdout)
    by_name = {(line["name"], line["detail"]): line for line in told["lines"]}
    assert by_name["orders not in the ERP", "parked"]["subjects"] == ["order eu1/1003", "order eu1/1004"]
    assert by_name["debits less credits", "book currency"]["ours"] == 0


def test_a_locked_period_stays_locked_until_it_is_opened(running, shell):
    period = _period_of_the_orders(running)
    if period == datetime.now().strftime("%Y-%m"):
        assert "is not over" in shell("close", "lock", "DE01", period, "--yes").stderr
        return
    asked = shell("close", "lock", "DE01", period)
    assert asked.exit_code == 1 and "is not settled" in asked.stderr
    assert shell("close", "lock", "DE01", period, "--yes").stdout == f"DE01 {period} is locked.\n"
    assert "Locked by operator." in shell("close", "check", "DE01", period).stdout
    assert shell("close", "unlock", "DE01", period).stdout == f"DE01 {period} is open again.\n"


def _period_of_the_orders(running) -> str:
    with running.chain.database.transaction() as tx:
        row = tx.one("select max(posting_date) as day from journal")
    return row["day"][:7]
