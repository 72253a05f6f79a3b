"""A refund three ways: the store's, the gateway's and the credit note agree, or a case names the one that is missing.

All of them are compared after the tender is taken off: what a gift card paid goes back to a gift card, so the store
refunds and the gateway pays back less than is credited (domain.md, section 4, *Refund, three ways*).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from counterfoil_engine.domain.errors import Case
from counterfoil_engine.domain.money import show

WAYS = ("store", "gateway", "credit_note", "receipt")


@dataclass(frozen=True)
class Side:
    """What one of them says of the refund. amount_minor: positive for what is given back; a failed one is negative.

    tender_minor: of that, what went back to a gift card. id: its own name in its system.
    """

    id: str
    amount_minor: int
    currency: str
    tender_minor: int = 0

    @property
    def money_minor(self) -> int:
        return self.amount_minor - self.tender_minor


@dataclass(frozen=True)
class RefundWays:
    """All that speaks of one refund. It may be paid in parts, and has a credit note for each invoice it touches.

    expected: which of `WAYS` must be there by now: not the gateway for a transfer by hand, not the receipt where no
    goods come back. goods: line → quantity that comes back; received: line → quantity, over all receipts.
    """

    refund: str
    store: Side | None
    gateway: Sequence[Side] = ()
    credit_notes: Sequence[Side] = ()
    goods: Mapping[str, Decimal] = field(default_factory=dict)
    received: Mapping[str, Decimal] = field(default_factory=dict)
    expected: Collection[str] = ("store", "gateway", "credit_note")


def refund_case(ways: RefundWays) -> Case | None:
    """None where all that is expected is there and agrees, else the case `refund`."""
    said = {
        "store": [ways.store] if ways.store else [],
        "gateway": list(ways.gateway),
        "credit_note": list(ways.credit_notes),
    }
    missing = [way for way in ways.expected if way != "receipt" and not said[way]]
    lacking = list(_not_received(ways)) if "receipt" in ways.expected else []
    currencies = {side.currency for sides in said.values() for side in sides}
    sums = {way: sum(side.money_minor for side in sides) for way, sides in said.items() if sides}
    largest = max(map(abs, sums.values()), default=0)
    shown = " and ".join(f"{_NAMES[way]} {show(amount, said[way][0].currency)}" for way, amount in sums.items())
    if missing:
        what = f"lacks {' and '.join(_NAMES[way] for way in missing)}"
        what += f"; there is {shown}" if shown else ""
        remedy = _REMEDIES[missing[0]]
    elif len(currencies) > 1:
        what, remedy = (
            f"is in {' and '.join(sorted(currencies))}: {shown}",
            "Find out in which currency it was paid back.",
        )
    elif len(set(sums.values())) > 1:
        what, remedy = f"differs: {shown}", "Correct the one that is wrong; what the gateway paid is what counts."
    elif lacking:
        what = f"waits for goods: {', '.join(lacking)} did not come back"
        remedy = _REMEDIES["receipt"]
    else:
        return None
    return Case(
        "refund",
        f"The refund {ways.refund[:60]} {what}.",
        remedy,
        money_minor=max(sums.values(), default=0) - min(sums.values(), default=0) if not missing else largest,
        currency=min(currencies) if len(currencies) == 1 else None,
    )


_NAMES = {"store": "the store's refund", "gateway": "the gateway's refund", "credit_note": "the credit note"}
_REMEDIES = {
    "store": "Enter the refund in the store as it was made at the gateway, without refunding again.",
    "gateway": "Refund it at the gateway, or delete the store's refund if it is not to be paid.",
    "credit_note": "Find the case that holds the credit note; once it is posted this one ends by itself.",
    "receipt": "Let the warehouse receive the goods, or say that none come back.",
}


def _not_received(ways: RefundWays) -> Iterator[str]:
    """The lines of which less came back than was refunded, with how much."""
    for line, quantity in sorted(ways.goods.items()):
        left = quantity - ways.received.get(line, Decimal(0))
        if left > 0:
            yield f"{left.normalize():f} of {line}"
