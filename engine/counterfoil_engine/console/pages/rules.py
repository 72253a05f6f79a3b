"""The rules: what is in force, how versions differ, what others would change, and what waits for a second person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from typing import Annotated, Any

import msgspec
from flask import Blueprint, Response, request

from counterfoil_engine.api.requests import Strict
from counterfoil_engine.console.access import caller
from counterfoil_engine.console.filters import many
from counterfoil_engine.console.forms import Line, form, number_of, query
from counterfoil_engine.console.layout import go, page, tell
from counterfoil_engine.console.parts import Console

Row = Mapping[str, Any]

_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=500_000)]


class _Rules(Strict):
    text: _Text
    since: date | None = None


class _Version(Strict):
    version: Line


def rules_pages(at: Blueprint, does: Console) -> None:
    _versions(at, does)
    _trials(at, does)
    _restatements(at, does)


def _versions(at: Blueprint, does: Console) -> None:
    @at.get("/rules")
    def rules() -> Response:
        said, waiting = does.commands.rules(), does.control.four_eyes.list(False, 100)
        held = does.commands.by(caller()).restatements()["held"]
        return page(
            "rules.html",
            of="rules",
            answer=answer(said, waiting["proposals"], held),
            trials=does.trials.list(),
            waiting=waiting,
            held=held,
            **said,
        )

    @at.get("/rules/versions/<version>")
    def rules_version(version: str) -> Response:
        return page(
            "rules_version.html",
            of="rules",
            shown=does.books.version(query(request, _Version, version=version).version),
        )

    @at.get("/rules/change")
    def change_rules() -> Response:
        said = does.commands.rules()
        month = does.clock.now().strftime("%Y-%m-01")
        return page("rules_change.html", of="rules", text=said["text"] or "", current=said["current"], since=month)

    @at.post("/rules/propose")
    def propose_rules() -> Response:
        said = does.commands.by(caller()).load_rules(form(request, _Rules).text.replace("\r\n", "\n"), dry_run=False)
        if said.get("proposal"):
            tell(does, f"Proposed as number {said['proposal']}: a second person decides.")
            return go("proposal", number=said["proposal"])
        tell(does, f"The rules {said['version']} are in force; {said['freed']} subjects are looked at again.")
        return go("rules")


def _trials(at: Blueprint, does: Console) -> None:
    @at.post("/rules/try")
    def try_rules() -> Response:
        asked = form(request, _Rules)
        return go(
            "trial", number=does.trials.ask(asked.text.replace("\r\n", "\n"), _since(asked.since, does), caller())
        )

    @at.get("/rules/trials/<number>")
    def trial(number: str) -> Response:
        shown = does.trials.show(number_of(number))
        return page("trial.html", of="rules", answer=trial_answer(shown), shown=shown)


def _restatements(at: Blueprint, does: Console) -> None:
    @at.post("/restatements/approve")
    def approve_restatement() -> Response:
        said = does.commands.by(caller()).approve(form(request, _Version).version)
        tell(does, f"Proposed as number {said['proposal']}." if said.get("proposal") else "It is posted now.")
        return go("rules")


def _since(day: date | None, does: Console) -> datetime:
    return datetime.combine(day or does.clock.now().date().replace(day=1), time(), UTC)


def answer(said: Row, waiting: Sequence[Row], held: Sequence[Row]) -> str:
    """The page's first line."""
    if not said["current"]:
        return "No rules are loaded yet: nothing is posted before there are."
    parts = [f"The rules {said['current']} are in force."]
    if waiting:
        parts.append(f"{many(len(waiting), 'proposal waits', 'proposals wait')} for a second person.")
    if held:
        parts.append("What they alone would change of posted documents is held until somebody approves it.")
    return " ".join(parts)


def trial_answer(shown: Row) -> str:
    """The first line of a trial's page."""
    if shown["state"] == "waiting":
        return f"The rules {shown['version']} wait to be tried."
    if shown["state"] == "running":
        return f"The rules {shown['version']} are being tried: {shown['looked_at']:,} orders so far."
    if shown["state"] == "failed":
        return f"The rules {shown['version']} could not be tried. {shown['cause']}"
    found = shown["result"]
    over = f"over {many(found['subjects'], 'order')}"
    if not found["differ"]:
        return f"Nothing would differ by the rules {shown['version']}, {over}."
    return f"{many(found['differ'], 'order')} would differ by {shown['version']}, {over}."
