"""What a person asks of an agent at work: small files in a folder beside the outbox, since only the agent writes there.

The command leaves an errand; the agent does it and takes the file away. An errand done twice (a crash in between) does
no harm. A file that is no errand is moved aside as `.refused`, with a line in the log.
"""

from __future__ import annotations

import os
import uuid
from datetime import date
from pathlib import Path
from typing import Literal

import msgspec
from loguru import logger

from counterfoil_agent.errors import Stop

LARGEST_BYTES = 10_000
MOST = 1000


class Errand(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """kind, and what goes with it: a range of days; an order to read again; how many deletions (None: those held)."""

    kind: Literal[
        "backfill",
        "fetch",
        "allow-deletions",
        "accept-preview",
        "release-brake",
        "accept-restored-store",
        "sweep",
    ]
    first: date | None = None
    until: date | None = None
    order_id: int | None = None
    count: int | None = None


def folder_of(outbox: Path) -> Path:
    return Path(f"{outbox}.errands")


def leave(outbox: Path, errand: Errand) -> Path:
    """Put it where the agent looks; complete or not at all. Raises Stop."""
    folder = folder_of(outbox)
    name = folder / f"{uuid.uuid4().hex}.json"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        draft = name.with_suffix(".new")
        draft.write_bytes(msgspec.json.encode(errand))
        # The agent may run as another user than who typed the command.
        draft.chmod(0o644)
        os.replace(draft, name)
    except OSError as error:
        raise Stop(
            f"The errand can't be left in {folder}: {error.strerror}.",
            "Run the command as the agent's user: sudo -u counterfoil counterfoil-agent …",
        ) from None
    return name


def waiting(outbox: Path) -> list[tuple[Path, Errand]]:
    """What is to be done, the oldest first."""
    folder = folder_of(outbox)
    if not folder.is_dir():
        return []
    found = []
    for path in sorted(folder.glob("*.json"), key=_age)[:MOST]:
        try:
            if path.stat().st_size > LARGEST_BYTES:
                raise ValueError("larger than an errand")
            found.append((path, msgspec.json.decode(path.read_bytes(), type=Errand)))
        except (OSError, ValueError, RecursionError) as error:
            logger.warning("no errand", file=path.name, error=type(error).__name__)
            path.rename(path.with_suffix(".refused"))
    return found


def _age(path: Path) -> tuple[float, str]:
    try:
        return path.stat().st_mtime, path.name
    except OSError:
        return 0.0, path.name
