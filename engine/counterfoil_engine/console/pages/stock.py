"""Why a store shows the number that it shows: the waterfall of a SKU, who has reserved it, what was written last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask import Blueprint, Response, request

from counterfoil_engine.api.requests import Strict
from counterfoil_engine.console.access import caller
from counterfoil_engine.console.forms import Line, query
from counterfoil_engine.console.layout import go, page
from counterfoil_engine.console.parts import Console

Row = Mapping[str, Any]

WIDTH = 600  # of the picture, in its own units


class _Which(Strict):
    pool: Line = ""
    sku: Line = ""


class _Why(Strict):
    pool: Line
    sku: Line


def stock_pages(at: Blueprint, does: Console) -> None:
    @at.get("/stock")
    def stock() -> Response:
        asked = query(request, _Which)
        if asked.pool and asked.sku:
            return go("why", pool=asked.pool, sku=asked.sku)
        status = does.commands.by(caller()).status(with_done=False)
        lines = [line for line in status["stores"] if line["stock"]]
        pools = does.books.pools()
        ages = {line["store"]: histogram(line["stock"]["freshness"]["buckets"]) for line in lines}
        return page("stock.html", of="stock", answer=answer(lines), stores=lines, ages=ages, pools=pools, chosen=asked)

    @at.get("/stock/<pool>/<path:sku>")
    def why(pool: str, sku: str) -> Response:
        asked = query(request, _Why, pool=pool, sku=sku)
        shown = does.commands.by(caller()).why(asked.pool, asked.sku)
        return page("why.html", of="stock", answer=why_answer(shown), bars=waterfall(shown), **shown)


def answer(stores: Sequence[Row]) -> str:
    """The first line of the stock page."""
    if not stores:
        return "No store has stock of ours yet: its rules name no pool."
    late = [line["store"] for line in stores if not line["stock"]["freshness"]["writes"]]
    exposed = [line["store"] for line in stores if line["stock"]["exposed"]]
    said = f"{len(stores)} {'store shows' if len(stores) == 1 else 'stores show'} numbers of ours."
    if exposed:
        said += f" {', '.join(exposed)} {'is' if len(exposed) == 1 else 'are'} exposed: a sale may be hidden there."
    if late:
        said += f" Nothing was written into {', '.join(late)} yet."
    return said


def why_answer(shown: Row) -> str:
    """The first line of a SKU's page."""
    published = shown["published"]
    said = f"{shown['number']} of {shown['sku']} may be sold in {shown['pool']}"
    if not published:
        return f"{said}; nothing is published yet."
    if published["number"] == shown["number"]:
        return f"{said}, and the stores are told so."
    return f"{said}; the stores are still told {published['number']}, the next number is on its way."


def histogram(buckets: Sequence[Row]) -> list[dict[str, Any]]:
    """A column for each age of a number as it was confirmed, `height` of 100 units."""
    most = max([1, *(int(one["writes"]) for one in buckets)])
    return [{**one, "height": -(-int(one["writes"]) * 100 // most)} for one in buckets]


def waterfall(shown: Row) -> list[dict[str, Any]]:
    """A bar for each term, from where the ones before it came to, and the sum; `x` and `width` of WIDTH units."""
    steps, at = [], 0
    for term in shown["terms"]:
        steps.append((term, at, at + int(term["units"])))
        at += int(term["units"])
    edges = [0, *(end for _, _, end in steps), int(shown["number"])]
    low, span = min(edges), max(1, max(edges) - min(edges))

    def bar(start: int, end: int) -> dict[str, int]:
        left, right = sorted((start, end))
        return {"x": (left - low) * WIDTH // span, "width": max(2, (right - left) * WIDTH // span)}

    bars = [{**term, **bar(start, end), "kind": "more" if end >= start else "less"} for term, start, end in steps]
    total = {"name": "may be sold", "units": shown["number"], "warehouse": None, "source": None, "age_s": None}
    return [*bars, {**total, **bar(0, int(shown["number"])), "kind": "sum"}]
