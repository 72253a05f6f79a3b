"""What holds for all tests: how many ran on each database is printed at the end, since both must run the same."""

from __future__ import annotations

import re
from collections import Counter

import pytest

_DIALECT = re.compile(r"\[(?:.*-)?(sqlite|postgresql)(?:-.*)?\]$")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    ran: Counter[str] = Counter()
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, ()):
            if report.when == "call" and (match := _DIALECT.search(report.nodeid)):
                ran[match[1]] += 1
    if ran:
        counts = ", ".join(f"{ran[dialect]} on {dialect}" for dialect in ("sqlite", "postgresql"))
        terminalreporter.write_line(f"Tests per database: {counts}")
