"""`counterfoil rehearse` as people type it: the answer first, the sum last, JSON and an exit status for programs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from builders import a_fee, a_line, a_refund, an_order
from click.testing import CliRunner, Result
from counterfoil_engine.cli.commands import counterfoil
from counterfoil_engine.rehearsal import run
from counterfoil_engine.rehearsal.report import (
    CAUSES_SHOWN_MAX,
    ORDERS_SHOWN_MAX,
    Report,
    invariant,
    judge_books,
    judge_orders,
)
from rehearsal.checks import check, written

LAST_LINE = re.compile(
    r"rehearse: \d+ orders, \d+ posted, \d+ waiting, \d+ cancelled, \d+ filtered, \d+ cases, remainder \d+\.\d\d"
)


def _typed(*words: object) -> Result:
    return CliRunner().invoke(counterfoil, ["rehearse", *map(str, words)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    orders = [
        an_order(a_line("MUG", 2, "9.90"), a_fee("Gift card A1", "-3.00", tax_class="none"), id=1001),
        an_order(id=1002, status="pending", paid=None),
        an_order(id=1003, status="on-hold", paid=None),
        an_order(id=1004, refunds=[a_refund("1.00")]),
        an_order(id=1005, refunds=[a_refund("1.00", id=5002)]),
    ]
    cancelled = [an_order(id=1006, modified=None), an_order(id=1006, status="cancelled")]
    files = {"orders.json": orders, "h.json": {"snapshots": [{"order": each} for each in cancelled]}, "t.json": []}
    return written(tmp_path / "data", files)


def test_the_first_line_is_the_answer_and_the_last_one_the_sum(folder):
    done = _typed(folder, "--store", "eu1")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0].startswith("Every order ended right") and "2 as an explained case" in lines[0]
    assert lines[-1] == "rehearse: 6 orders, 1 posted, 1 waiting, 1 cancelled, 1 filtered, 2 cases, remainder 0.00"
    assert LAST_LINE.fullmatch(lines[-1])
    [mug] = [line for line in lines if line.startswith("eu1/1001 ")]
    assert "23.56 EUR" in mug or "20.56 EUR" in mug
    assert not re.search(r"\b\d{4}\b", mug.removeprefix("eu1/1001")), "amounts are decimals with their currency"


def test_json_is_the_report_and_nothing_else_before_and_after_the_name(folder):
    for words in (["--json", "rehearse", str(folder)], ["rehearse", str(folder), "--json"]):
        done = CliRunner().invoke(counterfoil, words)
        assert (done.exit_code, done.stderr) == (0, "")
        check(json.loads(done.stdout))


def test_a_trace_stands_beside_the_json_or_among_the_lines(folder):
    beside = _typed(folder, "--trace", "--json")
    check(json.loads(beside.stdout))
    assert "sequence 1.1: stored" in beside.stderr
    assert "sequence 1.1: stored" in _typed(folder, "--trace").stdout


def test_rules_are_saved_and_used_again(folder, tmp_path):
    saved = tmp_path / "rules.yaml"
    first = _typed(folder, "--write-rules", saved, "--json")
    again = _typed(folder, "--rules", saved, "--json")
    assert (first.exit_code, again.exit_code) == (0, 0)
    assert json.loads(again.stdout)["orders"] == json.loads(first.stdout)["orders"]
    assert CliRunner().invoke(counterfoil, ["rules", "check", str(saved)]).exit_code == 0


def test_the_real_command_writes_whole_lines_into_a_pipe_and_survives_one_that_is_cut(folder):
    command = [str(Path(sys.executable).with_name("counterfoil")), "rehearse", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert LAST_LINE.fullmatch(done.stdout.splitlines()[-1])
    assert "\x1b" not in done.stdout
    cut = subprocess.run(f"{' '.join(command)} | head -1", shell=True, capture_output=True, text=True, timeout=120)
    assert "Traceback" not in cut.stderr


def test_a_broken_invariant_is_said_first_and_sets_the_exit_status(folder, monkeypatch):
    monkeypatch.setattr(run, "_judge_replay", lambda *_: invariant("I6", ["eu1/1001/invoice"], "all again"))
    done = _typed(folder)
    assert done.exit_code == 1
    assert done.stdout.splitlines()[0] == "Not everything ended right: I6 broken (see below)."
    assert "not so: eu1/1001/invoice" in done.stdout


def test_books_that_disagree_and_orders_that_end_twice_or_unbalanced_are_found():
    ours, theirs = {("DE01", "receivable", "EUR"): (5, 5)}, {("DE01", "deposits", "EUR"): (5, 5)}
    found, remainder = judge_books(ours, theirs)
    assert (found["ok"], remainder) == (False, 10)
    assert judge_books(ours, ours) == (invariant("I3", [], "journal = ledger over 1 roles and currencies"), 0)
    document = {"kind": "sales_order", "reverses": None, "amount_minor": 1, "key": "a"}
    order = {"order": "eu1/1", "reading": "posted", "cases": [], "journal": [], "documents": [document]}
    assert [each["ok"] for each in judge_orders([order])] == [True, True]
    assert not judge_orders([{**order, "documents": [document, document]}])[0]["ok"]
    assert not judge_orders([{**order, "documents": []}])[0]["ok"]
    line = {"document": "a", "debit_minor": 1, "credit_minor": 0, "book_debit_minor": 1, "book_credit_minor": 1}
    assert not judge_orders([{**order, "journal": [line]}])[1]["ok"]


def test_much_is_shown_on_a_screen_or_two():
    """Thousands of orders, hundreds of causes: what a person should look at comes first, and the rest is counted."""
    case = {"category": "data", "remedy": "Mend it.", "rows": []}
    orders = [
        {
            "order": f"eu1/{n}",
            "reading": "parked" if n % 10 == 0 else "posted",
            "currency": "EUR",
            "total_minor": n,
            "documents": [],
            "proof": [],
            "cases": [{**case, "cause": f"Cause {n}."}] if n % 10 == 0 else [],
        }
        for n in range(5000)
    ]
    skipped = [{"path": f"{n}.json", "reason": f"reason {n}"} for n in range(500)]
    report = Report(orders=orders, skipped=skipped)

    class Shown:
        def __init__(self) -> None:
            self.lines: list[str] = []
            self.rows: list[list[str]] = []

        def line(self, text: str, style: str = "") -> None:
            self.lines.append(text)

        def table(self, columns, rows, title="", right=()) -> None:
            self.rows += rows

        def cases(self, rows) -> None:
            self.lines += [row["cause"] for row in rows]

        def amount(self, row) -> str:
            return ""

    shown = Shown()
    report.show(shown)
    assert len(shown.rows) == ORDERS_SHOWN_MAX
    assert {row[1] for row in shown.rows} == {"parked"}
    assert sum(line.startswith("Cause") for line in shown.lines) == CAUSES_SHOWN_MAX
    assert any("4950 more" in line for line in shown.lines)
    assert any("470 more causes" in line for line in shown.lines)
    assert len(shown.lines) < 60
