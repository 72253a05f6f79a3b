"""Where processes that serve together share their counts. Imports nothing of Prometheus: its library asks the
environment for the folder when it is imported, and keeps to that answer."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from counterfoil_engine.domain.errors import CounterfoilError

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


def share_folder() -> Path:
    """Make the folder that the environment names, or a temporary one, and empty it of what another life counted.

    Raises CounterfoilError where it can't be written."""
    named = os.environ.get(VARIABLE)
    try:
        folder = Path(named) if named else Path(tempfile.mkdtemp(prefix="counterfoil-metrics-"))
        folder.mkdir(parents=True, exist_ok=True)
        for file in folder.glob("*.db"):
            file.unlink()
        (folder / ".written").touch()
    except OSError as error:
        raise CounterfoilError(
            f"The folder {named} of {VARIABLE} can't be used: {error.strerror}.",
            "Name one that the engine may write to, of its own, or take the variable away: then it makes one.",
            "contract",
        ) from None
    os.environ[VARIABLE] = str(folder)
    return folder


def process_ended(pid: int) -> None:
    """What a process that has ended counted stays in the sums; what only lived with it goes."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(pid)
