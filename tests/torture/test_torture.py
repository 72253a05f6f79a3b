"""Twenty kills over both databases, side by side, and nothing is left behind when they end, however they end."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from torture import cluster
from torture.processes import Crew, marked

TESTS = Path(__file__).parents[1]
TIMEOUT_S = 900  # on a machine that has much else to do


def started(*arguments: str, log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as file:
        command = [sys.executable, "-m", "torture", *arguments]
        return subprocess.Popen(command, cwd=TESTS, stdout=file, stderr=subprocess.STDOUT)


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    there = {}
    try:
        for kind in ("sqlite", "postgresql"):
            if kind == "sqlite" or cluster.binaries() is not None:
                there[kind] = started("--kills", "10", "--rate", "3", "--database", kind, log=tmp_path / kind)
        yield there
    finally:
        for process in there.values():
            process.terminate()
            process.wait()


@pytest.mark.slow
def test_twenty_kills_lose_and_double_nothing(runs: dict[str, subprocess.Popen[bytes]], tmp_path: Path) -> None:
    end_s = time.monotonic() + TIMEOUT_S
    for kind, process in runs.items():
        process.wait(timeout=max(1.0, end_s - time.monotonic()))
        said = (tmp_path / kind).read_text()
        assert process.returncode == 0, said
        assert said.splitlines()[-1] == "torture: 10 kills, 0 lost, 0 doubled", said
    if "postgresql" not in runs:
        told = "There are no PostgreSQL binaries (initdb, pg_ctl): half of the torture did not run. Install postgresql."
        if os.environ.get("COUNTERFOIL_REQUIRE_SERVICES") == "1":
            pytest.fail(told)
        pytest.skip(told)


def test_a_crew_starts_again_who_was_killed_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with Crew(tmp_path, random.Random(1)) as crew:
        child = crew.add(
            "sleeper", [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"], {}, "up"
        )
        crew.up("sleeper")
        wait_for(child.is_at_work)
        assert crew.kill("sleeper")
        wait_for(lambda: child.starts == 2 and child.is_at_work())
        assert child.killed == 1 and child.ended_by_itself == 0
        assert marked(tmp_path)
    assert marked(tmp_path) == []


def test_where_the_torture_itself_is_killed_its_guard_ends_what_is_left(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = started("--kills", "10", "--database", "sqlite", log=log)
    try:
        wait_for(lambda: "all is up" in log.read_text(), timeout_s=120)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    folder = re.search(r"in (/\S+)", log.read_text())
    assert folder is not None
    wait_for(lambda: marked(Path(folder[1])) == [], timeout_s=30)
    shutil.rmtree(folder[1])


def wait_for(ready: object, timeout_s: float = 30.0) -> None:
    assert callable(ready)
    end_s = time.monotonic() + timeout_s
    while not ready():
        assert time.monotonic() < end_s, "waited in vain"
        time.sleep(0.1)
