"""Where other rules answer alike whatever an order's dues asked of these, its dues are the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date

from builders import NOW, a_line, a_row, an_order, facts_of, the_rules
from counterfoil_engine.domain.asked import Asked, Likeness
from counterfoil_engine.domain.documents import Dues
from counterfoil_engine.domain.dues import dues
from counterfoil_engine.domain.facts import OrderFacts
from counterfoil_engine.domain.rules import Rules
from domain.recorded import facts_by_order

MUG = facts_of(an_order(a_line("MUG")))


def are_alike(facts: OrderFacts, one: Rules, other: Rules) -> bool:
    asked, likeness = Asked(one), Likeness(one, other)
    dues(facts, asked.as_rules(), NOW)
    return all(likeness.holds(question) for question in asked.questions)


def with_rows(rules: Rules, table: str, *rows: object) -> Rules:
    return replace(rules, tables={**rules.tables, table: rows})


def without_versions(found: Dues) -> Dues:
    """Who decided is told in each `why`, and is no part of what is due."""
    return replace(found, rules_version="", documents=tuple(replace(each, why="") for each in found.documents))


def test_a_row_for_another_sku_is_none_of_an_orders_business():
    more = with_rows(the_rules(), "items", *the_rules().tables["items"], a_row(match={"sku": "CUP"}, **{"class": "x"}))
    assert are_alike(MUG, the_rules(), replace(more, version="two"))


def test_a_row_for_its_own_sku_is():
    more = with_rows(the_rules(), "items", *the_rules().tables["items"], a_row(match={"sku": "MUG"}, **{"class": "x"}))
    assert not are_alike(MUG, the_rules(), more)


def test_a_row_of_which_it_lacks_is_too():
    parks = the_rules(without=["items"])
    assert not are_alike(MUG, parks, the_rules())
    assert are_alike(MUG, parks, replace(parks, version="two"))


def test_a_row_from_a_later_day_changes_no_earlier_order():
    later = replace(a_row(match={"sku": "MUG"}, **{"class": "x"}), since=date(2030, 1, 1))
    assert are_alike(MUG, the_rules(), with_rows(the_rules(), "items", *the_rules().tables["items"], later))


def test_what_is_read_without_a_method_counts_as_asked():
    asked, other = Asked(the_rules()), with_rows(the_rules(), "items")
    assert asked.as_rules().tables
    assert not all(Likeness(the_rules(), other).holds(question) for question in asked.questions)


def test_rules_that_are_asked_give_the_dues_that_they_give_unasked_however_much_they_remember():
    asked = Asked(the_rules())
    for _ in range(2):
        for facts in facts_by_order().values():
            assert dues(facts, asked.as_rules(), NOW) == dues(facts, the_rules(), NOW)


def test_what_an_asker_writes_into_an_answer_is_not_remembered():
    asked = Asked(the_rules()).as_rules()
    answer = asked.look_up("items", "The item", date(2026, 11, 24), store="eu1", sku="MUG")
    answer["class"] = "x"  # type: ignore[index]
    assert asked.look_up("items", "The item", date(2026, 11, 24), store="eu1", sku="MUG")["class"] == "goods"


def others() -> Iterator[Rules]:
    """The rules less each one of their rows; and with another entity or start line."""
    rules = the_rules()
    for table, rows in rules.tables.items():
        for place in range(len(rows)):
            yield with_rows(rules, table, *rows[:place], *rows[place + 1 :])
    entity, store = rules.entities["DE01"], rules.stores["eu1"]
    yield replace(rules, entities={"DE01": replace(entity, zone="America/New_York")})
    yield replace(rules, entities={"DE01": replace(entity, registrations=())})
    yield replace(rules, stores={"eu1": replace(store, start_line=NOW)})
    yield replace(rules, stores={})


def test_whatever_is_taken_out_of_the_rules_orders_that_never_asked_for_it_keep_their_dues():
    rules, untouched = the_rules(), 0
    for facts in facts_by_order().values():
        asked = Asked(rules)
        before = without_versions(dues(facts, asked.as_rules(), NOW))
        for other in others():
            likeness = Likeness(rules, other)
            if all(likeness.holds(question) for question in asked.questions):
                untouched += 1
                assert without_versions(dues(facts, other, NOW)) == before
    assert untouched > 300
