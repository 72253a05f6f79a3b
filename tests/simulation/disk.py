"""The outbox's disk: a VFS under SQLite (by apsw) that can be full, and that loses and tears what was never synced.

What the outbox asks of `sqlite3` it gets from apsw over this VFS, by the same names and with the same errors. When the
process dies nothing more is written; when the power fails, each write since the file's last sync stays, is lost, or is
cut off at a sector's end, as the seed has it. The memory that WAL readers share is gone either way.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import apsw

from simulation.gates import Gates

SECTOR_BYTES = 512


class Disk(apsw.VFS):
    """full: nothing more can be written. dead: the process that wrote is gone."""

    def __init__(self, name: str, gates: Gates, random: Random) -> None:
        super().__init__(name, "")
        self.name, self.gates, self._random = name, gates, random
        self.full = self.dead = False
        self.unsynced: dict[str, list[tuple[int, bytes, bytes]]] = {}  # offset, before, after
        self.torn = 0

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        return _File(self, name, flags)

    def connect(self, path: Path | str, **_: Any) -> Connection:
        self.dead = False
        return Connection(apsw.Connection(str(path), vfs=self.name), self.gates)

    def lose_power(self, path: Path) -> None:
        """What was written and not synced may be lost or torn. Call it once the connection is closed."""
        for name, writes in self.unsynced.items():
            if os.path.exists(name):
                with open(name, "r+b") as file:
                    self._tear(file, writes)
        self.forget(path)

    def forget(self, path: Path) -> None:
        """The process is gone and closed; what it wrote stays with the operating system."""
        self.unsynced.clear()
        Path(f"{path}-shm").unlink(missing_ok=True)

    def _tear(self, file: Any, writes: list[tuple[int, bytes, bytes]]) -> None:
        for offset, before, _ in reversed(writes):
            file.seek(offset)
            file.write(before)
            file.truncate()
        for offset, _, after in writes:
            kept = self._random.choice((0, len(after), self._random.randrange(len(after) + 1)))
            self.torn += kept < len(after)
            file.seek(offset)
            file.write(after[: kept - kept % SECTOR_BYTES if kept < len(after) else kept])


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: Any, flags: list[int]) -> None:
        self._disk = disk
        self._path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        self._alive()
        if self._disk.full:
            raise apsw.FullError("the disk is full")
        # From here to the end: a write that goes beyond it leaves a gap, and what lies behind it stays behind.
        before = super().xRead(max(0, self.xFileSize() - offset), offset) if offset < self.xFileSize() else b""
        after = bytes(data) + before[len(data) :]
        self._disk.unsynced.setdefault(self._path, []).append((offset, before, after))
        super().xWrite(data, offset)

    def xTruncate(self, size: int) -> None:
        self._alive()
        super().xTruncate(size)

    def xSync(self, flags: int) -> None:
        self._alive()
        super().xSync(flags)
        self._disk.unsynced.pop(self._path, None)

    def _alive(self) -> None:
        if self._disk.dead:
            raise apsw.IOError("the process is gone")


_OPERATIONAL = (apsw.FullError, apsw.IOError, apsw.BusyError, apsw.CantOpenError, apsw.ReadOnlyError, apsw.SQLError)


class Connection:
    """What the outbox uses of `sqlite3.Connection`, over apsw. A commit that writes passes two gates."""

    def __init__(self, connection: apsw.Connection, gates: Gates) -> None:
        self._connection, self._gates, self._changes = connection, gates, 0

    def execute(self, sql: str, values: Sequence[Any] = ()) -> Cursor:
        gated = sql == "commit" and self._connection.total_changes() != self._changes
        if gated:
            self._gates("agent.commit.before")
        try:
            cursor = Cursor(self._connection, sql, values)
        except apsw.ConstraintError as error:
            raise sqlite3.IntegrityError(str(error)) from error
        except _OPERATIONAL as error:
            raise sqlite3.OperationalError(str(error)) from error
        except apsw.Error as error:
            raise sqlite3.DatabaseError(str(error)) from error
        if gated:
            self._changes = self._connection.total_changes()
            self._gates("agent.commit.after")
        return cursor

    def rollback(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("rollback")

    def close(self) -> None:
        with suppress(apsw.Error):  # of the dead: nothing can be tidied up any more
            self._connection.close()


class Cursor:
    """A statement's rows, read at once."""

    def __init__(self, connection: apsw.Connection, sql: str, values: Sequence[Any]) -> None:
        cursor = connection.execute(sql, tuple(values))
        first = cursor.fetchone()
        self.description = () if first is None else cursor.get_description()
        self._rows = iter([] if first is None else [first, *cursor.fetchall()])
        self.rowcount = connection.changes() if sql[:6].lower() in ("insert", "update", "delete") else -1

    def fetchone(self) -> Any:
        return next(self._rows, None)

    def fetchall(self) -> list[Any]:
        return list(self._rows)

    def __iter__(self) -> Iterator[Any]:
        return self._rows

    def close(self) -> None:
        self._rows = iter(())
