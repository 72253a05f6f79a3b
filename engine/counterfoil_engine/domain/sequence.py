"""How an order goes, by its entity and payment method: who speaks, and what makes what due (domain.md, section 3)."""

from __future__ import annotations

from dataclasses import dataclass

from counterfoil_engine.domain.life import Context
from counterfoil_engine.domain.order import Order


@dataclass(frozen=True)
class Sequence:
    """One order's sequence, from the rules table `sequence`.

    wms, tax: the source that speaks for the order; None: nobody does, and what waits for it is met.
    tax_tolerance_minor, shortfall_minor: bounds in minor units of the order's currency.
    """

    invoice_on: str = "acceptance"
    revenue_on: str = "invoice"
    capture_on: str = "payment"
    wms: str | None = None
    tax: str | None = None
    tax_tolerance_minor: int = 0
    tax_on_deposits: bool = False
    shortfall_minor: int = 0
    refunds_by: str = "store"
    discounts: str = "net"
    store_update: bool = False

    @property
    def needs_parts(self) -> bool:
        """Whether what is shipped is counted line by line."""
        return self.invoice_on == "shipment" or self.revenue_on == "shipment" or self.wms is not None


def sequence_of(context: Context, order: Order) -> Sequence:
    """The sequence in force on the day on which the order was made."""
    values = context.rules.merged(
        "sequence", context.day(order.created), entity=context.entity.id, method=order.method or "none"
    )
    for name in ("tax_tolerance_minor", "shortfall_minor"):
        if name in values:
            values[name] = int(values[name])
    return Sequence(**values)
