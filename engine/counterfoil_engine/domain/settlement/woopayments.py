"""WooPayments: the export of transactions (CSV).

Amount, fees and net are in the payout's currency; fees are negative where they are taken. Rows without a payout id are
not paid out yet. The export names no total: the list of payouts (`payout_list.py`), or the gateway's fact, proves that
it is whole.
Older versions say deposit for payout. Sources: https://woocommerce.com/document/woopayments/managing-money/ and the
column names that the plugin's own screens export.
"""

from __future__ import annotations

from counterfoil_engine.domain.settlement.description import Description

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
