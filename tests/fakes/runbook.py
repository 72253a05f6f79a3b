"""A runbook as it is written: its commands are typed, and what stands under each has to be seen.

In a block marked `console`, `$ ` begins a command; the lines under it are parts of what it says, `…` is anything.
`systemctl stop|start counterfoil-engine` is done to the town's own processes.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from fakes.town import Town

RUNBOOKS = Path(__file__).parents[2] / "docs" / "runbooks"
PATIENCE_S = 40.0
READS = ("counterfoil status", "counterfoil cases", "counterfoil breaks", "counterfoil slo", "counterfoil-agent status")
READS += ("counterfoil order", "counterfoil refunds", "counterfoil sweep")


def blocks(name: str) -> Iterator[tuple[str, list[tuple[str, list[str]]]]]:
    """Each block of a runbook: the heading that it stands under, and its commands with what they have to say."""
    heading, inside = "", False
    commands: list[tuple[str, list[str]]] = []
    for line in (RUNBOOKS / name).read_text().splitlines():
        if line.startswith("```"):
            inside = line == "```console"
            if not inside and commands:
                yield heading, commands
                commands = []
        elif inside and line.startswith("$ "):
            commands.append((line.removeprefix("$ "), []))
        elif inside:
            commands[-1][1].append(line)
        elif line.startswith("#"):
            heading = line.lstrip("# ")


def follow(name: str, town: Town, meanwhile: Mapping[tuple[str, int], Callable[[], object]] = {}) -> int:
    """Do what a runbook says, block by block; how many commands that were. meanwhile: what happens in the world before
    a block, by its heading and its place under it, from 0."""
    typed, seen = 0, dict[str, int]()
    left = dict(meanwhile)
    for heading, commands in blocks(name):
        place = seen[heading] = seen.get(heading, -1) + 1
        left.pop((heading, place), lambda: None)()
        for command, expected in commands:
            _do(town, name, command, expected)
            typed += 1
    assert not left, f"{name} has no such place: {list(left)}"
    return typed


def _do(town: Town, name: str, command: str, expected: list[str]) -> None:
    """What only reads is asked again until it is as it has to be: things take their time."""
    if done := re.fullmatch(r"systemctl (stop|start) counterfoil-(engine|agent)", command):
        child = town.children[done[2]]
        child.stop() if done[1] == "stop" else child.start()
        if done.groups() == ("start", "engine"):
            town.until_engine_answers()
        return
    deadline = time.monotonic() + PATIENCE_S
    while True:
        said = town.shell(command)
        missing = [line for line in expected if not _says(said.stdout + said.stderr, line)]
        is_wrong = said.returncode == 2 or (not expected and said.returncode != 0)
        if not missing and not is_wrong:
            return
        if is_wrong or time.monotonic() > deadline or not command.startswith(READS):
            pytest.fail(f"{name}: $ {command}\n{said.stdout}{said.stderr}\nlacks: {missing}")
        time.sleep(0.5)


def _says(text: str, expected: str) -> bool:
    pattern = ".*".join(re.escape(" ".join(part.split())) for part in expected.split("…"))
    return any(re.search(pattern, " ".join(line.split())) for line in text.splitlines())
