"""Reads a payout report in CSV by its description: all of it, or nothing but the reason why not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import cast

from counterfoil_engine.domain.errors import Parked
from counterfoil_engine.domain.settlement.amounts import amount_of, day_of, decimal_mark, held_back, in_minor
from counterfoil_engine.domain.settlement.description import CARRIED, RETURNED, Description
from counterfoil_engine.domain.settlement.gather import Read, gathered
from counterfoil_engine.domain.settlement.lines import Expected, Kind, Report, SettlementLine
from counterfoil_engine.domain.settlement.table import named, rows_of
from counterfoil_engine.domain.settlement.text import text_of

Row = Mapping[str, str]


def read_described(data: bytes, description: Description, expected: Expected) -> tuple[Report, ...]:
    """Every payout that the report holds, in its order. Parks with cause and remedy where any of it is wrong."""
    header, cells = named(rows_of(text_of(data, description.encoding), description.delimiter))
    columns = [(description.aliases or {}).get(name, name) for name in header]
    _check_columns(columns, description)
    rows = [(number, dict(zip(columns, row.values(), strict=True))) for number, row in cells]
    mark = decimal_mark((row[name] for _, row in rows for name in description.amounts), description.decimal_mark)
    reader = _Reader(description, expected, mark)
    reads = [read for number, row in rows if (read := reader.read(number, row))]
    return gathered(reads, description.format, expected)


def _check_columns(columns: Sequence[str], description: Description) -> None:
    missing = [name for name in description.needed if name not in columns]
    if missing:
        raise Parked(
            f"Row 1 of the report has no column {missing[0]!r}, which {description.format} has.",
            "Export the report with this column, or choose the format that it is in.",
            "contract",
        )
    unknown = [name for name in columns if not description.reads(name)]
    if unknown:
        raise Parked(
            f"Row 1 of the report has the column {unknown[0][:60]!r}, which {description.format} doesn't know.",
            "Leave the column out of the export, or take it into the report's description.",
            "contract",
        )


@dataclass(frozen=True)
class _Reader:
    """Reads row after row with what they share: the description, what is expected, the decimal mark."""

    description: Description
    expected: Expected
    mark: str

    def read(self, number: int, row: Row) -> Read | None:
        """One row, canonical; None where it waits for a later payout."""
        description = self.description
        signed = description.kind_of(row[description.type])
        if signed is None:
            raise Parked(
                f"Row {number} of the report is of the type {row[description.type][:60]!r}, which is not known.",
                "Take the type into the report's description with the kind of line that it is.",
                "contract",
            )
        payout = "-".join(row[name] for name in description.payout)
        if not all(row[name] for name in description.payout):
            if description.may_wait:
                return None
            raise Parked(f"Row {number} of the report names no payout.", "Export a report of payouts that were paid.")
        zone = row[description.zone_column] if description.zone_column else description.zone
        at = day_of(row[description.at], description.at_format, zone, self.expected.zone, number)
        paid_on = None
        if description.paid_on:
            paid_on = day_of(row[description.paid_on], description.at_format, "UTC", "UTC", number)
        for day in (at, paid_on or at):
            held_back(day, self.expected.today, number)
        kind = signed.removeprefix("-")
        gross, fee, net = self._amounts(number, row, -1 if signed.startswith("-") else 1)
        currency = row[description.currency].upper()
        fee_minor, net_minor = in_minor(fee, currency, number), in_minor(net, currency, number)
        if kind == "fee":
            fee_minor = -net_minor
        other_minor, other_currency = self._other(number, row, gross)
        line = SettlementLine(
            source=self.expected.source,
            payout=payout,
            kind=cast(Kind, "payout" if kind == RETURNED else "adjustment" if kind == CARRIED else kind),
            transaction=next(iter(_ids(row, description.transaction)), None),
            reference=next((row[name] for name in description.reference if row.get(name)), None),
            gross_minor=net_minor + fee_minor,
            fee_minor=fee_minor,
            net_minor=net_minor,
            currency=currency,
            at=at,
            row=number,
            id=payout if kind == "payout" else row.get(description.id, ""),
            related=_ids(row, description.related),
            other_minor=other_minor,
            other_currency=other_currency,
        )
        return Read(line, kind == CARRIED, paid_on)

    def _amounts(self, number: int, row: Row, sign: int) -> tuple[Decimal, Decimal, Decimal]:
        """Gross, fee and net of a row; what the report leaves out follows from the others, and all have to agree."""
        description = self.description
        if not any(row[name] for name in description.amounts):
            raise Parked(f"Row {number} of the report has no amount.", "Export the report again at the gateway.")
        gross = sign * self._sum(number, row, description.gross) if self._has_gross(row) else None
        fee = self._sum(number, row, description.fee) if description.fee else None
        net = sign * self._sum(number, row, description.net) if description.net else None
        if net is None:
            net = (gross or Decimal(0)) - (fee or Decimal(0))
        if fee is None:
            fee = gross - net if gross is not None else Decimal(0)
        if gross is None:
            gross = net + fee
        if gross - fee != net:
            raise Parked(
                f"Row {number} of the report doesn't add up: {gross} less a fee of {fee} is not {net}.",
                "Compare the row with the gateway's own screen, then export the report again.",
                "unbalanced",
            )
        return gross, fee, net

    def _has_gross(self, row: Row) -> bool:
        """Does the row say its gross in the payout's currency?"""
        description = self.description
        currency = row[description.gross_currency] if description.gross_currency else ""
        is_there = any(row[name.removeprefix("-")] for name in description.gross)
        return is_there and currency.upper() in ("", row[description.currency].upper())

    def _other(self, number: int, row: Row, gross: Decimal) -> tuple[int | None, str | None]:
        """What the customer paid where it was in another currency, with the sign of gross."""
        description = self.description
        if description.gross_currency and not self._has_gross(row):
            amount, currency = self._sum(number, row, description.gross), row[description.gross_currency].upper()
        else:
            amount = self._sum(number, row, description.other_amount)
            currency = row.get(description.other_currency, "").upper()
        if not amount or not currency or currency == row[description.currency].upper():
            return None, None
        minor = abs(in_minor(amount, currency, number))
        return (-minor if gross < 0 else minor), currency

    def _sum(self, number: int, row: Row, columns: Sequence[str]) -> Decimal:
        total = Decimal(0)
        for column in columns:
            amount = amount_of(row.get(column.removeprefix("-"), ""), self.mark, number)
            total += -amount if column.startswith("-") else amount
        return total


def _ids(row: Row, columns: Sequence[str]) -> tuple[str, ...]:
    """The ids in these columns. A text with blanks ("Transaction Fees November") is none: it names many things."""
    return tuple(row[name] for name in columns if row.get(name) and " " not in row[name])
