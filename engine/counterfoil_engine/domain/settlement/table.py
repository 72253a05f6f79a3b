"""A report's text as rows: bounded, and whole to the last field. Cells stay text, whatever a spreadsheet would do."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from io import StringIO

from counterfoil_engine.domain.errors import Parked

ROWS_MAX = 1_000_000
COLUMNS_MAX = 500
FIELD_MAX_CHARS = 10_000

_AGAIN = "Export the report again at the gateway; don't open and save it in between."


def rows_of(text: str, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """Each row with its number, the first is 1; rows without any cell are left out. Parks as `data` at what is torn."""
    rows = csv.reader(StringIO(text, newline=""), delimiter=delimiter, strict=True)
    number = 0
    while True:
        number += 1
        try:
            cells = next(rows, None)
        except csv.Error as error:
            raise Parked(f"Row {number} of the report is torn ({error}).", _AGAIN) from None
        if cells is None:
            return
        if number > ROWS_MAX:
            raise Parked(f"The report has more than {ROWS_MAX} rows.", "Export it for a shorter time.")
        if len(cells) > COLUMNS_MAX or max(map(len, cells), default=0) > FIELD_MAX_CHARS:
            raise Parked(f"Row {number} of the report has more columns or longer fields than any report has.", _AGAIN)
        if any(cell.strip() for cell in cells):
            yield number, cells


def named(rows: Iterator[tuple[int, list[str]]]) -> tuple[list[str], Iterator[tuple[int, dict[str, str]]]]:
    """The columns of a report with one header row, and each row by column; parks where a row has other columns."""
    _, header = next(rows, (0, []))
    columns = [name.strip() for name in header]
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if not columns or twice:
        what = f"names the column {twice[0]!r} twice" if twice else "has no header row"
        raise Parked(f"The report {what}.", _AGAIN)
    return columns, _by_column(columns, rows)


def _by_column(columns: list[str], rows: Iterator[tuple[int, list[str]]]) -> Iterator[tuple[int, dict[str, str]]]:
    for number, cells in rows:
        if len(cells) != len(columns):
            raise Parked(
                f"Row {number} of the report has {len(cells)} fields where the header has {len(columns)}:"
                " it is torn, or the report was cut off in it.",
                _AGAIN,
            )
        yield number, dict(zip(columns, (cell.strip() for cell in cells), strict=True))
