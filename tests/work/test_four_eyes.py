"""Four eyes: one proposes, another decides, and what is done is exactly what was proposed, once."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import pytest
from counterfoil_engine.domain.errors import CounterfoilError
from counterfoil_engine.ports import Caller, Rejected
from counterfoil_engine.records.rules_store import Book
from counterfoil_engine.work.decisions import Decision, Frozen, the_decisions
from counterfoil_engine.work.four_eyes import FourEyes
from counterfoil_engine.work.look import LookSettings
from counterfoil_engine.work.restate import held
from counterfoil_engine.work.rules_file import parse_rules
from counterfoil_engine.work.users import BOOTSTRAP
from fakes.control import the_users
from fakes.engine import World, a_document

ANNA = Caller("anna", "controller", token_by="operator")
BEN = Caller("ben", "controller", token_by="operator")
DAY_S = 86_400.0

RULES = """rules: {label}
entities: [{{id: DE01, book_currency: EUR, zone: Europe/Berlin, country: DE}}]
stores: [{{id: eu1, entity: DE01, start_line: 2026-01-01T00:00:00Z}}]
"""
LIMITS = """approvals:
  - {what: write_off, currency: EUR, limit_minor: 5000, from: 2026-01-01}
  - {what: release_brake, currency: "*", limit_minor: any, from: 2026-01-01}
"""


class WriteOff(Decision):
    """As one that joins: what was written off is noted by who let it be done."""

    what = "write_off"

    def __init__(self) -> None:
        self.done: list[tuple[str, Any]] = []

    def freeze(self, tx: Any, asked: Any) -> Frozen:
        return Frozen(asked, f"Write off {asked['amount_minor']}.", {asked["currency"]: asked["amount_minor"]})

    def carry_out(self, tx: Any, payload: Any, who: str) -> Any:
        self.done.append((who, payload))
        return {"written_off": payload["amount_minor"]}


@dataclass
class Desk:
    """Four eyes over a world whose rules are real ones."""

    world: World
    eyes: FourEyes
    write_off: WriteOff

    def asks_to_write_off(self, amount_minor: int, caller: Caller, currency: str = "EUR") -> Any:
        return self.eyes.ask("write_off", {"currency": currency, "amount_minor": amount_minor}, caller)

    def audited(self) -> list[tuple[str, str]]:
        with self.world.database.transaction() as tx:
            return [(row["who"], row["what"]) for row in tx.all("select who, what from audit order by n")]


def a_desk(world: World, text: str = RULES.format(label="one") + LIMITS) -> Desk:
    with world.database.transaction() as tx:
        world.records.rules.load(tx, "one", text, "test")
    write_off = WriteOff()
    book = Book(parse_rules)
    decisions = [*the_decisions(world.records, book, parse_rules), write_off]
    return Desk(world, FourEyes(world.records, book, decisions), write_off)


@pytest.fixture
def desk(world):
    users = the_users(world.database)
    for name in ("anna", "ben"):
        users.add(name, "controller", 300, BOOTSTRAP)
    return a_desk(world)


def test_with_one_user_commands_go_on_as_before_and_status_says_so(world):
    desk = a_desk(world)
    the_users(world.database).add("anna", "controller", 300, BOOTSTRAP)
    assert desk.asks_to_write_off(9_999, ANNA) == {"written_off": 9_999}
    assert desk.asks_to_write_off(9_999, BOOTSTRAP) == {"written_off": 9_999}
    with world.database.transaction() as tx:
        standing = desk.eyes.standing(tx)
    assert standing["in_force"] is False and "not in force" in standing["says"]


def test_what_one_proposes_is_done_once_another_approves_it(desk):
    asked = desk.asks_to_write_off(9_999, ANNA)
    assert (asked["state"], asked["amounts"], desk.write_off.done) == ("open", {"EUR": 9_999}, [])
    done = desk.eyes.approve(asked["proposal"], BEN)
    assert (done["state"], done["decided_by"], done["done"]) == ("approved", "ben", {"written_off": 9_999})
    assert desk.write_off.done == [("ben", {"currency": "EUR", "amount_minor": 9_999})]
    assert desk.audited()[-2:] == [("anna", "propose"), ("ben", "approve proposal")]


def test_the_proposer_cannot_approve_not_even_with_another_role(desk):
    number = desk.asks_to_write_off(9_999, ANNA)["proposal"]
    for caller in (ANNA, replace(ANNA, role="admin"), replace(ANNA, token_by="anna")):
        with pytest.raises(Rejected, match="anna proposed this") as refused:
            desk.eyes.approve(number, caller)
        assert refused.value.slug == "four-eyes"
    assert desk.write_off.done == []


def test_a_token_that_the_proposer_had_made_approves_nothing_until_its_owner_replaced_it(desk):
    """An admin who makes a second self, or takes another's token anew."""
    number = desk.asks_to_write_off(9_999, ANNA)["proposal"]
    with pytest.raises(Rejected, match="had your token or password made"):
        desk.eyes.approve(number, Caller("second-self", "controller", token_by="anna"))
    assert desk.eyes.approve(number, Caller("carla", "controller", token_by="carla"))["done"]


def test_the_engines_own_token_neither_proposes_nor_approves(desk):
    with pytest.raises(Rejected, match="nobody's"):
        desk.asks_to_write_off(9_999, BOOTSTRAP)
    number = desk.asks_to_write_off(9_999, ANNA)["proposal"]
    with pytest.raises(Rejected, match="nobody's"):
        desk.eyes.approve(number, BOOTSTRAP)


def test_approving_twice_does_nothing_more(desk):
    number = desk.asks_to_write_off(9_999, ANNA)["proposal"]
    desk.eyes.approve(number, BEN)
    again = desk.eyes.approve(number, Caller("carla", "controller", token_by="carla"))
    assert (again["done"], again["decided_by"]) == (None, "ben")
    assert len(desk.write_off.done) == 1


def test_one_proposal_asked_for_twice_is_one(desk):
    first, second = desk.asks_to_write_off(9_999, ANNA), desk.asks_to_write_off(9_999, ANNA)
    assert first["proposal"] == second["proposal"]
    assert desk.asks_to_write_off(9_999, BEN)["proposal"] != first["proposal"]


def test_a_proposal_expires_after_seven_days(desk):
    number = desk.asks_to_write_off(9_999, ANNA)["proposal"]
    desk.world.clock.pass_time(7 * DAY_S)
    with pytest.raises(CounterfoilError, match=r"expired on 2026-11-30"):
        desk.eyes.approve(number, BEN)
    assert desk.eyes.list(False, 10)["proposals"] == []
    assert [row["state"] for row in desk.eyes.list(True, 10)["proposals"]] == ["expired"]


def test_what_was_rejected_is_not_done_and_stays_rejected(desk):
    number = desk.asks_to_write_off(9_999, ANNA)["proposal"]
    assert desk.eyes.reject(number, "wrong account", BEN)["reason"] == "wrong account"
    with pytest.raises(CounterfoilError, match="was rejected by ben"):
        desk.eyes.approve(number, BEN)
    assert desk.write_off.done == []


def test_an_operator_takes_back_a_proposal_of_their_own_and_no_other(desk):
    mine, other = Caller("olga", "operator"), desk.asks_to_write_off(9_999, ANNA)["proposal"]
    own = desk.asks_to_write_off(7_777, mine)["proposal"]
    assert desk.eyes.reject(own, "mistake", mine)["state"] == "rejected"
    with pytest.raises(Rejected, match="Only its proposer or a controller"):
        desk.eyes.reject(other, "no", mine)


def test_a_payload_that_somebody_changed_in_the_database_is_not_carried_out(desk):
    number = desk.asks_to_write_off(9_999, ANNA)["proposal"]
    with desk.world.database.transaction() as tx:
        changed = json.dumps({"amount_minor": 9_999_999, "currency": "EUR"})
        tx.run("update proposals set payload = %s where id = %s", changed, number)
    with pytest.raises(CounterfoilError, match="no longer what was proposed"):
        desk.eyes.approve(number, BEN)
    assert desk.write_off.done == []


@pytest.mark.parametrize(
    ("amount_minor", "currency", "takes_another"),
    [(5_000, "EUR", False), (5_001, "EUR", True), (1, "USD", True), (0, "USD", False)],
)
def test_up_to_the_limit_of_the_rules_one_person_is_enough(desk, amount_minor, currency, takes_another):
    answer = desk.asks_to_write_off(amount_minor, ANNA, currency)
    assert ("proposal" in answer) == takes_another


def test_a_rule_that_says_any_lets_one_person_release_a_brake(desk):
    trip(desk.world)
    assert desk.eyes.ask("release_brake", {"entity": "DE01"}, ANNA) == {"entity": "DE01", "subjects": 1}


# What joins already.


def trip(world: World) -> None:
    """Two payments of which only one may be reversed in an hour."""
    world.load_rules("two")
    for number in ("1001", "1002"):
        world.due(number, a_document("payment", 100, order=number))
    world.run()
    world.settings = LookSettings(reversals_an_hour=1, group=1)
    for number in ("1001", "1002"):
        world.due(number)
    world.run()
    with world.database.transaction() as tx:
        world.records.rules.load(tx, "three", RULES.format(label="three") + LIMITS, "test")


def test_rules_come_into_force_as_they_were_proposed(desk):
    text = RULES.format(label="four")
    asked = desk.eyes.ask("load_rules", {"text": text}, ANNA)
    with desk.world.database.transaction() as tx:
        assert desk.world.records.rules.current_version(tx) == "one"
    assert "-rules: one" in desk.eyes.show(asked["proposal"])["changes"]
    assert "+rules: four" in desk.eyes.show(asked["proposal"])["changes"]
    assert desk.eyes.approve(asked["proposal"], BEN)["done"]["version"] == "four"
    with desk.world.database.transaction() as tx:
        assert desk.world.records.rules.text_of(tx, "four") == text


def test_rules_that_would_undo_later_ones_are_refused(desk):
    first = desk.eyes.ask("load_rules", {"text": RULES.format(label="four")}, ANNA)
    second = desk.eyes.ask("load_rules", {"text": RULES.format(label="five")}, BEN)
    desk.eyes.approve(second["proposal"], ANNA)
    with pytest.raises(CounterfoilError, match="The rules five came into force since"):
        desk.eyes.approve(first["proposal"], BEN)
    assert desk.eyes.show(first["proposal"])["state"] == "open"  # nothing of the attempt stays


def test_rules_with_a_fault_are_told_at_once_and_not_proposed(desk):
    with pytest.raises(CounterfoilError, match="fault"):
        desk.eyes.ask("load_rules", {"text": "rules: x\n"}, ANNA)
    assert desk.eyes.list(True, 10)["proposals"] == []


def test_a_restatement_is_posted_up_to_what_was_proposed(world):
    users = the_users(world.database)
    for name in ("anna", "ben"):
        users.add(name, "controller", 300, BOOTSTRAP)
    eyes = FourEyes(world.records, world.book, the_decisions(world.records, world.book, parse_rules))
    world.due("1001", a_document("invoice", 1000))
    world.due("1002", a_document("invoice", 500, order="1002"))
    world.run()
    world.by_rules["v2"] = lambda document: replace(
        document, amount_minor=document.amount_minor + 100, body={"amount": document.amount_minor + 100}
    )
    world.load_rules("v2")
    look_again(world, "1001")
    small = eyes.ask("approve_restatement", {"version": "v2"}, ANNA)
    assert small["amounts"] == {"EUR": 100}
    look_again(world, "1002")  # more comes to be held meanwhile
    with pytest.raises(CounterfoilError, match="More is held by now"):
        eyes.approve(small["proposal"], BEN)
    large = eyes.ask("approve_restatement", {"version": "v2"}, ANNA)
    assert large["amounts"] == {"EUR": 200}
    assert eyes.approve(large["proposal"], BEN)["done"]["subjects"] == 2
    world.clock.pass_time(2)
    world.run()
    assert held(world.records) == []


def look_again(world: World, order: str) -> None:
    with world.database.transaction() as tx:
        world.records.work.mark_due(tx, [f"order eu1/{order}"], "repair")
    world.clock.pass_time(2)
    world.run()


def test_a_brake_that_came_on_again_is_not_released_by_an_earlier_proposal(world):
    desk = a_desk(world, RULES.format(label="one"))
    users = the_users(world.database)
    for name in ("anna", "ben"):
        users.add(name, "controller", 300, BOOTSTRAP)
    with world.database.transaction() as tx:
        world.records.restatements.brake(tx, "DE01")
        world.records.restatements.trip_brake(tx, "DE01", "too many")
    number = desk.eyes.ask("release_brake", {"entity": "DE01"}, ANNA)["proposal"]
    with world.database.transaction() as tx:
        world.records.restatements.release_brake(tx, "DE01")
        world.clock.pass_time(60)
    with world.database.transaction() as tx:
        world.records.restatements.trip_brake(tx, "DE01", "too many again")
    with pytest.raises(CounterfoilError, match="came on again"):
        desk.eyes.approve(number, BEN)
    with world.database.transaction() as tx:
        assert world.records.restatements.brakes(tx)


def test_switching_on_takes_two_and_switching_off_one(desk):
    from counterfoil_engine.work.switches import switch

    with desk.world.database.transaction() as tx:
        rules = Book(parse_rules).current(tx)
    switch(desk.world.records, rules, "eu1", "erp", "off", "anna")
    asked = desk.eyes.ask("switch_on", {"store": "eu1", "party": "erp"}, Caller("olga", "operator"))
    assert asked["summary"] == "Switch erp on for eu1. It would post 0 documents that are ready."
    with desk.world.database.transaction() as tx:
        assert desk.world.records.rules.switches(tx) == {("eu1", "erp"): "off"}
    desk.eyes.approve(asked["proposal"], BEN)
    with desk.world.database.transaction() as tx:
        assert desk.world.records.rules.switches(tx) == {("eu1", "erp"): "on"}
