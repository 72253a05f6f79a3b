"""Other rules tried over orders' facts: what would differ, by which accounts, and what would park."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import NOW, a_line, a_row, an_order, facts_of, the_rules
from counterfoil_engine.domain.documents import Dues
from counterfoil_engine.domain.dues import dues
from counterfoil_engine.domain.errors import CounterfoilError
from counterfoil_engine.domain.facts import OrderFacts
from counterfoil_engine.domain.rules import Rules
from counterfoil_engine.work.what_if import Comparison, would_change

RULES = the_rules()
MERCHANDISE = replace(
    the_rules(items=[a_row(match={"sku": "MUG"}, item="mug", **{"class": "merchandise"})]), version="tried"
)
WITHOUT_BACS = replace(
    RULES,
    version="tried",
    tables={
        **RULES.tables,
        "payment_methods": [row for row in RULES.tables["payment_methods"] if row.match["method"] != "bacs"],
    },
)


def order(order_id: int, sku: str) -> OrderFacts:
    return facts_of(an_order(a_line(sku, 2, "9.90"), id=order_id))


GROUPS = [[order(1001, "MUG"), order(1002, "CUP")], [order(1003, "MUG")], [order(1004, "CUP")]]


def tried(rules: Rules, groups=GROUPS, processes: int = 1, of=dues):
    return would_change(groups, Comparison(RULES, rules, NOW, of), processes).as_json()


def test_another_class_for_a_sku_moves_its_revenue_and_nothing_else():
    said = tried(MERCHANDISE)
    assert (said["subjects"], said["differ"]) == (4, 2)
    assert {(each["how"], each["kind"]): each["documents"] for each in said["documents"]} == {
        ("posted anew", "invoice"): 2,
        ("posted anew", "sales_order"): 2,
    }
    assert {each["role"]: each["difference_minor"] for each in said["accounts"]} == {
        "revenue:goods": 3960,
        "revenue:merchandise": -3960,
    }
    assert [each["subject"] for each in said["named"]] == ["order eu1/1001", "order eu1/1003"]


def test_orders_that_would_park_are_told_with_the_missing_row():
    said = tried(WITHOUT_BACS)
    (cause,) = said["park"]["causes"]
    assert (said["park"]["subjects"], cause["subjects"]) == (4, 4)
    assert cause["rows"][0]["table"] == "payment_methods" and cause["rows"][0]["method"] == "bacs"


def test_orders_that_would_no_longer_park_resume_with_documents_that_are_new():
    said = would_change(GROUPS, Comparison(WITHOUT_BACS, RULES, NOW, dues), 1).as_json()
    assert (said["resume"], said["park"]["subjects"]) == (4, 0)
    assert {each["how"] for each in said["documents"]} == {"new"}


def test_the_same_rules_under_another_label_change_nothing():
    said = tried(replace(RULES, version="tried"))
    assert (said["subjects"], said["differ"], said["documents"], said["accounts"]) == (4, 0, [], [])


def test_another_rate_leaves_what_is_posted_and_books_the_rest_otherwise():
    dollars = [[facts_of(an_order(a_line("MUG"), id=1001, currency="USD"))]]
    other = the_rules(rates=[a_row(match={"book": "EUR", "currency": "USD"}, rate="2")])
    said = tried(other, dollars)
    assert {each["how"] for each in said["documents"]} == {"booked otherwise"}
    assert all(each["difference_minor"] == 0 and each["difference_book_minor"] for each in said["accounts"])


def test_only_orders_that_asked_what_the_rules_answer_otherwise_are_computed_again():
    computed = []

    def counted(facts: OrderFacts, rules: Rules, as_of) -> Dues:
        computed.append((facts.order_id, rules.version))
        return dues(facts, rules, as_of)

    tried(MERCHANDISE, of=counted)
    assert [order_id for order_id, version in computed if version == "tried"] == ["1001", "1003"]


def test_several_processes_come_to_what_one_comes_to():
    assert tried(MERCHANDISE, processes=2) == tried(MERCHANDISE, processes=1)


def test_what_fails_in_a_process_is_told_and_no_process_is_left():
    with pytest.raises(CounterfoilError, match="ended from outside"):
        would_change(GROUPS, Comparison(RULES, MERCHANDISE, NOW, dies), 2)


def dies(facts: OrderFacts, rules: Rules, as_of) -> Dues:
    import os

    os._exit(9)


def test_groups_are_read_only_as_fast_as_they_are_computed():
    read, ahead = 0, []

    def groups():
        nonlocal read
        for number in range(40):
            read += 1
            yield [order(number + 1, "CUP")]

    would_change(groups(), Comparison(RULES, MERCHANDISE, NOW, dues), 1, lambda done: ahead.append(read - done))
    assert max(ahead) <= 2
