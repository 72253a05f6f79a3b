"""The plugin's files as such: PHP reads them, they reach for nothing outside, versions and texts agree."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

PLUGIN = Path(__file__).parents[2] / "wp-plugin-stub"
FILES = sorted(PLUGIN.rglob("*.php"))


def test_php_reads_every_file(php: str) -> None:
    for file in FILES:
        done = subprocess.run([php, "-l", str(file)], capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stdout + done.stderr


def test_no_file_runs_when_it_is_asked_for_by_its_address() -> None:
    for file in FILES:
        assert re.search(
            r"^defined\( '(ABSPATH|WP_UNINSTALL_PLUGIN)' \) \|\| exit;$", file.read_text(), re.MULTILINE
        ), file


def test_nothing_is_loaded_that_is_not_in_the_plugin_itself() -> None:
    required = re.findall(r"require_once __DIR__ \. '/(.+?)'", (PLUGIN / "counterfoil.php").read_text())
    assert sorted(required) == sorted(str(file.relative_to(PLUGIN)) for file in (PLUGIN / "includes").glob("*.php"))
    assert not (PLUGIN / "composer.json").exists()


def test_the_version_is_said_once_and_the_same() -> None:
    text = (PLUGIN / "counterfoil.php").read_text()
    assert re.search(r"^ \* Version: (\S+)$", text, re.MULTILINE)[1] == re.search(r"VERSION\s+= '(\S+)'", text)[1]  # type: ignore[index]


def test_what_people_read_can_be_translated() -> None:
    """The template holds exactly the texts of the code: msgid by msgid."""
    said = {
        text.replace("\\'", "'")
        for file in FILES
        for text in re.findall(r"(?:__|esc_html__)\( '((?:[^'\\]|\\.)*)', 'counterfoil' \)", file.read_text())
    }
    template = (PLUGIN / "languages" / "counterfoil.pot").read_text()
    blocks = re.findall(r'^msgid ((?:".*"\n)+)', template, re.MULTILINE)
    listed = {"".join(json.loads(part) for part in block.splitlines()) for block in blocks}
    assert said and said == listed - {""}


def test_the_coding_standard_holds_where_it_is_installed() -> None:
    phpcs = shutil.which("phpcs")
    if not phpcs or "WordPress" not in subprocess.run([phpcs, "-i"], capture_output=True, text=True, timeout=60).stdout:
        pytest.skip("WordPress's coding standard is not installed (phpcs -i doesn't name it)")
    done = subprocess.run(
        [phpcs, f"--standard={PLUGIN / 'phpcs.xml'}", str(PLUGIN)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout[-4000:]
