"""Documents of every kind in a real Tryton: to the cent, once, found by their keys, mirrored when they are reversed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime

import pytest
from counterfoil_engine.adapters.erp.tryton import TrytonErp
from counterfoil_engine.domain.postings import journal, mirrored
from counterfoil_engine.ports import Posted, Posting, Refused
from sandbox.erp_documents import (
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

from tryton import server as servers
from tryton.orders import numbered

Net = dict[tuple[str, str], tuple[int, int]]
PERIOD = date(2026, 11, 1), date(2026, 11, 30)


def posted(erp: TrytonErp, postings: Sequence[Posting]) -> list[str]:
    """Posted, all of them; their numbers."""
    outcomes = erp.post(postings)
    assert [each for each in outcomes if not isinstance(each, Posted)] == []
    return [each.number for each in outcomes if isinstance(each, Posted)]


def expected(posting: Posting) -> Net:
    """What the engine's own journal has of a document."""
    document, sums = posting.document, dict[tuple[str, str], tuple[int, int]]()
    sign = 1 if document["reverses"] is None else -1
    lines = journal(document["kind"], document, sign * document["amount_minor"], document["currency"])
    for line in lines if sign > 0 else mirrored(lines):
        amount, book = sums.get((line.role, document["currency"]), (0, 0))
        amount, book = (
            amount + line.debit_minor - line.credit_minor,
            book + line.book_debit_minor - line.book_credit_minor,
        )
        sums[line.role, document["currency"]] = amount, book
    return sums


def booked(erp: TrytonErp, postings: Sequence[Posting]) -> dict[str | None, Net]:
    keys = {posting.key for posting in postings}
    return {each.key: dict(each.net) for each in erp.entries("DE01", *PERIOD) if each.key in keys}


def everything() -> list[Json]:
    """An order's life: sold, paid by card and gift card, invoiced, refunded in part, and all that a gateway takes."""
    half = [a_line(1014, 193), a_line(100, None, "allowance", **{"class": "goodwill"})]
    return [
        *an_order(),
        a_document("tender", 500, tender="gift_card", provider="cards", line="fee:50", book_minor=500),
        a_document("fee", 59, gateway="stripe", transaction="ch_1", book_minor=59),
        a_credit_note(half, 1307),
        a_refund_payment(1307),
        an_application(1307, "receivable", "refunds_owed", slot="eu1/1001/application/credit_note/48"),
        a_document(
            *("transfer", 2000, "eu1/1001/transfer/revenue-1"),
            of="eu1/1001/invoice/1",
            moves=[
                {
                    **{"debit": "unearned", "credit": "revenue:goods", "amount_minor": 2000},
                    **{"debit_book_minor": 2000, "credit_book_minor": 2000},
                }
            ],
        ),
        a_document(
            *("dispute", 700, "eu1/1001/dispute/dp_1-opened"),
            **{"gateway": "stripe", "dispute": "dp_1", "transaction": "ch_1", "state": "opened", "book_minor": 700},
        ),
        a_document("payout", 2354, "stripe/po_1001/payout/1", gateway="stripe", payout="po_1001", book_minor=2354),
        a_document(
            *("cancellation", 1207),
            sales_order="eu1/1001/sales_order/1",
            lines=[a_line(1014, 193, quantity="1")],
        ),
        a_document(
            *("return", 0),
            refund=48,
            received=True,
            lines=[{"line": "item:46", "item": "SKU-1", "quantity": "1"}],
        ),
    ]


def test_every_kind_of_document_stands_as_the_engine_books_it(erp: TrytonErp) -> None:
    life = numbered(everything())
    for posting in life:  # a document goes after those that it names
        posted(erp, [posting])
    there = booked(erp, life)
    assert {posting.key: there.get(posting.key) for posting in life} == {each.key: expected(each) for each in life}


def test_a_day_of_orders_goes_in_one_batch_a_kind(erp: TrytonErp) -> None:
    orders = [numbered(an_order()) for _ in range(5)]
    for kind in range(len(orders[0])):
        posted(erp, [order[kind] for order in orders])
    postings = [posting for order in orders for posting in order]
    assert booked(erp, postings) == {each.key: expected(each) for each in postings}


def test_what_is_posted_again_stands_once_under_its_first_number(erp: TrytonErp) -> None:
    order = numbered(an_order())
    first = [number for posting in order for number in posted(erp, [posting])]
    assert posted(erp, order) == first
    found = erp.find([each.key for each in order])
    assert [[one.number for one in found[each.key]] for each in order] == [[number] for number in first]
    assert [found[each.key][0].content_hash for each in order] == [each.content_hash for each in order]


def test_another_content_under_a_key_that_stands_is_a_conflict(erp: TrytonErp) -> None:
    (payment,) = numbered([a_payment()])
    posted(erp, [payment])
    (outcome,) = erp.post([Posting(payment.key, "f" * 64, {**payment.document, "content_hash": "f" * 64})])
    assert isinstance(outcome, Refused) and outcome.case.category == "conflict"


@pytest.mark.parametrize(
    ("currency", "net_minor", "tax_minor", "net_book_minor", "tax_book_minor"),
    [("USD", 2028, 385, 1622, 309), ("JPY", 3000, 300, 1969, 197), ("KWD", 1002, 190, 3014, 572)],
)
def test_another_currency_is_booked_to_the_cent_in_both(
    erp: TrytonErp, currency: str, net_minor: int, tax_minor: int, net_book_minor: int, tax_book_minor: int
) -> None:
    lines = [
        a_line(net_minor, None, net_book_minor=net_book_minor, taxes=[a_tax(tax_minor, tax_book_minor=tax_book_minor)])
    ]
    total, book = net_minor + tax_minor, net_book_minor + tax_book_minor
    life = numbered(
        [
            a_customer(),
            a_sales_order(lines, total),
            a_payment(total, book_minor=book + 7),
            an_invoice(lines, total, book_minor=book),
            an_application(total, "deposits", "receivable", moves=[
                {"debit": "deposits", "credit": "receivable", "amount_minor": total,
                 "debit_book_minor": book + 7, "credit_book_minor": book}]),
        ],
        currency=currency,
    )  # fmt: skip
    for posting in life:
        posted(erp, [posting])
    assert booked(erp, life) == {each.key: expected(each) for each in life}


def test_tax_is_booked_as_it_was_charged_although_tryton_would_calculate_otherwise(erp: TrytonErp) -> None:
    lines = [a_line(2028, 387), a_line(500, 93, "shipping")]
    life = numbered([a_customer(), a_sales_order(lines), an_invoice(lines)])
    for posting in life:
        posted(erp, [posting])
    assert booked(erp, life)[life[2].key]["tax:domestic:DE:19", "EUR"] == (-480, -480)


def test_a_price_that_no_unit_price_gives_is_booked_to_the_cent(erp: TrytonErp) -> None:
    lines = [a_line(100_001, None, quantity="777")]
    life = numbered([a_customer(), a_sales_order(lines, 100_001), an_invoice(lines, 100_001)])
    for posting in life:
        posted(erp, [posting])
    assert booked(erp, life)[life[2].key]["revenue:goods", "EUR"] == (-100_001, -100_001)


@pytest.mark.parametrize("place", range(1, 5), ids=["sales order", "payment", "invoice", "application"])
def test_a_reversal_mirrors_its_document_so_that_nothing_is_left(erp: TrytonErp, place: int) -> None:
    order = an_order()
    life = numbered([*order, reversed_(order[place])])
    for posting in life:
        posted(erp, [posting])
    there = booked(erp, life)
    original, undone = there[life[place].key], there[life[-1].key]
    assert undone == {role: (-amount, -book) for role, (amount, book) in original.items()}


def test_what_is_wrong_is_refused_beside_neighbours_that_stand(erp: TrytonErp) -> None:
    good = [numbered([a_payment()])[0] for _ in range(3)]
    (unbalanced,) = numbered([a_payment(book_minor=1)])
    (unmapped,) = numbered([a_payment(gateway="klarna")])
    outcomes = erp.post([good[0], unbalanced, good[1], unmapped, good[2]])
    assert [type(each) for each in outcomes] == [Posted, Refused, Posted, Refused, Posted]
    assert [each.case.category for each in outcomes if isinstance(each, Refused)] == ["unbalanced", "missing_mapping"]


def test_everything_written_since_a_moment_is_listed(erp: TrytonErp) -> None:
    since = datetime.now(UTC)
    order = numbered(an_order())
    for posting in order:
        posted(erp, [posting])
    assert {each.key for each in erp.list_since(since)} >= {each.key for each in order}
    assert all(each.posted_at >= since.replace(microsecond=0) for each in erp.list_since(since))


def test_an_invoice_that_an_application_levels_is_paid_in_tryton(tryton: servers.Server) -> None:
    erp, order = tryton.erp(tryton.maps["DE01"]), numbered(an_order())
    for posting in order:
        posted(erp, [posting])
    client = tryton.client()
    domain = [("reference", "=", next(each.key for each in order if each.document["kind"] == "invoice"))]
    (invoice,) = client.read("model.account.invoice.search", domain, 0, 1, None)
    client.write("model.account.invoice.process", [invoice])  # as Tryton's own worker does
    (row,) = client.read("model.account.invoice.read", [invoice], ["state", "amount_to_pay"])
    assert (row["state"], row["amount_to_pay"]) == ("paid", 0)


def test_a_gift_card_that_is_sold_is_owed_and_no_revenue(erp: TrytonErp) -> None:
    lines = [a_line(5000, None, item="GIFT-CARD", **{"class": "gift_cards"})]
    life = numbered([a_customer(), a_sales_order(lines, 5000), an_invoice(lines, 5000)])
    for posting in life:
        posted(erp, [posting])
    assert booked(erp, life)[life[2].key] == {
        ("receivable", "EUR"): (5000, 5000),
        ("gift_cards", "EUR"): (-5000, -5000),
    }
