"""What people choose from: entities with stores and gateways, versions of the rules with their texts. Reads only."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from counterfoil_engine.ports import Records, Rejected, RulesBook
from counterfoil_engine.work import switches as write_switches

DIFFERENCE_LINES_MAX = 2_000
SWITCHED = ("erp", "wms", "gateway", "tax", "store")


class Books:
    """Over the rules in force."""

    def __init__(self, records: Records, book: RulesBook) -> None:
        self._records, self._book = records, book

    def entities(self) -> list[dict[str, Any]]:
        """Each entity with its stores; and the gateways that its stores' payment methods go by."""
        with self._records.transaction() as tx:
            if self._records.rules.current_version(tx) is None:
                return []
            rules = self._book.current(tx)
        methods = rules.tables.get("payment_methods", ())
        found = []
        for entity in sorted(rules.entities.values(), key=lambda one: one.id):
            stores = sorted(store.id for store in rules.stores.values() if store.entity == entity.id)
            gateways = {
                str(row.values["gateway"])
                for row in methods
                if row.values.get("gateway") and (row.match.get("store") in (None, "*") or row.match["store"] in stores)
            }
            found.append(
                {
                    "entity": entity.id,
                    "currency": entity.book_currency,
                    "zone": entity.zone,
                    "stores": stores,
                    "gateways": sorted(gateways),
                }
            )
        return found

    def pools(self) -> list[str]:
        """The pools that stock is counted in."""
        with self._records.transaction() as tx:
            return sorted(self._book.current(tx).pools) if self._records.rules.current_version(tx) else []

    def switches(self, store: str) -> list[dict[str, Any]]:
        """A store's write switch for each party, and what is ready and unsent for it."""
        with self._records.transaction() as tx:
            rules = self._book.current(tx)
            return [
                {
                    "party": party,
                    "setting": write_switches.setting_of(self._records, tx, rules, store, party),
                    "would_post": [dict(row) for row in self._records.intents.would_post(tx, store, party)],
                }
                for party in SWITCHED
            ]

    def version(self, version: str) -> Mapping[str, Any]:
        """A version's text, and how it differs from the one before it."""
        with self._records.transaction() as tx:
            rows = [dict(row) for row in self._records.rules.versions(tx)]
            place = next((at for at, row in enumerate(rows) if row["version"] == version), None)
            if place is None:
                raise Rejected(
                    f"There are no rules {version[:80]!r}.",
                    "See which there are: counterfoil rules show.",
                    slug="no-such-subject",
                )
            text = self._records.rules.text_of(tx, version) or ""
            older = rows[place - 1]["version"] if place else None
            before = (self._records.rules.text_of(tx, older) or "") if older else ""
        changed = difflib.unified_diff(before.splitlines(), text.splitlines(), older or "nothing", version, "", "")
        return {
            "version": version,
            "loaded_at": str(rows[place]["loaded_at"]),
            "loaded_by": rows[place]["loaded_by"],
            "text": text,
            "before": older,
            "changes": list(changed)[:DIFFERENCE_LINES_MAX],
        }
