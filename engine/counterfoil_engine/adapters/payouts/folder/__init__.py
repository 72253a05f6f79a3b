"""The drop folder: a subfolder for each source, and in each `taken` and `refused`.

A file is ready once two looks find it with the same size and time. Nothing but plain files is touched: no links,
nothing hidden, nothing that is named as half written. A source's own format is described in `description.toml` or
`description.yaml`.
"""

from __future__ import annotations

import re
import stat
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from counterfoil_engine.domain.errors import CounterfoilError, Parked
from counterfoil_engine.domain.settlement.description import Description, describe
from counterfoil_engine.domain.settlement.read import FORMATS
from counterfoil_engine.domain.settlement.text import SIZE_MAX_BYTES
from counterfoil_engine.ports import Dropped

FILES_MAX = 1000  # of a source, in one look
DESCRIPTION_BYTES_MAX = 65_536
_SOURCE = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_DESCRIPTIONS = ("description.toml", "description.yaml", "description.yml")
_HALF = (".part", ".tmp", ".crdownload", ".filepart")
TAKEN, REFUSED = "taken", "refused"


class Folder:
    """Looks into a folder. One for each process: it remembers what it saw last."""

    def __init__(self, path: Path, size_max_bytes: int = SIZE_MAX_BYTES) -> None:
        self._path, self._size_max_bytes = path, size_max_bytes
        self._seen: dict[tuple[str, str], tuple[int, int]] = {}

    def ready(self) -> Sequence[Dropped]:
        there = {(one.source, one.name): one for source in self._sources() for one in self._files(source)}
        last, self._seen = self._seen, {place: (one.size_bytes, one.mtime_ns) for place, one in there.items()}
        return [one for place, one in sorted(there.items()) if last.get(place) == self._seen[place]]

    def _sources(self) -> list[str]:
        with suppress(OSError):
            return sorted(each.name for each in self._path.iterdir() if _SOURCE.fullmatch(each.name) and each.is_dir())
        return []

    def _files(self, source: str) -> Iterator[Dropped]:
        with suppress(OSError):
            for path in sorted((self._path / source).iterdir())[: FILES_MAX + len(_DESCRIPTIONS)]:
                if path.name.startswith(".") or path.name in _DESCRIPTIONS or path.suffix.lower() in _HALF:
                    continue
                with suppress(OSError):
                    found = path.lstat()
                    if stat.S_ISREG(found.st_mode):
                        yield Dropped(source, path.name, found.st_size, found.st_mtime_ns)

    def read(self, dropped: Dropped) -> bytes:
        path = self._path / dropped.source / dropped.name
        if dropped.size_bytes > self._size_max_bytes:
            raise Parked(
                f"The file has {dropped.size_bytes} bytes, more than {self._size_max_bytes}.",
                "Export it for a shorter time, or payout by payout.",
            )
        try:
            with path.open("rb") as file:
                data = file.read(self._size_max_bytes + 1)
            now = path.lstat()
        except OSError as error:
            raise Parked(f"The file can't be read: {error.strerror}.", "Check its rights.") from None
        if (len(data), now.st_size, now.st_mtime_ns) != (dropped.size_bytes, dropped.size_bytes, dropped.mtime_ns):
            raise Parked(
                "The file changed while it was read.", "Write it under another name, and rename it when whole."
            )
        return data

    def taken(self, dropped: Dropped, digest: str) -> None:
        self._move(dropped, TAKEN)

    def refused(self, dropped: Dropped, cause: str, remedy: str) -> str:
        name = self._move(dropped, REFUSED)
        if name:
            text = self._path / dropped.source / REFUSED / f"{name}.txt"
            with suppress(OSError):
                text.write_text(f"{cause}\n{remedy}\n", encoding="utf-8")
        return name or dropped.name

    def aside(self, source: str) -> frozenset[str]:
        with suppress(OSError):
            return frozenset(each.name for each in (self._path / source / REFUSED).iterdir())
        return frozenset()

    def _move(self, dropped: Dropped, to: str) -> str | None:
        """Its name there: another one where that is taken. None: it stays, and is looked at again when it changes."""
        where = self._path / dropped.source
        try:
            (where / to).mkdir(exist_ok=True)
            name, number = dropped.name, 1
            while (where / to / name).exists():
                number += 1
                name = f"{Path(dropped.name).stem}-{number}{Path(dropped.name).suffix}"
            (where / dropped.name).rename(where / to / name)
        except OSError:
            return None
        return name


def format_of(path: Path | None, source: str) -> str | Description:
    """How a source's reports are read: as described in its subfolder, else in the format of its name.

    A description that has nothing but `format` names one that comes with the engine. Raises CounterfoilError."""
    for name in _DESCRIPTIONS if path else ():
        assert path is not None
        file = path / source / name
        if file.is_file():
            said = _described(file)
            if list(said) == ["format"] and said["format"] in FORMATS:
                return str(said["format"])
            return describe(said)
    if source in FORMATS:
        return source
    raise Parked(
        f"How reports of {source[:40]!r} are written is not known.",
        f"Describe it in description.toml in its subfolder, or take it under one of: {', '.join(FORMATS)}.",
        "contract",
    )


def _described(file: Path) -> Mapping[str, Any]:
    try:
        if file.stat().st_size > DESCRIPTION_BYTES_MAX:
            raise ValueError("it is too large")
        text = file.read_text(encoding="utf-8")
        said = tomllib.loads(text) if file.suffix == ".toml" else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise _wrong(file, str(error).splitlines()[0][:200]) from None
    if not isinstance(said, Mapping) or not all(isinstance(name, str) for name in said):
        raise _wrong(file, "it is no table of names and values")
    return said


def _wrong(file: Path, why: str) -> CounterfoilError:
    return Parked(f"The description {file.name} can't be used: {why}.", "Correct it.", "contract")
