"""`counterfoil-agent check`: proves each thing the agent needs, one by one, and says what helps where one is missing.

It changes nothing: not the outbox, not the shop, and the engine is only sent an empty batch.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import msgspec
from counterfoil_contracts.versions import greeting

from counterfoil_agent import bootstrap, snapshot
from counterfoil_agent.config import Settings, secret
from counterfoil_agent.errors import CounterfoilError, Stop
from counterfoil_agent.outbox import Outbox, free_bytes_at
from counterfoil_agent.ports import Ask, Clock, OrderNotSupported, Page
from counterfoil_agent.rest import RestStore
from counterfoil_agent.uplink import Uplink

SKEW_S = 120.0
OLDEST_WOOCOMMERCE = (5, 8)  # modified_after and dates_are_gmt
WAL_RESET_FIXED = (3, 51, 3)


@dataclass(frozen=True)
class Finding:
    """name; state; what was found; what helps, where something does."""

    name: str
    state: Literal["ok", "warning", "failed"]
    detail: str
    remedy: str = ""

    def told(self) -> dict[str, Any]:
        return asdict(self)


def check(settings: Settings, clock: Clock, environment: Mapping[str, str]) -> Iterator[Finding]:
    """All findings, as they are found; the first failure of a party spares the rest of its questions."""
    yield from _guarded("secrets", lambda: _secrets(settings, environment))
    yield from _guarded("outbox", lambda: _outbox(settings))
    yield from _guarded("contracts", _contracts)
    yield from _guarded("shop", lambda: _shop(settings, clock, environment))
    yield from _guarded("plugin", lambda: _plugin(settings, clock, environment))
    yield from _guarded("engine", lambda: _engine(settings, clock, environment))


def _guarded(name: str, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from look()
    except CounterfoilError as error:
        yield Finding(name, "failed", error.cause, error.remedy)


def _secrets(settings: Settings, environment: Mapping[str, str]) -> Iterator[Finding]:
    wanted = [settings.shop.key_env, settings.shop.secret_env, settings.engine.secret_env]
    if settings.webhook.listen:
        wanted.append(settings.webhook.secret_env)
    if settings.plugin.key_env is not None:
        wanted.append(settings.plugin.key_env)
    for variable in wanted:
        secret(variable, environment)
    yield Finding("secrets", "ok", f"{len(wanted)} variables are set: {', '.join(wanted)}.")


def _outbox(settings: Settings) -> Iterator[Finding]:
    path = settings.outbox.path
    version = tuple(int(part) for part in sqlite3.sqlite_version.split("."))
    known = "" if version >= WAL_RESET_FIXED else " (one writing connection, so its WAL-reset fault can't strike)"
    yield Finding("sqlite", "ok", f"SQLite {sqlite3.sqlite_version}{known}.")
    if path.exists():
        outbox = Outbox.read_only(path)
        depth = outbox.depth()
        outbox.close()
        yield Finding("outbox", "ok", f"{path} can be read; {depth.waiting} events wait.")
    else:
        parent = next(folder for folder in path.absolute().parents if folder.exists())
        yield Finding("outbox", "ok", f"There is none yet; it will be made at {path}.")
        _try_to_write(parent)
    free = free_bytes_at(_existing(path))()
    if free < settings.outbox.disk_free_bytes:
        yield Finding(
            "disk",
            "failed",
            f"{free} bytes are free, fewer than outbox.disk_free_bytes ({settings.outbox.disk_free_bytes}).",
            "Make room: below that nothing is read from the shop.",
        )
    else:
        yield Finding("disk", "ok", f"{free} bytes are free.")


def _existing(path: Path) -> Path:
    """The path, or one beside the nearest folder that is there."""
    return next(folder for folder in path.absolute().parents if folder.exists()) / path.name


def _try_to_write(folder: Path) -> None:
    probe = folder / ".counterfoil-agent-check"
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise Stop(
            f"{folder} can't be written: {error.strerror}.", "Give the agent's user that folder, or set outbox.path."
        ) from None


def _contracts() -> Iterator[Finding]:
    yield Finding("contracts", "ok", ", ".join(f"{name} {versions}" for name, versions in greeting().items()) + ".")


def _shop(settings: Settings, clock: Clock, environment: Mapping[str, str]) -> Iterator[Finding]:
    store = bootstrap.store_of(settings, clock, environment)
    page = store.page(Ask("created", since=datetime(2000, 1, 1, tzinfo=UTC), size=1))
    yield Finding("shop", "ok", f"{settings.shop.url} answers, and the key may read orders.")
    if settings.shop.url.startswith("http://") and "127.0.0.1" not in settings.shop.url:
        yield Finding("shop tls", "warning", "The shop is asked over plain http.", "Set shop.url to its https address.")
    yield _clock("shop clock", (page.store_now - clock.now()).total_seconds(), "the shop's host")
    yield _version(store)
    yield _sorting(store, clock)
    yield _refunds(store, page)
    yield from _webhooks(settings, store)


def _clock(name: str, offset_s: float, whose: str) -> Finding:
    detail = f"The clock of {whose} is {offset_s:+.0f} s off this machine's."
    if abs(offset_s) <= SKEW_S:
        return Finding(name, "ok", detail)
    return Finding(
        name,
        "warning",
        detail,
        "Let both keep time (chrony, systemd-timesyncd). Nothing is lost by it, but what is told of times is wrong.",
    )


def _sorting(store: RestStore, clock: Clock) -> Finding:
    try:
        store.page(Ask("modified", since=clock.now(), size=1))
    except OrderNotSupported:
        return Finding(
            "listing",
            "warning",
            "This WooCommerce can't list orders by their last change; they are read by windows of time, twice.",
            "Update WooCommerce to read less.",
        )
    return Finding("listing", "ok", "Orders can be listed by their last change.")


def _version(store: RestStore) -> Finding:
    answered = store.get("system_status", {"_fields": "environment"}, 2_000_000)
    version = ""
    if answered.status == 200:
        try:
            told = msgspec.json.decode(snapshot.without_mark(answered.body))
            version = str(told["environment"]["version"])[:20]
        except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, TypeError, RecursionError):
            version = ""
    parts = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if len(parts) < 2:
        return Finding(
            "woocommerce",
            "warning",
            "The shop doesn't tell its version to this key.",
            "Make the key for a user who may manage WooCommerce, or see yourself that it is 5.8 or later.",
        )
    if parts < OLDEST_WOOCOMMERCE:
        return Finding(
            "woocommerce", "failed", f"WooCommerce {version} can't list by change.", "Update to 5.8 or later."
        )
    return Finding("woocommerce", "ok", f"WooCommerce {version}.")


def _refunds(store: RestStore, page: Page) -> Finding:
    if not page.rows:
        return Finding("refunds", "ok", "There is no order yet, so none could be read by itself.")
    order_id = page.rows[0].order_id
    store.order(order_id)
    store.refunds(order_id)
    return Finding("refunds", "ok", "An order by itself and its refunds can be read.")


class _Webhook(msgspec.Struct):
    status: str = ""
    topic: str = ""
    delivery_url: str = ""
    name: str = ""


def _webhooks(settings: Settings, store: RestStore) -> Iterator[Finding]:
    if not settings.webhook.listen:
        yield Finding("webhook", "ok", "Off: the shop is polled, which loses nothing.")
        return
    answered = store.get("webhooks", {"per_page": 100})
    if answered.status != 200:
        yield Finding(
            "webhook",
            "warning",
            "The key may not list webhooks.",
            "See in WooCommerce, Settings, Advanced, Webhooks that those for orders are active.",
        )
        return
    hooks = [msgspec.json.decode(value, type=_Webhook) for value in snapshot.values_of(answered.body)]
    port = settings.webhook.listen.rpartition(":")[2]
    ours = [hook for hook in hooks if hook.topic.startswith("order.") and f":{port}" in hook.delivery_url]
    asleep = [hook.topic for hook in ours if hook.status != "active"]
    if asleep:
        yield Finding(
            "webhook",
            "failed",
            f"WooCommerce has switched off: {', '.join(asleep)}. It does so after five failed deliveries.",
            "Set them to active again (WooCommerce, Settings, Advanced, Webhooks).",
        )
    elif not ours:
        yield Finding(
            "webhook",
            "warning",
            f"No webhook of the shop delivers to port {port} here.",
            f"Add order.created, order.updated and order.deleted to http://{settings.webhook.listen}/, with the secret"
            f" of {settings.webhook.secret_env}; behind a proxy this check can't see them.",
        )
    else:
        yield Finding("webhook", "ok", f"Active: {', '.join(sorted(hook.topic for hook in ours))}.")


def _plugin(settings: Settings, clock: Clock, environment: Mapping[str, str]) -> Iterator[Finding]:
    plugin = bootstrap.plugin_of(settings, clock, environment)
    if plugin is None:
        detail = "None: the shop is read and written over REST, where a write of stock may hide a sale."
        yield Finding("plugin", "ok", detail)
        return
    health = plugin.health()
    if health.missing_hooks:
        hooks = ", ".join(health.missing_hooks[:5])
        yield Finding(
            "plugin", "warning", f"The plugin doesn't listen to {hooks}.", "Look for a plugin that takes hooks away."
        )
    plugin.changes(1)
    yield Finding("plugin", "ok", f"Version {health.version} answers, and this is the paired shop.")


def _engine(settings: Settings, clock: Clock, environment: Mapping[str, str]) -> Iterator[Finding]:
    engine: Uplink = bootstrap.engine_of(settings, clock, environment)
    if settings.engine.url.startswith("http://") and "127.0.0.1" not in settings.engine.url:
        yield Finding("engine tls", "warning", "The engine is reached over plain http.", "Set engine.url to https.")
    if not engine.reaches():
        yield Finding(
            "engine",
            "failed",
            "Something before the engine blocks POST /v1/events.",
            "Let the firewall pass the agent's requests to /v1/.",
        )
        return
    yield Finding("engine", "ok", f"{settings.engine.url} answers and takes the signature of {settings.store}.")
    yield _clock("engine clock", engine.clock_offset_s or 0.0, "the engine")
