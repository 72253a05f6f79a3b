"""Adyen: the settlement details report (CSV), one payout a batch.

Gross is in the shopper's currency (GC), net and the four costs in the payout's (NC), each as debit and credit columns;
costs are positive where they are taken. The batch ends with the row `MerchantPayout`, or is carried to the next one.
Times are in the zone that the row names. Source:
https://docs.adyen.com/reporting/settlement-reconciliation/transaction-level/settlement-details-report
"""

from __future__ import annotations

from counterfoil_engine.domain.settlement.description import Description

_TYPES = {
    **dict.fromkeys(("Settled", "SettledReversed", "SettledExternally", "BulkSettlement"), "charge"),
    **dict.fromkeys(("Refunded", "RefundedReversed", "PaidOut", "PaidOutReversed"), "refund"),
    **dict.fromkeys(("Chargeback", "ChargebackReversed", "SecondChargeback", "ChargebackExternally"), "dispute"),
    **dict.fromkeys(("Fee", "MiscCosts", "PaymentCost", "InvoiceDeduction"), "fee"),
    **dict.fromkeys(("DepositCorrection", "ReserveAdjustment"), "reserve"),
    **dict.fromkeys(("ManualCorrected", "MerchantPayin", "Commission"), "adjustment"),
    "Balancetransfer": "carried",
    "MerchantPayout": "payout",
    "BankInstructionReturned": "returned",
}

_NOT_OURS = (
    *("Company Account", "Payment Method", "Payment Method Variant", "Exchange Rate", "Reserved*"),
    *("Booking Date*", "Metadata", "Balance Currency", "Net Debit (BC)", "Net Credit (BC)", "Payment Fees (NC)"),
    *("DCC Markup (NC)", "Funds Destination", "Balance Platform *", "Shopper *", "Clearing Network", "Gross Fees (NC)"),
    *("Dispute Reference", "ARN", "Settlement Flow", "Authorisation Code", "Advancement *", "Store", "Terminal ID"),
)

ADYEN = Description(
    format="Adyen's settlement details",
    type="Type",
    types=_TYPES,
    payout=("Merchant Account", "Batch Number"),
    currency="Net Currency",
    at="Creation Date",
    at_format=("%Y-%m-%d %H:%M:%S",),
    gross=("Gross Credit (GC)", "-Gross Debit (GC)"),
    fee=("Commission (NC)", "Markup (NC)", "Scheme Fees (NC)", "Interchange (NC)"),
    net=("Net Credit (NC)", "-Net Debit (NC)"),
    transaction=("Modification Reference", "Psp Reference"),
    related=("Psp Reference",),
    reference=("Merchant Reference", "Merchant Order Reference", "Modification Merchant Reference"),
    gross_currency="Gross Currency",
    zone_column="TimeZone",
    also=_NOT_OURS,
    source="https://docs.adyen.com/reporting/settlement-reconciliation/transaction-level/settlement-details-report",
)
