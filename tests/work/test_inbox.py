"""The inbox: one cause is one line; people filter, take, put off and talk about cases, and all of it stays."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from counterfoil_engine.domain.errors import Case
from counterfoil_engine.ports import Caller, Rejected, Wanted
from counterfoil_engine.records import inbox
from counterfoil_engine.work.users import BOOTSTRAP
from fakes.control import the_users
from fakes.desk import a_desk

ANNA = Caller("anna", "operator", token_by="operator")
HOUR_S = 3_600.0


def a_case(cause: str = "The total is wrong.", amount_minor: int | None = 1_000, **more: Any) -> Case:
    return Case(more.pop("category", "data"), cause, "Correct it.", money_minor=amount_minor, currency="EUR", **more)


def klarna(amount_minor: int = 1_000, currency: str = "EUR") -> Case:
    row = {"table": "payment_methods", "store": "eu1", "method": "klarna", "gateway": None}
    cause = "The payment method 'klarna' has no mapping."
    return Case("missing_mapping", cause, "Add a row.", (row,), amount_minor, currency)


@pytest.fixture
def desk(world, clock):
    the_users(world.database).add("anna", "operator", 300, BOOTSTRAP)
    return a_desk(world.database, clock, world.looker())


@pytest.fixture
def opened(world):
    """Opens a case; its number."""

    def open_one(order: int, case: Case, store: str = "eu1", party: str = "store") -> int:
        subject = f"order {store}/{order}"
        with world.database.transaction() as tx:
            world.records.cases.open_case(tx, subject, store, "look", case, party=party)
            return int(world.records.cases.of_subject(tx, subject)[-1]["id"])

    return open_one


def listed(desk, **wanted: Any) -> list[str]:
    return [row["subject"] for row in desk.inbox.list(Wanted(**wanted))["cases"]]


def test_four_hundred_orders_held_by_one_missing_row_are_one_line_with_money_by_currency(desk, opened, clock):
    first = opened(1, klarna(500))
    clock.pass_time(HOUR_S)
    for order in range(2, 400):
        opened(order, klarna(1_000))
    opened(400, klarna(7_000, "USD"))
    said = desk.inbox.list(Wanted(limit=10))
    [line] = said["causes"]
    assert (line["subjects"], line["case"], line["oldest"]) == (400, first, "2026-11-23T09:00:00+00:00")
    assert line["money"] == [
        {"currency": "EUR", "amount_minor": 500 + 398 * 1_000},
        {"currency": "USD", "amount_minor": 7_000},
    ]
    assert len(said["cases"]) == 10 and said["found"] == {"cases": 400, "causes": 1}
    assert said["causes"][0]["runbook"] == "docs/runbooks/cases.md#missing_mapping"


def test_the_inbox_is_filtered_by_category_store_party_owner_age_and_money(desk, opened, clock):
    opened(1, a_case(amount_minor=10_000), party="erp")
    opened(2, klarna(5_000), store="us1")
    clock.pass_time(5 * HOUR_S)
    third = opened(3, a_case("The tax is missing.", 100, category="tax"))
    desk.hands.assign(third, "anna", False, ANNA)
    assert listed(desk) == ["order eu1/1", "order us1/2", "order eu1/3"]
    assert listed(desk, sort="age") == ["order eu1/1", "order us1/2", "order eu1/3"]
    assert listed(desk, category="tax") == ["order eu1/3"]
    assert listed(desk, store="us1") == ["order us1/2"]
    assert listed(desk, party="erp") == ["order eu1/1"]
    assert listed(desk, owner="anna") == ["order eu1/3"]
    assert listed(desk, least_amount=Decimal("50")) == ["order eu1/1", "order us1/2"]
    assert listed(desk, least_amount=Decimal("50.01")) == ["order eu1/1"]
    assert listed(desk, opened_before=clock.now() - timedelta(hours=4)) == ["order eu1/1", "order us1/2"]
    assert listed(desk, limit=1, offset=1) == ["order us1/2"]


def test_money_is_compared_at_its_face_value_whatever_the_currencys_decimals(desk, opened):
    opened(1, replace(a_case("a", 900), currency="JPY"))
    opened(2, replace(a_case("b", 90_100), currency="EUR"))
    opened(3, replace(a_case("c", 899_000), currency="KWD"))
    opened(4, a_case("d", None))
    assert listed(desk) == ["order eu1/2", "order eu1/1", "order eu1/3", "order eu1/4"]
    assert listed(desk, least_amount=Decimal("900")) == ["order eu1/2", "order eu1/1"]


def test_what_is_put_off_comes_back_by_itself(desk, opened, clock):
    number = opened(1, a_case())
    desk.hands.snooze(number, clock.now() + timedelta(hours=2), False, ANNA)
    assert listed(desk) == [] and desk.inbox.list(Wanted())["snoozed"] == 1
    assert listed(desk, with_snoozed=True) == ["order eu1/1"]
    clock.pass_time(2 * HOUR_S + 1)
    assert listed(desk) == ["order eu1/1"]
    with pytest.raises(Rejected, match="past"):
        desk.hands.snooze(number, clock.now(), False, ANNA)


def test_what_people_did_about_a_case_stays_in_its_history_and_in_the_audit_log(desk, opened, world, clock):
    number = opened(1, a_case())
    desk.hands.assign(number, "anna", False, ANNA)
    desk.hands.comment(number, "asked the shop", False, ANNA)
    desk.hands.snooze(number, clock.now() + timedelta(hours=1), False, ANNA)
    history = desk.inbox.show(number)["history"]
    assert [(entry["who"], entry["what"]) for entry in history] == [
        ("engine", "opened"),
        ("anna", "assigned"),
        ("anna", "said"),
        ("anna", "snoozed"),
    ]
    assert (history[1]["said"], history[2]["said"]) == ("to anna", "asked the shop")
    with world.database.transaction() as tx:
        audited = [(row["who"], row["what"]) for row in tx.all("select who, what from audit order by n")]
    assert audited[-3:] == [("anna", "case assigned"), ("anna", "case said"), ("anna", "case snoozed")]


def test_the_notes_of_cases_are_only_ever_added_to(desk, opened, world):
    desk.hands.comment(opened(1, a_case()), "here", False, ANNA)
    if world.database.is_sqlite:
        pytest.skip("SQLite has one writer: the engine")
    for statement in ("update case_notes set said = ''", "delete from case_notes", "truncate case_notes"):
        with pytest.raises(Exception, match="only ever added"), world.database.transaction() as tx:
            tx.run(statement)


def test_one_word_is_for_all_that_share_a_cause(desk, opened):
    first = opened(1, klarna())
    opened(2, klarna())
    opened(3, a_case())
    assert len(desk.hands.assign(first, "anna", True, ANNA)["cases"]) == 2
    assert {row["category"]: row["owner"] for row in desk.inbox.list(Wanted())["causes"]} == {
        "missing_mapping": "anna",
        "data": None,
    }


def test_only_somebody_who_is_there_is_given_a_case_and_only_an_open_one_is_worked_on(desk, opened, world):
    number = opened(1, a_case())
    with pytest.raises(Rejected, match="no user 'carla'"):
        desk.hands.assign(number, "carla", False, ANNA)
    with world.database.transaction() as tx:
        world.records.cases.resolve(tx, number, "the shop corrected it")
    with pytest.raises(Rejected, match="is over: the shop corrected it"):
        desk.hands.comment(number, "too late", False, ANNA)
    assert desk.inbox.show(number)["history"][-1]["said"] == "the shop corrected it"
    with pytest.raises(Rejected, match="no case 404"):
        desk.inbox.show(404)


def test_a_case_without_an_amount_is_worth_what_its_order_comes_to(desk, opened, world):
    with world.database.transaction() as tx:
        tx.run(
            "insert into subjects (subject, store, reading, reason, currency, total_minor, unproven, proofs, waits,"
            " looked_at, look_id, rules_version) values"
            " ('order eu1/1', 'eu1', 'parked', '', 'EUR', 4200, 0, '[]', '[]', %s, 1, 'v1')",
            tx.now(),
        )
    number = opened(1, Case("data", "It can't be read.", "Correct it."))
    assert desk.inbox.show(number)["money_minor"] == 4_200
    with world.database.transaction() as tx:
        assert inbox.cases(tx, Wanted(least_amount=Decimal(42)))[0]["id"] == number
