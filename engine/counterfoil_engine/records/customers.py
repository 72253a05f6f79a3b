"""Who bought, as the order itself says it last: personal data, that neither a case nor a log line repeats."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from counterfoil_engine.domain.facts import OrderFacts
from counterfoil_engine.domain.readers import Unread
from counterfoil_engine.records.database import Transaction
from counterfoil_engine.records.facts import facts_of_group


def names_of(tx: Transaction, slots: Collection[str]) -> dict[str, str]:
    """Slot → the name of its order's customer; none for what is of no order, or whose order says no name."""
    places = {slot: (parts[0], parts[1]) for slot in slots if len(parts := slot.split("/", 2)) == 3 and parts[1] != "-"}
    orders = sorted(set(places.values()))
    found = {(facts.store, facts.order_id): _name(facts) for facts in facts_of_group(tx, orders, Unread)}
    return {slot: name for slot, place in places.items() if (name := found.get(place))}


def _name(facts: OrderFacts) -> str:
    last = next((each for each in reversed(facts.snapshots) if each.kind == "order"), None)
    order = last.body.get("order") if last else None
    billing = order.get("billing") if isinstance(order, Mapping) else None
    if not isinstance(billing, Mapping):
        return ""
    said = [billing.get(part) for part in ("first_name", "last_name")]
    return " ".join(part.strip()[:100] for part in said if isinstance(part, str) and part.strip())
