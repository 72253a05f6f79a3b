"""What a store can't be told its stock of, as cases of the store: SKUs that one side alone knows, that several products
bear, or whose product doesn't manage its stock. Each ends by itself once the agent says it no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from counterfoil_engine.domain.errors import Case
from counterfoil_engine.domain.stock import sku_key
from counterfoil_engine.ports import CaseRecords, WriteRecords, Written

MOST = 100  # of one kind and store; beyond that one case says how many more there are
UNKNOWN, DOUBLED, UNMANAGED = "feed unknown", "feed doubled", "feed unmanaged"


class FeedCases:
    """Opens and ends them, within the transaction that keeps what the agent said."""

    def __init__(self, cases: CaseRecords, writes: WriteRecords) -> None:
        self._cases, self._writes = cases, writes

    def note(self, tx: Any, store: str, pool: str, said: Mapping[str, Any], written: Sequence[Written]) -> None:
        """said: as feed/writes.v1; a list that is null says nothing, one that is empty ends all."""
        subject = f"store {store}"
        open_now = self._cases.of_subject(tx, subject)
        if said.get("unknown") is not None:
            self._settle(tx, store, UNKNOWN, self._unknown(tx, store, pool, said["unknown"]), open_now)
        if said.get("doubled") is not None:
            self._settle(tx, store, DOUBLED, [_doubled(store, one) for one in said["doubled"]], open_now)
        self._unmanaged(tx, store, written, open_now)

    def _settle(
        self, tx: Any, store: str, origin: str, found: Sequence[Case], open_now: Iterable[Mapping[str, Any]]
    ) -> None:
        found = _bounded(store, found)
        kept = {case.fingerprint for case in found}
        for row in open_now:
            if row["origin"] == origin and row["fingerprint"] not in kept:
                self._cases.resolve(tx, row["id"], "the store's agent no longer says it")
        for case in found:
            self._cases.open_case(tx, f"store {store}", store, origin, case)

    def _unknown(self, tx: Any, store: str, pool: str, skus: Sequence[str]) -> list[Case]:
        known = self._writes.known_to(tx, pool, [sku_key(sku) for sku in skus])
        return [
            _unknown_to_store(store, pool, sku) if sku_key(sku) in known else _unknown_here(store, pool, sku)
            for sku in sorted(set(skus))
        ]

    def _unmanaged(
        self, tx: Any, store: str, written: Sequence[Written], open_now: Iterable[Mapping[str, Any]]
    ) -> None:
        """Said one by one, with each write: the last answer counts."""
        answers = {one.key: one.verdict for one in written}
        mine = [row for row in open_now if row["origin"] == UNMANAGED]
        for row in mine:
            if answers.get(row["about_key"] or "", "unmanaged") != "unmanaged":
                self._cases.resolve(tx, row["id"], "the store's agent no longer says it")
        room = MOST - len(mine)
        known = {row["about_key"] for row in mine}
        for key in sorted(key for key, verdict in answers.items() if verdict == "unmanaged" and key not in known):
            if room <= 0:
                return
            self._cases.open_case(tx, f"store {store}", store, UNMANAGED, _unmanaged(store, key), about_key=key)
            room -= 1


def _bounded(store: str, found: Sequence[Case]) -> list[Case]:
    if len(found) <= MOST:
        return list(found)
    rest = Case(
        "data",
        f"More SKUs of the store {store} are held for the same reason: {MOST} of them are shown.",
        "Mend those that are shown; the others follow. counterfoil-agent preview lists them all.",
    )
    return [*found[:MOST], rest]


def _unknown_to_store(store: str, pool: str, sku: str) -> Case:
    return Case(
        "data",
        f"The store {store} has no product with the SKU {sku!r}, which its pool {pool} publishes.",
        "Give the product its SKU in WooCommerce, or take the SKU out by a row of availability (excluded: true).",
    )


def _unknown_here(store: str, pool: str, sku: str) -> Case:
    return Case(
        "data",
        f"The store {store} sells the SKU {sku!r}, of which no warehouse of its pool {pool} has a position: its stock"
        " is left as it is.",
        "Let the warehouse's owner have the item, or write in WooCommerce the SKU by which it has it.",
    )


def _doubled(store: str, said: Mapping[str, Any]) -> Case:
    sku = said["sku"]
    return Case(
        "conflict",
        f"Several products of the store {store} bear the SKU {sku!r}, each with a stock of its own: none is written.",
        "Give each its own SKU in WooCommerce, or let one of them manage the stock of all.",
    )


def _unmanaged(store: str, key: str) -> Case:
    return Case(
        "data",
        f"The product with the SKU {key!r} in the store {store} doesn't manage its stock: its number isn't written.",
        'Tick "Track stock quantity" for it in WooCommerce (where only its variations are sold, give them the'
        " warehouse's SKUs), or take the SKU out by a row of availability (excluded: true).",
    )
