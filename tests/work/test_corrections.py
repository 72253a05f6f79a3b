"""An order that can't be read, read as one person corrects it and another approves: the original stays."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from counterfoil_engine.domain.errors import CounterfoilError
from counterfoil_engine.ports import Caller, Rejected
from counterfoil_engine.records import corrections
from counterfoil_engine.records.facts import facts_of
from counterfoil_engine.work.users import BOOTSTRAP
from fakes.control import the_users
from fakes.shop import Shop, a_shop

ANNA = Caller("anna", "operator", token_by="operator")
BEN = Caller("ben", "controller", token_by="operator")
RIGHT = [{"op": "replace", "path": "/order/total", "value": "23.80"}]


@pytest.fixture
def shop(database, clock) -> Iterator[Shop]:
    """Its order 1001 has a total that no currency can hold, and four eyes are in force."""
    users = the_users(database)
    for name, role in (("anna", "operator"), ("ben", "controller")):
        users.add(name, role, 300, BOOTSTRAP)
    for shop in a_shop(database, clock):
        shop.says(total="23.805")
        shop.run()
        yield shop


def proposed(shop: Shop, patch: Any = None, **given: Any) -> Any:
    [case] = shop.open_cases()
    given = given or {"patch": patch or RIGHT}
    return shop.engine.case_desk().hands.correct(case["id"], "three decimals", given, ANNA)


def reading(shop: Shop) -> str:
    return str(shop.rows("select reading from subjects where subject = 'order eu1/1001'")[0]["reading"])


def test_what_one_proposes_and_another_approves_is_read_and_posted_and_the_original_stays(shop):
    [case] = shop.open_cases()
    before = shop.rows("select event_id, body from events")
    asked = proposed(shop)
    assert "/order/total corrected (three decimals); it posts" in asked["summary"]
    assert reading(shop) == "parked"
    done = shop.engine.four_eyes().approve(asked["proposal"], BEN)
    shop.run()
    assert (reading(shop), shop.open_cases()) == ("posted", [])
    assert {one["kind"] for one in done["done"]["documents"]} >= {"sales_order", "payment", "invoice"}
    assert shop.rows("select event_id, body from events") == before
    with shop.engine.records.transaction() as tx:
        [kept] = corrections.of_subject(tx, "order eu1/1001")
    assert (kept["proposed_by"], kept["approved_by"], kept["reason"]) == ("anna", "ben", "three decimals")
    history = shop.engine.case_desk().inbox.show(case["id"])["history"]
    assert [(entry["who"], entry["what"]) for entry in history] == [
        ("engine", "opened"),
        ("ben", "corrected"),
        ("engine", "resolved"),
    ]
    assert [row["who"] for row in shop.rows("select who from audit where what = 'correct order'")] == ["ben"]


def test_who_decides_sees_what_differs_and_what_is_posted(shop):
    shown = shop.engine.four_eyes().show(proposed(shop)["proposal"])
    assert shown["changes"][0] == 'replace /order/total: "23.805" → "23.80"'
    assert any(line.startswith("posts eu1/1001/invoice/") for line in shown["changes"])
    assert "Mustermann" not in json.dumps(shown)


def test_a_whole_body_is_proposed_as_what_differs(shop):
    body = json.loads(bytes(shop.rows("select body from events")[0]["body"]))
    body["order"]["total"] = "23.80"
    assert json.loads(shop.engine.four_eyes().show(proposed(shop, body=body)["proposal"])["payload"]["patch"]) == RIGHT


def test_who_proposed_does_not_approve(shop):
    number = proposed(shop)["proposal"]
    with pytest.raises(Rejected, match="anna proposed this"):
        shop.engine.four_eyes().approve(number, ANNA)
    shop.run()
    assert reading(shop) == "parked"


def test_what_the_store_says_later_counts_instead(shop):
    shop.engine.four_eyes().approve(proposed(shop)["proposal"], BEN)
    shop.run()
    shop.says(total="23.807")
    shop.run()
    assert reading(shop) == "parked"
    shop.says()
    shop.run()
    assert (reading(shop), shop.open_cases()) == ("posted", [])
    assert len(shop.rows("select id from intents where kind = 'sales_order' and state = 'done'")) == 1


def test_what_was_corrected_and_is_said_once_more_word_for_word_stays_corrected(shop):
    shop.engine.four_eyes().approve(proposed(shop)["proposal"], BEN)
    shop.run()
    body = bytes(shop.rows("select body from events")[0]["body"])
    shop.says_again(body)
    shop.run()
    assert (reading(shop), shop.open_cases()) == ("posted", [])


def test_a_correction_of_what_is_no_longer_the_newest_is_refused(shop):
    number = proposed(shop)["proposal"]
    shop.says(total="23.807")
    with pytest.raises(CounterfoilError, match="Something newer is known"):
        shop.engine.four_eyes().approve(number, BEN)
    shop.run()
    assert reading(shop) == "parked" and shop.rows("select id from corrections") == []


@pytest.mark.parametrize(
    ("patch", "why"),
    [
        ([{"op": "replace", "path": "/order/total", "value": "99.00"}], "parks as well"),
        ([{"op": "replace", "path": "/order/total", "value": "23.806"}], "parks as well"),
        ([{"op": "replace", "path": "/order/id", "value": 1002}, *RIGHT], "parks as well: It is the order 1002"),
        ([{"op": "remove", "path": "/order"}], "parks as well: /"),
        ([{"op": "replace", "path": "/order/nothing", "value": 1}], "nothing at /order/nothing"),
    ],
)
def test_what_would_not_end_the_case_is_not_proposed(shop, patch, why):
    with pytest.raises(CounterfoilError, match=why):
        proposed(shop, patch)


def test_a_look_of_before_sees_nothing_of_a_later_correction(shop):
    with shop.engine.records.transaction() as tx:
        before = facts_of(tx, "eu1", "1001")
    shop.engine.four_eyes().approve(proposed(shop)["proposal"], BEN)
    with shop.engine.records.transaction() as tx:
        now = facts_of(tx, "eu1", "1001")
        then = facts_of(tx, "eu1", "1001", before.arrival)
    assert (len(before.snapshots), len(now.snapshots)) == (1, 2) and now.arrival > before.arrival
    assert then == before


def test_corrections_are_only_ever_added_to(shop):
    if shop.engine.database.is_sqlite:
        pytest.skip("SQLite has one writer: the engine")
    shop.engine.four_eyes().approve(proposed(shop)["proposal"], BEN)
    for statement in ("update corrections set reason = ''", "delete from corrections"):
        with pytest.raises(Exception, match="only ever added"), shop.engine.records.transaction() as tx:
            tx.run(statement)
