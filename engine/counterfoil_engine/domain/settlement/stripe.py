"""Stripe: the itemised payout reconciliation report (`payout_reconciliation.itemized.*`, CSV).

Amounts are in major units, net = gross - fee; a fee of its own is a negative gross. Times are UTC. The order's number
is where the shop's plugin writes it: the metadata `order_id` (or `order_number`), else the description.
Sources: https://docs.stripe.com/reports/report-types/payout-reconciliation (columns),
https://docs.stripe.com/reports/reporting-categories (types of line).
"""

from __future__ import annotations

from counterfoil_engine.domain.settlement.description import Description

_TYPES = {
    **dict.fromkeys(("charge", "charge_failure", "partial_capture_reversal"), "charge"),
    **dict.fromkeys(("refund", "refund_failure"), "refund"),
    **dict.fromkeys(("dispute", "dispute_reversal"), "dispute"),
    **dict.fromkeys(("fee", "network_cost", "tax"), "fee"),
    **dict.fromkeys(("risk_reserved_funds", "connect_reserved_funds"), "reserve"),
    **dict.fromkeys(("payout_minimum_balance_hold", "payout_minimum_balance_release"), "reserve"),
    **dict.fromkeys(("other_adjustment", "topup", "topup_reversal", "transfer", "transfer_reversal"), "adjustment"),
    **dict.fromkeys(("platform_earning", "platform_earning_refund", "connect_collection_transfer"), "adjustment"),
    **dict.fromkeys(("advance", "advance_funding", "anticipation_repayment", "contribution"), "adjustment"),
    **dict.fromkeys(("financing_payout", "financing_payout_reversal"), "adjustment"),
    **dict.fromkeys(("financing_paydown", "financing_paydown_reversal"), "adjustment"),
    **dict.fromkeys(("climate_order_purchase", "climate_order_refund"), "adjustment"),
    "payout": "payout",
    "payout_reversal": "returned",
}

_NOT_OURS = (
    *("created", "available_on", "available_on_utc", "charge_created", "charge_created_utc"),
    *("automatic_payout_effective_at", "trace_id", "trace_id_status", "statement_descriptor", "dispute_reason"),
    *("card_brand", "card_country", "card_funding", "card_address_*", "payment_method_type", "is_link"),
    *(
        "customer_id",
        "customer_email",
        "customer_name",
        "customer_phone",
        "customer_description",
        "customer_metadata[[]*]",
    ),
    *("customer_shipping_address_*", "customer_address_*", "shipping_address_*", "invoice_number", "order_id"),
    *("connected_account*", "destination_payment_id", "regulatory_tag", "gateway_account", "checkout_*"),
    *("payment_metadata[[]*]", "refund_metadata[[]*]", "transfer_metadata[[]*]", "payment_method_*", "subscription_id"),
)

STRIPE = Description(
    format="Stripe's itemised payout reconciliation",
    type="reporting_category",
    types=_TYPES,
    payout=("automatic_payout_id",),
    currency="currency",
    at="created_utc",
    at_format=("%Y-%m-%d %H:%M:%S", "%Y-%m-%d"),
    gross=("gross",),
    fee=("fee",),
    net=("net",),
    id="balance_transaction_id",
    transaction=("source_id", "charge_id"),
    related=("charge_id", "payment_intent_id"),
    reference=("payment_metadata[order_number]", "payment_metadata[order_id]", "invoice_id", "description"),
    other_amount=("customer_facing_amount",),
    other_currency="customer_facing_currency",
    paid_on="automatic_payout_effective_at_utc",
    also=_NOT_OURS,
    source="https://docs.stripe.com/reports/report-types/payout-reconciliation",
)
