"""What holds for all tests: logs end with them, and how many ran on each database is printed at the end.

Hypothesis tries the same examples in every run, so that a failure is anybody's failure, however busy the machine is;
COUNTERFOIL_SEARCH=1 looks for new ones."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from loguru import logger

_COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large]}
settings.register_profile("same", max_examples=70, derandomize=True, database=None, **_COMMON)
settings.register_profile("search", max_examples=2_000, **_COMMON)
settings.load_profile("search" if os.environ.get("COUNTERFOIL_SEARCH") else "same")

# Files that take longest, of few tests each: they begin first, so that no worker is left alone with one at the end.
_FIRST = (
    "torture/",
    "acceptance/test_every_step",
    "tryton/",
    "acceptance/",
    "month/",
    "simulation/test_drift",
    "fuzz/",
)

_DIALECT = re.compile(r"\[(?:.*-)?(sqlite|postgresql)(?:-.*)?\]$")


@pytest.fixture(autouse=True)
def no_log_sink_outlives_its_test() -> Iterator[None]:
    """What a test's log goes to is closed with it; a sink that stayed would fail in the tests after."""
    yield
    logger.remove()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        return next((at for at, name in enumerate(_FIRST) if f"tests/{name}" in item.nodeid), len(_FIRST))

    items.sort(key=place)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    ran: Counter[str] = Counter()
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, ()):
            if report.when == "call" and (match := _DIALECT.search(report.nodeid)):
                ran[match[1]] += 1
    if ran:
        counts = ", ".join(f"{ran[dialect]} on {dialect}" for dialect in ("sqlite", "postgresql"))
        terminalreporter.write_line(f"Tests per database: {counts}")
