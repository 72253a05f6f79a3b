"""The command line `counterfoil`: each command parses, asks the engine's API (or rehearses here), and shows."""

from __future__ import annotations

import sys


def main() -> None:
    """The entry point; says what is missing where only the agent's libraries are installed."""
    try:
        from counterfoil_engine.cli.commands import counterfoil
    except ModuleNotFoundError as missing:
        if (missing.name or "").split(".")[0] == "counterfoil_engine":
            raise
        sys.stderr.write("The engine needs more libraries: pip install 'counterfoil[engine]'\n")
        sys.exit(2)
    counterfoil()
