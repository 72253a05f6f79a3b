"""`counterfoil erp`: whether an ERP holds to what its adapter has to promise."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from counterfoil_engine.cli import show
from counterfoil_engine.cli.commands import Context, command, counterfoil
from counterfoil_engine.cli.erp_trial import Place, place_of, sandbox
from counterfoil_engine.conformance.check import Check, Result
from counterfoil_engine.conformance.checks import ALL
from counterfoil_engine.conformance.run import conform, verdict
from counterfoil_engine.domain.errors import CounterfoilError

COLOURS = {"passed": "green", "failed": "bold red", "not promised": "yellow", "not tried": "bold red"}


@counterfoil.group("erp")
def erp() -> None:
    """ERPs: does one keep the port's promises?"""


@command(
    "check",
    erp,
    exit_status="Exit status: 0 all that counts was passed, 1 something was not, 2 wrong usage.",
)
@click.argument("adapter")
@click.option("--config", type=click.Path(path_type=Path), help="TOML file with [erp] and [company]; see the runbook")
@click.option("--only", multiple=True, help="only checks with this in their name or topic; may be given several times")
@click.option("--yes", is_flag=True, help="post into that company without asking")
def erp_check(context: Context, adapter: str, config: Path | None, only: Sequence[str], yes: bool) -> int:
    """Try every promise of the ERP port on an ERP, in a company for trials, and say what its supplier has to change.

    ADAPTER is one that the engine has (http, …), or `sandbox`: a sandbox ERP is then started and set up for it.
    Documents of a made-up shop are posted, so never name a company whose books count; each run has keys of its own,
    so it may be repeated there.

    Example: counterfoil erp check http --config trials.toml
    """
    checks = _chosen(only)
    with _at(adapter, config) as place:
        trial = place.trial()
        if not (health := trial.erp.health()).ok:
            raise CounterfoilError(f"The ERP doesn't work: {health.detail}", "Start it, then check it again.", "outage")
        if not yes and adapter != "sandbox":
            asked = f"Post made-up documents into {place.company.entity} at {place.url}: is it a company for trials?"
            click.confirm(asked, abort=True, err=True)
        if not context.as_json:
            show.line(f"Run {trial.run} on {place.company.entity} at {place.url}, adapter {place.adapter}.", "bold")
            show.line("Its documents have keys of this run; what it leaves there is for nobody's books.")
        results = []
        for result in conform(trial, checks):
            results.append(result)
            if not context.as_json:
                _show_progress(result, results)
    passed, counting = verdict(results)
    answer = {
        "run": trial.run,
        "entity": place.company.entity,
        "adapter": place.adapter,
        "checks": [result.as_json() for result in results],
        "passed": passed,
        "of": counting,
    }
    context.answer(answer, lambda value: _show_end(results, value))
    return int(passed < counting)


def _chosen(only: Sequence[str]) -> list[Check]:
    wanted = [word.lower() for word in only]
    checks = [
        check for check in ALL if not wanted or any(word in f"{check.topic} {check.name}".lower() for word in wanted)
    ]
    if not checks:
        raise CounterfoilError(f"No check has {only[0]!r} in its name or topic.", "Leave --only away to see them all.")
    return checks


@contextlib.contextmanager
def _at(adapter: str, config: Path | None) -> Iterator[Place]:
    if adapter == "sandbox":
        with sandbox() as place:
            yield place
    else:
        yield place_of(adapter, config)


def _show_progress(result: Result, results: Sequence[Result]) -> None:
    if len(results) == 1 or results[-2].check.topic != result.check.topic:
        show.line("")
        show.line(result.check.topic, "bold")
    show.line(f"  {result.state:<12}  {result.check.name}: {result.came}", COLOURS[result.state])


def _show_end(results: Sequence[Result], answer: dict[str, Any]) -> None:
    """What is to be handed to the supplier: what was not kept, and the last line."""
    wrong = [result for result in results if result.state != "passed" and result.counts]
    if wrong:
        show.line("")
        show.line("What has to be changed", "bold")
    for number, result in enumerate(wrong, start=1):
        check = result.check
        show.line("")
        show.line(f"{number}. {check.topic}: {check.name} ({result.state})", "bold")
        rows = [("Did", check.did), ("Expected", check.expected), ("Came", result.came), ("Change", check.change)]
        show.table(["", ""], rows)
    left_out = [result for result in results if not result.counts]
    show.line("")
    if left_out:
        names = ", ".join(result.check.name for result in left_out)
        show.line(f"Not promised, and not counted: {names}. The engine works without, slower or with less proof.")
    show.line(f"conformance: {answer['passed']} of {answer['of']} passed", "bold")
