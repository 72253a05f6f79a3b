"""The PHP tests: each file of php/cases runs once, in a MariaDB database of its own; each test in it is one here."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CASES = HERE / "php" / "cases"
PHP_TIMEOUT_S = 240


def names_in(case: str) -> list[str]:
    return re.findall(r"^function (test_\w+)", (CASES / f"{case}.php").read_text(), re.MULTILINE)


def _without(what: str) -> None:
    if os.environ.get("COUNTERFOIL_REQUIRE_SERVICES"):
        pytest.fail(f"{what} has to be there: .ci/run installs and starts it")
    pytest.skip(f"needs {what}")


@pytest.fixture(scope="session")
def php() -> str:
    command = os.environ.get("COUNTERFOIL_PHP", "php")
    if not shutil.which(command):
        _without("PHP (apt-get install php-cli php-mysql)")
    return command


@pytest.fixture(scope="session")
def mariadb() -> Callable[[str], str]:
    """Carries out SQL at the server as its administrator."""
    client = shutil.which("mariadb") or shutil.which("mysql")

    def run(sql: str) -> str:
        assert client
        return subprocess.run(
            [client, "--batch", "--execute", sql], capture_output=True, text=True, check=True, timeout=60
        ).stdout

    try:
        run("select 1")
    except (AssertionError, OSError, subprocess.SubprocessError):
        _without("MariaDB (apt-get install mariadb-server; service mariadb start)")
    return run


@pytest.fixture(scope="session")
def outcomes(php: str, mariadb: Callable[[str], str]) -> Iterator[Callable[[str], dict[str, str | None]]]:
    """The fault of each test of a file, or None."""
    known: dict[str, dict[str, str | None]] = {}

    def of(case: str) -> dict[str, str | None]:
        if case not in known:
            database = f"counterfoil_plugin_{uuid.uuid4().hex[:12]}"
            mariadb(f"create database {database}")
            try:
                known[case] = _run(php, case, database)
            finally:
                mariadb(f"drop database if exists {database}")
        return known[case]

    yield of


def _run(php: str, case: str, database: str) -> dict[str, str | None]:
    done = subprocess.run(
        [php, str(HERE / "php" / "run.php"), str(CASES / f"{case}.php")],
        capture_output=True,
        text=True,
        timeout=PHP_TIMEOUT_S,
        env={**os.environ, "SHOP_DATABASE": database},
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    faults = {row["name"]: row["fault"] for row in map(json.loads, lines)}
    if done.returncode or len(faults) < len(names_in(case)):
        said = (done.stdout + done.stderr)[-2000:]
        faults = {name: faults.get(name, f"PHP ended early ({done.returncode}): {said}") for name in names_in(case)}
    return faults
