"""`counterfoil audit`: what people decided, and whether that record is still what was written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

import click

from counterfoil_engine.cli import show
from counterfoil_engine.cli.client import Client
from counterfoil_engine.cli.commands import Context, Moment, command, counterfoil
from counterfoil_engine.domain.audit import Entry, Verified, verify

PAGE = 1000


@counterfoil.group("audit")
def audit() -> None:
    """Who decided what: an append-only log, each entry sealed by the hash of the one before."""


@command("list", audit)
@click.option("--since", type=Moment(), help="only entries of this day or moment or later, UTC")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 10_000), help="how many at most")
def audit_list(context: Context, since: datetime | None, limit: int) -> None:
    """The entries, oldest first: when, who, what.

    Example: counterfoil audit list --since 2026-11-01
    """
    answer = context.client.get("audit", limit=limit, since=since.isoformat() if since else None)

    def shown(value: Mapping[str, Any]) -> None:
        rows = value["entries"]
        show.table(
            ["n", "at", "who", "what", "detail"],
            [[row["n"], row["at"][:19], row["who"], row["what"], show.fields(row["detail"])] for row in rows],
            right=["n"],
        )
        if not rows:
            show.line("Nobody has decided anything yet.")
        elif since is None and rows[-1]["n"] < value["head"]["n"]:
            show.line(f"{value['head']['n'] - rows[-1]['n']} more; see them with --since or --limit.")

    context.answer(answer, shown)


@command(
    "verify",
    audit,
    exit_status="Exit status: 0 the log is what was written, 1 it isn't (the first entry that differs is said),"
    " 2 wrong usage.",
)
def audit_verify(context: Context) -> int:
    """Recompute the whole chain here. Reads only.

    Example: counterfoil audit verify
    """
    verified = verify(entries(context.client), {})
    context.answer(asdict(verified), lambda _: _shown(verified))
    return int(bool(verified.faults))


def entries(client: Client) -> Iterator[Entry]:
    """Every entry of the engine's log, a page at a time."""
    after = 0
    while page := client.get("audit", after=after, limit=PAGE)["entries"]:
        yield from (Entry(**row) for row in page)
        after = page[-1]["n"]


def _shown(verified: Verified) -> None:
    for fault in verified.faults:
        show.line(fault, "bold red")
    if not verified.faults:
        show.line(f"{verified.entries} entries, all as they were written. Head: {verified.head}", "green")
