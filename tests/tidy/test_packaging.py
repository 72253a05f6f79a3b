"""What is installed works: from this checkout, and from a wheel in an environment with nothing else in it."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ("agent/counterfoil_agent", "engine/counterfoil_engine", "engine/counterfoil_sandbox", "contracts/counterfoil_contracts")  # fmt: skip # noqa: E501

# Lists every file that is read at run time, as the installed packages see them, and uses one of each kind.
LOOK = """
import json, sys
from importlib import resources
def walk(at, path=""):
    for entry in at.iterdir():
        if entry.is_dir():
            if entry.name != "__pycache__":
                yield from walk(entry, f"{path}/{entry.name}")
        elif not entry.name.endswith((".py", ".pyc")):
            yield f"{path}/{entry.name}", len(entry.read_bytes())
import counterfoil_agent, counterfoil_contracts
assert counterfoil_contracts.faults("events/void.v1", {"reason": "x"}) == []
packages = ("counterfoil_agent", "counterfoil_engine", "counterfoil_sandbox", "counterfoil_contracts")
print(json.dumps({p: dict(walk(resources.files(p))) for p in packages}))
"""


def data_files_of_the_sources() -> dict[str, dict[str, int]]:
    return {
        Path(source).name: {
            "/" + path.relative_to(ROOT / source).as_posix(): path.stat().st_size
            for path in (ROOT / source).rglob("*")
            if path.is_file() and path.suffix not in (".py", ".pyc") and "__pycache__" not in path.parts
        }
        for source in SOURCES
    }


def run(*command: object, timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=timeout_s)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    done = run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def agents_host(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of commands of a fresh environment with the base install alone, as beside a shop."""
    folder = tmp_path_factory.mktemp("agent")
    venv.create(folder, with_pip=True)
    done = run(folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder / "bin"


def test_all_data_is_read_from_this_checkout() -> None:
    done = run(sys.executable, "-c", LOOK)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found == data_files_of_the_sources()
    assert any(name.endswith(".sql") for name in found["counterfoil_engine"])
    assert "/events/order.v1.json" in found["counterfoil_contracts"]


@pytest.mark.slow
def test_all_data_is_read_from_a_wheel(agents_host: Path) -> None:
    done = run(agents_host / "python", "-I", "-c", LOOK)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == data_files_of_the_sources()


@pytest.mark.slow
def test_a_wheel_holds_the_four_packages_and_no_more(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == {Path(source).name for source in SOURCES}
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert wheel.stat().st_size < 3_000_000


@pytest.mark.slow
def test_the_agents_install_has_none_of_the_engines_libraries(agents_host: Path) -> None:
    listed = run(agents_host / "python", "-m", "pip", "list", "--format", "json").stdout
    installed = {each["name"].lower() for each in json.loads(listed)}
    assert {"counterfoil", "msgspec", "requests"} <= installed
    assert not installed & {"flask", "peewee", "psycopg", "apscheduler", "gunicorn", "click", "rich", "pyyaml"}


@pytest.mark.slow
def test_the_agent_runs_from_the_base_install(agents_host: Path) -> None:
    done = run(agents_host / "counterfoil-agent", "--help")
    assert done.returncode == 0, done.stderr
    assert "counterfoil-agent" in done.stdout


@pytest.mark.slow
def test_the_engines_command_says_what_it_needs_where_its_libraries_are_missing(agents_host: Path) -> None:
    done = run(agents_host / "counterfoil", "status")
    assert done.returncode != 0
    assert "The engine needs more libraries: pip install 'counterfoil[engine]'" in done.stderr
    assert "Traceback" not in done.stderr
