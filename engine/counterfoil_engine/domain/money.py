"""Money in minor units: integers only, so that every cent has an owner."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal

from counterfoil_engine.domain.errors import Parked

# ISO 4217 (list one, 2026): the currencies that don't have two decimals; the rest of the active ones have two.
_NO_DECIMALS = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THREE_DECIMALS = "BHD IQD JOD KWD LYD OMR TND"
_FOUR_DECIMALS = "CLF UYW"
_TWO_DECIMALS = (
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC"
    " CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD"
    " KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO"
    " NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL"
    " THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD YER ZAR ZMW ZWG"
)
DECIMALS: dict[str, int] = {
    code: decimals
    for decimals, codes in ((0, _NO_DECIMALS), (2, _TWO_DECIMALS), (3, _THREE_DECIMALS), (4, _FOUR_DECIMALS))
    for code in codes.split()
}

# Far above any order; sums of many of them still fit into 64 bits.
AMOUNT_MAX_MINOR = 10**15
_AMOUNT = re.compile(r"(-?[0-9]{1,15})(?:\.([0-9]{1,10}))?")


def decimals(currency: str) -> int:
    """Decimals of a currency's minor unit (ISO 4217): EUR 2, JPY 0, KWD 3. Parks as `data` where it is unknown."""
    if currency not in DECIMALS:
        raise Parked(
            f"The currency {currency[:20]!r} is not an active ISO 4217 code.",
            "Correct the currency in the store, then let the order be read again.",
        )
    return DECIMALS[currency]


def minor_units(text: object, currency: str) -> int:
    """Read an amount as the store writes it: minor_units("1785.00", "JPY") == 1785, ("14.70", "KWD") == 14700.

    text: a decimal string (an int or Decimal passes too, a float never). Parks as `data` where it is no plain number
    of at most 15 digits, or has a non-zero digit that the currency can't hold (never a rounding).
    """
    if isinstance(text, bool | float) or not isinstance(text, str | int | Decimal):
        raise Parked(f"An amount is {str(text)[:40]!r}, not a decimal string.", "Correct the amount in the store.")
    match = _AMOUNT.fullmatch(str(text))
    if match is None:
        raise Parked(f"An amount is {str(text)[:40]!r}, not a plain number.", "Correct the amount in the store.")
    places, digits = decimals(currency), (match[2] or "").rstrip("0")
    if len(digits) > places:
        raise Parked(
            f"The amount {text} has a digit that {currency} can't hold ({places} decimals).",
            "Set the store's number of decimals to the currency's and correct the order.",
        )
    amount_minor = int(match[1] + digits.ljust(places, "0"))
    if abs(amount_minor) > AMOUNT_MAX_MINOR:
        raise Parked(f"The amount {text} {currency} is too large to be an order's.", "Correct the amount in the store.")
    return amount_minor


def show(amount_minor: int, currency: str) -> str:
    """An amount for people: show(443881, "EUR") == "4438.81 EUR"."""
    return f"{Decimal(amount_minor).scaleb(-DECIMALS.get(currency, 0)):f} {currency}"


def round_half_up(amount: Decimal) -> int:
    """A Decimal of minor units as the nearest whole one, halves away from zero."""
    return int(amount.quantize(Decimal(1), rounding=ROUND_HALF_UP))


def spread(total_minor: int, weights: Sequence[int]) -> list[int]:
    """Split an amount by weight, so that the parts add up to it exactly.

    total_minor: minor units, of either sign; a refund mirrors its sale to the cent.
    weights: one per line or tax rate, none negative, not all zero (amounts in minor units, or quantities).
    Returns one part per weight, in order; the remainder goes to the largest fractions, ties to the earlier one.
    Raises ValueError where there is nothing to split over. Source: largest remainder (Hamilton) method.
    """
    if not any(weights) or min(weights) < 0:
        raise ValueError(f"spread needs weights that are not negative and not all zero, got {list(weights)}")
    sign, size, whole = (-1 if total_minor < 0 else 1), abs(total_minor), sum(weights)
    parts = [size * weight // whole for weight in weights]
    by_fraction = sorted(range(len(weights)), key=lambda i: (-(size * weights[i] % whole), i))
    for i in by_fraction[: size - sum(parts)]:
        parts[i] += 1
    return [sign * part for part in parts]


def convert(amount_minor: int, currency: str, book: str, rate: Decimal) -> int:
    """Book amount in minor units of `book`; rate = units of `currency` for one unit of `book` (as the ECB quotes)."""
    if currency == book:
        return amount_minor
    return round_half_up(Decimal(amount_minor).scaleb(decimals(book) - decimals(currency)) / rate)
