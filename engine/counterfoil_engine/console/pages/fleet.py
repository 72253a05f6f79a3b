"""The stores: which is behind, since when, why; a line each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response

from counterfoil_engine.console.access import caller
from counterfoil_engine.console.filters import age, moment
from counterfoil_engine.console.layout import page
from counterfoil_engine.console.parts import Console


def fleet_pages(at: Blueprint, does: Console) -> None:
    @at.get("/")
    def fleet() -> Response:
        status = does.commands.by(caller()).status(with_done=False)
        shown = does.fleet.show(status)
        return page("fleet.html", of="fleet", answer=answer(shown), status_said=status, **shown)


def answer(shown: Mapping[str, Any]) -> str:
    """The page's first line."""
    stores, behind = shown["stores"], shown["behind"]
    if not stores:
        return "No store has said hello yet."
    if not behind:
        return "The store is up to date." if len(stores) == 1 else f"All {len(stores)} stores are up to date."
    first = behind[0]
    reason = first["reasons"][0]
    since, now = moment(reason["since"]), moment(shown["now"])
    for_so_long = f" for {age((now - since).total_seconds())}" if since and now else ""
    rest = len(stores) - len(behind)
    others = f" {rest} of {len(stores)} stores are up to date." if rest else ""
    also = f" {len(behind) - 1} more {'is' if len(behind) == 2 else 'are'} behind." if len(behind) > 1 else ""
    return f"{first['store']} is behind{for_so_long}: {reason['said']}.{also}{others}"
