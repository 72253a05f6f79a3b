"""WooPayments: the export of transactions (CSV), and the export of payouts, which says what they add up to.

Amount, fees and net are in the payout's currency; fees are negative where they are taken. Rows without a payout id are
not paid out yet. The export names no total: the payouts' own export, or the gateway's fact, proves it whole.
Older versions say deposit for payout. Sources: https://woocommerce.com/document/woopayments/managing-money/ and the
column names that the plugin's own screens export.
"""

from __future__ import annotations

from collections.abc import Mapping

from counterfoil_engine.domain.errors import Parked
from counterfoil_engine.domain.settlement.amounts import amount_of, day_of, decimal_mark, in_minor
from counterfoil_engine.domain.settlement.description import Description
from counterfoil_engine.domain.settlement.lines import Total
from counterfoil_engine.domain.settlement.table import named, rows_of
from counterfoil_engine.domain.settlement.text import text_of

_TYPES = {
    **dict.fromkeys(("Charge", "Payment"), "charge"),
    **dict.fromkeys(("Refund", "Payment refund", "Refund failure", "Payment failure refund"), "refund"),
    **dict.fromkeys(("Dispute", "Dispute reversal"), "dispute"),
    **dict.fromkeys(("Reader fee", "Card reader fee", "Fee"), "fee"),
    **dict.fromkeys(("Adjustment", "Financing payout", "Financing paydown"), "adjustment"),
    **dict.fromkeys(("Loan disbursement", "Loan dispersement", "Loan repayment"), "adjustment"),
}

WOOPAYMENTS = Description(
    format="WooPayments' transactions",
    type="Type",
    types=_TYPES,
    payout=("Payout ID",),
    currency="Payout Currency",
    at="Date / Time (UTC)",
    at_format=("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"),
    gross=("Amount",),
    fee=("-Fees",),
    net=("Net",),
    id="Transaction Id",
    transaction=("Transaction Id",),
    reference=("Order #",),
    other_amount=("Amount Paid",),
    other_currency="Paid Currency",
    paid_on="Payout date",
    may_wait=True,
    also=(
        *("Channel", "Subscription #", "Payment Method", "Source", "Customer", "Email", "Country", "Risk level"),
        "Payout status",
    ),
    aliases={
        **{"Deposit ID": "Payout ID", "Deposit date": "Payout date", "Deposit status": "Payout status"},
        **{
            "Deposit Currency": "Payout Currency",
            "Date / Time": "Date / Time (UTC)",
            "Transaction ID": "Transaction Id",
        },
    },
    source="https://woocommerce.com/document/woopayments/managing-money/",
)


def payouts_listed(data: bytes, currency: str) -> Mapping[str, Total]:
    """What each payout paid, from the export of payouts: `Expected.totals`; all of it is in the one currency."""
    columns, cells = named(rows_of(text_of(data)))
    id = next((name for name in ("Payout Id", "Payout ID", "Deposit Id", "Deposit ID") if name in columns), None)
    missing = [name for name in ("Date", "Amount") if name not in columns]
    if id is None or missing:
        raise Parked(
            f"Row 1 of the report has no column {'Payout Id' if id is None else missing[0]!r}.",
            "Export the list of payouts (Payments, Payouts, Download), not that of transactions.",
            "contract",
        )
    rows = list(cells)
    mark = decimal_mark(row["Amount"] for _, row in rows)
    return {
        row[id]: Total(
            in_minor(amount_of(row["Amount"], mark, number), currency, number),
            currency,
            day_of(row["Date"][:10], ("%Y-%m-%d",), "UTC", "UTC", number),
        )
        for number, row in rows
    }
