"""PayPal: the settlement report (STL, CSV with sections), a day's statement per account and currency.

Rows by their first field: RH, FH report and file header; SH, CH a section's header and columns; SB its lines; SF its
footer per currency, SC its number of lines; RF, RC, FF the report's. Amounts are whole numbers without a sign; CR or DR
beside them says which way. The statement opens and closes with the balance available; its payouts are withdrawals among
the lines. Sources: https://developer.paypal.com/docs/reports/sftp-reports/settlement-report/ (rows, columns, footers),
https://developer.paypal.com/reports/reference/t-codes (event codes).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from counterfoil_engine.domain.errors import Parked
from counterfoil_engine.domain.money import show
from counterfoil_engine.domain.settlement.amounts import day_of, held_back, places_of
from counterfoil_engine.domain.settlement.gather import one_currency, with_ids
from counterfoil_engine.domain.settlement.lines import Expected, Kind, Report, SettlementLine, digest_of
from counterfoil_engine.domain.settlement.table import rows_of
from counterfoil_engine.domain.settlement.text import text_of

FORMAT = "PayPal's settlement report"
_TIME = ("%Y/%m/%d %H:%M:%S %z",)
_COLUMNS = (
    *("Transaction ID", "Invoice ID", "PayPal Reference ID", "Transaction Event Code", "Transaction Completion Date"),
    *("Transaction Debit or Credit", "Gross Transaction Amount", "Gross Transaction Currency"),
    *("Fee Debit or Credit", "Fee Amount", "Fee Currency", "Custom Field"),
)
_NOT_OURS = (
    *("PayPal Reference ID Type", "Transaction Initiation Date", "Consumer ID", "Payment Tracking ID", "Store ID"),
    *("Bank Reference ID", "Credit Transactional Fee", "Credit Promotional Fee", "Credit Term", "Payment Source"),
)
# By event code, else by its group; a payment that we sent (T00, debited) is an adjustment.
_KINDS: Mapping[str, Kind] = {
    **{"T00": "charge", "T01": "fee", "T02": "conversion", "T03": "payout", "T04": "payout"},
    **dict.fromkeys(("T05", "T06", "T07", "T08", "T09", "T10", "T11", "T12", "T14"), "adjustment"),
    **dict.fromkeys(("T16", "T17", "T18", "T19", "T20", "T22", "T30"), "adjustment"),
    **{"T15": "reserve", "T21": "reserve", "T1105": "reserve", "T1110": "reserve", "T1111": "reserve"},
    **{"T1107": "refund", "T1113": "refund", "T1108": "fee", "T1109": "fee"},
    **{"T1106": "dispute", "T1201": "dispute", "T1202": "dispute", "T1207": "dispute"},
}
# PayPal takes these without decimals, ISO 4217 has two: how a report writes them is not documented.
_IN_DOUBT = ("HUF", "TWD")
_AGAIN = "Fetch the report again; if it stays like this, ask PayPal for it."


@dataclass
class _Section:
    """One account's section: its columns, lines by currency, and footers (rows) by currency."""

    row: int
    day: str
    account: str
    columns: list[str] = field(default_factory=list)
    lines: list[SettlementLine] = field(default_factory=list)
    footers: dict[str, tuple[int, list[str]]] = field(default_factory=dict)
    is_closed: bool = False


def read_paypal(data: bytes, expected: Expected) -> tuple[Report, ...]:
    """A statement per section and currency. Parks with cause and remedy where any of it is wrong."""
    sections = _sections(rows_of(text_of(data)), expected)
    open_section = next((section for section in sections if not section.is_closed), None)
    if open_section or not sections:
        row = open_section.row if open_section else 1
        raise Parked(f"The report was cut off: the section of row {row} has no end (SF, SC).", _AGAIN)
    reports = [report for section in sections for report in _statements(section, expected)]
    if not reports:
        raise Parked("The report has no currency in which anything moved.", "Nothing is to be done for that day.")
    return tuple(reports)


def _sections(rows: Iterator[tuple[int, list[str]]], expected: Expected) -> list[_Section]:
    sections: list[_Section] = []
    is_whole = False
    for number, cells in rows:
        what = cells[0].strip()
        if what == "SH":
            start = cells[1] if len(cells) > 3 else ""
            day_of(start, _TIME, "UTC", expected.zone, number)
            sections.append(_Section(number, start[:10].replace("/", ""), cells[3].strip()))
        elif what in ("RH", "FH"):
            continue
        elif what in ("RF", "RC", "FF"):
            is_whole = True
        elif what not in ("CH", "SB", "SF", "SC") or not sections:
            raise Parked(f"Row {number} of the report begins with {what[:20]!r}, which {FORMAT} doesn't have.", _AGAIN)
        elif sections[-1].is_closed:
            raise Parked(f"Row {number} of the report stands after the end of its section.", _AGAIN)
        else:
            _take(sections[-1], what, number, cells, expected)
    if sections and sections[-1].is_closed and not is_whole:
        raise Parked("The report was cut off: it has no footer (RF, RC or FF).", _AGAIN)
    return sections


def _take(section: _Section, what: str, number: int, cells: list[str], expected: Expected) -> None:
    """One row of a section: its columns, a line, a footer, or its end."""
    if what == "CH":
        section.columns = [cell.strip() for cell in cells[1:]]
        missing = [name for name in _COLUMNS if name not in section.columns]
        unknown = [name for name in section.columns if name not in (*_COLUMNS, *_NOT_OURS)]
        if missing or unknown:
            which = (
                f"lacks the column {missing[0]!r}" if missing else f"has the column {unknown[0][:60]!r}, not known here"
            )
            raise Parked(f"Row {number} of the report {which}.", "Ask PayPal for the standard columns.", "contract")
    elif what == "SB":
        if len(cells) - 1 != len(section.columns):
            raise Parked(
                f"Row {number} of the report has {len(cells) - 1} fields for {len(section.columns)} columns:"
                " it is torn, or the report was cut off in it.",
                _AGAIN,
            )
        row = dict(zip(section.columns, (cell.strip() for cell in cells[1:]), strict=True))
        section.lines.append(_line(number, row, section, expected))
    elif what == "SF":
        if len(cells) < 10:
            raise Parked(f"Row {number} of the report (SF) is torn: it has {len(cells)} fields.", _AGAIN)
        section.footers[cells[1].strip()] = (number, cells)
    elif not cells[1:] or cells[1].strip() != str(len(section.lines)):
        raise Parked(
            f"Row {number} of the report (SC) counts {''.join(cells[1:2])[:20]} lines, its section has"
            f" {len(section.lines)}: some were lost.",
            _AGAIN,
        )
    else:
        section.is_closed = True


def _line(number: int, row: Mapping[str, str], section: _Section, expected: Expected) -> SettlementLine:
    currency, code = row["Gross Transaction Currency"], row["Transaction Event Code"]
    kind = _KINDS.get(code, _KINDS.get(code[:3])) if re.fullmatch("T[0-9]{4}", code) else None
    if kind is None:
        raise Parked(
            f"Row {number} of the report has the event code {code[:20]!r}, which is not known.",
            "Find out at PayPal what it moves; the engine has to learn it before this day can be settled.",
            "contract",
        )
    gross = _signed(row["Transaction Debit or Credit"], row["Gross Transaction Amount"], currency, number, expected)
    fee = 0
    if row["Fee Amount"] and row["Fee Amount"] != "0":
        if row["Fee Currency"] != currency:
            raise Parked(
                f"Row {number} of the report takes a fee in {row['Fee Currency'][:10]!r}, not {currency}.", _AGAIN
            )
        fee = -_signed(row["Fee Debit or Credit"], row["Fee Amount"], currency, number, expected)
    if kind == "charge" and gross < 0:
        kind = "adjustment"
    at = held_back(
        day_of(row["Transaction Completion Date"], _TIME, "UTC", expected.zone, number), expected.today, number
    )
    reference = row["Invoice ID"] or row["Custom Field"]
    fee, net = (fee - gross if kind == "fee" else fee), gross - fee
    return SettlementLine(
        source=expected.source,
        payout=_payout(section, currency),
        kind=kind,
        transaction=row["Transaction ID"] or None,
        reference=reference or None,
        gross_minor=net + fee,
        fee_minor=fee,
        net_minor=net,
        currency=currency,
        at=at,
        row=number,
        id=row["Transaction ID"],
        related=(row["PayPal Reference ID"],) if row["PayPal Reference ID"] else (),
    )


def _payout(section: _Section, currency: str) -> str:
    """A statement's id: its day, account and currency."""
    return "-".join(part for part in (section.day, re.sub(r"[^A-Za-z0-9]", "", section.account), currency) if part)


def _signed(direction: str, digits: str, currency: str, number: int, expected: Expected) -> int:
    """An amount in ISO 4217 minor units, positive where it is credited to us."""
    if direction not in ("CR", "DR") or not re.fullmatch("[0-9]{1,15}", digits):
        raise Parked(
            f"Row {number} of the report has {direction[:10]!r} {digits[:20]!r} for CR or DR and a whole number.",
            _AGAIN,
        )
    places = expected.decimals.get(currency)
    if places is None and currency in _IN_DOUBT:
        raise Parked(
            f"Row {number} of the report is in {currency}, which PayPal may count without decimals.",
            "Compare one amount with PayPal's own screen, then say in the source's settings how many decimals it has.",
        )
    own_places = places_of(currency, number)
    scale = own_places - (own_places if places is None else places)
    if scale < 0:
        raise Parked(f"Row {number}: {currency} can't hold {places} decimals.", "Correct the source's settings.")
    amount_minor: int = int(digits) * 10**scale
    return amount_minor if direction == "CR" else -amount_minor


def _statements(section: _Section, expected: Expected) -> Iterator[Report]:
    """A statement per currency of a section, held against its footer."""
    lines = _with_other_sides(section.lines)
    for currency in dict.fromkeys((*(line.currency for line in lines), *section.footers)):
        if currency not in section.footers:
            raise Parked(f"The report was cut off: {currency} has lines, but no footer (SF).", _AGAIN)
        own = with_ids([line for line in lines if line.currency == currency])
        number, cells = section.footers[currency]
        opening = _signed(cells[6].strip(), cells[7].strip(), currency, number, expected)
        closing = _signed(cells[8].strip(), cells[9].strip(), currency, number, expected)
        if not own:
            continue
        _check_footer(own, number, cells, opening, closing, expected)
        payout = _payout(section, currency)
        yield Report(
            source=expected.source,
            payout=payout,
            currency=one_currency(payout, own, expected),
            paid_on=max(line.at for line in own),
            net_minor=0,
            lines=own,
            format=FORMAT,
            digest=digest_of(payout, currency, (0, opening, closing), own),
            opening_minor=opening,
            closing_minor=closing,
        )


def _check_footer(
    lines: Sequence[SettlementLine], number: int, cells: Sequence[str], opening: int, closing: int, expected: Expected
) -> None:
    """The footer's four totals, and opening + net = closing."""
    currency = lines[0].currency
    credits = [_signed("CR", cell.strip(), currency, number, expected) for cell in cells[2:6]]
    gross = [line.gross_minor if line.kind != "fee" else line.net_minor for line in lines]
    fees = [line.fee_minor if line.kind != "fee" else 0 for line in lines]
    sums = [
        *(sum(max(amount, 0) for amount in gross), sum(max(-amount, 0) for amount in gross)),
        *(sum(max(-amount, 0) for amount in fees), sum(max(amount, 0) for amount in fees)),
    ]
    pairs = [*zip(sums, credits, strict=True), (opening + sum(line.net_minor for line in lines), closing)]
    names = ("credits", "debits", "fees given back", "fees taken", "closing balance")
    for name, (counted, said) in zip(names, pairs, strict=True):
        if counted != said:
            raise Parked(
                f"Row {number} of the report (SF) says {show(said, currency)} of {name}, its lines come to"
                f" {show(counted, currency)}: the report was cut off, or changed.",
                _AGAIN,
                "unbalanced",
                money_minor=said - counted,
                currency=currency,
            )


def _with_other_sides(lines: Sequence[SettlementLine]) -> list[SettlementLine]:
    """Conversions with their other side: the line of another currency and sign that names the same reference."""
    sides: dict[str, list[SettlementLine]] = {}
    for line in lines:
        if line.kind == "conversion" and line.related:
            sides.setdefault(line.related[0], []).append(line)
    result = []
    for line in lines:
        pair = sides.get(line.related[0], []) if line.kind == "conversion" and line.related else []
        other = next((each for each in pair if each.currency != line.currency), None) if len(pair) == 2 else None
        if other and (other.net_minor < 0) != (line.net_minor < 0):
            line = replace(line, other_minor=other.net_minor, other_currency=other.currency)
        result.append(line)
    return result
