"""Where stores, gateways or the ERP disagree with the engine: what sweeps found, how each came and how it ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
from flask import Blueprint, Response, request

from counterfoil_engine.api.requests import Name, Strict
from counterfoil_engine.console.access import caller
from counterfoil_engine.console.forms import Line, form, number_of, query
from counterfoil_engine.console.layout import go, page, tell
from counterfoil_engine.console.parts import Console
from counterfoil_engine.domain.breaks import Sweep

Row = Mapping[str, Any]
SHOWN = 200
WHAT: Mapping[str, str] = {"stock": "stock", "orders": "orders", "erp": "ERP documents", "money": "money"}


class _Listed(Strict):
    sweep: Sweep | None = None
    store: Line | None = None
    settled: str = ""


class _Start(Strict):
    sweep: Sweep
    store: Name
    dry_run: str = ""


class _Reason(Strict):
    reason: Annotated[str, msgspec.Meta(pattern=r"^[^\x00-\x1f]{1,300}\Z")]


def difference_pages(at: Blueprint, does: Console) -> None:
    @at.get("/differences")
    def differences() -> Response:
        asked = query(request, _Listed)
        listed = does.sweeping.desk.listed(asked.sweep, asked.store, bool(asked.settled), SHOWN)
        stores = [line["store"] for line in does.commands.by(caller()).status(with_done=False)["stores"]]
        answered = answer(listed["breaks"], listed["count"], asked.sweep)
        return page("differences.html", of="differences", answer=answered, asked_for=asked, stores=stores, **listed)

    @at.get("/differences/<number>")
    def difference(number: str) -> Response:
        shown = does.sweeping.desk.show(number_of(number))
        return page("difference.html", of="differences", shown=shown)

    @at.post("/differences/<number>/accept")
    def accept_difference(number: str) -> Response:
        found, asked = number_of(number), form(request, _Reason)
        return _settled(does, found, does.sweeping.desk.settle(found, "accept", asked.reason, caller()))

    @at.post("/differences/<number>/heal")
    def heal_difference(number: str) -> Response:
        found = number_of(number)
        return _settled(does, found, does.sweeping.desk.settle(found, "heal", "", caller()))

    @at.post("/sweeps")
    def begin_sweep() -> Response:
        asked = form(request, _Start)
        number = does.sweeping.sweeps.start(asked.sweep, asked.store, caller().name, bool(asked.dry_run))
        tell(does, f"The sweep of {WHAT[asked.sweep]} of {asked.store} has begun.")
        return go("sweep", number=number)

    @at.get("/sweeps/<number>")
    def sweep(number: str) -> Response:
        run = does.sweeping.sweeps.show(number_of(number))
        return page("sweep.html", of="differences", answer=sweep_answer(run), run=run)


def _settled(does: Console, number: int, said: Row) -> Response:
    """Done at once, or proposed where its policy asks for a second person."""
    if said.get("proposal"):
        tell(does, f"Proposed as number {said['proposal']}: a second person decides.")
    else:
        tell(does, f"Difference {number}: {'accepted' if said['action'] == 'accept' else 'its repair has begun'}.")
    return go("difference", number=number)


def answer(breaks: Sequence[Row], count: int, sweep: str | None) -> str:
    """The page's first line."""
    of = f" of {WHAT[sweep]}" if sweep else ""
    waiting = [row for row in breaks if row["state"] in ("open", "proposed")]
    if not count:
        return f"Both sides agree{of and ' on ' + WHAT[str(sweep)]}: no difference stands."
    healing = sum(row["state"] == "healing" for row in breaks)
    said = f"{count} {'difference stands' if count == 1 else 'differences stand'}{of}"
    parts = [f"{len(waiting)} {'waits' if len(waiting) == 1 else 'wait'} for a person"] if waiting else []
    parts += [f"{healing} {'is' if healing == 1 else 'are'} being healed"] if healing else []
    return f"{said}: {', '.join(parts)}." if parts else f"{said}."


def sweep_answer(run: Row) -> str:
    """The first line of a sweep's page."""
    what = f"The sweep of {WHAT[run['sweep']]} of {run['store']}"
    if run["state"] == "running":
        return f"{what} goes on: {run.get('answers', 0)} answers, {run['unanswered']} questions are out."
    if run["state"] == "failed":
        return f"{what} could not be done. {run['cause']}"
    found = sum(one["breaks"] for one in run.get("found", {}).values())
    flying = sum(run.get("in_flight", {}).values())
    beside = f"; {flying} on their way" if flying else ""
    if not found:
        return f"{what} found that both sides agree: {run['compared']:,} compared{beside}."
    return f"{what} found {found} {'difference' if found == 1 else 'differences'} in {run['compared']:,}{beside}."
