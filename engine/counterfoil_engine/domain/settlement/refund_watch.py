"""Refunds three ways, order by order: what the store, the gateway and the credit notes say of each, and since when.

`dues` are an order's dues with one thing more: a refund that still lacks a side, or differs, after the days that the
rules allow (table `settlement`) is a case. Nothing is due for that: money is never posted because somebody is late.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from counterfoil_engine.domain.documents import Document, Dues
from counterfoil_engine.domain.dues import dues as order_dues
from counterfoil_engine.domain.errors import Case, Parked
from counterfoil_engine.domain.facts import OrderFacts
from counterfoil_engine.domain.life import claim_of, read_moments, standing_refunds
from counterfoil_engine.domain.money_moves import GatewayRefund, money_of
from counterfoil_engine.domain.order import Refund
from counterfoil_engine.domain.rules import Rules
from counterfoil_engine.domain.settlement.refunds import RefundWays, Side, refund_case


@dataclass(frozen=True)
class Watched:
    """A refund of an order. since: when the first of its sides spoke; gateway: by which its money goes."""

    ways: RefundWays
    since: datetime
    gateway: str

    @property
    def case(self) -> Case | None:
        return refund_case(self.ways)


def dues(facts: OrderFacts, rules: Rules, as_of: datetime) -> Dues:
    """An order's dues, and cases of refunds that have lacked something for too long."""
    found = order_dues(facts, rules, as_of)
    if not rules.tables.get("settlement"):
        return found
    cases: list[Case] = []
    again = [found.again_at] if found.again_at else []
    for refund in refunds_of(facts, found, rules, as_of):
        case = refund.case
        match = {"gateway": refund.gateway, "currency": found.currency}
        days = rules.merged("settlement", as_of.date(), **match).get("refund_days")
        if case is None or days is None:
            continue
        late_at = refund.since + timedelta(days=int(days))
        if as_of < late_at:
            again.append(late_at)
        else:
            cases.append(case)
    if not cases:
        return replace(found, again_at=min(again, default=None))
    reason = found.reason if found.cases else cases[0].cause
    cases = [*found.cases, *cases]
    return replace(found, reading="parked", reason=reason, cases=tuple(cases), again_at=min(again, default=None))


def refunds_of(facts: OrderFacts, due: Dues, rules: Rules, as_of: datetime) -> list[Watched]:
    """Every refund of an order that the store or a gateway speaks of; none where the order can't be read.

    The gateway is expected to speak where it has spoken of this order; a credit note where all of it is invoiced, since
    before that a refund may lessen an invoice instead.
    """
    try:
        moments = read_moments(facts, rules, as_of)
        refunds, _ = standing_refunds(moments)
        money = money_of(claim_of(moments), facts.party_facts, refunds, as_of)
    except Parked:
        return []
    expected = ["store"]
    if money.speaking:
        expected.append("gateway")
    if _is_invoiced(due.documents):
        expected.append("credit_note")
    gateway = min(money.speaking, default="") or _gateway_of(due.documents)
    by_refund: dict[str, list[GatewayRefund]] = {}
    for back in money.refunds:
        by_refund.setdefault(back.refund or back.id.removesuffix("-failed"), []).append(back)
    currency = due.currency or next((back.currency for back in money.refunds), "")
    stores = {refund.id: refund for refund in refunds}
    return [
        _watched(name, stores.get(name), by_refund.get(name, ()), due.documents, expected, currency, gateway)
        for name in sorted({*stores, *by_refund})
    ]


def _watched(
    name: str,
    refund: Refund | None,
    paid_back: Sequence[GatewayRefund],
    documents: Sequence[Document],
    expected: Sequence[str],
    currency: str,
    gateway: str,
) -> Watched:
    store = Side(name, refund.amount_minor, currency) if refund else None
    credited = list(_credited(name, documents, currency))
    # Money alone went back, before the goods were invoiced: nothing is to be credited.
    ways = RefundWays(
        refund=name,
        store=store,
        gateway=[Side(back.id, back.amount_minor, back.currency) for back in paid_back],
        credit_notes=credited if "credit_note" in expected else (),
        expected=expected,
    )
    moments = [back.at for back in paid_back] + ([refund.created] if refund else [])
    return Watched(ways, min(moments), paid_back[0].source if paid_back else gateway)


def _credited(name: str, documents: Sequence[Document], currency: str) -> Iterator[Side]:
    """The credit notes of a refund; what goes back to a gift card is told with the first of them."""
    tender = -sum(each.amount_minor for each in documents if each.slot.endswith(f"/tender/refund-{name}"))
    for each in documents:
        if each.kind == "credit_note" and each.body.get("refund") == name:
            yield Side(each.slot, each.amount_minor, currency, tender)
            tender = 0


def _is_invoiced(documents: Sequence[Document]) -> bool:
    ordered = sum(each.amount_minor for each in documents if each.kind == "sales_order")
    invoiced = sum(each.amount_minor for each in documents if each.kind == "invoice")
    return 0 < ordered <= invoiced


def _gateway_of(documents: Sequence[Document]) -> str:
    return next((str(each.body["gateway"]) for each in documents if each.kind == "payment"), "")
