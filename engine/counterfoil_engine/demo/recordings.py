"""Recorded WooCommerce orders and histories that come with the sandbox, and which of them the demo plays when."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import resources
from typing import Any

PAID = (
    "order_simple_paid",
    "order_multiline_coupon_fee",
    "order_fixed_cart_coupon_rounding",
    "order_guest_fr",
    "order_gift_card_negative_fee",
    "order_zero_total",
    "order_jpy",
    "order_kwd",
    "order_usd",
    "order_variation",
    "order_status_completed",
)
UNPAID = ("order_status_pending", "order_status_on-hold", "order_status_failed", "order_status_cancelled")
REFUNDED = (
    ("order_after_partial_refund", "refund_partial_line_restock"),
    ("order_fully_refunded", "refund_full_amount"),
)
WHILE_DOWN = (
    "order_90_lines_two_coupons",
    "order_prices_include_tax_coupon",
    "order_round_at_subtotal_prices_include_tax",
    "order_two_shipping_negative_taxable_fee",
)
AFTER = ("order_compound_tax_canada", "order_untaxed_and_virtual_lines", "order_before_edit")
HISTORIES = (
    "trashed_and_deleted",
    "pending_paid_edited_refunded",
    "cancelled_then_revived",
    "refund_deleted_then_full",
    "moved_abroad_after_payment",
)


def recorded(name: str) -> Any:
    """A recording that comes with the sandbox."""
    file = resources.files("counterfoil_sandbox") / "recorded" / f"{name}.json"
    return json.loads(file.read_text(encoding="utf-8"))


def recorded_orders() -> Iterator[dict[str, Any]]:
    for name in (*PAID, *UNPAID, *WHILE_DOWN, *AFTER, *(order for order, _ in REFUNDED)):
        yield recorded(name)
    for name in HISTORIES:
        for snapshot in recorded(f"histories/{name}")["snapshots"]:
            if "order" in snapshot:
                yield snapshot["order"]
