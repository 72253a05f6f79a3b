"""`counterfoil audit`: what people decided, and whether that record is still what was written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from counterfoil_engine.cli import show
from counterfoil_engine.cli.client import Client
from counterfoil_engine.cli.commands import Context, Moment, command, counterfoil
from counterfoil_engine.cli.evidence import read_file
from counterfoil_engine.domain.audit import Entry, Verified, verify
from counterfoil_engine.domain.errors import CounterfoilError
from counterfoil_engine.work import pack

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
@click.option("--pack", "packs", multiple=True, type=click.Path(path_type=Path), help="compare with this evidence pack")
@click.option("--key", type=click.Path(path_type=Path), help="the public key that the packs have to be signed with")
def audit_verify(context: Context, packs: tuple[Path, ...], key: Path | None) -> int:
    """Recompute the whole chain here, and compare it with what evidence packs kept. Reads only.

    A log that somebody rewrote with the database's own rights agrees with itself; only a pack shows it.

    Example: counterfoil audit verify --pack 2026-10.zip --key evidence.pub
    """
    verified = verify(entries(context.client), {str(path): anchored(path, key) for path in packs})
    context.answer(asdict(verified), lambda _: _shown(verified))
    if packs and key is None and not context.as_json:
        show.line("Nobody has checked who signed the packs: name the public key with --key.", "yellow")
    return int(bool(verified.faults))


def anchored(path: Path, key: Path | None) -> dict[int, str]:
    """The chain as a pack has it. key: that its signature has to fit. Raises CounterfoilError where it doesn't."""
    content = pack.read(path)
    wrong = pack.faults(content, pack.public_key(read_file(key), str(key))) if key else []
    if wrong:
        raise CounterfoilError(f"The pack {path} is not as it was signed: {wrong[0]}", "Use the original.", "conflict")
    return pack.chain_of(content)


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
