"""WooPayments' list of payouts (CSV): what each came to, which its export of transactions doesn't say.

Columns as the plugin's screen of payouts exports them: id, date, type, amount, status, bank account and, later, the
bank's reference. It names no currency but where the bank account's name ends with one: `BANK •••• 3000 (EUR)`. Only
what was paid counts; what is on its way may still fail, and stands in a later list.
Sources: https://woocommerce.com/document/woopayments/payouts/, and the labels of the plugin's screen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

from counterfoil_engine.domain.errors import Parked
from counterfoil_engine.domain.money import DECIMALS
from counterfoil_engine.domain.settlement.amounts import amount_of, day_of, decimal_mark, held_back, in_minor
from counterfoil_engine.domain.settlement.lines import Total
from counterfoil_engine.domain.settlement.table import named, rows_of
from counterfoil_engine.domain.settlement.text import text_of

State = Literal["paid", "failed", "later"]
FORMAT = "WooPayments' list of payouts"

_IDS = ("Payout Id", "Payout ID", "Deposit Id", "Deposit ID")
_NEEDED = ("Date", "Type", "Amount", "Status")
_ALSO = ("Bank account", "Bank reference key", "Bank reference ID", "Currency", "Payout Currency")
_OF_TRANSACTIONS = ("Transaction Id", "Transaction ID")
_TYPES = ("payout", "deposit", "withdrawal")
_STATES: Mapping[str, State] = {
    **dict.fromkeys(("paid", "deducted", "completed", "completed (paid)", "completed (deducted)"), "paid"),
    **dict.fromkeys(("failed", "canceled", "cancelled"), "failed"),
    **dict.fromkeys(("pending", "in transit", "estimated", "scheduled"), "later"),
}
_ID = re.compile(r"[!-~]{1,100}")
_CURRENCY = re.compile(r"\(([A-Z]{3})\)$")


@dataclass(frozen=True)
class Listed:
    """A row of the list. amount: in major units, below 0 where the gateway drew it. currency: None: it isn't said."""

    payout: str
    amount: Decimal
    currency: str | None
    paid_on: date
    state: State
    row: int

    def total(self, currency: str) -> Total:
        """What it came to, in the currency that the payout turned out to be in."""
        return Total(in_minor(self.amount, currency, self.row), currency, self.paid_on)


def read_list(data: bytes, today: date) -> tuple[Listed, ...] | None:
    """The payouts of such a list; None where the file is an export of transactions. Parks where a row can't be read."""
    columns, cells = named(rows_of(text_of(data)))
    id = next((name for name in _IDS if name in columns), None)
    if id is None or "Status" not in columns or any(name in columns for name in _OF_TRANSACTIONS):
        return None
    unknown = [name for name in columns if name not in (id, *_NEEDED, *_ALSO)]
    missing = [name for name in _NEEDED if name not in columns]
    if missing or unknown:
        what = f"has no column {missing[0]!r}" if missing else f"has the column {unknown[0][:60]!r}"
        raise Parked(
            f"Row 1 of the report {what}, unlike {FORMAT}.",
            "Export it again from Payments, Payouts, in English and with its own columns.",
            "contract",
        )
    rows = list(cells)
    mark = decimal_mark(row["Amount"] for _, row in rows)
    listed = tuple(_read(number, row, id, mark, today) for number, row in rows)
    seen: set[str] = set()
    for each in listed:
        if each.payout in seen:
            raise Parked(f"Row {each.row} of the report names payout {each.payout} a second time.", "Export it again.")
        seen.add(each.payout)
    return listed


def _read(number: int, row: Mapping[str, str], id: str, mark: str, today: date) -> Listed:
    type, state = row["Type"].casefold(), _STATES.get(row["Status"].casefold())
    if type not in _TYPES or state is None:
        what, said = ("type", row["Type"]) if type not in _TYPES else ("status", row["Status"])
        raise Parked(
            f"Row {number} of the report is of the {what} {said[:60]!r}, which {FORMAT} doesn't know.",
            "Export it in English; if it is in English, ask for this word to be added.",
            "contract",
        )
    if not _ID.fullmatch(row[id]):
        raise Parked(f"Row {number} of the report names no payout.", "Export it again at the gateway.")
    if not row["Amount"]:
        raise Parked(f"Row {number} of the report has no amount.", "Export it again at the gateway.")
    amount = amount_of(row["Amount"], mark, number)
    if type == "withdrawal":
        amount = -abs(amount)  # told by its type, whether or not the amount bears a sign
    paid_on = day_of(row["Date"][:10], ("%Y-%m-%d",), "UTC", "UTC", number)
    if state == "paid":
        held_back(paid_on, today, number)
    return Listed(row[id], amount, _currency(row), paid_on, state, number)


def _currency(row: Mapping[str, str]) -> str | None:
    said = row.get("Payout Currency") or row.get("Currency") or ""
    named_by_bank = _CURRENCY.search(row.get("Bank account", ""))
    code = said.upper() or (named_by_bank[1] if named_by_bank else "")
    return code if code in DECIMALS else None
