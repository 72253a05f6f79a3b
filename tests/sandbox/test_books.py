"""The sandbox ERP's books: what each document books, and what they refuse."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from counterfoil_sandbox.books import Books, Settings
from counterfoil_sandbox.erp_journal import Balance, balances_of, differing, journal_of
from hypothesis import given
from hypothesis import strategies as st
from sandbox.erp_documents import (
    LINES,
    Json,
    a_credit_note,
    a_customer,
    a_document,
    a_line,
    a_payment,
    a_refund_payment,
    a_sales_order,
    a_tax,
    an_application,
    an_invoice,
    an_order,
    reversed_,
)


def books_with(*documents: Json, **settings: Any) -> Books:
    books = Books(settings=Settings(**settings))
    assert [outcome["status"] for outcome in books.post(documents)] == ["posted"] * len(documents)
    return books


def refused(books: Books, document: Any) -> tuple[str, str]:
    """Category and cause of a refusal, which has a remedy and books nothing."""
    before = (books.count(), books.balances())
    (outcome,) = books.post([document])
    assert outcome["status"] == "refused", outcome
    assert outcome["cause"] and outcome["remedy"]
    assert (books.count(), books.balances()) == before
    return outcome["category"], outcome["cause"]


def journal(document: Json) -> dict[str, tuple[int, int]]:
    """Role → debit − credit, in document and in book currency."""
    return {
        line.role: (line.debit_minor - line.credit_minor, line.book_debit_minor - line.book_credit_minor)
        for line in journal_of(document)
    }


# What each kind books


def test_an_invoice_debits_the_receivable_and_credits_revenue_and_tax_by_role() -> None:
    lines = [*LINES, a_line(-200, -38, "fee")]
    assert journal(an_invoice(lines, 2770)) == {
        "receivable": (2770, 2770),
        "revenue:goods": (-2028, -2028),
        "revenue:shipping": (-500, -500),
        "revenue:fees": (200, 200),
        "tax:domestic:DE:19": (-442, -442),
    }


def test_a_foreign_invoice_is_booked_in_both_currencies() -> None:
    lines = [a_line(2500, 475, net_book_minor=2001, taxes=[a_tax(475, tax_book_minor=380)])]
    assert journal(an_invoice(lines, 2975, currency="USD", book_minor=2381)) == {
        "receivable": (2975, 2381),
        "revenue:goods": (-2500, -2001),
        "tax:domestic:DE:19": (-475, -380),
    }


def test_a_credit_note_debits_returns_shipping_fees_allowances_and_tax() -> None:
    lines = [a_line(507, 96), a_line(100, 19, "shipping"), a_line(50, None, "fee"), a_line(20, 4, "allowance")]
    assert journal(a_credit_note(lines, 796)) == {
        "receivable": (-796, -796),
        "returns:goods": (507, 507),
        "revenue:shipping": (100, 100),
        "revenue:fees": (50, 50),
        "allowances": (20, 20),
        "tax:domestic:DE:19": (119, 119),
    }


def test_a_payment_goes_to_deposits_or_stays_unapplied() -> None:
    assert journal(a_payment(100)) == {"clearing:stripe:EUR": (100, 100), "deposits": (-100, -100)}
    assert journal(a_payment(100, to="unapplied"))["unapplied:stripe"] == (-100, -100)


def test_a_tender_uses_a_gift_card_and_a_negative_one_gives_it_back() -> None:
    fields = {"tender": "gift_card", "provider": "cards", "line": "fee:50", "currency": "USD"}
    used = a_document("tender", 1000, book_minor=800, **fields)
    back = a_document("tender", -1000, book_minor=-790, carried_book_minor=-800, **fields)
    assert journal(used) == {"gift_cards": (1000, 800), "deposits": (-1000, -800)}
    assert journal(back) == {"refunds_owed": (1000, 800), "gift_cards": (-1000, -790), "fx_gain": (0, -10)}


@pytest.mark.parametrize(
    ("book_minor", "exchange"), [(810, {"fx_loss": (0, 10)}), (790, {"fx_gain": (0, -10)}), (800, {})]
)
def test_a_refund_paid_at_another_rate_books_the_exchange_difference(book_minor: int, exchange: Json) -> None:
    document = a_refund_payment(1000, currency="USD", book_minor=book_minor, carried_book_minor=800)
    expected = {"refunds_owed": (1000, 800), "clearing:stripe:USD": (-1000, -book_minor), **exchange}
    assert journal(document) == expected


def test_an_application_moves_levels_and_books_the_exchange_difference_of_each_move() -> None:
    def a_move(credit: str, amount_minor: int, debit_book_minor: int, credit_book_minor: int) -> Json:
        return {
            "debit": "deposits",
            "credit": credit,
            "amount_minor": amount_minor,
            "debit_book_minor": debit_book_minor,
            "credit_book_minor": credit_book_minor,
        }

    moves = [a_move("receivable", 600, 480, 485), a_move("refunds_owed", 400, 320, 318)]
    document = a_document("application", 1000, currency="USD", of="eu1/1001/invoice/1", moves=moves)
    assert journal(document) == {
        "deposits": (1000, 800),
        "receivable": (-600, -485),
        "refunds_owed": (-400, -318),
        "fx_loss": (0, 5),
        "fx_gain": (0, -2),
    }


def test_customers_sales_orders_and_cancellations_book_nothing() -> None:
    cancelled = a_document("cancellation", 3008, sales_order="eu1/1001/sales_order/1", lines=LINES)
    assert [journal(document) for document in (a_customer(), a_sales_order(), cancelled)] == [{}, {}, {}]


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**8)), min_size=1, max_size=6))
def test_whatever_an_invoice_sums_up_to_debits_equal_credits(amounts: list[tuple[int, int]]) -> None:
    lines = [a_line(net, tax) for net, tax in amounts]
    booked = journal_of(an_invoice(lines, sum(net + tax for net, tax in amounts)))
    assert sum(line.debit_minor for line in booked) == sum(line.credit_minor for line in booked)
    assert sum(line.book_debit_minor for line in booked) == sum(line.book_credit_minor for line in booked)


# Keys


def test_the_same_key_and_content_get_the_first_number_again() -> None:
    books = books_with(a_customer(), a_sales_order())
    first, again = books.post([a_payment(), a_payment(date="2026-11-24", content_hash=a_payment()["content_hash"])])
    assert first == again
    assert books.count() == 3


def test_a_key_that_stands_with_other_content_is_a_conflict() -> None:
    books = books_with(a_payment(100))
    category, cause = refused(books, a_payment(101))
    assert category == "conflict" and "PA-2026-000001" in cause


def test_of_two_that_bear_one_key_the_second_stands_when_one_is_reversed() -> None:
    books = books_with(a_customer())
    books.post([a_sales_order()] * 2, unique_keys=False)
    books.post([reversed_(a_sales_order())])
    assert [outcome["status"] for outcome in books.post([an_invoice()])] == ["posted"]
    books.post([reversed_(a_sales_order())], unique_keys=False)
    assert refused(books, an_invoice(key="eu1/1001/invoice/1/r2"))[0] == "data"


def test_without_unique_keys_the_same_key_is_posted_twice_and_both_are_found() -> None:
    books = books_with(a_payment())
    books.post([a_payment()], unique_keys=False)
    assert [row["number"] for row in books.find([a_payment()["key"]])] == ["PA-2026-000001", "PA-2026-000002"]


def test_numbers_rise_by_kind_year_and_entity() -> None:
    books = books_with(
        a_payment(natural_id="a"),
        a_payment(natural_id="b"),
        a_payment(natural_id="c", date="2027-01-01"),
        a_payment(natural_id="d", entity="FR01"),
    )
    numbers = [row["number"] for row in books.find([f"eu1/1001/payment/{each}/r1" for each in "abcd"])]
    assert numbers == ["PA-2026-000001", "PA-2026-000002", "PA-2027-000001", "PA-2026-000001"]


def test_books_are_still_there_after_a_restart(tmp_path: Any) -> None:
    path = str(tmp_path / "erp.sqlite3")
    before = Books(path)
    before.post([a_payment()])
    before.close()
    again = Books(path)
    assert again.post([a_payment()])[0]["number"] == "PA-2026-000001"
    assert again.count() == 1


# Reversals


def test_a_reversal_mirrors_what_was_booked_and_keeps_its_kind() -> None:
    books = books_with(*an_order()[:4])
    original = books.balances()
    assert books.post([reversed_(an_invoice())])[0]["number"] == "IN-2026-000002"
    balances = books.balances()
    assert balances["DE01", "revenue:goods", "EUR"].net_minor == 0
    assert balances["DE01", "deposits", "EUR"] == original["DE01", "deposits", "EUR"]


def test_after_its_reversal_the_next_revision_is_posted() -> None:
    books = books_with(*an_order()[:4], reversed_(an_invoice()))
    assert books.post([an_invoice(revision=2)])[0]["status"] == "posted"


def test_the_reversal_of_what_is_absent_or_reversed_already_is_refused() -> None:
    books = books_with(a_customer())
    assert refused(books, reversed_(a_payment()))[0] == "data"
    books.post([a_payment(), reversed_(a_payment())])
    twice = {**reversed_(a_payment()), "key": "eu1/1001/payment/tr-1/r2/reversal"}
    assert refused(books, twice)[0] == "conflict"


def test_a_reversal_of_another_amount_kind_or_currency_is_refused() -> None:
    books = books_with(a_payment())
    assert refused(books, reversed_(a_payment(), amount_minor=-1))[0] == "unbalanced"
    assert refused(books, reversed_(a_payment(), currency="USD"))[0] == "contract"
    assert refused(books, {**reversed_(a_refund_payment(3008)), "reverses": a_payment()["key"]})[0] == "contract"


def test_a_reversal_is_not_reversed() -> None:
    books = books_with(a_payment(), reversed_(a_payment()))
    again = {
        **reversed_(a_payment()),
        "reverses": "eu1/1001/payment/tr-1/r1/reversal",
        "key": "eu1/1001/payment/tr-1/r2",
    }
    assert refused(books, again)[0] == "contract"


def test_of_two_documents_of_one_key_each_can_be_reversed_once() -> None:
    books = books_with(a_payment())
    books.post([a_payment()], unique_keys=False)
    outcomes = books.post([reversed_(a_payment())] * 3, unique_keys=False)
    assert [outcome["status"] for outcome in outcomes] == ["posted", "posted", "refused"]
    assert books.balances()["DE01", "deposits", "EUR"].net_minor == 0


# Refusals


@pytest.mark.parametrize(
    "document",
    [
        a_sales_order(amount_minor=3007, revision=2),
        an_invoice(amount_minor=3009),
        an_invoice(book_minor=3009),
        an_invoice(currency="USD", book_minor=3009),
        an_invoice([a_line(2028, 385, net_book_minor=2029), LINES[1]]),
        a_payment(100, book_minor=99),
        {**an_application(100, "deposits", "receivable"), "amount_minor": 101},
    ],
    ids=lambda document: f"{document['kind']} {document['amount_minor']} {document.get('book_minor', '')}",
)
def test_what_does_not_add_up_in_either_currency_is_refused_to_the_cent(document: Json) -> None:
    assert refused(books_with(*an_order()[:2], references="any"), document)[0] == "unbalanced"


def test_an_item_that_is_not_in_the_item_master_is_refused() -> None:
    books = books_with(a_customer())
    books.set_items(["SKU-2"], accept_all=False)
    category, cause = refused(books, a_sales_order())
    assert category == "missing_mapping" and "SKU-1" in cause
    books.set_items(["SKU-1"], accept_all=False)
    assert books.post([a_sales_order()])[0]["status"] == "posted"


def test_a_closed_period_is_refused_and_named_with_the_first_open_day() -> None:
    books = Books()
    books.close_period("DE01", date(2026, 10, 1), date(2026, 10, 31))
    books.close_period("*", date(2026, 11, 1), date(2026, 11, 23))
    (outcome,) = books.post([a_payment(date="2026-10-05")])
    assert outcome["category"] == "closed_period" and "2026-11-24" in outcome["remedy"]
    assert books.open_day("DE01", date(2026, 10, 5)) == date(2026, 11, 24)
    assert books.open_day("FR01", date(2026, 10, 5)) == date(2026, 10, 5)


def test_a_document_whose_prerequisite_does_not_stand_is_refused() -> None:
    books = Books()
    assert [refused(books, document)[0] for document in (a_sales_order(), an_invoice(), a_credit_note([], 0))] == [
        "data"
    ] * 3
    books = books_with(*an_order()[:4], reversed_(an_invoice()))
    assert refused(books, a_credit_note([a_line(507, 96)], 603))[0] == "data"


def test_books_that_took_a_store_over_accept_references_to_what_is_not_there() -> None:
    assert books_with(an_invoice(), references="any").count() == 1


def test_credits_never_exceed_what_was_invoiced_in_all_or_by_rate() -> None:
    books = books_with(*an_order()[:4], a_credit_note([a_line(507, 96)], 603))
    category, cause = refused(books, a_credit_note([a_line(2028, 385)], 2413, refund=49))
    assert category == "refund" and "IN-2026-000001" in cause
    by_rate = [a_line(1000, None, taxes=[a_tax(70, "7")])]
    assert "7" in refused(books, a_credit_note(by_rate, 1070, refund=50))[1]
    rest = [a_line(1521, 289), a_line(500, 95, "shipping")]
    assert books.post([a_credit_note(rest, 2405, refund=51)])[0]["status"] == "posted"


def test_a_reversed_credit_note_leaves_room_again() -> None:
    full = a_credit_note(LINES, 3008)
    books = books_with(*an_order()[:4], full, reversed_(full))
    assert books.post([a_credit_note(LINES, 3008, refund=49)])[0]["status"] == "posted"


def test_one_entity_has_one_book_currency() -> None:
    books = books_with(a_payment())
    assert refused(books, a_payment(natural_id="b", book_currency="USD", currency="USD"))[0] == "contract"


def test_a_refused_document_does_not_touch_its_neighbours() -> None:
    books = Books()
    outcomes = books.post([a_payment(natural_id="a"), a_payment(0, natural_id="b"), a_payment(natural_id="c")])
    assert [outcome["status"] for outcome in outcomes] == ["posted", "refused", "posted"]


# Comparing, tampering, rates


def test_comparing_books_finds_a_wrong_role_planted_on_either_side() -> None:
    right, wrong = books_with(*an_order()), books_with(*an_order()[:3])
    wrong.post(an_order()[3:], plant={"revenue:goods": "revenue:services"})
    rows = differing(right.balances(), wrong.balances())
    assert [(key[1], our.net_minor, their.net_minor) for key, our, their in rows] == [
        ("revenue:goods", -2028, 0),
        ("revenue:services", 0, -2028),
    ]
    assert differing(right.balances(), books_with(*an_order()).balances()) == []


def test_balances_of_anybodys_journal_lines_compare_with_the_books() -> None:
    lines = [("DE01", "clearing:stripe:EUR", "EUR", 3008, 0, 3008, 0), ("DE01", "deposits", "EUR", 0, 3008, 0, 3008)]
    assert balances_of(lines) == books_with(a_payment()).balances()
    assert balances_of(lines)["DE01", "deposits", "EUR"] == Balance(0, 3008, 0, 3008)


def test_how_often_a_document_was_reversed_is_no_difference() -> None:
    books = books_with(a_payment(), reversed_(a_payment()), a_payment(revision=2))
    assert differing(books.balances(), books_with(a_payment()).balances()) == []


def test_a_document_edited_behind_its_senders_back_shows_in_the_balances_alone() -> None:
    books = books_with(*an_order())
    before = books.find([an_invoice()["key"]])
    assert books.tamper(an_invoice()["key"], 3108) == "IN-2026-000001"
    assert books.find([an_invoice()["key"]]) == before
    rows = differing(books_with(*an_order()).balances(), books.balances())
    assert [(key[1], their.net_minor - our.net_minor) for key, our, their in rows] == [
        ("receivable", 100),
        ("revenue:goods", -100),
    ]
    totals = books.balances().values()
    assert sum(balance.net_minor for balance in totals) == 0 == sum(balance.book_net_minor for balance in totals)


def test_balances_beyond_64_bits_are_still_exact() -> None:
    books = Books()
    books.post([a_payment(10**15, natural_id=str(number)) for number in range(9_300)])
    assert books.balances()["DE01", "deposits", "EUR"].credit_minor == 9_300 * 10**15


def test_the_rate_in_force_is_the_latest_from_before_that_day() -> None:
    books = Books()
    books.set_rate("USD", "EUR", date(2026, 1, 1), "1.25")
    books.set_rate("USD", "EUR", date(2026, 11, 1), "1.10")
    days = (date(2025, 12, 31), date(2026, 10, 31), date(2026, 11, 1))
    assert [books.rate("USD", "EUR", day) for day in days] == [None, "1.25", "1.10"]
    assert books.rate("EUR", "EUR", days[0]) == "1"


def test_a_role_without_an_account_is_refused_by_name() -> None:
    books = Books()
    books.set_accounts(["clearing:stripe:EUR"])
    (refused,) = books.post([a_payment()])
    assert refused["category"] == "missing_mapping" and "'deposits'" in refused["cause"]
    books.set_accounts([])
    assert [one["status"] for one in books.post([a_payment()])] == ["posted"]


def test_a_discount_at_a_rate_of_its_own_is_no_credit_of_that_rate() -> None:
    books = Books()
    discount = a_line(-301, line_type="fee", taxes=[a_tax(-57)])
    sold = a_line(2_000, taxes=[a_tax(140, rate="7")])
    books.post([a_customer(), a_sales_order([sold, discount], 1_782), an_invoice([sold, discount], 1_782)])
    back = a_credit_note([a_line(100, line_type="allowance", taxes=[a_tax(7, rate="7")])], 107)
    assert [one["status"] for one in books.post([back])] == ["posted"]
