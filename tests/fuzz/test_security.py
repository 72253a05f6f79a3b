"""What docs/security.md names as the test that shows an answer is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def test_every_test_that_the_threat_model_names_exists() -> None:
    named = NAMED.findall((ROOT / "docs" / "security.md").read_text())
    assert len(named) > 40
    missing = [f"{path}::{name}" for path, name in named if name not in functions(ROOT / path)]
    assert missing == []


def test_every_row_of_the_threat_model_names_a_test() -> None:
    table = (ROOT / "docs" / "security.md").read_text().split("|---|---|---|---|\n")[1].split("\n\n")[0]
    assert [row for row in table.splitlines() if not NAMED.search(row)] == []


def functions(path: Path) -> set[str]:
    if not path.exists():
        return set()
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}
