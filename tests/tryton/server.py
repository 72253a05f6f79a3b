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
from collections.abc import Callable, Iterable, Iterator, Sequence
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
FRESH = MODULE / "tools" / "fresh_database.py"
POSTGRESQL = os.environ.get("COUNTERFOIL_TEST_POSTGRESQL", "postgresql://postgres@127.0.0.1:5432/postgres")
COMPANIES = {"DE01": "EUR", "US01": "USD"}
YEARS = (2026, 2027)
PASSWORD, ADMIN_PASSWORD = "counterfoil-password", "tryton-admin-password"
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
    """The name of a database with books of all companies of the tests, made where it isn't there yet from one that
    has them without the module. Names say what they were made of. What nobody has copied for a day is dropped."""
    setup = ROOT / "engine" / "counterfoil_engine" / "adapters" / "erp" / "tryton" / "setup.py"
    module = [
        path for end in ("py", "xml", "cfg") for path in sorted((MODULE / "counterfoil_tryton").rglob(f"*.{end}"))
    ]
    base = f"{PREFIX}books_base_{_digest([FRESH], COMPANIES, YEARS)}"
    name = f"{PREFIX}books_{_digest([FRESH, *module, setup], COMPANIES, YEARS, sorted(map(_told, needs.items())))}"
    with (Path(tempfile.gettempdir()) / f"{PREFIX}books.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        rows = execute(
            "select datname, coalesce(shobj_description(oid, 'pg_database'), '') from pg_database"
            f" where datname like '{PREFIX}books%'"
        )
        last_used = {str(database): str(day) for database, day in rows}
        if name not in last_used:
            if base not in last_used:
                _finished(base, lambda begun: make_books(begun, COMPANIES, YEARS))
            _finished(name, lambda begun: _copy_with_module(base, begun, needs))
        today = date.today()
        for each in (base, name):
            execute(f"comment on database \"{each}\" is '{today}'")
        for old, day in last_used.items():
            if old not in (base, name) and day < str(today - timedelta(days=1)):
                drop(old)
    return name


def _digest(files: Iterable[Path], *told: object) -> str:
    content = b"".join(path.read_bytes() for path in files)
    return hashlib.sha256(content + repr(told).encode()).hexdigest()[:12]


def _told(needs: tuple[str, Needs]) -> object:
    """Sets in order, so that each process says the same."""
    company, each = needs
    return company, sorted(each.roles), sorted(each.items.items()), sorted(each.warehouses), sorted(each.currencies)


def _finished(name: str, make: Callable[[str], None]) -> None:
    """A database that bears its name only once it is whole."""
    begun = f"{name}_begun"
    drop(begun)
    make(begun)
    execute(f'alter database "{begun}" rename to "{name}"')


def _copy_with_module(base: str, name: str, needs: dict[str, Needs]) -> None:
    execute(f'create database "{name}" template "{base}"')
    set_up(name, needs)


def make(name: str, needs: dict[str, Needs], currencies: dict[str, str], years: Iterable[int]) -> None:
    """A fresh database with a company each, set up for what is needed."""
    drop(name)
    make_books(name, currencies, years)
    set_up(name, needs)


def make_books(name: str, currencies: dict[str, str], years: Iterable[int]) -> None:
    """Tables and companies; without the module."""
    execute(f'create database "{name}"')
    companies = [part for company, currency in currencies.items() for part in ("--company", f"{company}:{currency}")]
    _run([PYTHON, FRESH, address(name), *companies, "--years", ",".join(map(str, years)), "--without-module"])


def set_up(name: str, needs: dict[str, Needs]) -> None:
    """The module installed as its README says, and what the adapter's own set-up makes."""
    with tempfile.TemporaryDirectory(prefix=PREFIX) as folder:
        server = Server(name, Path(folder), free_port())
        admin = [PYTHON.with_name("trytond-admin"), "-c", server.configured(), "-d", name]
        _run([*admin, "-u", "counterfoil", "--activate-dependencies"])
    with serving(name) as server:
        for company, wanted in needs.items():
            setup = Setup(server.client(), start_of(company), wanted)
            refused = setup.make(setup.look())
            left = [each.what for each in setup.look() if not each.ok]
            if refused or left:
                raise RuntimeError(f"Tryton couldn't be set up: {refused}, {left}")


def _run(command: Sequence[str | Path]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise RuntimeError(f"Tryton couldn't be set up: {done.stderr[-3000:]}")


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

    def configured(self) -> Path:
        """Its settings file, written."""
        config = self.folder / "trytond.conf"
        config.write_text(
            f"[database]\nuri = {address('')}\npath = {self.folder}\n[queue]\nworker = {self.queue_worker}\n"
            "[session]\ntimeout = 3600\n"
        )
        return config

    def start(self) -> None:
        environment = {**os.environ, "TRYTOND_CONFIG": str(self.configured()), "TRYTOND_DATABASE_NAMES": self.database}
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

    def client(self, user: str = "counterfoil", password: str = PASSWORD) -> Tryton:
        return Tryton(self.url, user, password)

    def let_invoices_be_cancelled(self) -> None:
        """As an administrator may: Tryton forbids it to everybody unless the company allows it."""
        admin = self.client("admin", ADMIN_PASSWORD)
        companies = admin.read("model.company.company.search", [], 0, None, None)
        admin.write("model.company.company.write", companies, {"cancel_invoice_out": True})

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
