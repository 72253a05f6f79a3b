"""Rules tried as people type it, on a database of hundreds of orders, in several processes: nothing is written."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from builders import a_line, an_order
from cli.conftest import RULES
from counterfoil_engine.bootstrap import build
from counterfoil_engine.ports import Incoming
from counterfoil_engine.records.database import Database
from counterfoil_engine.work.receive import judge
from fakes.clock import FakeClock
from fakes.databases import DIALECTS, open_database
from fakes.erp import FakeErp
from fakes.events import cloud_event

COUNTERFOIL = Path(sys.executable).with_name("counterfoil")
MUGS_APART = RULES.replace("rules: one", "rules: tried").replace(
    "guests:", '  - {store: "*", sku: MUG, item: mug, class: mugs, exempt: false, from: 2020-01-01}\nguests:'
)
ORDERS = 650  # a dozen groups


@pytest.fixture(params=DIALECTS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An engine's database with orders in it: one in ten bought a mug."""
    clock = FakeClock()
    with open_database(request.param, tmp_path, clock) as opened:
        engine = build(opened, clock, {"DE01": FakeErp(clock)})
        engine.load_rules(RULES)
        engine.events.greet("eu1", "1" * 32, "1", {"order": [1]})
        for first in range(1, ORDERS + 1, 100):
            places = range(first, min(first + 100, ORDERS + 1))
            judged = [judge("eu1", json.dumps(cloud_event(n, data=_order(n))).encode()) for n in places]
            engine.events.append("eu1", [each for each in judged if isinstance(each, Incoming)])
        while engine.step_look():
            pass
        yield opened


def _order(n: int) -> dict[str, Any]:
    return {"order": an_order(a_line("CUP" if n % 10 else "MUG", 2, "9.90"), id=1000 + n), "refunds": []}


def tried(database: Database, tmp_path: Path, text: str) -> dict[str, Any]:
    file = tmp_path / "tried.yaml"
    file.write_text(text)
    done = subprocess.run(
        [COUNTERFOIL, "--json", "rules", "try", file, "--since", "2020-01-01", "--processes", "2"],
        env=os.environ | {"COUNTERFOIL_DATABASE": database.url},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def hash_of_all(database: Database) -> str:
    """A hash of every row of every table."""
    names = "select name from sqlite_master where type = 'table' order by name"
    if not database.is_sqlite:
        names = (
            "select relname as name from pg_class where relkind in ('r', 'p') and not relispartition"
            " and relnamespace = 'public'::regnamespace order by relname"
        )
    digest = hashlib.sha256()
    with database.transaction() as tx:
        for row in tx.all(names):
            rows = sorted(repr(sorted(each.items())) for each in tx.all(f"select * from {row['name']}"))
            digest.update(f"{row['name']} {len(rows)}\n".encode() + "\n".join(rows).encode())
    return digest.hexdigest()


def test_other_rules_are_tried_and_nothing_is_written(database: Database, tmp_path: Path):
    before = hash_of_all(database)
    said = tried(database, tmp_path, MUGS_APART)
    assert (said["subjects"], said["differ"]) == (ORDERS, 65)
    assert {(each["how"], each["kind"]): each["documents"] for each in said["documents"]} == {
        ("posted anew", "invoice"): 65,
        ("posted anew", "sales_order"): 65,
    }
    assert {each["role"]: each["difference_minor"] for each in said["accounts"]} == {
        "revenue:goods": 65 * 1980,
        "revenue:mugs": -65 * 1980,
    }
    assert [each["subject"] for each in said["named"][:2]] == ["order eu1/1010", "order eu1/1020"]
    assert hash_of_all(database) == before


def test_a_try_waits_for_nobody_and_sees_only_what_is_committed(database: Database, tmp_path: Path):
    with pytest.raises(ZeroDivisionError), database.transaction() as tx:
        tx.run("update events set verdict = 'kept-invalid', reason = 'a test'")
        tx.run("delete from rules_versions")
        assert tried(database, tmp_path, MUGS_APART)["subjects"] == ORDERS
        raise ZeroDivisionError


def test_orders_that_would_park_name_the_missing_row_and_the_first_of_them(database: Database, tmp_path: Path):
    without = RULES.replace("rules: one", "rules: tried").replace('sku: "*"', "sku: MUG")
    (cause,) = tried(database, tmp_path, without)["park"]["causes"]
    assert (cause["subjects"], cause["rows"][0]["sku"]) == (ORDERS - 65, "CUP")
    assert cause["named"][0] == "order eu1/1001"
