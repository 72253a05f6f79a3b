"""The project speaks of itself alone, and leaves nothing half done."""

from __future__ import annotations

import ast
import re
import subprocess
import warnings
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RECORDED = ("tests/recorded/", "engine/counterfoil_sandbox/recorded/", "LICENSE")
LONG_FILE_LINES, LONG_FUNCTION_LINES = 400, 70

# Spelt in two parts, so that this file doesn't find itself.
STRAY = {
    "something left to do": re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b"),
    "a path of somebody's machine": re.compile(r"(?<![\w.-])/(work|ro" r"ot|ho" r"me|Us" r"ers)/\w"),
    "a tool of the workplace": re.compile(r"\b(issue" r"s show|this ses" r"sion's|br" r"ief\.md)\b", re.IGNORECASE),
    "a conflict left standing": re.compile(r"^(<{7}|>{7}) ", re.MULTILINE),
}


@cache
def files() -> list[str]:
    """All files of the project that people write, by path."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [name for name in listed.stdout.splitlines() if not name.startswith(RECORDED) and (ROOT / name).is_file()]


@cache
def text_of(name: str) -> str:
    try:
        return (ROOT / name).read_text()
    except UnicodeDecodeError:
        return ""


@pytest.mark.parametrize("what", STRAY)
def test_nothing_stray_is_left_in_any_file(what: str) -> None:
    found = [
        f"{name}:{text_of(name)[: match.start()].count(chr(10)) + 1}: {match.group()}"
        for name in files()
        for match in STRAY[what].finditer(text_of(name))
    ]
    assert found == []


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        name
        for name in files()
        if name.endswith(".py") and text_of(name).strip() and not ast.get_docstring(ast.parse(text_of(name)))
    ]
    assert silent == []


def test_what_has_grown_long_is_named_for_a_second_look() -> None:
    """No rule, only a list: one idea a file, one screenful a function."""
    long = [
        f"{name} ({lines} lines)"
        for name in files()
        if name.endswith(".py") and (lines := text_of(name).count("\n")) > LONG_FILE_LINES
    ]
    for name in files():
        if name.endswith(".py") and not name.startswith("tests/"):
            long += [
                f"{name}: {node.name}() ({length} lines)"
                for node in ast.walk(ast.parse(text_of(name)))
                if isinstance(node, ast.FunctionDef) and (length := _length(node)) > LONG_FUNCTION_LINES
            ]
    if long:
        warnings.warn("worth a second look: " + "; ".join(long), stacklevel=1)


def _length(function: ast.FunctionDef) -> int:
    """Lines of a function without its docstring."""
    first = function.body[1] if ast.get_docstring(function) and len(function.body) > 1 else function.body[0]
    return (function.end_lineno or 0) - first.lineno + 1
