"""The plugin against a real MariaDB with WooCommerce's tables: php/cases has the tests, this names them one by one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

CASES = Path(__file__).parent / "php" / "cases"
TESTS = [
    (file.stem, line.split("(")[0].removeprefix("function "))
    for file in sorted(CASES.glob("*.php"))
    for line in file.read_text().splitlines()
    if line.startswith("function test_")
]


@pytest.mark.parametrize(("case", "name"), TESTS, ids=[name.removeprefix("test_") for _, name in TESTS])
def test_in_php(case: str, name: str, outcomes: Callable[[str], dict[str, str | None]]) -> None:
    fault = outcomes(case)[name]
    assert fault is None, fault
