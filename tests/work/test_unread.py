"""What was kept of a store and can't be used is a case, and ends: by what comes next, by two people, or by one who says
that nothing of it is wanted."""

from __future__ import annotations

import json
from typing import Any

import pytest
from counterfoil_engine.ports import Caller, Incoming
from counterfoil_engine.work import unpark
from counterfoil_engine.work.users import BOOTSTRAP
from fakes.control import the_users
from fakes.events import incoming
from fakes.shop import Shop, a_shop

TOMBSTONE = {
    "type": "counterfoil.tombstone.v1",
    "body": json.dumps(
        {"of": "counterfoil.order.v1", "hash": "0" * 64, "size_bytes": 9, "reason": "Answered 413 also when alone."}
    ).encode(),
}
BROKEN = {"reason": "/data/order/total: no amount"}


@pytest.fixture
def shop(database, clock):
    for shop in a_shop(database, clock):
        shop.says()
        shop.run()
        yield shop


def sends(shop: Shop, n: int, **fields: Any) -> None:
    """An event of the order 1001 under this number."""
    shop.engine.events.append("eu1", [event(n, **fields)])
    shop.run()


def event(n: int, **fields: Any) -> Incoming:
    return incoming(f"of {n}", n, **fields)


def causes(shop: Shop) -> list[str]:
    return [case["cause"] for case in shop.open_cases()]


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        (TOMBSTONE, "What the store says of it could not be taken in: Answered 413 also when alone."),
        (
            BROKEN,
            "What came last breaks its contract, and was kept without being used: /data/order/total: no amount.",
        ),
    ],
    ids=["a tombstone", "an event that breaks its contract"],
)
def test_it_is_a_case_of_its_order_until_something_that_can_be_read_comes(shop, kept, said):
    number = shop.seen + 1
    sends(shop, number, **kept)
    assert causes(shop) == [said]
    shop.seen = number
    shop.says()
    shop.run()
    assert causes(shop) == []


def test_what_a_later_number_has_said_already_is_history(shop):
    number = shop.seen + 2
    shop.seen = number - 1
    shop.says()
    sends(shop, number - 1, **BROKEN)
    assert causes(shop) == []


def test_two_people_say_how_it_reads(shop):
    users = the_users(shop.engine.database)
    for name, role in (("anna", "operator"), ("ben", "controller")):
        users.add(name, role, 300, BOOTSTRAP)
    said = json.loads(bytes(shop.rows("select body from events where body is not null")[0]["body"]))
    sends(shop, shop.seen + 1, **TOMBSTONE)
    [case] = shop.open_cases()
    said["order"]["customer_note"] = "Read out on the telephone"
    hands = shop.engine.case_desk().hands
    asked = hands.correct(case["id"], "the firewall", {"body": said}, Caller("anna", "operator", token_by="operator"))
    shop.engine.four_eyes().approve(asked["proposal"], Caller("ben", "controller", token_by="operator"))
    shop.run()
    assert causes(shop) == []
    assert shop.rows("select resolution from cases")[0]["resolution"] == "it is read as it was corrected"


def test_of_what_nobody_wants_a_person_says_that_it_is_over(shop):
    sends(shop, shop.seen + 1, **TOMBSTONE)
    unpark.retry(shop.engine.records, "order eu1/1001", "anna")
    shop.run()
    assert causes(shop) == []


def test_what_shows_no_order_is_a_case_of_the_store_once_for_each_reason(shop):
    for n in (1, 2):
        sends(shop, shop.seen + n, subject=None, type="unknown", body=b"x%d" % n, reason="it is no object")
    [case] = shop.open_cases()
    assert case["subject"] == "store eu1" and "whose order it is doesn't show: it is no object." in case["cause"]
