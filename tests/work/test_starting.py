"""Several roles start at one moment, on a database that none of them has ever seen."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import psycopg
import pytest
from counterfoil_engine import demo
from counterfoil_engine.bootstrap import SystemClock, build
from counterfoil_engine.records.database import Database
from fakes.databases import database_url, open_database
from fakes.erp import FakeErp

ROLES = 6


def test_an_erp_that_is_down_at_the_start_gets_all_its_lanes_once_it_is_back(tmp_path: Path) -> None:
    with open_database("sqlite", tmp_path, SystemClock()) as database:
        erp, stop = FakeErp(SystemClock(), lanes=1, down=True), threading.Event()
        engine = build(database, SystemClock(), {"DE01": erp})
        engine.load_rules(json.dumps(demo.rules()))
        threads = engine.run("poster", stop)
        try:
            time.sleep(0.5)
            assert holders(database) == 0
            erp.lanes, erp.down = 3, False  # what it declares is known only now
            end_s = time.monotonic() + 30
            while holders(database) < 3 and time.monotonic() < end_s:
                time.sleep(0.1)
            assert holders(database) == 3
        finally:
            stop.set()
            for thread in threads:
                thread.join(timeout=10)


def holders(database: Database) -> int:
    with database.transaction() as tx:
        row = tx.one("select count(distinct holder) as n from lanes")
        return int(row["n"]) if row else 0


@pytest.mark.postgresql
def test_roles_that_start_together_make_the_tables_and_load_the_rules_once(tmp_path: Path) -> None:
    with database_url("postgresql", tmp_path) as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("drop schema public cascade")
            connection.execute("create schema public")
        rules, together, failed = json.dumps(demo.rules()), threading.Barrier(ROLES), []

        def start() -> None:
            database = Database(url, SystemClock())
            together.wait()
            try:
                database.migrate()
                build(database, SystemClock(), {}).load_rules(rules)
            except Exception as error:
                failed.append(error)
            finally:
                database.close()

        threads = [threading.Thread(target=start) for _ in range(ROLES)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []
        with psycopg.connect(url) as connection:
            assert connection.execute("select count(*) from rules_versions").fetchone() == (1,)
