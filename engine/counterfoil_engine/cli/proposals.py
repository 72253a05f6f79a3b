"""`counterfoil proposals`: what waits for a second person, and the yes or no of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from counterfoil_engine.cli import show
from counterfoil_engine.cli.commands import Context, command, counterfoil
from counterfoil_engine.domain.money import show as money

NUMBER = click.argument("number", type=click.IntRange(1, 2**62))


@counterfoil.group("proposals")
def proposals() -> None:
    """What one person proposed and another decides: rules, restatements, brakes, switching on, unlocking a period."""


@command("list", proposals)
@click.option("--decided", is_flag=True, help="show also what was approved, rejected or has expired")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 10_000), help="how many at most")
def proposals_list(context: Context, decided: bool, limit: int) -> None:
    """What waits, the newest first.

    Example: counterfoil proposals list
    """

    def shown(value: Mapping[str, Any]) -> None:
        rows = [
            [row["proposal"], row["state"], row["proposed_by"], row["expires_at"][:10], _amounts(row), row["summary"]]
            for row in value["proposals"]
        ]
        show.table(["number", "state", "by", "until", "amount", "what"], rows, right=["number"])
        if not rows:
            show.line("No proposal waits.", "green")
        show.line(value["four_eyes"]["says"])

    query = {"decided": "true" if decided else None, "limit": limit}
    context.answer(context.client.get("proposals", **query), shown)


@command("show", proposals)
@NUMBER
def proposals_show(context: Context, number: int) -> None:
    """Exactly what would be done; of rules, how they differ from those in force when they were proposed.

    Example: counterfoil proposals show 7
    """

    def shown(value: Mapping[str, Any]) -> None:
        show.line(f"Proposal {value['proposal']} by {value['proposed_by']}, {value['state']}: {value['summary']}")
        for row in value["changes"] or [show.fields(value["payload"])]:
            show.line(row)
        show.line(f"Content: {value['payload_hash']}")

    context.answer(context.client.get("proposals", str(number)), shown)


@command("approve", proposals)
@NUMBER
def proposals_approve(context: Context, number: int) -> None:
    """Let it be done, exactly as it was proposed. Not for who proposed it.

    Example: counterfoil proposals approve 7
    """
    answer = context.client.post("proposals", "approve", body={"proposal": number})

    def shown(value: Mapping[str, Any]) -> None:
        if value["done"] is None:
            show.line(f"{value['decided_by']} approved proposal {number} already; nothing was done twice.")
        else:
            show.line(f"Done: {value['summary']}", "green")

    context.answer(answer, shown)


@command("reject", proposals)
@NUMBER
@click.option("--reason", required=True, help="why, for who proposed it and for the audit log")
def proposals_reject(context: Context, number: int, reason: str) -> None:
    """Let nothing of it be done.

    Example: counterfoil proposals reject 7 --reason "wrong account"
    """
    answer = context.client.post("proposals", "reject", body={"proposal": number, "reason": reason})
    context.answer(answer, lambda value: show.line(f"Rejected: {value['summary']}"))


def _amounts(row: Mapping[str, Any]) -> str:
    return ", ".join(money(amount, currency) for currency, amount in sorted((row["amounts"] or {}).items()))
