"""How the agent is, read from its outbox while it is at work; and whether a monitor should call somebody."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from counterfoil_agent import applier, backfill, changes, mailbox, preview, snapshot, updates, walk
from counterfoil_agent.config import Settings
from counterfoil_agent.gone import HELD
from counterfoil_agent.outbox import Outbox, at_work, free_bytes_at
from counterfoil_agent.stock_book import StockBook
from counterfoil_agent.update_book import UpdateBook

OLD_S, OLD_UPDATE_S = 900.0, 3600.0


def status(settings: Settings, now: datetime) -> dict[str, Any]:
    """What is told by `counterfoil-agent status --json`; `alarms` are sentences, empty where all is well."""
    path = settings.outbox.path
    outbox = Outbox.read_only(path)
    try:
        told = _told(settings, outbox, now)
        return {**told, "alarms": list(_alarms(settings, outbox, told, now))}
    finally:
        outbox.close()


def _told(settings: Settings, outbox: Outbox, now: datetime) -> dict[str, Any]:
    position, depth = outbox.position(), outbox.depth()
    polled = outbox.recall("walk:any")
    return {
        "store": settings.store,
        "at_work": at_work(settings.outbox.path),
        "installation": outbox.installation,
        "epoch": position.epoch or None,
        "last_n": position.last.n,
        "stored_through_n": position.through.n,
        "engine_heard_at": outbox.recall("heard"),
        "depth_events": depth.waiting,
        "oldest_age_s": None if depth.oldest_s is None else max(0.0, round(now.timestamp() - depth.oldest_s, 1)),
        "read_until": snapshot.iso(walk.decoded(polled).marker) if polled else None,
        "newest_order_id": outbox.newest_order_id(),
        "orders_to_read": outbox.marks_waiting(),
        "missing_orders": outbox.in_doubt("probing"),
        "held_deletions": outbox.in_doubt("held"),
        "tombstones_a_day": outbox.buried_since(now - timedelta(days=1)),
        "outbox_bytes": outbox.size_bytes(),
        "disk_free_bytes": free_bytes_at(settings.outbox.path)(),
        "store_trouble": outbox.recall("trouble:store"),
        "engine_trouble": outbox.recall("trouble:engine"),
        "plugin_trouble": outbox.recall(changes.TROUBLE),
        "stock_trouble": outbox.recall(applier.TROUBLE),
        "updates_trouble": outbox.recall(updates.TROUBLE),
        "mailbox_trouble": outbox.recall(mailbox.TROUBLE),
        "updates": UpdateBook(outbox).status(now),
        "held_store": outbox.recall(changes.HELD),
        "plugin_lost": settings.plugin.key_env is not None and outbox.recall(changes.THERE) == "0",
        "brake": outbox.recall(applier.BRAKE),
        "exposure": StockBook(outbox).exposure((now - timedelta(days=1)).timestamp()),
        "stock": applier.status(outbox, settings.stock, settings.plugin.key_env is not None),
        "preview": preview.preview(outbox) if settings.stock.switch != "off" else None,
        "backfill": backfill.progress(outbox),
    }


def _alarms(settings: Settings, outbox: Outbox, told: dict[str, Any], now: datetime) -> Iterator[str]:
    if not told["at_work"]:
        yield "No agent is at work with this outbox. Start it: systemctl start counterfoil-agent."
    # Who only compares isn't woken for it.
    parties = ("store", "engine", "plugin", "updates", "mailbox")
    for party in (*parties, "stock") if settings.stock.switch == "on" else parties:
        if told[f"{party}_trouble"]:
            yield told[f"{party}_trouble"]
    if (told["oldest_age_s"] or 0) > OLD_S:
        yield f"The oldest event has waited for {told['oldest_age_s']:.0f} s. See that the engine is up and reached."
    if (told["updates"]["oldest_age_s"] or 0) > OLD_UPDATE_S and not told["updates_trouble"]:
        yield (
            f"What an order is to be told has waited for {told['updates']['oldest_age_s']:.0f} s. Look in the shop's"
            " PHP error log for what stops it."
        )
    if told["disk_free_bytes"] < settings.outbox.disk_free_bytes:
        yield f"Only {told['disk_free_bytes']} bytes are free, so nothing is read from the shop. Make room on the disk."
    if told["outbox_bytes"] > settings.outbox.share_bytes:
        yield "The outbox is at its share of the disk, so nothing is read from the shop. Raise outbox.share_bytes."
    if outbox.recall(HELD):
        yield (
            f"{told['held_deletions']} orders seem deleted, too many at once. Look into the shop, then run"
            " counterfoil-agent allow-deletions."
        )
    if (why := changes.held(outbox)) is not None:
        yield str(why)
    if told["plugin_lost"]:
        yield (
            "The shop's plugin doesn't answer to its name any more, so the shop is read and written over REST, where a"
            " write may hide a sale. Switch the plugin on again (WordPress, Plugins)."
        )
    if told["brake"]:
        yield f"{told['brake']} Look at counterfoil-agent preview, then run counterfoil-agent release-brake."
    if settings.stock.switch == "on" and told["preview"]["is_complete"] and not told["preview"]["accepted_at"]:
        yield (
            "No stock number is written before a person has accepted the first push. Look at counterfoil-agent preview,"
            " then run counterfoil-agent accept-preview."
        )
    if settings.stock.switch == "on" and told["stock"]["newer_skus"]:
        yield (
            f"The shop has later numbers of {told['stock']['newer_skus']} SKUs than the engine told: another engine"
            " wrote them, or the engine or the agent was put back to a backup. If it stays so, run counterfoil confirm"
            " on the engine: its numbers are above all others then."
        )
    if told["tombstones_a_day"]:
        yield f"{told['tombstones_a_day']} events couldn't be sent today. See counterfoil-agent outbox tombstones."
