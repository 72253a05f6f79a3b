"""One moment of the database, read only: what a long computation reads while the engine goes on.

A connection of its own and one transaction, which sees nothing that is committed later and can write nothing. It takes
no lock that the engine waits for; while it is open, PostgreSQL keeps dead rows, and SQLite's WAL grows.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

import peewee

from counterfoil_engine.domain.errors import CounterfoilError
from counterfoil_engine.domain.facts import OrderFacts
from counterfoil_engine.domain.readers import Unread
from counterfoil_engine.ports import Clock
from counterfoil_engine.records.database import Database, Transaction
from counterfoil_engine.records.facts import facts_of_group, subjects_since_sql


class Snapshot(Transaction):
    """A transaction that sees one moment, and writes nothing."""

    def walked(self, sql: str, params: Sequence[Any], size: int) -> Iterator[list[str]]:
        """The first column of all rows, so many at a time: by a cursor that stays in the database."""
        if self.is_sqlite:
            cursor = self._database.execute(sql, params)
            while rows := cursor.fetchmany(size):
                yield [row[0] for row in rows]
            return
        self.run(f"declare walked no scroll cursor for {sql}", *params)
        while rows := self._database.execute(f"fetch {size:d} from walked", ()).fetchall():
            yield [row[0] for row in rows]
        self.run("close walked")


@contextlib.contextmanager
def snapshot(url: str, clock: Clock) -> Iterator[Snapshot]:
    """The transaction. Raises CounterfoilError where there is no such database, or it is none of an engine."""
    database = Database(url, clock)
    if database.is_sqlite:
        database.peewee = _read_only(url.split(":///", 1)[-1])
    try:
        database.peewee.connect()
        with database.peewee.atomic("DEFERRED") if database.is_sqlite else database.peewee.atomic():
            tx = Snapshot(database)
            if not database.is_sqlite:
                tx.run("set transaction isolation level repeatable read, read only")
            _check_is_an_engines(tx)
            yield tx
    except (peewee.OperationalError, peewee.InterfaceError) as error:
        raise CounterfoilError(
            f"The database can't be read ({str(error).splitlines()[0][:200]}).",
            "Name the engine's own with --database or COUNTERFOIL_DATABASE, as its settings have it.",
            "outage",
        ) from None
    finally:
        database.close()


def _read_only(path: str) -> peewee.SqliteDatabase:
    """A connection to a file that has to be there. Who only reads neither writes the WAL nor ends it (checkpoint)."""
    return peewee.SqliteDatabase(
        f"file:{quote(str(Path(path).absolute()))}?mode=ro",
        uri=True,
        pragmas={"query_only": 1, "busy_timeout": 5000},
        cached_statements=512,
    )


def _check_is_an_engines(tx: Transaction) -> None:
    sql = "select name from sqlite_master where name = 'migrations'"
    if not tx.is_sqlite:
        sql = "select relname as name from pg_class where relname = 'migrations'"
    if tx.one(sql) is None:
        raise CounterfoilError(
            "The database holds no engine's records.",
            "Name the engine's own with --database or COUNTERFOIL_DATABASE, as its settings have it.",
            "contract",
        )
    applied = {row["name"] for row in tx.all("select name from migrations")}
    if not applied.issuperset(_migrations()):
        raise CounterfoilError(
            "The database is of an older version of the engine than this command line.",
            "Use the command line of the engine's own version, or start this version's engine on it first.",
            "contract",
        )


def _migrations() -> list[str]:
    """The names of all migrations that this version has."""
    folder = resources.files("counterfoil_engine.records") / "migrations"
    return [path.name for path in folder.iterdir() if path.name.endswith(".sql")]


def groups_since(tx: Snapshot, since: datetime, store: str | None, size: int) -> Iterator[Sequence[OrderFacts]]:
    """The facts of all orders of which something came since, so many at a time, by their names; bodies are unread.

    One cursor walks the names, and one statement reads a group: memory doesn't grow with the orders."""
    sql, params = subjects_since_sql(since, store)
    for subjects in tx.walked(sql, params, size):
        named = [subject.removeprefix("order ").split("/", 1) for subject in subjects if subject.startswith("order ")]
        yield facts_of_group(tx, [(store_of, order_id) for store_of, order_id in named], Unread)
