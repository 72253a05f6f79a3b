"""The life of an order as a reading of its facts, never a stored state (domain.md, section 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from counterfoil_engine.domain.errors import Parked
from counterfoil_engine.domain.facts import OrderFacts, Snapshot
from counterfoil_engine.domain.order import Order, Refund, read_order
from counterfoil_engine.domain.rules import Entity, Rules

_LIVE = ("pending", "processing", "on-hold", "completed", "cancelled", "refunded", "failed")
_ASIDE = ("trash", "draft", "auto-draft", "checkout-draft")
STATUSES = frozenset((*_LIVE, *_ASIDE))
_NEVER = {
    "pending": "it waits for payment in the store",
    "failed": "its payment failed",
    "cancelled": "it was cancelled before it was accepted",
    "refunded": "it was refunded without ever being paid",
    "trash": "it was thrown away before it was accepted",
    "gone": "it was deleted before it was accepted",
    "draft": "it is a draft",
    "auto-draft": "it is a draft",
    "checkout-draft": "it is an open checkout",
}


@dataclass(frozen=True)
class Context:
    """Where an order is looked at: its store and entity, the rules, and the moment of the look."""

    store: str
    order_id: str
    rules: Rules
    entity: Entity
    as_of: datetime

    @property
    def subject(self) -> str:
        return f"order {self.store}/{self.order_id}"

    def day(self, moment: datetime) -> date:
        """The date of an event in the entity's zone."""
        return moment.astimezone(ZoneInfo(self.entity.zone)).date()

    def slot(self, kind: str, natural_id: str) -> str:
        return f"{self.store}/{self.order_id}/{kind}/{natural_id}"


@dataclass(frozen=True)
class Moment:
    """One snapshot, read: its order, or why it can't be read; status as the rules read it (`gone` where it is gone)."""

    snapshot: Snapshot
    order: Order | None
    status: str
    fault: Parked | None = None


@dataclass(frozen=True)
class Claim:
    """Money that the store says came in: the total at the first snapshot with `date_paid`.

    computed_minor: what that snapshot's lines and taxes add up to, the same unless its total is in doubt.
    """

    amount_minor: int
    computed_minor: int
    currency: str
    method: str
    transaction: str
    paid: datetime
    proven: bool


def read_moments(facts: OrderFacts, rules: Rules, as_of: datetime) -> list[Moment]:
    """All snapshots of the order, read, in the store's order."""
    moments: list[Moment] = []
    order_key = ""
    for snapshot in facts.snapshots:
        if snapshot.kind == "gone":
            order = next((moment.order for moment in reversed(moments) if moment.order), None)
            moments.append(Moment(snapshot, order, "gone", moments[-1].fault if moments else None))
            continue
        try:
            order = read_order(snapshot.body, as_of)
            _check_identity(order, facts, order_key)
            order_key = order_key or order.order_key
            moments.append(Moment(snapshot, order, _status(order, facts.store, rules, as_of)))
        except Parked as fault:
            moments.append(Moment(snapshot, None, "unreadable", fault))
    return moments


def _check_identity(order: Order, facts: OrderFacts, order_key: str) -> None:
    if order.id != facts.order_id or (order_key and order.order_key != order_key):
        raise Parked(
            f"Another order came under the id {facts.order_id}: its order key differs from the first one seen.",
            "Find out whether the store was restored or copied; hand the store over before it goes on.",
            "conflict",
            money_minor=order.total_minor,
            currency=order.currency,
        )


def _status(order: Order, store: str, rules: Rules, as_of: datetime) -> str:
    if order.status in STATUSES:
        return order.status
    what = f"The order status {order.status!r}"
    return str(rules.look_up("statuses", what, order.created.date(), store=store, status=order.status)["reads_as"])


def claim_of(moments: Sequence[Moment]) -> Claim | None:
    """The money that the store claims, if any; zero is no payment, and test mode never is one."""
    for moment in moments:
        order = moment.order
        if moment.snapshot.kind != "order" or order is None or order.paid is None:
            continue
        if order.total_minor <= 0 or order.is_test:
            return None
        return Claim(
            amount_minor=order.total_minor,
            computed_minor=order.net_minor + order.tax_minor,
            currency=order.currency,
            method=order.method,
            transaction=order.transaction,
            paid=order.paid,
            proven=moment.snapshot.proven,
        )
    return None


def accepted_since(context: Context, moments: Sequence[Moment], claim: Claim | None) -> datetime | None:
    """When the order was accepted, or None: it then stays accepted, and is only cancelled or credited."""
    settled = None
    for moment in moments:
        if moment.order and moment.status in ("processing", "completed"):
            return moment.order.paid or moment.order.created
        if moment.order and moment.status == "on-hold" and is_trusted(context, moment.order):
            return moment.order.created
        if claim and moment.order and moment.order.paid and moment.status in ("refunded", "cancelled"):
            settled = claim.paid
    return settled


def is_trusted(context: Context, order: Order) -> bool:
    """Whether the rules accept the order's payment method unpaid."""
    row = context.rules.find("payment_methods", context.day(order.created), store=context.store, method=order.method)
    return bool(row and row.values.get("accept_unpaid"))


def why_not_accepted(status: str) -> tuple[str, str]:
    """Reading and reason of an order that was never accepted and holds no money."""
    if status == "on-hold":
        return "waiting", "The order is on hold, and the rules don't accept its payment method unpaid."
    return "filtered", f"Nothing is due: {_NEVER.get(status, f'its status is {status}')}."


def standing_refunds(moments: Sequence[Moment]) -> tuple[list[Refund], list[str]]:
    """The refunds that stand in the last snapshot, oldest first, and the ids of those whose detail is not known."""
    details: dict[str, Refund] = {}
    for moment in moments:
        if moment.order:
            details.update({refund.id: refund for refund in moment.order.refunds})
    last = next((moment.order for moment in reversed(moments) if moment.order), None)
    if last is None:
        return [], []
    ids = list(dict.fromkeys(refund_id for refund_id, _ in last.refund_totals))
    known = [details[refund_id] for refund_id in ids if refund_id in details]
    return (
        sorted(known, key=lambda refund: (refund.created, int(refund.id))),
        [refund_id for refund_id in ids if refund_id not in details],
    )


def deleted_payments(moments: Sequence[Moment]) -> list[Refund]:
    """Refunds that the store deleted after it had moved their money itself: what happened stays."""
    orders = [moment.order for moment in moments if moment.order]
    listed = [{refund_id for refund_id, _ in order.refund_totals} for order in orders]
    deleted = set().union(*listed) - (listed[-1] if listed else set())
    moved = {refund.id: refund for order in orders for refund in order.refunds if refund.moved_money}
    return [refund for refund in moved.values() if refund.id in deleted]


def taxed_before(moments: Sequence[Moment]) -> Mapping[str, bool]:
    """The lines, by id and by key, that bore tax in any of these snapshots."""
    lines = [line for moment in moments if moment.order for line in moment.order.lines]
    taxed = [line for line in lines if any(tax for _, tax in line.taxes)]
    return {name: True for line in taxed for name in (line.id or "", line.key) if name}
