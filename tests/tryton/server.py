"""A real Tryton on PostgreSQL: set up once as a template database, copied for each use, served by gunicorn.

Needs `.venv-tryton` (`make tryton`) and the PostgreSQL server of the tests; a test that lacks one is skipped with the
reason, or fails where COUNTERFOIL_REQUIRE_SERVICES=1.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import requests
from counterfoil_engine.adapters.erp.tryton import TrytonErp
from counterfoil_engine.adapters.erp.tryton.names import NameMap
from counterfoil_engine.adapters.erp.tryton.rpc import Tryton
from counterfoil_engine.adapters.erp.tryton.setup import Needs, Setup

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-tryton" / "bin" / "python"
MODULE = ROOT / "tryton-module"
POSTGRESQL = os.environ.get("COUNTERFOIL_TEST_POSTGRESQL", "postgresql://postgres@127.0.0.1:5432/postgres")
COMPANIES = {"DE01": "EUR", "US01": "USD"}
PASSWORD = "counterfoil-password"
PREFIX = "counterfoil_tryton_"
STARTS_S = 60.0


def missing() -> str | None:
    """Why no Tryton can be had here; None: it can."""
    if not PYTHON.exists():
        return "There is no .venv-tryton: `make tryton` makes it."
    try:
        psycopg.connect(POSTGRESQL, connect_timeout=3).close()
    except psycopg.Error as error:
        return f"PostgreSQL isn't reached ({type(error).__name__})."
    return None


def address(database: str) -> str:
    """The address of a database beside that of the tests."""
    parts = urlsplit(POSTGRESQL)
    return urlunsplit((parts.scheme, parts.netloc, f"/{database}", "", ""))


def execute(sql: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(POSTGRESQL, autocommit=True) as connection:
        cursor = connection.execute(sql.encode())
        return cursor.fetchall() if cursor.description else []


def execute_in(database: str, sql: str) -> None:
    """In Tryton's own database: only to bring about what no person should."""
    with psycopg.connect(address(database), autocommit=True) as connection:
        connection.execute(sql.encode())


def drop(database: str) -> None:
    execute(f'drop database if exists "{database}" with (force)')


def template(needs: dict[str, Needs]) -> str:
    """The name of a database with books of all companies of the tests, made where it isn't there yet; its name says
    what it was made of. What nobody has copied for a day is dropped."""
    name = f"{PREFIX}template_{_made_of(needs)}"
    with (Path(tempfile.gettempdir()) / f"{PREFIX}template.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        rows = execute(
            "select datname, coalesce(shobj_description(oid, 'pg_database'), '') from pg_database"
            f" where datname like '{PREFIX}template%'"
        )
        last_used = {str(database): str(day) for database, day in rows}
        if name not in last_used:
            begun = f"{name}_begun"
            make(begun, needs, COMPANIES, (2026, 2027))
            execute(f'alter database "{begun}" rename to "{name}"')
        today = date.today()
        execute(f"comment on database \"{name}\" is '{today}'")
        for old, day in last_used.items():
            if old != name and day < str(today - timedelta(days=1)):
                drop(old)
    return name


def _made_of(needs: dict[str, Needs]) -> str:
    """The same in each process: sets are told in order."""
    files = [path for end in ("py", "xml", "cfg") for path in sorted(MODULE.rglob(f"*.{end}"))]
    told = {
        company: [sorted(each.roles), sorted(each.items.items()), sorted(each.warehouses), sorted(each.currencies)]
        for company, each in sorted(needs.items())
    }
    setup = ROOT / "engine" / "counterfoil_engine" / "adapters" / "erp" / "tryton" / "setup.py"
    content = b"".join(path.read_bytes() for path in (*files, setup))
    return hashlib.sha256(content + repr(told).encode()).hexdigest()[:12]


def make(name: str, needs: dict[str, Needs], currencies: dict[str, str], years: Iterable[int]) -> None:
    """A fresh database with a company each, set up for what is needed."""
    drop(name)
    execute(f'create database "{name}"')
    companies = [part for company, currency in currencies.items() for part in ("--company", f"{company}:{currency}")]
    script = [PYTHON, MODULE / "tools" / "fresh_database.py", address(name), *companies]
    script += ["--years", ",".join(map(str, years))]
    done = subprocess.run(script, capture_output=True, text=True, timeout=600)
    if done.returncode:
        raise RuntimeError(f"Tryton couldn't be set up: {done.stderr[-3000:]}")
    with serving(name) as server:
        for company, wanted in needs.items():
            setup = Setup(server.client(), start_of(company), wanted)
            refused = setup.make(setup.look())
            left = [each.what for each in setup.look() if not each.ok]
            if refused or left:
                raise RuntimeError(f"Tryton couldn't be set up: {refused}, {left}")


def start_of(company: str, ships: bool = True) -> NameMap:
    """The map that set-up starts from."""
    return NameMap(company, "CFL", "MAIN", ships, warehouses={"BER": "MAIN", "HAM": "EAST"})


@dataclass
class Server:
    """gunicorn with Tryton over one database."""

    database: str
    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    queue_worker: bool = True
    maps: dict[str, NameMap] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/{self.database}"

    def start(self) -> None:
        config = self.folder / "trytond.conf"
        config.write_text(
            f"[database]\nuri = {address('')}\npath = {self.folder}\n[queue]\nworker = {self.queue_worker}\n"
            "[session]\ntimeout = 3600\n"
        )
        environment = {**os.environ, "TRYTOND_CONFIG": str(config), "TRYTOND_DATABASE_NAMES": self.database}
        command = [PYTHON.with_name("gunicorn"), "--workers", "1", "--threads", "4", "--bind", f"127.0.0.1:{self.port}"]
        command += ["--timeout", "300", "--log-level", "warning", "trytond.application:app"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + STARTS_S
        while time.monotonic() < deadline:
            try:
                body = {"id": 1, "method": "common.server.version", "params": []}
                if requests.post(f"http://127.0.0.1:{self.port}/rpc/", json=body, timeout=5).ok:
                    return
            except requests.RequestException:
                time.sleep(0.1)
        raise RuntimeError(f"Tryton doesn't start: {(self.folder / 'log').read_text()[-3000:]}")

    def kill(self, how: int = signal.SIGKILL) -> None:
        """The whole group at once: gunicorn's master and its workers."""
        if self.process is not None:
            os.killpg(self.process.pid, how)
            self.process.wait(timeout=30)
            self.process = None

    def cut_connections(self) -> None:
        """End every connection of Tryton with its database, as a database that dies does."""
        execute(f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{self.database}'")

    def client(self) -> Tryton:
        return Tryton(self.url, "counterfoil", PASSWORD)

    def map_of(self, company: str, needs: Needs, ships: bool = True) -> NameMap:
        setup = Setup(self.client(), start_of(company, ships), needs)
        setup.look()
        return setup.names

    def erp(self, names: NameMap, **options: Any) -> TrytonErp:
        return TrytonErp(self.url, PASSWORD, map=names, **options)


@contextmanager
def serving(database: str, **options: Any) -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix=PREFIX) as folder:
        server = Server(database, Path(folder), free_port(), **options)
        server.start()
        try:
            yield server
        finally:
            server.kill()


@contextmanager
def copied(needs: dict[str, Needs], **options: Any) -> Iterator[Server]:
    """A server over a fresh copy of the template, dropped afterwards."""
    source = template(needs)
    name = f"{PREFIX}{os.getpid()}_{time.monotonic_ns() % 10**9}"
    execute(f'create database "{name}" template "{source}"')
    try:
        with serving(name, **options) as server:
            yield server
    finally:
        drop(name)


def free_port() -> int:
    with socket.socket() as each:
        each.bind(("127.0.0.1", 0))
        return int(each.getsockname()[1])
