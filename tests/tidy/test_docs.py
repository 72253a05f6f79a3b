"""Every command helps, and what the documents tell people to type is there to be typed."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from counterfoil_engine.cli.commands import counterfoil

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not {".venv", ".venv-tryton", ".git", "recorded", "node_modules"} & set(path.relative_to(ROOT).parts)
)
AGENT = Path(sys.executable).with_name("counterfoil-agent")


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    for name, each in group.commands.items():
        yield " ".join((*path, name)), each
        if isinstance(each, click.Group):
            yield from commands(each, (*path, name))


ENGINE = dict(commands(counterfoil))


@pytest.mark.parametrize("name", ENGINE)
def test_a_command_has_help_with_an_example_and_every_option_is_explained(name: str) -> None:
    command = ENGINE[name]
    assert command.help, f"{name} says nothing of itself"
    if not isinstance(command, click.Group):
        assert f"counterfoil {name}" in command.help, f"{name} shows no example"
    silent = [each.name for each in command.params if isinstance(each, click.Option) and not each.help]
    assert silent == []
    shown = CliRunner().invoke(counterfoil, [*name.split(), "--help"])
    assert shown.exit_code == 0
    assert "Usage: " in shown.output


def agent_commands() -> set[str]:
    shown = subprocess.run([AGENT, "--help"], capture_output=True, text=True, timeout=60)
    assert shown.returncode == 0, shown.stderr
    return set(re.findall(r"^ {2,6}([a-z][a-z-]+)\b", shown.stdout, re.MULTILINE))


def typed(path: Path) -> Iterator[list[str]]:
    """The commands in a document: in blocks of code and between back quotes."""
    text = path.read_text()
    blocks = re.findall(r"^ {4,}(?:\$ )?(\S.*)$", text, re.MULTILINE)
    fenced = [line for block in re.findall(r"```\w*\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    for line in [*blocks, *fenced, *re.findall(r"`([^`\n]+)`", text)]:
        words = line.strip().removeprefix("$ ").partition(" #")[0].split()
        while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
            words = words[1:]
        if words:
            yield [word.rsplit("/", 1)[-1] if index == 0 else word for index, word in enumerate(words)]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_command_in_a_document_exists(path: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for words in typed(path):
        rest = [word for word in words[1:] if re.fullmatch(r"[a-z][a-z-]*", word)]
        if words[0] == "make" and rest:
            assert rest[0] in targets, " ".join(words)
        elif words[0] == "counterfoil" and rest and words[1] == rest[0]:
            assert rest[0] in ENGINE, " ".join(words)
            known = {option for param in ENGINE[rest[0]].params for option in param.opts}
            if not isinstance(ENGINE[rest[0]], click.Group):
                used = {word.split("=")[0] for word in words if word.startswith("--") and word != "--help"}
                assert used <= known, " ".join(words)
        elif words[0] == "counterfoil-agent" and rest and words[1] == rest[0]:
            assert rest[0] in agent_commands(), " ".join(words)


def deepest(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that these words call, down to its inner ones, and the words that are left to it."""
    found: click.Command = counterfoil
    while words and isinstance(found, click.Group) and words[0] in found.commands:
        found, words = found.commands[words[0]], words[1:]
    return found, words


# Where people begin: each command to its last word, each setting by its name; Tryton's are its adapter's own.
BEGINNERS = [ROOT / "docs" / "watching.md", *sorted((ROOT / "docs" / "first-hour").glob("*.md"))]
BEGINNERS += sorted(path for path in (ROOT / "docs" / "runbooks").glob("*.md") if path.name != "tryton.md")


@pytest.mark.parametrize("path", BEGINNERS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_command_is_one_to_its_last_option(path: Path) -> None:
    for words in typed(path):
        if words[0] != "counterfoil" or len(words) < 2 or not re.fullmatch(r"[a-z-]+", words[1]):
            continue
        command, left = deepest(words[1:])
        assert command is not counterfoil, " ".join(words)
        options = {option for param in command.params for option in param.opts}
        used = {word.split("=")[0] for word in left if word.startswith("--") and word != "--help"}
        assert used <= options, " ".join(words)
        if isinstance(command, click.Group) and not command.invoke_without_command:
            assert not [word for word in left if re.fullmatch(r"[a-z-]+", word)], " ".join(words)


def settings_of_both() -> set[str]:
    examples = ("engine/counterfoil-engine.example.toml", "agent/counterfoil-agent.example.toml")
    text = "".join((ROOT / name).read_text() for name in examples)
    return set(re.findall(r"^(?:# )?(\w+) = ", text, re.MULTILINE)) | set(re.findall(r"\[(\w+)[.\]]", text))


@pytest.mark.parametrize("path", BEGINNERS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_setting_that_is_named_is_one(path: Path) -> None:
    text = path.read_text()
    known = settings_of_both()
    tables = set(re.findall(r"`\[(\w+)[^`]*\]`", text))
    assert tables <= known, tables - known
    named = set(re.findall(r"setting `(\w+)`|`(\w+)` in `\[\w+\]", text))
    missing = {name for names in named for name in names if name} - known
    assert missing == set()


def test_the_documentation_is_built_without_a_link_that_leads_nowhere(tmp_path: Path) -> None:
    command = [
        Path(sys.executable).with_name("mkdocs"),
        "build",
        "--strict",
        "--quiet",
        "--site-dir",
        tmp_path / "site",
    ]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert built.returncode == 0, built.stdout + built.stderr
    assert (tmp_path / "site" / "first-hour" / "operations.html").is_file()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_to_a_file_leads_to_one(path: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", path.read_text()):
        assert (path.parent / target).exists(), target
