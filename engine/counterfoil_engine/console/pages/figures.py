"""How well it goes: failures that matter, what was promised and what is left of it, key figures with their trend."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
from flask import Blueprint, Response, request

from counterfoil_engine.api.requests import Strict
from counterfoil_engine.console.filters import many
from counterfoil_engine.console.forms import Line, query
from counterfoil_engine.console.layout import page
from counterfoil_engine.console.parts import Console

Row = Mapping[str, Any]
DAYS = 28


class _Asked(Strict):
    days: Annotated[int, msgspec.Meta(ge=1, le=400)] = DAYS
    store: Line | None = None


def figure_pages(at: Blueprint, does: Console) -> None:
    @at.get("/figures")
    def figures() -> Response:
        asked = query(request, _Asked)
        failures, kept = does.failures.show(), does.watching.objectives.standing()
        kpis = does.watching.kpis.show(asked.days, asked.store)
        stores = [store for one in does.books.entities() for store in one["stores"]]
        return page(
            "figures.html",
            of="figures",
            answer=answer(failures, kept["objectives"]),
            failures=failures,
            objectives=kept["objectives"],
            untold=kept["untold"],
            charts={line["kpi"]: chart(line) for line in kpis["kpis"]},
            asked_for=asked,
            stores=stores,
            **{name: kpis[name] for name in ("kpis", "first_day", "last_day", "baseline_days")},
        )


def answer(failures: Sequence[Row], objectives: Sequence[Row]) -> str:
    """The page's first line."""
    burning = [line for line in objectives if line["alert"]]
    stuck = sum(one["subjects"] for one in failures)
    kept = f"{many(len(burning), 'promise is', 'promises are')} at risk" if burning else "Every promise is kept"
    return f"{kept}; {many(stuck, 'thing waits', 'things wait')} for a person." if stuck else f"{kept}, nothing waits."


def chart(line: Row) -> str:
    """What the picture is drawn from: days as seconds since 1970, their values, and what it was before, as JSON."""
    days = [{"day": str(one["day"]), "value": one["value"]} for one in line["days"]]
    return json.dumps({"unit": line["unit"], "baseline": line["baseline"], "days": days})
