"""How pages write amounts, ages and moments: always with their unit, the same everywhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from markupsafe import Markup, escape

from counterfoil_engine.domain.money import DECIMALS

MINUS = "\u2212"
NARROW = "\u00a0"  # a space at which no line breaks
_UNITS_S = ((86_400 * 2, 86_400, "days"), (3_600 * 2, 3_600, "h"), (120, 60, "min"), (0, 1, "s"))


def money(amount_minor: int | None, currency: str | None) -> str:
    """412080, EUR → 4,120.80 EUR; a dash where no amount is known."""
    if amount_minor is None or not currency:
        return "–"
    amount = Decimal(abs(int(amount_minor))).scaleb(-DECIMALS.get(currency, 2))
    return f"{MINUS if int(amount_minor) < 0 else ''}{amount:,f} {currency}"


def amount(number: int | None, unit: str) -> str:
    """A figure of a check: money where its unit is a currency, else so many of them."""
    if number is None:
        return "–"
    return money(number, unit) if unit in DECIMALS else f"{count(number)} {unit}"


def sums(held: list[Mapping[str, Any]]) -> str:
    """Amounts of several currencies; a dash where there are none."""
    return " + ".join(money(each["amount_minor"], each["currency"]) for each in held) or "–"


def count(number: int | None) -> str:
    """1284 → 1,284."""
    return "–" if number is None else f"{int(number):,}".replace("-", MINUS)


def age(seconds: float | None) -> str:
    """Seconds as a length of time in its largest unit that says enough: 45 s, 12 min, 3 h, 5 days."""
    if seconds is None:
        return "–"
    if 0 < seconds < 10:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    for least, size, unit in _UNITS_S:
        if seconds >= least:
            return f"{int(seconds // size)} {unit}"
    return "0 s"


def moment(value: Any) -> datetime | None:
    """A moment as any use case tells it, as a UTC datetime."""
    if not value:
        return None
    found = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def when(value: Any) -> Markup | str:
    """A moment, in UTC: 22 Nov, 18:04; with its year where that is long ago. In full for who points at it."""
    at = moment(value)
    if at is None:
        return "–"
    shown = f"{at.day} {at:%b}, {at:%H:%M}" if abs((datetime.now(UTC) - at).days) < 300 else f"{at.day} {at:%b %Y}"
    return Markup('<time datetime="{0}" title="{0}">{1}</time>').format(at.isoformat(timespec="seconds"), shown)


def day(value: Any) -> str:
    """A day: 22 Nov 2026."""
    on = datetime.fromisoformat(str(value)[:10]) if value else None
    return f"{on.day} {on:%b %Y}".replace(" ", NARROW) if on else "–"


def many(number: int, one: str, more: str = "") -> str:
    """1 order, 41 orders."""
    return f"{count(number)} {one if number == 1 else more or one + 's'}"


def words(text: str) -> str:
    """missing_mapping → missing mapping."""
    return text.replace("_", " ")


def breakable(text: Any) -> Markup:
    """A long key, which may be broken after its strokes."""
    return Markup("/<wbr>").join(escape(part) for part in str(text).split("/"))


def short_key(key: str, store: str, order: str) -> str:
    """A key of an order's own without its beginning: …/invoice/ship-77/r1."""
    beginning = f"{store}/{order}/"
    return f"…/{key.removeprefix(beginning)}" if key.startswith(beginning) else key


def total(lines: list[Mapping[str, Any]], field: str) -> str:
    """The sum of a column by currency."""
    found: dict[str, int] = {}
    for line in lines:
        found[line["currency"]] = found.get(line["currency"], 0) + int(line[field])
    return " + ".join(money(amount, currency) for currency, amount in sorted(found.items())) or "–"


def capitalize_first(text: str) -> str:
    """in ERP → In ERP."""
    return text[:1].upper() + text[1:]


_ALL = (money, amount, sums, count, age, moment, when, day, many, words, breakable, short_key, total, capitalize_first)
FILTERS: Mapping[str, Callable[..., Any]] = {each.__name__: each for each in _ALL}
