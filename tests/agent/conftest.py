"""What the agent's tests share."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.agent_world import World

MEMORY = Path("/dev/shm")  # where syncing costs nothing: these tests commit tens of thousands of times


@pytest.fixture
def quick_path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        yield Path(folder)


@pytest.fixture
def world(quick_path: Path) -> Iterator[World]:
    made = World(quick_path / "outbox.sqlite")
    yield made
    made.crash()
