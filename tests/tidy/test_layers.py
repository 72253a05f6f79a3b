"""The layers hold: what may import what stands in pyproject.toml."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_layers_hold() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
    assert "0 broken" in done.stdout


def test_a_part_of_the_simulation_is_a_file_of_its_own_of_at_most_80_lines() -> None:
    """A gateway that refunds by itself is one: it joins by being there."""
    actors = sorted((ROOT / "tests" / "simulation" / "actors").glob("[!_]*.py"))
    lines = {path.name: len(path.read_text().splitlines()) for path in actors}
    assert "gateway.py" in lines
    assert {name: count for name, count in lines.items() if count > 80} == {}
