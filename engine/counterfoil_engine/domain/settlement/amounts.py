"""Amounts and times as reports write them, exactly: by the report's own decimal mark, in the entity's zone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from counterfoil_engine.domain.errors import Parked
from counterfoil_engine.domain.money import decimals, minor_units

AHEAD_MAX_DAYS = 2
MARKS = ("auto", ".", ",")
_PLAIN = {".": re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]{1,10})?"), ",": re.compile(r"[+-]?[0-9]{1,15}(,[0-9]{1,10})?")}
_THOUSANDS = re.compile(r"[+-]?[0-9]{1,3},[0-9]{3}")
_IANA = re.compile(r"[A-Za-z_]{1,20}(/[A-Za-z0-9_+-]{1,30}){1,2}")
# Zones that reports name by letters alone (Adyen's does), in hours from UTC.
_LETTERS = {
    **{"UTC": 0, "GMT": 0, "WET": 0, "BST": 1, "WEST": 1, "CET": 1, "CEST": 2, "EET": 2, "EEST": 3},
    **{"EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7},
    **{"BRT": -3, "SGT": 8, "HKT": 8, "JST": 9, "AEST": 10, "AEDT": 11, "NZST": 12, "NZDT": 13},
}


def bare(cell: str) -> str:
    """A number without the apostrophe by which exports keep spreadsheets from taking a minus for a formula."""
    return cell[1:] if cell[:1] == "'" else cell


def decimal_mark(cells: Iterable[str], wanted: str = "auto") -> str:
    """The decimal mark of a report's amounts: the one named, else what all of them agree on. Parks in doubt."""
    if wanted != "auto":
        return wanted
    marked = [cell for cell in map(bare, cells) if "," in cell or "." in cell]
    if all(_PLAIN["."].fullmatch(cell) for cell in marked):
        return "."
    if all(_PLAIN[","].fullmatch(cell) for cell in marked) and not all(map(_THOUSANDS.fullmatch, marked)):
        return ","
    example = next(cell for cell in marked if not _PLAIN["."].fullmatch(cell))
    raise Parked(
        f"The amounts of the report don't agree on a decimal mark: {example[:40]!r} can be read in two ways.",
        "Export it with plain amounts, or name the decimal mark in the report's description.",
    )


def amount_of(cell: str, mark: str, row: int) -> Decimal:
    """An amount as it stands in a cell; an empty one is 0. Parks with the row where it is none."""
    text = bare(cell)
    if not text:
        return Decimal(0)
    if not _PLAIN[mark].fullmatch(text):
        raise Parked(
            f"Row {row} of the report has {cell[:40]!r} where an amount belongs (decimal mark {mark!r}).",
            "Export it again with plain amounts, or name the decimal mark in the report's description.",
        )
    return Decimal(text.replace(",", "."))


def in_minor(amount: Decimal, currency: str, row: int) -> int:
    """An amount in minor units of its currency (ISO 4217). Parks with the row where the currency can't hold it."""
    try:
        return minor_units(format(amount, "f"), currency)
    except Parked as fault:
        raise Parked(
            f"Row {row} of the report: {fault.cause}", "Compare the row with the gateway's own screen; export it again."
        ) from None


def places_of(currency: str, row: int) -> int:
    """Decimals of a currency (ISO 4217); parks with the row where it is none."""
    in_minor(Decimal(0), currency, row)
    return decimals(currency)


def day_of(cell: str, formats: Sequence[str], zone: str, to_zone: str, row: int) -> date:
    """The date of a time in the entity's zone; one without a time of day stays the date that it is.

    formats: as `strptime` reads them, the first that fits counts. zone: what the report's times are in where they bear
    no offset (IANA, or letters).
    """
    for format in formats:
        try:
            moment = datetime.strptime(cell, format)  # noqa: DTZ007
        except ValueError:
            continue
        if format.startswith("%Y") and moment.strftime(format) != cell:
            continue  # 2026-11-2 is what is left of 2026-11-22
        if "%H" not in format:
            return moment.date()
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=_zone(zone, row))
        try:
            return moment.astimezone(ZoneInfo(to_zone)).date()
        except OverflowError:
            break
    raise Parked(
        f"Row {row} of the report has {cell[:40]!r} where a date like {formats[0]!r} belongs.",
        "Export it again without changing it, or correct the date's format in the report's description.",
    )


def _zone(name: str, row: int) -> timezone | ZoneInfo:
    if name in _LETTERS:
        return timezone(timedelta(hours=_LETTERS[name]))
    if _IANA.fullmatch(name):
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            pass
    raise Parked(
        f"Row {row} of the report names the time zone {name[:40]!r}, which is not known.",
        "Name the zone (IANA) in the report's description.",
    )


def held_back(day: date, today: date, row: int) -> date:
    """The same day; parks where it is more than two days ahead of the day the report is read."""
    if day > today + timedelta(days=AHEAD_MAX_DAYS):
        raise Parked(
            f"Row {row} of the report is dated {day}, more than {AHEAD_MAX_DAYS} days after {today}.",
            "Check the format of its dates (day and month may be swapped) and this machine's clock.",
        )
    return day
