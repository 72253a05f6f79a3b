"""Every category of case over the real chain: opened by a real cause, shown, ended by its remedy, posted once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import get_args

import pytest
from builders import a_line
from counterfoil_engine.domain.errors import Category
from counterfoil_engine.ports import Caller, Wanted
from counterfoil_engine.records import journal
from fakes.shop import RULES, Shop, a_shop

ANNA = Caller("anna", "controller", token_by="operator")
RUNBOOK = (Path(__file__).parents[2] / "docs/runbooks/cases.md").read_text("utf-8")


@pytest.fixture
def shop(database, clock) -> Iterator[Shop]:
    yield from a_shop(database, clock)


# What goes wrong, by category: its cause, and what ends it as the remedy says.


def an_unknown_method(shop: Shop) -> Callable[[], None]:
    shop.says(payment_method="klarna")

    def fill_in() -> None:
        [case] = shop.open_cases()
        shop.engine.case_desk().hands.fill(case["id"], {"gateway": "klarna", "accept_unpaid": "false"}, ANNA)

    return fill_in


def a_total_that_is_no_amount(shop: Shop) -> Callable[[], None]:
    shop.says(total="23.805")
    return lambda: shop.says()


def thrown_away_with_money_held(shop: Shop) -> Callable[[], None]:
    shop.says()
    shop.run()
    shop.says(status="trash")
    return lambda: shop.says()


def an_erp_that_is_down(shop: Shop) -> Callable[[], None]:
    shop.goes_wrong(fault="down")
    shop.says()
    return lambda: shop.goes_wrong(fault=None)


def an_erp_that_asks_for_a_pause(shop: Shop) -> Callable[[], None]:
    shop.goes_wrong(fault="rate_limit", retry_after_s=30)
    shop.says()
    return lambda: shop.goes_wrong(fault=None)


def a_period_that_closes_between_two_postings(shop: Shop) -> Callable[[], None]:
    for order in range(900, 930):  # each lane has heard that the day is open
        shop.says(order=order)
    shop.run()
    shop.books.close_period("DE01", date(2026, 11, 1), date(2026, 11, 23))
    shop.says()
    return lambda: None  # the remedy: the next open day is chosen by itself


def books_in_another_currency(shop: Shop) -> Callable[[], None]:
    shop.load(RULES.replace("rules: one", "rules: euros").replace("book_currency: EUR", "book_currency: USD") + RATE)
    shop.says(order=1000)
    shop.run()
    shop.load(RULES.replace("rules: one", "rules: wrong"))
    shop.says()
    right = RULES.replace("rules: one", "rules: right").replace("book_currency: EUR", "book_currency: USD") + RATE

    def mend_and_retry() -> None:
        shop.load(right)
        for _ in range(2):  # what was on its way under the wrong rules is refused once more
            for case in shop.open_cases():
                shop.engine.case_desk().hands.retry(case["id"], False, ANNA)
            shop.run()

    return mend_and_retry


RATE = "rates:\n  - {book: USD, currency: EUR, rate: '0.8', from: 2020-01-01}\n"


def a_line_without_its_tax(shop: Shop) -> Callable[[], None]:
    shop.says(parts=(a_line("MUG", 2, "10.00", "none"),))
    return lambda: shop.says()


def figures_that_do_not_add_up(shop: Shop) -> Callable[[], None]:
    shop.says()
    shop.run()
    shop.says(total="99.00")
    return lambda: shop.says()


def refunded_without_a_refund(shop: Shop) -> Callable[[], None]:
    shop.says()
    shop.run()
    shop.says(status="refunded")
    return lambda: shop.says()


CAUSES: dict[str, Callable[[Shop], Callable[[], None]]] = {
    "missing_mapping": an_unknown_method,
    "data": a_total_that_is_no_amount,
    "conflict": thrown_away_with_money_held,
    "outage": an_erp_that_is_down,
    "rate_limit": an_erp_that_asks_for_a_pause,
    "closed_period": a_period_that_closes_between_two_postings,
    "contract": books_in_another_currency,
    "tax": a_line_without_its_tax,
    "unbalanced": figures_that_do_not_add_up,
    "refund": refunded_without_a_refund,
}


WHY = {
    "missing_mapping": "the rules one.1 have what was missing",
    "data": "by what is known now its cause is gone",
    "conflict": "by what is known now its cause is gone",
    "outage": "erp DE01 answers again",
    "rate_limit": "erp DE01 answers again",
    "closed_period": "its document goes on the next open day",
    "contract": "retried",
    "tax": "by what is known now its cause is gone",
    "unbalanced": "by what is known now its cause is gone",
    "refund": "by what is known now its cause is gone",
}


@pytest.mark.parametrize("category", CAUSES)
def test_from_its_cause_to_its_resolution(shop: Shop, category: str) -> None:
    end = CAUSES[category](shop)
    shop.run(until=lambda: any(case["category"] == category for case in shop.open_cases()))

    found = shop.engine.case_desk().inbox.list(Wanted(category=category))
    [line] = found["causes"]
    assert line["cause"].endswith(".") and line["remedy"].endswith(".")
    assert line["runbook"] == f"docs/runbooks/cases.md#{category}"
    shown = shop.engine.case_desk().inbox.show(line["case"])
    assert shown["history"][0]["said"] == line["cause"] and shown["resolved_at"] is None

    end()
    for _ in range(8):  # a party that was away is asked again after a pause that grows
        shop.run()
        shop.clock.pass_time(61)
    assert [case["cause"] for case in shop.open_cases()] == []
    ended = shop.engine.case_desk().inbox.show(line["case"])
    assert ended["resolved_at"] and ended["resolution"] == WHY[category]
    assert ended["history"][-1]["what"] == "resolved"
    _assert_posted_exactly_once(shop)


def _assert_posted_exactly_once(shop: Shop) -> None:
    assert shop.rows("select subject from work") == []
    assert shop.rows("select key, state from intents where state not in ('done', 'withdrawn', 'refused')") == []
    standing = "select count(*) as orders from intents i where kind = 'sales_order' and about = 'order eu1/1001'"
    undone = " and not exists (select 1 from intents r where r.reverses = i.key and r.state = 'done')"
    [row] = shop.rows(f"{standing} and reverses is null and state = 'done'{undone}")
    assert row["orders"] == 1
    with shop.engine.records.transaction() as tx:
        ours = {
            (one["entity"], one["role"], one["currency"]): int(one["debit_minor"]) - int(one["credit_minor"])
            for one in journal.balances(tx)
        }
    theirs = {place: held.debit_minor - held.credit_minor for place, held in shop.books.balances().items()}
    assert {place: minor for place, minor in ours.items() if minor} == {p: m for p, m in theirs.items() if m}


def test_the_walk_leaves_no_category_out_and_each_has_its_section_in_the_runbook() -> None:
    assert set(CAUSES) == set(get_args(Category))
    assert re.findall(r"^## (\w+)$", RUNBOOK, re.MULTILINE) == list(get_args(Category))
