"""`counterfoil rules try` and `rules shadow`: what other rules would change, before they are in force."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from counterfoil_engine.cli import show
from counterfoil_engine.cli.commands import Context, Moment, _text_of, command, rules
from counterfoil_engine.work.rules_file import parse_rules

SHOWN_MOST = 30  # documents, one by one


@command("try", rules)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--since", required=True, type=Moment(), help="all orders of which something came since, UTC")
@click.option("--store", help="only this store's")
@click.option(
    "--database",
    default=lambda: os.environ.get("COUNTERFOIL_DATABASE"),
    help="the engine's database, which is only read (default: COUNTERFOIL_DATABASE)",
)
@click.option("--processes", type=click.IntRange(1, 256), help="how many compute (default: one a core)")
def try_rules(
    context: Context, file: Path, since: datetime, store: str | None, database: str | None, processes: int | None
) -> None:
    """What a rules file would change: documents, account totals, and orders that would park. Writes nothing.

    Computes what is due by the rules in force and by FILE, over the facts that are stored. Reads the database itself,
    as of one moment, so that the engine goes on meanwhile.

    Example: counterfoil rules try rules.yaml --since 2026-10-01
    """
    if not database:
        raise click.UsageError("Name the engine's database with --database, or set COUNTERFOIL_DATABASE.")
    from counterfoil_engine.bootstrap import SystemClock
    from counterfoil_engine.trial import try_rules as run

    answer = run(database, _text_of(file), since, SystemClock(), store, processes)

    def shown(value: Any) -> None:
        show.line(
            f"{value['tried']} against {value['in_force']}, over {value['subjects']} order(s) of which something came"
            f" since {value['since']}. Nothing was written."
        )
        differences(value)

    context.answer(answer, shown)


@command("shadow", rules)
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("do", metavar="start|stop|show", type=click.Choice(["start", "stop", "show"]))
def shadow_rules(context: Context, file: Path, do: str) -> None:
    """Let a rules file run in shadow: looks compute by it too, and keep what would differ. It posts nothing.

    One file at a time. `show` sums up what differs of all orders that were looked at since it started, as `rules try`
    does; `stop` leaves that to be shown until another starts.

    Example: counterfoil rules shadow rules.yaml start
    """
    text = _text_of(file)
    version = parse_rules(text).version
    if do == "show":
        context.answer(context.client.get("rules", "shadow", version=version), _shown_of_shadow)
    elif do == "start":
        answer = context.client.post("rules", "shadow", body={"text": text})
        context.answer(answer, lambda value: show.line(f"{value['version']} runs in shadow from the next look on."))
    else:
        answer = context.client.post("rules", "shadow", "stop", body={"version": version})
        context.answer(answer, lambda value: show.line(f"{value['version']} runs in shadow no longer."))


def _shown_of_shadow(value: Mapping[str, Any]) -> None:
    runs = "runs in shadow" if value["runs"] else "ran in shadow"
    show.line(f"{value['version']} {runs} since {value['started_at']}; {value['subjects']} order(s) were looked at.")
    if value["full"]:
        show.line("No more orders are kept than these: what differs beyond them is not counted.", "yellow")
    differences(value)


def differences(value: Mapping[str, Any]) -> None:
    """What differs, as a person reads it: documents, months, accounts, what parks, and the first orders."""
    park = value["park"]
    if not value["differ"]:
        show.line("Nothing would differ.", "green")
        return
    show.line(
        f"{value['differ']} order(s) would differ: {park['subjects']} would park, {value['resume']} that are parked"
        " would go on."
    )
    show.table(
        ["documents", "kind", "entity", "number", "before", "after"],
        [
            [row["how"], row["kind"], row["entity"], row["documents"], *_amounts(row, "before_minor", "after_minor")]
            for row in value["documents"]
        ],
        right=["number", "before", "after"],
    )
    show.table(
        ["month", "entity", "documents", "number"],
        [[row["month"], row["entity"], row["how"], row["documents"]] for row in value["months"]],
        "By the documents' own months",
        right=["number"],
    )
    show.table(
        ["account", "entity", "before", "after", "difference", "in book currency"],
        [
            [
                row["role"],
                row["entity"],
                *_amounts(row, "before_minor", "after_minor", "difference_minor"),
                show.amount({**row, "currency": row["book_currency"]}, "difference_book_minor"),
            ]
            for row in value["accounts"]
        ],
        "Accounts, over the documents that differ: debits less credits",
        right=["before", "after", "difference", "in book currency"],
    )
    for cause in park["causes"]:
        show.cases([cause])
        show.line(f"  such as {', '.join(cause['named'])}")
    if park["not_told"]:
        show.line(f"… and {park['not_told']} order(s) more, for other causes.")
    _first_orders(value)


def _first_orders(value: Mapping[str, Any]) -> None:
    rows = [(order["subject"], row) for order in value["named"] for row in order["documents"]]
    show.table(
        ["order", "document", "", "before", "after"],
        [
            [subject, row["slot"], row["how"], *_amounts(row, "before_minor", "after_minor")]
            for subject, row in rows[:SHOWN_MOST]
        ],
        "Orders" if len(rows) <= SHOWN_MOST else f"The first {SHOWN_MOST} documents (--json names more)",
        right=["before", "after"],
    )


def _amounts(row: Mapping[str, Any], *fields: str) -> list[str]:
    return [show.amount(row, field) for field in fields]
