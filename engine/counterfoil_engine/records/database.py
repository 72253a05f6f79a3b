"""One database, SQLite or PostgreSQL, behind one small surface: transactions, rows, time, migrations.

SQL is written once, with %s for parameters, in the part that both dialects share; where they differ, a statement has
one text for each (see `Database.pick`). SQLite has a single connection behind a lock: one process serves it, and two
connections writing at one moment can corrupt a WAL database before 3.51.3 (https://sqlite.org/wal.html#walresetbug).
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from importlib import resources
from typing import Any
from urllib.parse import urlparse

import msgspec
import peewee

from counterfoil_engine.domain.errors import CounterfoilError, DatabaseUnavailable
from counterfoil_engine.ports import Clock
from counterfoil_engine.records.wakes import CHANNEL, LocalEar

Row = Mapping[str, Any]

# "no transaction is active": SQLite itself has undone the transaction, as it does where the disk is full or fails.
_PASSING_ON_SQLITE = ("locked", "busy", "disk", "readonly", "full", "no transaction is active")


class Transaction:
    """One open transaction; every statement of the engine runs in one."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.is_sqlite = database.is_sqlite
        self.told: set[str] = set()
        self._now: datetime | None = None

    def all(self, sql: str, *params: Any) -> list[Row]:
        """Every row, as mappings of column name to value."""
        cursor = self._database.execute(sql, params)
        names = self._database.column_names(cursor)
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def one(self, sql: str, *params: Any) -> Row | None:
        """The first row, or None."""
        rows = self.all(sql, *params)
        return rows[0] if rows else None

    def run(self, sql: str, *params: Any) -> int:
        """Run a statement; the number of rows it touched."""
        return self._database.execute(sql, params).rowcount

    def run_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run one statement once per row; on PostgreSQL in one pipeline."""
        self._database.execute_many(sql, rows)

    def tell(self, word: str) -> None:
        """Let whoever listens hear this once the transaction has committed (`records/wakes.py`)."""
        self.told.add(word)

    def given(self, rows: Sequence[Sequence[Any]], **columns: str) -> tuple[str, list[Any]]:
        """Rows as a table named `given`, for one statement about many: its SQL, and the parameters it takes.

        columns: name → type on PostgreSQL (`text`, `bigint`). There all rows travel as one JSON text: an array for each
        column costs more time in this process than the whole statement takes in the server, and rows as objects, with
        each column's name, more than rows as arrays."""
        if self.is_sqlite:
            names = ", ".join(f"column{place} as {name}" for place, name in enumerate(columns, start=1))
            marks = ", ".join(["(" + ", ".join(["%s"] * len(columns)) + ")"] * len(rows))
            return f"(select {names} from (values {marks})) as given", [value for row in rows for value in row]
        names = ", ".join(f"(row->>{place})::{kind} as {name}" for place, (name, kind) in enumerate(columns.items()))
        text = msgspec.json.encode(rows).decode()
        return f"(select {names} from jsonb_array_elements(%s::jsonb) as each_of (row)) as given", [text]

    def among(self, column: str, values: Iterable[Any], kind: str = "text") -> tuple[str, list[Any]]:
        """The condition that a column has one of these values, and its parameters; kind: their type on PostgreSQL.

        There it is planned by how many they are: for a few of a large table as for many of a small one."""
        wanted = sorted(set(values))
        if not self.is_sqlite:
            return f"{column} = any(%s::{kind}[])", [wanted]
        return f"{column} in ({', '.join(['%s'] * len(wanted)) or 'null'})", list(wanted)

    def now(self) -> datetime:
        """The database's own clock, UTC: the one that leases are measured by (L1). It is read once: a transaction has
        one moment, that of when it first asked."""
        if self._now is None:
            self._now = self._database.now()
        return self._now


class Database:
    """An open database. Times go in and come out as UTC datetimes, JSON and bodies as text."""

    def __init__(self, url: str, clock: Clock) -> None:
        """url: `sqlite:///path/to/file.sqlite`, `sqlite:///:memory:` or `postgresql://user@host:port/name`."""
        self.url, self._clock = url, clock
        parsed = urlparse(url)
        self.is_sqlite = parsed.scheme == "sqlite"
        self.ears: set[LocalEar] = set()  # of this process
        self._lock: Any = threading.RLock() if self.is_sqlite else contextlib.nullcontext()
        if self.is_sqlite:
            self.peewee: peewee.Database = peewee.SqliteDatabase(
                parsed.path[1:] if parsed.path[1:] == ":memory:" else parsed.path[1:] or ":memory:",
                pragmas={"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000},
                check_same_thread=False,
                thread_safe=False,
                cached_statements=512,  # more than the engine has: to prepare one costs more than to run it
            )
        elif parsed.scheme in ("postgresql", "postgres"):
            self.peewee = peewee.PostgresqlDatabase(
                parsed.path[1:],
                host=parsed.hostname or "localhost",
                port=parsed.port or 5432,
                user=parsed.username,
                password=parsed.password,
                prefer_psycopg3=True,
            )
        else:
            raise CounterfoilError(
                f"The database address has the scheme {parsed.scheme!r}.",
                "Use sqlite:///path/to/file.sqlite or postgresql://user@host:5432/name.",
                "contract",
            )

    def pick(self, sqlite: str, postgresql: str) -> str:
        """The text of a statement that the dialects spell differently."""
        return sqlite if self.is_sqlite else postgresql

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """All or nothing; on SQLite one at a time, begun as a writer so that no upgrade can fail half-way.

        Raises DatabaseUnavailable where the database can't be reached, is locked or full: nothing was written."""
        with self._reached():
            with self.peewee.atomic("IMMEDIATE") if self.is_sqlite else self.peewee.atomic():
                tx = Transaction(self)
                yield tx
            self._tell(tx.told)

    def alone(self, sql: str, *params: Any) -> Row | None:
        """The first row of one statement, which is a transaction by itself: a third of the way to the server and back.

        Raises DatabaseUnavailable."""
        with self._reached():
            return Transaction(self).one(sql, *params)

    @contextlib.contextmanager
    def _reached(self) -> Iterator[None]:
        with self._lock:
            try:
                self.peewee.connect(reuse_if_open=True)
                yield
            except (peewee.OperationalError, peewee.InterfaceError) as error:
                if self.is_sqlite and not any(word in str(error) for word in _PASSING_ON_SQLITE):
                    raise
                self._drop_broken_connection()
                raise DatabaseUnavailable(
                    "The engine's database can't be used at the moment.",
                    "It is tried again by itself; if it stays, check that the database runs and has space.",
                ) from error

    def _tell(self, words: set[str]) -> None:
        """All is committed: a word that can't be told is no failure, since who listens also looks for itself."""
        for ear in list(self.ears):
            ear.tell(words)
        if words and not self.is_sqlite:
            with contextlib.suppress(peewee.PeeweeException):
                sql = "select pg_notify(%s, word) from unnest(%s::text[]) as word"
                self.peewee.execute_sql(sql, [CHANNEL, sorted(words)])

    def _drop_broken_connection(self) -> None:
        """So that the next transaction of this thread connects anew."""
        if not self.is_sqlite and not self.peewee.is_closed() and self.peewee.connection().closed:
            self.peewee.close()

    def execute(self, sql: str, params: Sequence[Any]) -> Any:
        if self.is_sqlite:
            sql = _sqlite_text(sql)
            params = [_sqlite_value(value) for value in params]
        return self.peewee.execute_sql(sql, params)

    def column_names(self, cursor: Any) -> list[str]:
        """Of the rows of a statement. psycopg's own description of a column costs as much as a small statement."""
        if self.is_sqlite:
            return [column[0] for column in cursor.description]
        result = cursor.pgresult
        return [result.fname(place).decode() for place in range(result.nfields)]

    def execute_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        cursor = self.peewee.cursor()
        if self.is_sqlite:
            sql = _sqlite_text(sql)
            rows = [[_sqlite_value(value) for value in row] for row in rows]
        cursor.executemany(sql, rows)

    def now(self) -> datetime:
        if self.is_sqlite:
            return self._clock.now()
        return self.peewee.execute_sql("select clock_timestamp()").fetchone()[0].astimezone(UTC)

    def close(self) -> None:
        with self._lock:
            self.peewee.close()

    def migrate(self) -> list[str]:
        """Apply the numbered migrations that are missing, each in a transaction; their names in order."""
        applied = []
        with self.transaction() as tx:
            self._one_at_a_time(tx)  # several roles start at one moment, on an empty database too
            tx.run("create table if not exists migrations (name text primary key, applied_at text not null)")
        folder = resources.files("counterfoil_engine.records") / "migrations"
        for path in sorted(folder.iterdir(), key=lambda entry: entry.name):
            if not path.name.endswith(".sql"):
                continue
            with self.transaction() as tx:
                self._one_at_a_time(tx)
                if tx.one("select name from migrations where name = %s", path.name):
                    continue
                for statement in statements(path.read_text(), self.is_sqlite):
                    tx.run(statement)
                tx.run("insert into migrations (name, applied_at) values (%s, %s)", path.name, self.now().isoformat())
            applied.append(path.name)
        return applied

    @staticmethod
    def _one_at_a_time(tx: Transaction) -> None:
        if not tx.is_sqlite:
            tx.run("select pg_advisory_xact_lock(7031)")


def statements(text: str, is_sqlite: bool) -> list[str]:
    """The statements of a migration for one dialect.

    Lines between `-- only sqlite` or `-- only postgresql` and `-- end` belong to that dialect; `{time}`, `{bytes}`
    and `{json}` stand for the column types.
    """
    kept, skipping = [], False
    for line in text.splitlines():
        if line.startswith("-- only "):
            skipping = line.split()[2] != ("sqlite" if is_sqlite else "postgresql")
        elif line.startswith("-- end"):
            skipping = False
        elif not skipping and not line.startswith("--"):
            kept.append(line)
    types = {"time": "text", "bytes": "blob", "json": "text"}
    if not is_sqlite:
        types = {"time": "timestamptz", "bytes": "bytea", "json": "text"}
    sql = "\n".join(kept)
    for name, column_type in types.items():
        sql = sql.replace("{" + name + "}", column_type)
    return [part.strip() for part in sql.split(";\n") if part.strip().rstrip(";")]


@functools.lru_cache(maxsize=1024)
@lru_cache(1024)
def _sqlite_text(sql: str) -> str:
    return sql.replace("%s", "?").replace("%%", "%")


def _sqlite_value(value: Any) -> Any:
    """Times as ISO text with microseconds and offset, so that they sort; booleans as 0 and 1."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bool):
        return int(value)
    return value


def as_time(value: Any) -> datetime | None:
    """A time as either dialect returns it, as a UTC datetime."""
    if value is None or isinstance(value, datetime):
        return value.astimezone(UTC) if value else None
    return datetime.fromisoformat(value).astimezone(UTC)
