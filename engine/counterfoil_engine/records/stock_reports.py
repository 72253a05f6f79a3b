"""How a store's stock stands: who writes it, how far it is, what holds it, and how old its numbers are. Reads only."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from counterfoil_engine.domain.freshness import BOUNDS_S, at_most_s
from counterfoil_engine.ports import EPOCH_BITS
from counterfoil_engine.records import identity, moves, store_writes
from counterfoil_engine.records.database import Transaction
from counterfoil_engine.records.stores import StoreState

MOST_COMPARED = 1_000  # SKUs that changed last, where a store is behind

_HELD = {
    "preview": "its first stock numbers wait for a yes (counterfoil-agent preview, then accept-preview).",
    "brake": "many products would sell out at once; the numbers wait (counterfoil-agent release-brake).",
    "copy": "its plugin finds that this is a copy of the shop, or that it moved: no stock is written.",
    "went-back": "it went back, to a backup perhaps: nothing is written (counterfoil-agent accept-restored-store).",
}


def line(tx: Transaction, state: StoreState, pool: str | None, version: int) -> dict[str, Any] | None:
    """A store's stock, as its agent and these records say it; None where it has no pool. version: its pool's last."""
    if pool is None:
        return None
    beat = state.heartbeat.get("stock") or {}
    basis = moves.basis_of(tx, state.store)
    ages, last = store_writes.ages(tx, state.store), store_writes.last_write(tx, state.store)
    is_behind = bool(beat.get("waiting")) or _held_version(tx, beat) < version
    skus, units = store_writes.offered_in_excess(tx, state.store, pool, MOST_COMPARED) if is_behind and last else (0, 0)
    mark = state.watermark
    return {
        "pool": pool,
        "writes_by": beat.get("writes_by", "off"),
        "switch": beat.get("switch", "off"),
        "exposed": bool(beat.get("exposed")) or basis.held,
        "held": beat.get("held"),
        "waiting": beat.get("waiting", 0),
        "newer_skus": beat.get("newer_skus", 0),
        "is_behind": is_behind,
        "in_excess": {"skus": skus, "units": units},
        "basis": {"epoch": basis.epoch, "n": basis.n} if basis.epoch else None,
        "basis_held": basis.held,
        "uncounted_events": mark.n - (basis.n if basis.epoch == mark.epoch else 0),
        "plugin": beat.get("plugin"),
        "last_write": store_writes.plain(last) if last else None,
        "edits_a_day": store_writes.drifted_since(tx, state.store, tx.now() - timedelta(days=1)),
        "freshness": {
            "writes": sum(ages),
            "p50_s": at_most_s(ages, 50),
            "p95_s": at_most_s(ages, 95),
            "buckets": [
                {"at_most_s": bound, "writes": count} for bound, count in zip((*BOUNDS_S, None), ages, strict=True)
            ],
        },
    }


def _held_version(tx: Transaction, beat: Mapping[str, Any]) -> int:
    """The pool's own version up to which the agent has all; 0 where another life of the engine told it."""
    epoch, own = divmod(int(beat.get("version", 0)), 1 << EPOCH_BITS)
    return own if epoch == identity.engine_epoch(tx) else 0


def problems(store: str, stock: Mapping[str, Any] | None) -> list[str]:
    """What is wrong with it, as sentences. That a store without the plugin is exposed is how it is, and no problem."""
    if stock is None:
        return []
    said = []
    if stock["basis_held"]:
        said.append(
            f"Store {store} is exposed: an event that can't be read may hold sales, and {stock['uncounted_events']}"
            f" event(s) after it aren't counted. Its agent sends them anew (else: counterfoil stock pass-over {store})."
        )
    if stock["held"]:
        said.append(f"Store {store}: {_HELD.get(stock['held'], 'its stock waits for a person at its agent.')}")
    if stock["newer_skus"]:
        said.append(
            f"Store {store} has later numbers of {stock['newer_skus']} SKUs than were told to it: another engine wrote"
            " them, or this one was put back to a backup. If it stays so: counterfoil confirm, and all its numbers are"
            " above those."
        )
    missing = (stock["plugin"] or {}).get("missing_hooks") or []
    if missing:
        said.append(f"Store {store}: its plugin isn't heard by WooCommerce any more ({', '.join(missing)[:200]}).")
    return said
