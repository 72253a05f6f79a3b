"""One order's whole life in one currency: every kind of document, in the order in which the engine would post them.

Taxes are a minor unit off what rate times net comes to, as a shop's rounding leaves them: an ERP that calculates
for itself shows. A partial delivery splits a line that doesn't divide evenly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from counterfoil_engine.conformance.made_up import Order, Paper, gross
from counterfoil_engine.conformance.trial import Trial, told
from counterfoil_engine.ports import Outcome, Posted

SHOE, CAP, POST, COUPON = "item:1", "item:2", "shipping:3", "fee:4"


@dataclass(frozen=True)
class Story:
    """papers: in the order posted. outcomes: of each."""

    order: Order
    papers: Sequence[Paper]
    outcomes: Sequence[Outcome]

    def of_kind(self, kind: str) -> list[Paper]:
        return [paper for paper in self.papers if paper.kind == kind]

    def refusals(self, kind: str) -> list[str]:
        """What was not posted of a kind, as sentences."""
        both = zip(self.papers, self.outcomes, strict=True)
        return [f"The {kind} {p.key} was {told(o)}" for p, o in both if p.kind == kind and not isinstance(o, Posted)]


def story_of(trial: Trial, currency: str) -> Story:
    """The story in a currency, told once in a run."""
    if currency not in trial.stories:
        order = trial.order(currency)
        papers = the_life_of(order)
        trial.stories[currency] = Story(order, papers, trial.post(*papers))
    story = trial.stories[currency]
    assert isinstance(story, Story)
    return story


def the_life_of(order: Order) -> list[Paper]:
    """A deposit and a gift card, two deliveries and their invoices, a cancelled rest, a return with its refund, a price
    reduction, and what the gateway did: fee, dispute, payout."""
    three = order.line(30_021, 5_705, quantity="3", name=SHOE)
    one_more = order.line(10_007, 1_900, name=SHOE)
    caps = order.line(4_999, 351, rate=1, quantity="2", name=CAP)
    postage = order.line(499, 94, kind="shipping", name=POST)
    coupon = order.line(-301, -58, kind="fee", name=COUPON)
    all_shoes = order.line(40_028, 7_605, quantity="4", name=SHOE)
    first, second = order.invoice("ship-1", [three, postage]), order.invoice("ship-2", [caps, coupon])
    back = order.line(10_007, 1_902, name=SHOE)
    cheaper = order.line(101, 7, rate=1, kind="allowance", name="price reduction")
    returned, reduced = order.credit_note("ship-1", 48, [back]), order.credit_note("ship-2", 49, [cheaper])
    card_minor = 1_001
    paid_minor = first.amount_minor + second.amount_minor - card_minor
    paid = order.payment(paid_minor)
    to_card_minor = 501
    to_bank_minor = returned.amount_minor - to_card_minor
    lost_minor = 0 if order.currency == order.company.book_currency else 3
    refund = order.refund_payment(to_bank_minor, 48, order.book(to_bank_minor) + lost_minor)
    reduction = order.refund_payment(reduced.amount_minor, 49)
    short = order.payment(-3, "shortfall")
    return [
        order.customer(),
        paid,
        order.sales_order([all_shoes, caps, postage, coupon]),
        order.tender(card_minor),
        first,
        order.application(first, first.amount_minor, "deposits", "receivable"),
        second,
        order.application(second, second.amount_minor, "deposits", "receivable", -2 if lost_minor else 0),
        order.cancellation([one_more]),
        returned,
        order.application(returned, returned.amount_minor, "receivable", "refunds_owed"),
        order.returned(48, "1", SHOE),
        refund,
        order.tender(-to_card_minor, "card-1-back"),
        reduced,
        order.application(reduced, reduced.amount_minor, "receivable", "refunds_owed"),
        reduction,
        order.fee(299),
        order.dispute(1_700, "opened"),
        order.dispute(1_700, "won"),
        order.payout(gross([three])),
        short,
        order.transfer(short, 3, "payment_differences", "deposits"),
    ]
