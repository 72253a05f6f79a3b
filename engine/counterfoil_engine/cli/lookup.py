"""`counterfoil search` and `counterfoil parties`: what somebody has in hand, and planned pauses of a party."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import click

from counterfoil_engine.cli import show
from counterfoil_engine.cli.commands import EXIT_STATUS, Context, Moment, command, counterfoil, with_json


@command("search")
@click.argument("text")
def search(context: Context, text: str) -> None:
    """Find orders by number, e-mail, SKU, transaction or amount, and documents by key or number; each in full.

    Example: counterfoil search erika@example.com
    """

    def shown(value: Mapping[str, Any]) -> None:
        if not (value["orders"] or value["documents"] or value["stock"]):
            show.line("Nothing is found by that.")
        orders = [
            [
                f"{row['store']}/{row['order']}",
                row["found_by"],
                row["reading"],
                show.amount(row, "total_minor"),
                row["at"],
            ]
            for row in value["orders"]
        ]
        show.table(["order", "found by", "stands", "total", "made"], orders, right=["total"])
        names = ("key", "subject", "state", "number", "day")
        show.table(names, [[row[name] for name in names] for row in value["documents"]], "Documents")
        show.table(["sku", "pool", "to sell"], [[row["sku"], row["pool"], row["number"]] for row in value["stock"]])
        if value["next"]:
            show.line("There are more; the console shows them all (/console).")

    context.answer(context.client.post("search", body={"q": text}), shown)


@counterfoil.group("parties", invoke_without_command=True, epilog=EXIT_STATUS)
@with_json
@click.pass_context
def parties(click_context: click.Context) -> None:
    """The parties: does each answer, how quickly, what waits for it; hold one for its maintenance, and release it.

    Example: counterfoil parties
    """
    if click_context.invoked_subcommand is None:
        context: Context = click_context.obj
        context.answer(context.client.get("parties"), _parties)


@command("hold", parties)
@click.argument("party")
@click.argument("entity")
@click.option("--why", required=True, help="for the audit log, and for who sees that it is held")
@click.option("--until", type=Moment(), help="when the pause ends by itself, within seven days (default: never)")
def hold(context: Context, party: str, entity: str, why: str, until: datetime | None) -> None:
    """Leave a party alone: nothing is sent to it and nothing asked of it; what is due waits in its order.

    Example: counterfoil parties hold erp DE01 --why "its upgrade"
    """
    body = {"party": party, "entity": entity, "reason": why, "until": until.isoformat() if until else None}
    answer = context.client.post("parties", "hold", body=body)
    context.answer(answer, lambda value: show.line(f"The {party} of {entity} is held: what is due for it waits."))


@command("release", parties)
@click.argument("party")
@click.argument("entity")
def release(context: Context, party: str, entity: str) -> None:
    """Let what waited for a held party go, in its order.

    Example: counterfoil parties release erp DE01
    """
    answer = context.client.post("parties", "release", body={"party": party, "entity": entity})
    context.answer(answer, lambda value: show.line(f"Released: {value['waiting']} document(s) go, in their order."))


def _parties(value: Mapping[str, Any]) -> None:
    columns = ["party", "entity", "state", "waiting", "oldest", "refused", "taken in 15 min", "median", "95 of 100"]
    rows = []
    for line in value["parties"]:
        held = line["held"]
        state = f"held by {held['by']}: {held['reason']}" if held else line["breaker"]
        quick = [f"{line[name]:g} s" if line[name] is not None else "-" for name in ("median_s", "p95_s")]
        counts = [line["waiting"], line["oldest"], line["refused"], line["taken_lately"]]
        rows.append([line["party"], line["entity"], state, *counts, *quick])
    show.table(columns, rows, right=["waiting", "refused", "taken in 15 min"])
    if not rows:
        show.line("No party is set up.")
