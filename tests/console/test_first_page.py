"""The first page: whom nothing is heard of comes first, what is stuck is a cause with its button; and who is slow."""

from __future__ import annotations

from builders import a_line, an_order
from console.conftest import Running, Visitor
from counterfoil_engine.console.pages import fleet, parties
from counterfoil_engine.work import fleet as stores


def test_what_needs_a_person_stands_on_the_first_page_once_for_each_cause(running: Running, visitor: Visitor):
    running.arrives(*[an_order(a_line("MUG"), id=1001 + n, payment_method="klarna") for n in range(3)])
    visitor.signs_in("carl")
    page = visitor.get("/").text
    assert page.count("The payment method &#39;klarna&#39; has no mapping.") == 1
    assert "3 subjects" in page.split("What needs a person")[1]
    assert 'aria-label="Fill in what case' in page


def test_money_held_is_added_up_by_currency_over_all_stores():
    lines = [
        {"money_held": [{"currency": "EUR", "amount_minor": 1190}]},
        {"money_held": [{"currency": "USD", "amount_minor": 500}, {"currency": "EUR", "amount_minor": 10}]},
        {"money_held": []},
    ]
    assert fleet.held(lines) == [
        {"currency": "EUR", "amount_minor": 1200},
        {"currency": "USD", "amount_minor": 500},
    ]


def test_a_party_that_answers_slowly_is_named_on_the_parties_page():
    line = {"party": "erp", "held": None, "breaker": "closed", "waiting": 2, "last_pause": None}
    quick = {**line, "entity": "DE01", "p95_s": 0.2}
    assert "slow" not in parties.answer([quick, {**line, "entity": "FR01", "p95_s": None}])
    said = parties.answer([quick, {**line, "entity": "US01", "p95_s": 15.0}])
    assert said == "All 2 parties answer; 4 documents wait. The ERP of US01 is slow: 15 s for 95 of 100 documents."


def test_a_store_of_which_nothing_is_heard_comes_before_one_with_something_stuck():
    kinds = ["stuck", "party", "silent", "holes"]
    assert sorted(kinds, key=lambda kind: stores.gravity({"kind": kind})) == ["silent", "holes", "stuck", "party"]
