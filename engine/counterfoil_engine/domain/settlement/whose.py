"""Whose a gateway's payouts are."""

from __future__ import annotations

from datetime import date

from counterfoil_engine.domain.errors import Parked
from counterfoil_engine.domain.rules import Entity, Rules


def entity_of(source: str, currency: str, rules: Rules, on: date) -> Entity:
    """The company whose the payouts of a gateway in this currency are; parks where the rules leave it open.

    The table `settlement` says it. Without a row it is the one whose stores' payment methods go by that gateway; of
    several the one that keeps its books in this currency; where no method goes by it, the only company there is.
    """
    named = rules.merged("settlement", on, gateway=source, currency=currency).get("entity")
    if isinstance(named, str) and named in rules.entities:
        return rules.entities[named]
    found = _possible(source, rules, on)
    if len(found) > 1:
        found = [name for name in found if rules.entities[name].book_currency == currency]
    if len(found) == 1:
        return rules.entities[found[0]]
    raise Parked(
        f"Whose the payouts of {source[:40]} in {currency} are can't be told from the rules.",
        "Add a row to settlement that names the entity; they then resume by themselves.",
        "missing_mapping",
        rows=({"table": "settlement", "gateway": source, "currency": currency, "entity": None},),
    )


def zone_of(source: str, rules: Rules, on: date) -> str:
    """The zone in which a gateway's reports are dated, before their currency is known; parks where it is open."""
    named = {str(row.values.get("entity")) for row in rules.tables.get("settlement", ()) if row.fits(gateway=source)}
    found = sorted(named & rules.entities.keys()) or _possible(source, rules, on)
    zones = sorted({rules.entities[name].zone for name in found})
    if len(zones) == 1:
        return zones[0]
    raise Parked(
        f"The payouts of {source[:40]} may be of companies in several time zones ({', '.join(zones) or 'none'}).",
        "Take each company's reports under a name of its own, as payment_methods name its gateway.",
        "missing_mapping",
        rows=({"table": "settlement", "gateway": source, "currency": None, "entity": None},),
    )


def _possible(source: str, rules: Rules, on: date) -> list[str]:
    """The entities whose stores' payment methods go by the gateway; all there are, where none does."""
    possible = {
        store.entity
        for store in rules.stores.values()
        for row in rules.tables.get("payment_methods", ())
        if row.values["gateway"] == source and row.since <= on and row.fits(store=store.id)
    }
    return sorted(possible & rules.entities.keys() or rules.entities)
