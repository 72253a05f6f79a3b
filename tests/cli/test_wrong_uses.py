"""Every command used wrongly, in five ways or more: each answer has a cause and a remedy, and never a stack trace."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from counterfoil_engine.cli.commands import counterfoil

LONG = "x" * 300

# Words after the command → exit status. {folder} is an empty folder, {rules} a good file, {bad} one with two faults.
WRONG: dict[str, list[tuple[list[str], int]]] = {
    "status": [
        (["--chek"], 2),
        (["now"], 2),
        (["--check=yes"], 2),
        (["--json=1"], 2),
        (["eu1", "eu2"], 2),
    ],
    "order": [
        ([], 2),
        (["1001"], 2),
        (["eu1/"], 2),
        (["/1001"], 2),
        (["eu1/1001/2"], 2),
        (["eu1/404"], 1),
        (["nowhere/1001"], 1),
        (["eu1/..%2f..%2fstatus"], 1),
        (["eu1/' or 1=1 --"], 1),
        (["eu1/\x00"], 1),
        ([f"eu1/{LONG}"], 2),
    ],
    "why": [
        ([], 2),
        (["eu"], 2),
        (["eu", "MUG-RED", "more"], 2),
        (["nowhere", "MUG-RED"], 1),
        (["nowhere", LONG], 1),
        (["--sku", "MUG-RED"], 2),
    ],
    "cases": [
        (["--limit", "0"], 2),
        (["--limit", "many"], 2),
        (["--limit"], 2),
        (["--category", LONG], 2),
        (["missing_mapping"], 2),
        (["--older-than", "yesterday"], 2),
        (["--min-amount", "much"], 2),
        (["--min-amount", "-1"], 2),
        (["--sort", "colour"], 2),
        (["--store", "\x00"], 1),
    ],
    "payouts": [(["--colour"], 2), (["tak"], 2), (["x", "y"], 2), (["--source"], 2), (["--json=1"], 2)],
    "payouts take": [
        ([], 2),
        (["{rules}"], 2),
        (["{folder}/none.csv", "--source", "stripe"], 1),
        (["{rules}", "--source"], 2),
        (["{rules}", "more", "--source", "stripe"], 2),
    ],
    "payouts list": [
        (["more"], 2),
        (["--limit", "0"], 2),
        (["--limit", "many"], 2),
        (["--limit"], 2),
        (["--source"], 2),
    ],
    "payouts show": [
        ([], 2),
        (["stripe"], 2),
        (["stripe/none"], 1),
        (["stripe/po", "more"], 2),
        (["--payout", "x"], 2),
    ],
    "payouts match": [
        ([], 2),
        (["stripe/po"], 2),
        (["stripe/po", "1"], 2),
        (["stripe/none", "1", "eu1/1/payment/x"], 1),
        (["stripe/po", "1", "x", "more"], 2),
    ],
    "payouts choose": [
        ([], 2),
        (["stripe/po"], 2),
        (["stripe/none", "x"], 1),
        (["stripe/po", "x", "more"], 2),
        (["--report", "x"], 2),
    ],
    "pay-refund": [
        ([], 2),
        (["eu1/1001"], 2),
        (["1001", "5001"], 2),
        (["eu1/1001", "5001"], 1),
        (["eu1/1001", "5001", "more"], 2),
    ],
    "clearing": [
        ([], 2),
        (["stripe", "more"], 2),
        (["stripe", "--since", "yesterday"], 2),
        (["stripe", "--until", "2026-13-01"], 2),
        (["stripe", "--entity"], 2),
    ],
    "refunds": [
        (["more"], 2),
        (["--since", "yesterday"], 2),
        (["--entity"], 2),
        (["--unmatched=maybe"], 2),
        (["--since"], 2),
    ],
    "sweep": [
        (["everything"], 2),
        (["stock", "--wait", "soon"], 2),
        (["stock", "--wait", "-1"], 2),
        (["--store"], 2),
        (["--dry-run=maybe"], 2),
    ],
    "slo": [(["--chek"], 2), (["now"], 2), (["--check=yes"], 2), (["--json=1"], 2), (["order_latency"], 2)],
    "alerts": [
        (["--limit", "0"], 2),
        (["--limit", "many"], 2),
        (["page"], 2),
        (["--all=1"], 2),
        (["--limit", "1001"], 2),
    ],
    "kpi": [
        (["--days", "0"], 2),
        (["--days", "401"], 2),
        (["--until", "yesterday"], 2),
        (["--until", "1999-12-31"], 1),
        (["--store"], 2),
        (["--store", "\x01"], 1),
    ],
    "breaks": [(["--colour"], 2), (["accpt"], 2), (["--json=1"], 2), (["x", "y"], 2), (["--state"], 2)],
    "breaks show": [([], 2), (["x"], 2), (["0"], 2), (["404"], 1), (["1", "2"], 2)],
    "breaks accept": [
        ([], 2),
        (["1"], 2),
        (["x", "--reason", "seen"], 2),
        (["0", "--reason", "seen"], 2),
        (["404", "--reason", "seen"], 1),
    ],
    "breaks heal": [([], 2), (["x"], 2), (["0"], 2), (["404"], 1), (["1", "--now"], 2)],
    "cases show": [([], 2), (["x"], 2), (["0"], 2), (["404"], 1), (["1", "2"], 2)],
    "cases assign": [([], 2), (["x", "anna"], 2), (["404", "anna"], 1), (["1", "nobody"], 1), (["1", "a", "b"], 2)],
    "cases snooze": [([], 2), (["1", "soon"], 2), (["404"], 1), (["1", "2020-01-01"], 1), (["1", "2026-13-01"], 2)],
    "cases comment": [([], 2), (["1"], 2), (["404", "hello"], 1), (["1", ""], 1), (["1", "\x00"], 1)],
    "cases retry": [([], 2), (["x"], 2), (["0"], 2), (["404"], 1), (["1", "--all"], 2)],
    "cases preview": [([], 2), (["x"], 2), (["404"], 1), (["1", "--set", "gateway"], 2), (["1", "--set", "a=b"], 1)],
    "cases correct": [
        ([], 2),
        (["1"], 2),
        (["1", "--reason", "typed twice"], 2),
        (["1", "--reason", "typed twice", "--patch", "{folder}/nowhere.json"], 1),
        (["1", "--reason", "typed twice", "--patch", "{binary}"], 1),
        (["1", "--reason", "typed twice", "--patch", "{rules}", "--body", "{rules}"], 2),
    ],
    "cases fill": [
        ([], 2),
        (["1"], 2),
        (["1", "--set", "gateway"], 2),
        (["1", "--set", "gateway="], 2),
        (["404", "--set", "gateway=stripe"], 1),
        (["1", "--set", "colour=red"], 1),
        (["1", "--set", "accept_unpaid=maybe"], 1),
    ],
    "retry": [
        ([], 2),
        (["order eu1/1001", "--category", "tax"], 2),
        (["order", "eu1/1001"], 2),
        (["--category"], 2),
        (["--category", LONG], 2),
        (["order eu1/404"], 1),
        (["--category", "no_such_category"], 2),
    ],
    "replay": [
        ([], 2),
        (["--since", "yesterday"], 2),
        (["--since", "2026-13-01"], 2),
        (["--since", "0001-01-01T00:00:00+23:00"], 2),
        (["--since", "2026-01-01", "eu1"], 2),
        (["--since", "2026-01-01", "--store", LONG], 1),
        (["--since", "2026-01-01", "--store", "nowhere"], 1),
    ],
    "rules check": [
        ([], 2),
        (["{folder}/nowhere.yaml"], 1),
        (["{folder}"], 1),
        (["{bad}"], 1),
        (["{binary}"], 1),
        (["{rules}", "{rules}"], 2),
    ],
    "rules load": [
        ([], 2),
        (["{folder}/nowhere.yaml"], 1),
        (["{folder}"], 1),
        (["{bad}"], 1),
        (["{binary}"], 1),
        (["{bad}", "--dry-run"], 1),
        (["{same}"], 1),
    ],
    "rules show": [(["eu1"], 2), (["--version-of", "x"], 2), (["--json=1"], 2), (["a", "b"], 2), (["-x"], 2)],
    "rules try": [
        ([], 2),
        (["{rules}"], 2),
        (["{rules}", "--since", "yesterday"], 2),
        (["{rules}", "--since", "2026-01-01", "--processes", "0"], 2),
        (["{folder}/nowhere.yaml", "--since", "2026-01-01", "--database", "sqlite:///{folder}/none.sqlite"], 1),
        (["{rules}", "--since", "2026-01-01", "--database", "sqlite:///{folder}/none.sqlite"], 1),
    ],
    "rules shadow": [
        ([], 2),
        (["{rules}"], 2),
        (["{rules}", "watch"], 2),
        (["{folder}/nowhere.yaml", "start"], 1),
        (["{bad}", "show"], 1),
        (["{rules}", "stop", "more"], 2),
    ],
    "rules": [(["chekc"], 2), (["--x"], 2), (["check load"], 2), (["Check"], 2), ([""], 2)],
    "restatements": [(["x"], 2), (["--approve"], 2), (["--json=1"], 2), (["a", "b"], 2), (["-x"], 2)],
    "approve": [([], 2), (["nothing-held"], 1), (["a", "b"], 2), ([LONG], 1), (["--version"], 2), ([""], 1)],
    "release-brake": [([], 2), (["DE01"], 1), (["nowhere"], 1), (["a", "b"], 2), ([LONG], 1)],
    "handover": [([], 2), (["nowhere"], 1), (["a", "b"], 2), ([LONG], 1), ([""], 1)],
    "stock": [(["passover"], 2), (["--x"], 2), (["pass over"], 2), (["Pass-over"], 2), ([""], 2)],
    "stock pass-over": [([], 2), (["eu1"], 1), (["nowhere"], 1), (["a", "b"], 2), ([LONG], 1), ([""], 1)],
    "switch": [
        ([], 2),
        (["eu1", "erp"], 2),
        (["eu1", "erp", "full"], 2),
        (["eu1", "pim", "on"], 2),
        (["nowhere", "erp", "off"], 1),
        (["eu1", "erp", "on"], 1),
    ],
    "confirm": [(["yes"], 2), (["--yes"], 2), (["--json=1"], 2), (["a", "b"], 2), (["-x"], 2)],
    "rehearse": [
        ([], 2),
        (["{folder}/nowhere"], 1),
        (["{folder}", "--rules", "{folder}/nowhere.yaml"], 1),
        (["{folder}", "--rules", "{bad}"], 1),
        (["{folder}", "--rules", "{rules}", "--write-rules", "{folder}/new.yaml"], 2),
        (["{folder}", "--write-rules", "{folder}"], 1),
        (["{folder}", "--write-rules", "{folder}/no/such/place.yaml"], 1),
        (["{folder}", "--store", "a/b"], 1),
        (["{folder}", "--trase"], 2),
    ],
    "serve": [
        (["--config", "{folder}/nowhere.toml"], 1),
        (["--config", "{folder}"], 1),
        (["--config", "{bad}"], 1),
        (["--role", "boss"], 2),
        (["--config", "{settings}", "--role", "worker"], 1),
        (["now"], 2),
    ],
    "feed": [
        (["--config", "{folder}/nowhere.toml"], 1),
        (["--config", "{folder}"], 1),
        (["--config", "{bad}"], 1),
        (["--config", "{settings}"], 1),
        (["--role", "api"], 2),
        (["now"], 2),
    ],
    "console": [
        (["--config", "{folder}/nowhere.toml"], 1),
        (["--config", "{folder}"], 1),
        (["--config", "{bad}"], 1),
        (["--config", "{settings}"], 1),
        (["--role", "api"], 2),
        (["now"], 2),
    ],
    "search": [([], 2), (["a", "b"], 2), ([""], 1), ([LONG], 1), (["--mail", "x"], 2), ([" "], 1)],
    "parties": [(["lsit"], 2), (["--x"], 2), (["hold release"], 2), (["Hold"], 2), ([""], 2)],
    "parties hold": [
        ([], 2),
        (["erp", "DE01"], 2),
        (["erp", "none", "--why", "x"], 1),
        (["erp", "DE01", "--why", "x", "--until", "soon"], 2),
        (["erp", "DE01", "--why", "x", "--until", "2020-01-01"], 1),
        (["erp", "DE01", "--why", ""], 1),
    ],
    "parties release": [([], 2), (["erp"], 2), (["erp", "none"], 1), (["erp", "DE01"], 1), (["erp", "DE01", "x"], 2)],
    "audit": [(["lsit"], 2), (["--x"], 2), (["list verify"], 2), (["List"], 2), ([""], 2)],
    "audit list": [
        (["anna"], 2),
        (["--since", "yesterday"], 2),
        (["--since"], 2),
        (["--limit", "0"], 2),
        (["--since", "9999-12-31T23:59:59-23:00"], 2),
    ],
    "audit verify": [
        (["now"], 2),
        (["--since", "2026-01-01"], 2),
        (["--pack", "{folder}/nowhere"], 1),
        (["--pack", "{binary}"], 1),
        (["--pack", "{folder}", "--key", "{rules}"], 1),
        (["--pack"], 2),
    ],
    "close": [(["chekc"], 2), (["--x"], 2), (["check lock"], 2), (["Check"], 2), ([""], 2)],
    "close check": [
        ([], 2),
        (["DE01"], 2),
        (["DE01", "2026-13"], 2),
        (["DE01", "October"], 2),
        (["nowhere", "2026-10"], 1),
        (["DE01", "2026-10", "more"], 2),
    ],
    "close lock": [
        ([], 2),
        (["DE01"], 2),
        (["DE01", "2026-10-01"], 2),
        (["nowhere", "2026-10"], 1),
        (["DE01", "2999-01"], 1),
        (["DE01", "9999-12"], 2),
    ],
    "close unlock": [
        ([], 2),
        (["DE01", "2026-10"], 1),
        (["nowhere", "2026-10"], 1),
        (["DE01", "2026-10", "--yes"], 2),
        ([LONG, "2026-10"], 1),
    ],
    "evidence": [(["pakc"], 2), (["--x"], 2), (["pack verify"], 2), (["Pack"], 2), ([""], 2)],
    "evidence keygen": [
        ([], 2),
        (["{rules}"], 1),
        (["{folder}"], 1),
        (["{folder}/no/such/place.key"], 1),
        (["{folder}/a", "{folder}/b"], 2),
    ],
    "evidence pack": [
        ([], 2),
        (["DE01", "2026-10"], 2),
        (["DE01", "October", "--out", "{folder}/pack"], 2),
        (["DE01", "2026-10", "--out", "{folder}/pack"], 1),
        (["DE01", "--out", "{folder}/pack"], 2),
    ],
    "evidence verify": [
        ([], 2),
        (["{folder}"], 2),
        (["{folder}", "--key", "{folder}/nowhere"], 1),
        (["{folder}", "--key", "{rules}"], 1),
        (["{folder}/nowhere", "--key", "{rules}"], 1),
        (["{binary}", "--key", "{rules}"], 1),
    ],
    "proposals": [(["lsit"], 2), (["--x"], 2), (["list show"], 2), (["List"], 2), ([""], 2)],
    "proposals list": [(["open"], 2), (["--limit", "0"], 2), (["--decided=1"], 2), (["--json=1"], 2), (["-x"], 2)],
    "proposals show": [([], 2), (["1"], 1), (["0"], 2), (["one"], 2), (["1", "2"], 2), ([LONG], 2)],
    "proposals approve": [([], 2), (["1"], 1), (["0"], 2), (["one"], 2), (["1", "2"], 2), (["--all"], 2)],
    "proposals reject": [
        ([], 2),
        (["1"], 2),
        (["1", "--reason", "wrong"], 1),
        (["1", "--reason", ""], 1),
        (["one", "--reason", "wrong"], 2),
        (["1", "2", "--reason", "wrong"], 2),
    ],
    "users": [(["ad"], 2), (["--x"], 2), (["add remove"], 2), (["Add"], 2), ([""], 2)],
    "users list": [(["anna"], 2), (["--all"], 2), (["--json=1"], 2), (["a", "b"], 2), (["-x"], 2)],
    "users add": [
        ([], 2),
        (["anna"], 2),
        (["anna", "--role", "owner"], 2),
        (["anna", "--role", "viewer", "--days", "0"], 2),
        (["operator", "--role", "viewer"], 1),
        ([LONG, "--role", "viewer"], 1),
        (["Anna Schmidt", "--role", "viewer"], 1),
    ],
    "users rotate": [([], 1), (["nobody"], 1), (["a", "b"], 2), (["--days", "many"], 2), ([LONG], 1)],
    "users password": [
        (["nobody", "--password", "four words of one's own"], 1),
        (["--password", "four words of one's own"], 1),
        (["nobody", "--password", "short"], 1),
        (["a", "b", "--password", "four words of one's own"], 2),
        (["nobody", "--password"], 2),
        ([LONG, "--password", "four words of one's own"], 1),
    ],
    "users remove": [([], 2), (["nobody"], 1), (["a", "b"], 2), ([LONG], 1), (["operator"], 1), (["--all"], 2)],
    "erp": [(["chek"], 2), (["--x"], 2), ([""], 2), (["check all"], 2), (["Check"], 2)],
    "erp check": [
        ([], 2),
        (["http"], 1),
        (["http", "more"], 2),
        (["http", "--config", "{folder}/none.toml"], 1),
        (["http", "--config", "{folder}"], 1),
        (["http", "--config", "{binary}"], 1),
        (["http", "--config", "{settings}"], 1),
        (["sandbox", "--only", "no such check"], 1),
        (["http", "--config"], 2),
    ],
    "erp setup": [(["nothing"], 2), (["--x"], 2), ([""], 2), (["tryton DE01"], 2), (["Tryton"], 2)],
    "erp setup tryton": [
        ([], 2),
        (["DE01"], 2),
        (["DE01", "--config"], 2),
        (["DE01", "--config", "{folder}/none.toml"], 1),
        (["DE01", "--config", "{folder}"], 1),
        (["DE01", "FR01", "--config", "{settings}"], 2),
        (["nowhere", "--config", "{settings}"], 1),
    ],
    "erp roles": [(["DE01"], 1), (["FR01"], 1), ([LONG], 1), (["DE01", "FR01"], 2), (["--all"], 2), (["a b"], 1)],
    "erp beside": [([], 2), (["DE01"], 1), (["nowhere"], 1), (["DE01", "old"], 2), ([LONG], 1), (["--yes"], 2)],
    "erp alone": [([], 2), (["DE01"], 1), (["nowhere"], 1), (["DE01", "old"], 2), ([LONG], 1), (["--yes"], 2)],
    "erp hand-over": [
        ([], 2),
        (["DE01"], 1),
        (["nowhere", "--back"], 1),
        (["DE01", "--bak"], 2),
        (["DE01", "new"], 2),
        ([LONG], 1),
    ],
    "erp taken-over": [
        ([], 2),
        (["nowhere"], 1),
        (["nowhere", "--link"], 1),
        (["eu1", "us1"], 2),
        (["eu1", "--post"], 2),
        ([LONG], 1),
    ],
    "completion": [([], 2), (["tcsh"], 2), (["bash", "zsh"], 2), (["--bash"], 2), ([""], 2)],
}


@pytest.fixture
def places(tmp_path: Path, running) -> dict[str, str]:
    from cli.conftest import RULES

    folder = tmp_path / "folder"
    folder.mkdir()
    files = {
        "rules": RULES.encode(),
        "bad": b"rules: x\nstores: 7\nnothing: 8\n",
        "binary": b"\xff\xfe\x00",
        "same": RULES.replace("gateway: bacs", "gateway: other").encode(),
        "settings": f'[engine]\ndatabase = "sqlite:///{tmp_path}/other.sqlite"\n'.encode(),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    return {"folder": str(folder)} | {name: str(tmp_path / name) for name in files}


def _all(group: click.Group = counterfoil, under: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command and group, by its words."""
    for name, each in group.commands.items():
        yield f"{under}{name}", each
        if isinstance(each, click.Group):
            yield from _all(each, f"{under}{name} ")


COMMANDS = dict(_all())


def test_every_command_is_used_wrongly_here_in_five_ways_at_least():
    assert set(WRONG) == set(COMMANDS)
    assert all(len(uses) >= 5 for uses in WRONG.values())


def test_a_wrong_use_is_answered_with_cause_and_remedy(places, shell):
    for name, uses in WRONG.items():
        for words, status in uses:
            asked = [*name.split(), *(re.sub(r"{(\w+)}", lambda found: places[found[1]], word) for word in words)]
            plain = shell(*asked)
            assert (plain.exit_code, plain.stdout) == (status, ""), (asked, plain.output)
            cause, _, remedy = plain.stderr.strip().rpartition("\n")
            assert cause.strip() and remedy.strip(), (asked, plain.stderr)
            assert "unforeseen" not in plain.stderr, (asked, plain.stderr)
            told = json.loads(shell("--json", *asked).stdout)["error"]
            assert set(told) == {"category", "cause", "remedy"}
            assert told["cause"] and told["remedy"], asked


def test_a_command_that_is_none_is_answered_with_cause_and_remedy(shell):
    for words in (["statsu"], ["--url"], ["--colour", "status"], [""], ["-x"], ["--json", "nothing"]):
        wrong = shell(*words)
        assert wrong.exit_code == 2, words
        assert "--help" in wrong.output


@pytest.mark.parametrize("name", COMMANDS)
def test_help_describes_the_command_with_an_example_and_its_exit_status(name, shell):
    said = shell(*name.split(), "--help")
    assert said.exit_code == 0
    text = " ".join(said.stdout.split())
    assert "Usage: counterfoil" in text
    if not isinstance(COMMANDS[name], click.Group):
        assert f"Example: counterfoil {name}" in text
        assert "Exit status: 0" in text


def test_no_unforeseen_failure_shows_a_stack_trace(monkeypatch):
    monkeypatch.setattr("counterfoil_engine.cli.commands.Context.client", property(lambda _: 1 / 0))
    broken = CliRunner().invoke(counterfoil, ["status"])
    assert broken.exit_code == 1
    assert "unforeseen" in broken.stderr and "ZeroDivisionError" in broken.stderr
    assert "Traceback" not in broken.output
