"""What a payout report in CSV looks like, as data: its columns, signs, decimal mark, dates and types of line.

The formats that come with the engine are such descriptions (`stripe.py`, `adyen.py`, `woopayments.py`); any other is
written by whoever has the report, as a mapping that `describe` reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

from counterfoil_engine.domain.errors import Parked
from counterfoil_engine.domain.settlement.amounts import MARKS
from counterfoil_engine.domain.settlement.lines import KINDS
from counterfoil_engine.domain.settlement.text import ENCODINGS

# What a type of line may be beside a kind: an amount carried from or to another payout; a payout that came back.
CARRIED, RETURNED = "carried", "returned"


@dataclass(frozen=True)
class Description:
    """A format of payout reports with one header row.

    Columns by what they hold; where several are named, ids and references take the first that isn't empty, amounts add
    up, one with `-` before it is taken off: a gross of ("Credit", "-Debit"). Of gross, fee and net at least two are
    needed, the third follows; where all are named, every row has to agree. gross_currency: where gross isn't in the
    payout's currency it is kept as the amount on the other side, as other_amount and other_currency are.
    type: the column that says what a row is, types: its values → a kind of line, `carried` or `returned`, with `-`
    before it where the report leaves out the sign; compared without regard to case, `_` as a space.
    payout: the columns that together name a payout. at_format: how dates are written (`strptime`), the first that fits.
    paid_on: the payout's date, where a column has it; else its own line's date. zone: what the times are in, or
    zone_column names it. may_wait: rows without a payout are not paid out yet, and left for a later report.
    also: columns that may be there and hold nothing of ours (patterns: `payment_metadata[[]*]`); aliases: other names
    of columns → the name here. source: the public documentation that this was taken from.
    """

    format: str
    type: str
    types: Mapping[str, str]
    payout: tuple[str, ...]
    currency: str
    at: str
    at_format: tuple[str, ...]
    net: tuple[str, ...] = ()
    gross: tuple[str, ...] = ()
    fee: tuple[str, ...] = ()
    id: str = ""
    transaction: tuple[str, ...] = ()
    related: tuple[str, ...] = ()
    reference: tuple[str, ...] = ()
    gross_currency: str = ""
    other_amount: tuple[str, ...] = ()
    other_currency: str = ""
    paid_on: str = ""
    zone: str = "UTC"
    zone_column: str = ""
    delimiter: str = ","
    encoding: str = "auto"
    decimal_mark: str = "auto"
    may_wait: bool = False
    also: tuple[str, ...] = ()
    aliases: Mapping[str, str] | None = None
    source: str = ""

    @property
    def amounts(self) -> tuple[str, ...]:
        """Every column that holds an amount, by its bare name."""
        return tuple(dict.fromkeys(name.removeprefix("-") for name in (*self.net, *self.gross, *self.fee)))

    @property
    def needed(self) -> tuple[str, ...]:
        """The columns without which the report can't be read."""
        single = (self.type, *self.payout, self.currency, self.at, self.paid_on, self.zone_column, self.gross_currency)
        return tuple(dict.fromkeys(name for name in (*single, *self.amounts) if name))

    @property
    def known(self) -> frozenset[str]:
        """The columns that are read where they are there."""
        ids = (*self.transaction, *self.related, *self.reference, self.id, self.other_currency)
        other = (name.removeprefix("-") for name in self.other_amount)
        return frozenset((*self.needed, *ids, *other))

    def reads(self, column: str) -> bool:
        return column in self.known or any(column == name or fnmatchcase(column, name) for name in self.also)

    def kind_of(self, type: str) -> str | None:
        """What a row of this type is, with its sign; None where the type is not known."""
        return self._kinds.get(_plain(type))

    @cached_property
    def _kinds(self) -> dict[str, str]:
        return {_plain(name): kind for name, kind in self.types.items()}


def _plain(type: str) -> str:
    return type.replace("_", " ").casefold().strip()


def describe(data: Mapping[str, Any]) -> Description:
    """A description from a mapping with the fields' names; parks as `contract` with the field that is wrong."""
    names = {field.name: field for field in fields(Description)}
    for name, value in data.items():
        if name not in names:
            raise _wrong(f"has the field {name!r}, which there is not")
        wanted = str(names[name].type)
        is_right = {
            "str": isinstance(value, str),
            "bool": isinstance(value, bool),
            "tuple[str, ...]": isinstance(value, list | tuple) and all(isinstance(each, str) for each in value),
        }.get(wanted, isinstance(value, Mapping) and all(isinstance(each, str) for each in value.values()))
        if not is_right:
            raise _wrong(f"has a value in {name} that is no {wanted}")
    missing = [
        name for name in ("format", "type", "types", "payout", "currency", "at", "at_format") if not data.get(name)
    ]
    if missing:
        raise _wrong(f"lacks {missing[0]}")
    listed: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}
    return checked(Description(**listed))


def checked(description: Description) -> Description:
    """The same description; parks where it says what can't be."""
    kinds = {kind.removeprefix("-") for kind in description.types.values()} - {*KINDS, CARRIED, RETURNED}
    if kinds:
        raise _wrong(f"has the kind of line {min(kinds)!r}, which there is not")
    if sum(map(bool, (description.net, description.gross, description.fee))) < 2 and not description.net:
        raise _wrong("needs net, or gross and fee")
    if (
        description.encoding not in ENCODINGS
        or description.decimal_mark not in MARKS
        or len(description.delimiter) != 1
    ):
        raise _wrong("has an encoding, a decimal mark or a delimiter that there is not")
    return description


def _wrong(what: str) -> Parked:
    return Parked(f"The report's description {what}.", "Correct the description of this source's reports.", "contract")
