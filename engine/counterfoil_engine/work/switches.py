"""Write switches: off, preview or on, per store and party. Switching on shows what would be posted, and asks (R3).

off: looks write no intents. preview: intents are written and shown, none is sent. on: they are sent. What people set
goes before what the rules say; in a database that isn't confirmed, nothing is more than preview (R4).

What belongs to no store (an entity's payouts) goes by a switch of the entity's own, in the same table under its name;
where nobody has set it, by the least of its stores': a payout is not to be posted before the charges in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from counterfoil_engine.domain.errors import CounterfoilError
from counterfoil_engine.domain.money import show
from counterfoil_engine.domain.rules import Rules
from counterfoil_engine.ports import Records

SETTINGS = ("off", "preview", "on")
PARTIES = ("erp", "wms", "gateway", "tax", "pim", "store")  # as the rules' contract names them


def setting_of(records: Records, tx: Any, rules: Rules, store: str, party: str) -> str:
    """The setting in force."""
    return _in_force(rules, store, party, records.rules.switches(tx), records.identity.is_confirmed(tx))


def stores_on(records: Records, tx: Any, rules: Rules, party: str) -> list[str]:
    """The stores and entities whose documents may be sent to a party."""
    chosen, confirmed = records.rules.switches(tx), records.identity.is_confirmed(tx)
    owners = {*rules.stores, *rules.entities}
    return sorted(owner for owner in owners if _in_force(rules, owner, party, chosen, confirmed) == "on")


def _in_force(rules: Rules, owner: str, party: str, chosen: Mapping[tuple[str, str], str], confirmed: bool) -> str:
    setting = _chosen(rules, owner, party, chosen)
    return "preview" if setting == "on" and not confirmed else setting


def _chosen(rules: Rules, owner: str, party: str, chosen: Mapping[tuple[str, str], str]) -> str:
    if (owner, party) in chosen:
        return chosen[owner, party]
    if owner in rules.stores:
        return str(rules.stores[owner].switches.get(party, "preview"))
    its_stores = [name for name, store in rules.stores.items() if store.entity == owner]
    return min((_chosen(rules, name, party, chosen) for name in its_stores), key=SETTINGS.index, default="preview")


@dataclass(frozen=True)
class Switched:
    """What a switch came to. would_post: what is ready and unsent, by kind and currency."""

    store: str
    party: str
    setting: str
    would_post: Sequence[Mapping[str, Any]]


def switch(
    records: Records, rules: Rules, store: str, party: str, setting: str, who: str, confirmed: bool = False
) -> Switched:
    """Set a switch; it takes effect between groups, never inside one. Switching on without `confirmed` changes nothing
    and raises, with what would be posted in its words."""
    check(rules, store, party, setting)
    with records.transaction() as tx:
        return switch_in(records, tx, rules, store, party, setting, who, confirmed)


def check(rules: Rules, store: str, party: str, setting: str) -> None:
    """Raises CounterfoilError where there is no such setting, party, and neither store nor entity of this name."""
    if setting not in SETTINGS:
        raise CounterfoilError(f"A switch can't be {setting!r}.", f"Use one of: {', '.join(SETTINGS)}.")
    if party not in PARTIES:
        # Taken without a word, a misspelt `off` would stop nothing.
        raise CounterfoilError(f"There is no party {party[:40]!r}.", f"Use one of: {', '.join(PARTIES)}.")
    if store not in rules.entities:
        rules.store(store)


def switch_in(
    records: Records, tx: Any, rules: Rules, store: str, party: str, setting: str, who: str, confirmed: bool
) -> Switched:
    """As `switch`, of what was checked, within a transaction."""
    would = records.intents.would_post(tx, store, party)
    if setting == "on" and not confirmed:
        raise CounterfoilError(
            f"Switching {party} on for {store} would post {would_be_posted(would)}",
            "Look at them (counterfoil status, counterfoil order), then say so again with --yes.",
            "conflict",
        )
    records.rules.set_switch(tx, store, party, setting, who)
    records.work.mark_due(tx, records.looks.subjects_of(tx, store), "repair")
    records.restatements.audit(tx, who, "switch", store=store, party=party, setting=setting)
    return Switched(store, party, setting, would)


def would_be_posted(would: Sequence[Mapping[str, Any]]) -> str:
    """What is ready and unsent, as the end of a sentence."""
    documents = sum(row["documents"] for row in would)
    kinds = ", ".join(
        f"{row['documents']} {row['kind']} {show(int(row['amount_minor']), row['currency'])}" for row in would
    )
    return f"{documents} documents that are ready" + (f": {kinds}." if kinds else ".")


def confirm_identity(records: Records, place: str, who: str) -> int:
    """A person says that this database, standing where it does, is the one that writes (R4). The new engine epoch."""
    with records.transaction() as tx:
        epoch = int(records.identity.confirm(tx, place))
        records.restatements.audit(tx, who, "confirm identity", place=place, engine_epoch=epoch)
        return epoch


def doubt_identity(records: Records, reason: str, who: str) -> None:
    """A person says that this database was restored or copied: every switch is at preview until it is confirmed."""
    with records.transaction() as tx:
        records.identity.doubt(tx, reason)
        records.restatements.audit(tx, who, "doubt identity", reason=reason)
