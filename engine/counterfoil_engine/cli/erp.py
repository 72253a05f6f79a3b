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


ENTITY = click.argument("entity", metavar="ENTITY")


@command("roles", erp)
@click.argument("entity", metavar="[ENTITY]", required=False)
def erp_roles(context: Context, entity: str | None) -> None:
    """Which ERP counts, of the entities that have two; which runs beside, how far it is, and what it has otherwise.

    Example: counterfoil erp roles DE01
    """
    if entity is None:
        context.answer(context.client.get("erps"), lambda value: _show_roles(value["erps"]))
    else:
        context.answer(context.client.get("erps", entity), _show_role)


@command("beside", erp)
@ENTITY
def erp_beside(context: Context, entity: str) -> None:
    """Let the next ERP ([successor.ENTITY] in the settings) run beside: it is given all that stands, and what will.

    What it refuses or has otherwise parks no order. Example: counterfoil erp beside DE01
    """
    context.answer(_changed(context, entity, "beside"), _show_role)


@command("alone", erp)
@ENTITY
def erp_alone(context: Context, entity: str) -> None:
    """Let no other ERP run beside the one that counts; what it was given stays there.

    Example: counterfoil erp alone DE01
    """
    context.answer(_changed(context, entity, "alone"), _show_role)


@command("hand-over", erp)
@ENTITY
@click.option("--back", is_flag=True, help="stop handing over: all is as it was before")
def erp_hand_over(context: Context, entity: str, back: bool) -> None:
    """Let the ERP beside take over, as soon as it has all that stands, document by document.

    Until then nothing new is posted; stores go on, and what is due waits for some seconds.

    Example: counterfoil erp hand-over DE01
    """
    context.answer(_changed(context, entity, "back" if back else "hand-over"), _show_role)


@command("taken-over", erp)
@click.argument("store")
@click.option("--link", is_flag=True, help="keep the ERP's numbers of what is found; its refunds then refer to them")
def erp_taken_over(context: Context, store: str, link: bool) -> None:
    """What was made before a store's start line, and what the ERP has of it: found by the rules' old_references.

    Nothing of it is posted or changed there, whatever is found. Example: counterfoil erp taken-over eu1
    """
    if link:
        context.answer(context.client.post("taken-over", body={"store": store}), _show_taken_over)
    else:
        context.answer(context.client.get("taken-over", store), _show_taken_over)


def _show_taken_over(value: dict[str, Any]) -> None:
    if not value["kinds"]:
        show.line(f"Nothing was made before the start line of {value['store']}.")
    rows = [[row["kind"], row["outcome"], row["documents"]] for row in value["kinds"]]
    show.table(["kind", "in the ERP", "documents"], rows, right=["documents"])
    unlinked = [[row["key"], row["cause"], row["remedy"]] for row in value["unlinked"]]
    show.table(["not linked", "why", "what to do"], unlinked)
    if value["is_linked"]:
        show.line(f"{value['new']} document(s) are linked by now that weren't before.")
    elif value["new"]:
        show.line(f"{value['new']} document(s) can be linked: counterfoil erp taken-over {value['store']} --link")


def _changed(context: Context, entity: str, to: str) -> dict[str, Any]:
    return context.client.post("erps", body={"entity": entity, "to": to})


def _show_roles(rows: Sequence[dict[str, Any]]) -> None:
    if not rows:
        show.line("Each entity has one ERP, which counts.")
    columns = ["entity", "counts", "since", "beside", "has", "lacks", "refuses", "state"]
    show.table(columns, [_role(row) for row in rows], right=("has", "lacks", "refuses"))


def _role(row: dict[str, Any]) -> list[Any]:
    state = "hands over" if row["is_handing_over"] else "side by side" if row["beside"] else "alone"
    numbers = [row.get("done"), row.get("behind"), row.get("refused")]
    return [row["entity"], row["counts"], row["since"], row["beside"], *numbers, state]


def _show_role(row: dict[str, Any]) -> None:
    _show_roles([row])
    refusals = [[one["documents"], one["cause"], one["remedy"], one["key"]] for one in row["refusals"]]
    show.table(["documents", "refused since", "what to do", "such as"], refusals)
    if row.get("differing"):
        show.line(f"{row['beside']} has {row['differing']} document(s) otherwise than they stand:", "red")
        show.table(["key", "number", "", "cause"], [list(one.values()) for one in row["documents"]])
