"""A period's figures: since when money is owed, and whether debits are credits."""

from __future__ import annotations

from datetime import date

from counterfoil_engine.domain.close import Line, aged, balanced, line

LAST = date(2026, 10, 31)


def a_move(day: str, amount_minor: int, about: str = "order eu1/1", role: str = "deposits") -> dict[str, object]:
    return {"about": about, "role": role, "currency": "EUR", "posting_date": day, "amount_minor": amount_minor}


def test_what_is_owed_is_as_old_as_its_balance_and_not_as_its_first_movement():
    rows = [a_move("2026-05-01", 1000), a_move("2026-05-02", -1000), a_move("2026-10-20", 700)]
    assert list(aged(rows, LAST)) == [
        Line("owed", "deposits, up to 30 days", "EUR", 700, None, False, ["order eu1/1"], 1)
    ]


def test_what_is_owed_is_told_by_role_and_age():
    rows = [
        a_move("2026-10-01", 100, "order eu1/1"),
        a_move("2026-09-30", 200, "order eu1/2"),
        a_move("2026-06-01", 400, "order eu1/3"),
        a_move("2026-06-01", 50, "order eu1/4", "refunds_owed"),
    ]
    assert [(each.detail, each.ours, each.of) for each in aged(rows, LAST)] == [
        ("deposits, up to 30 days", 100, 1),
        ("deposits, 31 to 60 days", 200, 1),
        ("deposits, over 90 days", 400, 1),
        ("refunds_owed, over 90 days", 50, 1),
    ]


def test_what_was_settled_is_not_owed():
    assert list(aged([a_move("2026-10-01", 100), a_move("2026-10-05", -100)], LAST)) == []


def test_debits_that_are_not_credits_need_somebody():
    row = {"currency": "EUR", "book_currency": "EUR"}
    sums = {"debit_minor": 100, "credit_minor": 99, "book_debit_minor": 100, "book_credit_minor": 100}
    assert [(each.detail, each.ours, each.needs_somebody) for each in balanced([{**row, **sums}])] == [
        ("book currency", 0, False),
        ("document currency", 1, True),
    ]


def test_a_line_names_the_first_hundred_orders_and_counts_all():
    names = [f"order eu1/{number:04}" for number in range(250)]
    told = line("open cases", "data", "cases", 250, names)
    assert (len(told.subjects), told.of) == (100, 250)
