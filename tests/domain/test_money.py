"""Money in minor units: reading, showing, spreading and converting it."""

from __future__ import annotations

from decimal import Decimal

import pytest
from counterfoil_engine.domain.errors import Parked
from counterfoil_engine.domain.money import DECIMALS, convert, decimals, minor_units, round_half_up, show, spread
from hypothesis import given
from hypothesis import strategies as st

AMOUNTS = st.integers(-(10**12), 10**12)
CURRENCIES = st.sampled_from(sorted(DECIMALS))


@pytest.mark.parametrize(
    ("text", "currency", "amount_minor"),
    [
        ("1785.00", "JPY", 1785),
        ("14.70", "KWD", 14700),
        ("14.705", "KWD", 14705),
        ("443.88", "EUR", 44388),
        ("-0.61", "EUR", -61),
        ("-0.00", "EUR", 0),
        ("7", "EUR", 700),
        (7, "EUR", 700),
        (Decimal("7.5"), "EUR", 750),
        ("1.2000000000", "EUR", 120),
    ],
)
def test_an_amount_is_read_as_the_store_writes_it(text: object, currency: str, amount_minor: int) -> None:
    assert minor_units(text, currency) == amount_minor


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        ("0.5", "JPY"),
        ("1.234", "EUR"),
        (1.5, "EUR"),
        (True, "EUR"),
        (None, "EUR"),
        ("", "EUR"),
        ("1,50", "EUR"),
        ("1e3", "EUR"),
        ("NaN", "EUR"),
        ("٣", "EUR"),
        ("10000000000000.01", "EUR"),
        ("9" * 16, "JPY"),
        ("1.00", "XTS"),
        ("1.00", "eur"),
    ],
)
def test_what_is_no_amount_of_that_currency_is_a_case_never_a_rounding(text: object, currency: str) -> None:
    with pytest.raises(Parked) as parked:
        minor_units(text, currency)
    assert parked.value.category == "data"


@given(AMOUNTS, CURRENCIES)
def test_what_is_shown_is_read_back(amount_minor: int, currency: str) -> None:
    assert minor_units(show(amount_minor, currency).split()[0], currency) == amount_minor


@given(AMOUNTS, st.lists(st.integers(0, 10**9), min_size=1, max_size=40).filter(any))
def test_parts_add_up_and_each_is_within_one_of_its_share(total_minor: int, weights: list[int]) -> None:
    parts = spread(total_minor, weights)
    assert sum(parts) == total_minor
    for part, weight in zip(parts, weights, strict=True):
        assert abs(Decimal(part) - Decimal(total_minor) * weight / sum(weights)) < 1
        assert part == 0 or (part > 0) == (total_minor > 0)
        assert weight or not part


@given(AMOUNTS, st.lists(st.integers(0, 10**9), min_size=1, max_size=40).filter(any))
def test_a_refund_mirrors_its_sale_to_the_cent(total_minor: int, weights: list[int]) -> None:
    assert spread(-total_minor, weights) == [-part for part in spread(total_minor, weights)]


def test_the_remainder_goes_to_the_largest_fraction_and_ties_to_the_earlier_line() -> None:
    assert spread(100, [1, 1, 1]) == [34, 33, 33]
    assert spread(490, [2393, 1798]) == [280, 210]
    assert spread(2, [1, 1, 1, 1]) == [1, 1, 0, 0]
    assert spread(-100, [1, 1, 1]) == [-34, -33, -33]


@pytest.mark.parametrize("weights", [[], [0, 0], [1, -1]])
def test_nothing_to_spread_over_is_an_error(weights: list[int]) -> None:
    with pytest.raises(ValueError, match="spread"):
        spread(100, weights)


def test_halves_are_rounded_away_from_zero() -> None:
    assert [round_half_up(Decimal(text)) for text in ("0.5", "1.5", "-0.5", "-1.5", "0.49", "-0.49")] == [
        *(1, 2, -1, -2, 0, 0)
    ]


@pytest.mark.parametrize(
    ("amount_minor", "currency", "book", "rate", "book_minor"),
    [
        (2379, "USD", "EUR", "1.25", 1903),
        (1785, "JPY", "EUR", "160", 1116),
        (14700, "KWD", "EUR", "0.33", 4455),
        (1903, "EUR", "JPY", "0.00625", 3045),
        (1000, "EUR", "EUR", "7", 1000),
    ],
)
def test_an_amount_is_converted_by_units_of_it_for_one_of_the_book(
    amount_minor: int, currency: str, book: str, rate: str, book_minor: int
) -> None:
    assert convert(amount_minor, currency, book, Decimal(rate)) == book_minor


@given(AMOUNTS, st.sampled_from(["USD", "JPY", "KWD"]), st.integers(1, 10**6))
def test_a_conversion_is_within_half_a_unit_and_mirrors(amount_minor: int, currency: str, rate: int) -> None:
    rate_of = Decimal(rate) / 1000
    exact = Decimal(amount_minor).scaleb(decimals("EUR") - decimals(currency)) / rate_of
    book_minor = convert(amount_minor, currency, "EUR", rate_of)
    assert abs(Decimal(book_minor) - exact) <= Decimal("0.5")
    assert convert(-amount_minor, currency, "EUR", rate_of) == -book_minor
