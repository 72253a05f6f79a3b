"""Real databases for tests: SQLite in a file, and a PostgreSQL database of one's own, both migrated.

    from fakes.databases import DIALECTS, open_database

    @pytest.fixture(params=DIALECTS)
    def database(request, tmp_path):
        with open_database(request.param, tmp_path) as database:
            yield database

The server is COUNTERFOIL_TEST_POSTGRESQL (default: the local one, user postgres). Where it can't be reached its tests
are skipped with the reason, or fail where COUNTERFOIL_REQUIRE_SERVICES=1. Each database is a copy of a template that
was migrated once per process, which is quick, and is dropped at the end.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from counterfoil_engine.ports import Clock
from counterfoil_engine.records.database import Database, Transaction
from fakes.clock import FakeClock

SERVER = os.environ.get("COUNTERFOIL_TEST_POSTGRESQL", "postgresql://postgres@127.0.0.1:5432/postgres")
DIALECTS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)]


@contextlib.contextmanager
def open_database(dialect: str, folder: Path, clock: Clock | None = None) -> Iterator[Database]:
    """A migrated database of its own; dropped at the end."""
    with database_url(dialect, folder) as url:
        database = Database(url, clock or FakeClock())
        try:
            yield database
        finally:
            database.close()


@contextlib.contextmanager
def database_url(dialect: str, folder: Path) -> Iterator[str]:
    """The address of a migrated database of its own, for tests that open it more than once."""
    if dialect == "sqlite":
        path = folder / f"counterfoil-{uuid.uuid4().hex[:8]}.sqlite"
        shutil.copy(_sqlite_template(), path)
        yield f"sqlite:///{path}"
        return
    template = _postgresql_template()
    name = f"counterfoil_test_{uuid.uuid4().hex[:12]}"
    _on_server(f'create database "{name}" template "{template}"')
    try:
        yield _address(name)
    finally:
        _on_server(f'drop database "{name}" with (force)')


def empty(database: Database) -> None:
    """Take all rows out, but those that migrations put in: cheaper than a new database for each test."""
    with database.transaction() as tx:
        if not tx.is_sqlite:
            tx.run("set local session_replication_role = replica")  # else the audit log would refuse
        for table in reversed(_tables(tx)):
            tx.run(f"delete from {table}")


def _tables(tx: Transaction) -> list[str]:
    """Tables that tests fill, in the order in which they were made."""
    sql = (
        "select name from sqlite_master where type = 'table' order by rowid"
        if tx.is_sqlite
        else "select relname as name from pg_class where relkind in ('r', 'p') and not relispartition"
        " and relnamespace = 'public'::regnamespace order by oid"
    )
    seeded = {"migrations", "work_gen", "sqlite_sequence"}
    return [row["name"] for row in tx.all(sql) if row["name"] not in seeded]


@functools.cache
def _sqlite_template() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="counterfoil-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    database = Database(f"sqlite:///{folder}/template.sqlite", FakeClock())
    database.migrate()
    database.close()
    return folder / "template.sqlite"


@functools.cache
def _postgresql_template() -> str:
    _need_postgresql()
    name = f"counterfoil_template_{uuid.uuid4().hex[:12]}"
    _on_server(f'create database "{name}"')
    atexit.register(_on_server, f'drop database if exists "{name}" with (force)')
    database = Database(_address(name), FakeClock())
    database.migrate()
    database.close()
    return name


@functools.cache
def _why_not() -> str:
    try:
        with psycopg.connect(SERVER, connect_timeout=3):
            return ""
    except psycopg.OperationalError as error:
        return str(error).splitlines()[0]


def _need_postgresql() -> None:
    if why := _why_not():
        message = f"PostgreSQL is not reached ({why}). Start it, or set COUNTERFOIL_TEST_POSTGRESQL to its address."
        if os.environ.get("COUNTERFOIL_REQUIRE_SERVICES") == "1":
            pytest.fail(message)
        pytest.skip(message)


def _address(name: str) -> str:
    return urlunsplit(urlsplit(SERVER)._replace(path=f"/{name}"))


def _on_server(statement: str) -> None:
    with psycopg.connect(SERVER, autocommit=True) as connection:
        connection.execute(statement)
