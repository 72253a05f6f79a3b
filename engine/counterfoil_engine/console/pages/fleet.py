"""The stores: which is behind, since when, why; a line each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from flask import Blueprint, Response

from counterfoil_engine.console.access import caller
from counterfoil_engine.console.filters import age, moment
from counterfoil_engine.console.layout import page
from counterfoil_engine.console.parts import Console
from counterfoil_engine.ports import Wanted

MOST_CAUSES = 5


def fleet_pages(at: Blueprint, does: Console) -> None:
    @at.get("/")
    def fleet() -> Response:
        status = does.commands.by(caller()).status(with_done=False)
        shown = does.fleet.show(status)
        listed = does.cases.inbox.list(Wanted(limit=MOST_CAUSES))
        return page(
            "fleet.html",
            of="fleet",
            answer=answer(shown),
            status_said=status,
            stuck=sum(line["stuck"] for line in shown["stores"]),
            held=held(shown["stores"]),
            causes=listed["causes"],
            causes_found=listed["found"]["causes"],
            **shown,
        )


def held(stores: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What all stores hold up, by currency."""
    sums: Counter[str] = Counter()
    for each in chain.from_iterable(line["money_held"] for line in stores):
        sums[each["currency"]] += each["amount_minor"]
    return [{"currency": currency, "amount_minor": minor} for currency, minor in sorted(sums.items())]


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
