"""A period's checklist, its lock, and the evidence pack that goes with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
from flask import Blueprint, Response, make_response, request

from counterfoil_engine.api.requests import Name, Strict
from counterfoil_engine.console.access import caller
from counterfoil_engine.console.forms import form, query
from counterfoil_engine.console.layout import go, page, tell
from counterfoil_engine.console.parts import Console

Row = Mapping[str, Any]
MONTHS_SHOWN = 6


class _Period(Strict):
    entity: Name
    period: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])\Z")]


class _Lock(Strict):
    confirmed: str = ""


def close_pages(at: Blueprint, does: Console) -> None:
    @at.get("/close")
    def close() -> Response:
        if request.args.get("entity") and request.args.get("period"):
            asked = query(request, _Period)
            return go("period", entity=asked.entity, period=asked.period)
        entities = does.books.entities()
        return page("close.html", of="close", entities=entities, months=months(does.clock.now()))

    @at.get("/close/<entity>/<period>")
    def period(entity: str, period: str) -> Response:
        asked = query(request, _Period, entity=entity, period=period)
        shown = does.control.close.check(asked.entity, asked.period)
        return page("period.html", of="close", answer=answer(shown), groups=grouped(shown["lines"]), shown=shown)

    @at.post("/close/<entity>/<period>/lock")
    def lock_period(entity: str, period: str) -> Response:
        asked, confirmed = query(request, _Period, entity=entity, period=period), form(request, _Lock).confirmed
        does.control.close.lock(asked.entity, asked.period, bool(confirmed), caller())
        tell(does, f"{asked.entity} {asked.period} is locked: what comes late gets the first open day after it.")
        return go("period", entity=asked.entity, period=asked.period)

    @at.post("/close/<entity>/<period>/unlock")
    def unlock_period(entity: str, period: str) -> Response:
        asked = query(request, _Period, entity=entity, period=period)
        what = {"entity": asked.entity, "period": asked.period}
        said = does.control.four_eyes.ask("unlock_period", what, caller())
        done = f"Proposed as number {said['proposal']}: a second person decides." if said.get("proposal") else "Open."
        tell(does, done)
        return go("period", entity=asked.entity, period=asked.period)

    @at.get("/close/<entity>/<period>/evidence")
    def evidence_pack(entity: str, period: str) -> Response:
        asked = query(request, _Period, entity=entity, period=period)
        return _download(does.pack(asked.entity, asked.period), f"evidence-{asked.entity}-{asked.period}.zip")


def _download(data: bytes, name: str) -> Response:
    answer = make_response(data)
    answer.headers["Content-Type"] = "application/zip"
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


def months(now: datetime) -> list[str]:
    """This month and those before it, the latest first."""
    at = now.year * 12 + now.month - 1
    return [f"{each // 12}-{each % 12 + 1:02d}" for each in range(at, at - MONTHS_SHOWN, -1)]


def answer(shown: Row) -> str:
    """The page's first line."""
    of, said = f"{shown['entity']} {shown['period']}", shown["open"]
    settled = f"{len(said)} {'line' if len(said) == 1 else 'lines'} ought to be settled" if said else "all is settled"
    if shown["locked_by"]:
        return f"{of} is locked by {shown['locked_by']}; {settled}."
    return f"{of} can be locked: {settled}." if not said else f"{of} isn't ready: {settled}."


def grouped(lines: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """The checklist by what is checked, in its order; what needs somebody first."""
    by_name: dict[str, list[Row]] = {}
    for line in lines:
        by_name.setdefault(line["name"], []).append(line)
    return sorted(by_name.items(), key=lambda group: not any(line["needs_somebody"] for line in group[1]))
