"""What a pack holds: figures, documents, proofs, cases and the audit log of one moment, on either database."""

from __future__ import annotations

from datetime import date

import pytest
from counterfoil_engine.records import close as close_records
from counterfoil_engine.work.close import Close
from counterfoil_engine.work.evidence import Evidence
from counterfoil_engine.work.users import BOOTSTRAP
from fakes.control import the_users
from fakes.engine import a_document

OCTOBER = date(2026, 10, 20)


@pytest.fixture
def evidence(world):
    close = Close(world.records, close_records, world.book)
    return Evidence(world.records, close_records, world.book, close)


def posted(world, *orders: str) -> None:
    for order in orders:
        world.due(order, a_document("invoice", 1000, "a", order=order, day=OCTOBER))
    world.run()


def test_a_pack_holds_what_was_posted_with_a_date_in_the_period(world, evidence):
    posted(world, "1001", "1002")
    world.due("1003", a_document("invoice", 700, "a", order="1003", day=date(2026, 11, 2)))
    world.run()
    files = evidence.of("DE01", "2026-10")["files"]
    assert sorted(files) == [
        "audit.csv",
        "cases.csv",
        "close.csv",
        "documents.csv",
        "proofs.csv",
        "trial_balance.csv",
    ]
    assert [row.split(",")[0] for row in files["documents.csv"].splitlines()] == [
        "key",
        "eu1/1001/invoice/a/r1",
        "eu1/1002/invoice/a/r1",
    ]
    assert files["trial_balance.csv"].splitlines()[1:] == [
        "receivable,EUR,0,2000,0,2000,EUR,0,2000,0,2000",
        "revenue:goods,EUR,0,0,2000,-2000,EUR,0,0,2000,-2000",
    ]


def test_the_balance_before_is_the_next_periods_opening(world, evidence):
    posted(world, "1001")
    november = evidence.of("DE01", "2026-11")["files"]["trial_balance.csv"]
    assert november.splitlines()[1] == "receivable,EUR,1000,0,0,1000,EUR,1000,0,0,1000"


def test_the_same_database_gives_the_same_text(world, evidence):
    posted(world, "1001", "1002")
    the_users(world.database).add("anna", "viewer", 30, BOOTSTRAP)
    first = evidence.of("DE01", "2026-10")
    world.clock.pass_time(86_400)
    assert evidence.of("DE01", "2026-10") == first


def test_the_audit_log_and_its_head_are_in_it(world, evidence):
    users = the_users(world.database)
    users.add("anna", "viewer", 30, BOOTSTRAP)
    users.remove("anna", BOOTSTRAP)
    told = evidence.of("DE01", "2026-10")
    rows = told["files"]["audit.csv"].splitlines()
    assert rows[0] == "n,at,who,what,detail,hash" and len(rows) == 3
    assert rows[2].endswith(told["facts"]["audit"]["hash"]) and told["facts"]["audit"]["n"] == 2


def test_the_facts_say_by_whom_the_period_was_locked_and_by_which_rules(world, evidence):
    assert evidence.of("DE01", "2026-10")["facts"]["locked_by"] is None
    Close(world.records, close_records, world.book).lock("DE01", "2026-10", True, BOOTSTRAP)
    facts = evidence.of("DE01", "2026-10")["facts"]
    assert (facts["locked_by"], facts["rules_version"], facts["last_day"]) == ("operator", "v1", "2026-10-31")
