"""Faults planted in what the engine makes of WMS, gateway and tax service."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from counterfoil_engine.domain import dues, goods_cases
from counterfoil_engine.records import party_facts
from counterfoil_engine.work.party_facts import FactReader
from counterfoil_engine.work.recalls import Recalls

if TYPE_CHECKING:
    from simulation.mutants import Patch


def a_cursor_moves_before_its_facts(patch: Patch) -> None:
    """An engine that dies in between has lost them."""
    step = FactReader.__dict__["step"]

    def ahead(self: Any) -> bool:
        read = self._port.read

        def moved(cursor: Any) -> Any:
            page = read(cursor)
            with self._records.transaction() as tx:
                self._facts.keep_cursor(tx, self.party, self.source, page.cursor, page.is_last)
            return page

        self._port = SimpleNamespace(read=moved)
        return bool(step(self))

    patch.set(FactReader, "step", ahead)


def a_fact_told_twice_counts_twice(patch: Patch) -> None:
    take = party_facts.take

    def anew(tx: Any, given: Sequence[Any]) -> Any:
        known = party_facts._known(tx, given)
        twice = [(fact.party, fact.source, fact.id) in known for fact in given]
        facts = [one._replace(id=f"{one.id}~") if again else one for one, again in zip(given, twice, strict=True)]
        return take(tx, facts)

    patch.set(party_facts, "take", anew)


def a_fact_wakes_nobody(patch: Patch) -> None:
    patch.set(party_facts, "mark_due", lambda *_, **__: None)


def money_before_its_order_stays_apart(patch: Patch) -> None:
    patch.set(party_facts, "match_orders", lambda *_: set())


def an_invoice_by_its_place(patch: Patch) -> None:
    """Of several shipments the first one known is 1, whichever it is."""
    delivery_of = dues.delivery_of

    def numbered(*given: Any) -> Any:
        delivery = delivery_of(*given)
        shipments = tuple(replace(one, id=str(place)) for place, one in enumerate(delivery.shipments, 1))
        return replace(delivery, shipments=shipments)

    patch.set(dues, "delivery_of", numbered)


def a_claim_stays_once_the_gateway_has_paid_back(patch: Patch) -> None:
    money_of = dues.money_of

    def deaf(*given: Any) -> Any:
        money = money_of(*given)
        apart = tuple(replace(one, refund=None, id=one.known_as[0]) for one in money.refunds)
        return replace(money, speaking=frozenset(), refunds=apart)

    patch.set(dues, "money_of", deaf)


def what_a_party_keeps_is_not_noted(patch: Patch) -> None:
    """An edit after release waits for ever for goods that the WMS doesn't give back."""
    patch.set(Recalls, "refused", lambda *_: None)


def a_short_pick_is_taken_for_refunded(patch: Patch) -> None:
    patch.set(goods_cases, "_missing", lambda due: ())


PLANTS = (
    what_a_party_keeps_is_not_noted,
    a_short_pick_is_taken_for_refunded,
    a_cursor_moves_before_its_facts,
    a_fact_told_twice_counts_twice,
    a_fact_wakes_nobody,
    money_before_its_order_stays_apart,
    an_invoice_by_its_place,
    a_claim_stays_once_the_gateway_has_paid_back,
)
