"""Several roles start at one moment, on a database that none of them has ever seen."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import psycopg
import pytest
from counterfoil_engine import demo
from counterfoil_engine.bootstrap import SystemClock, build
from counterfoil_engine.records.database import Database
from fakes.databases import database_url

ROLES = 6


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
