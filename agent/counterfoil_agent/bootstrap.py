"""Puts the agent together; the only place that names what is used for real. Nothing connects before the first step."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from random import Random, SystemRandom

from counterfoil_agent.applier import Applier
from counterfoil_agent.applier import status as stock_status
from counterfoil_agent.changes import THERE
from counterfoil_agent.config import Settings, address, secret
from counterfoil_agent.errors import Retry
from counterfoil_agent.feed import EngineFeed
from counterfoil_agent.intake import Intake
from counterfoil_agent.loop import Agent
from counterfoil_agent.mailbox import Mailbox
from counterfoil_agent.nudge import Nudges
from counterfoil_agent.outbox import NO_EPOCH, FreeBytes, Outbox, free_bytes_at
from counterfoil_agent.plugin import SignedPlugin
from counterfoil_agent.ports import Clock, Engine, Feed, Plugin, Store, StoreOrders, StoreStock
from counterfoil_agent.pump import FEED_URL, Pump
from counterfoil_agent.rest import RestStore
from counterfoil_agent.rest_orders import RestOrders
from counterfoil_agent.stock_writers import PluginStock, RestStock
from counterfoil_agent.sweep_line import EngineSweeps
from counterfoil_agent.sweeps import Sweeper, SweepLine
from counterfoil_agent.traces import Spans, teller
from counterfoil_agent.updates import Updates
from counterfoil_agent.uplink import Uplink
from counterfoil_agent.webhook import Deliveries, Listener


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def store_of(settings: Settings, clock: Clock, environment: Mapping[str, str] = os.environ) -> RestStore:
    shop = settings.shop
    key, password = secret(shop.key_env, environment), secret(shop.secret_env, environment)
    return RestStore(shop.url, key, password, clock, shop.timeout_s)


def engine_of(settings: Settings, clock: Clock, environment: Mapping[str, str] = os.environ) -> Uplink:
    engine = settings.engine
    return Uplink(engine.url, settings.store, secret(engine.secret_env, environment), clock, engine.timeout_s)


def plugin_of(settings: Settings, clock: Clock, environment: Mapping[str, str] = os.environ) -> SignedPlugin | None:
    """A client of its own for each thread; None where the settings name no key."""
    plugin = settings.plugin
    if plugin.key_env is None:
        return None
    return SignedPlugin(settings.shop.url, secret(plugin.key_env, environment), clock, plugin.timeout_s)


def feed_of(
    settings: Settings, outbox: Outbox, clock: Clock, environment: Mapping[str, str] = os.environ
) -> EngineFeed:
    """The feed where the settings say, else where the engine said last, else at the engine's own address."""
    engine, lines = settings.engine, dict[str, Uplink]()
    key = secret(engine.secret_env, environment)

    def line() -> Uplink:
        if engine.feed_url is None and outbox.position().epoch == NO_EPOCH:
            raise Retry("The engine hasn't been greeted yet, so it hasn't said where its feed is.", "Nothing to do.")
        url = engine.feed_url or outbox.recall(FEED_URL) or engine.url
        if url not in lines:
            lines.clear()
            lines[url] = Uplink(url, settings.store, key, clock, engine.timeout_s)
        return lines[url]

    return EngineFeed(line)


def sweeps_of(settings: Settings, clock: Clock, environment: Mapping[str, str] = os.environ) -> EngineSweeps:
    uplink = engine_of(settings, clock, environment)
    return EngineSweeps(lambda: uplink)


def agent(
    settings: Settings,
    *,
    store: Store | None = None,
    engine: Engine | None = None,
    plugin: Plugin | None = None,
    feed: Feed | None = None,
    sweeps: SweepLine | None = None,
    rest_stock: StoreStock | None = None,
    orders: StoreOrders | None = None,
    clock: Clock | None = None,
    random: Random | None = None,
    free_bytes: FreeBytes | None = None,
    listen: bool = False,
    environment: Mapping[str, str] = os.environ,
) -> Agent:
    """An agent over the real parts, but for those passed in. Raises Stop: a missing secret, a second agent.

    listen: also bind where webhooks and nudges are taken, if the settings name a place. Without it, whoever delivers
    calls `agent.deliveries.take(headers, body)`, `agent.hint(order_id)` or `agent.nudge()`.

    Where an engine is passed in and no feed, the agent has nothing to do with stock; and no sweeps, it answers none.
    Where a store is passed in that
    isn't reached over REST, and no orders, it tells its orders nothing.
    """
    clock, random = clock or SystemClock(), random or SystemRandom()
    if sweeps is None and engine is None:
        sweeps = sweeps_of(settings, clock, environment)
    has_stock = settings.stock.switch != "off" and (feed is not None or engine is None)
    store = store or store_of(settings, clock, environment)
    engine = engine or engine_of(settings, clock, environment)
    orders = orders or (RestOrders(store) if isinstance(store, RestStore) else None)
    reading_plugin = plugin or plugin_of(settings, clock, environment)
    writing_plugin = plugin or plugin_of(settings, clock, environment)
    webhook_secret = secret(settings.webhook.secret_env, environment) if settings.webhook.listen else None
    outbox = Outbox.open(settings.outbox.path, random)
    try:
        free_bytes = free_bytes or free_bytes_at(settings.outbox.path)
        intake = Intake(
            store,
            outbox,
            clock,
            random,
            settings.shop,
            settings.outbox,
            free_bytes,
            reading_plugin,
            settings.plugin,
            Updates(orders, outbox, clock, random, settings.shop.timeout_s) if orders is not None else None,
        )
        spans = spans_of(settings, random)
        deliveries = Deliveries(webhook_secret, intake.hint, clock) if webhook_secret else None
        pump = Pump(
            engine,
            outbox,
            clock,
            random,
            settings.store,
            settings.engine,
            settings.outbox,
            free_bytes,
            deliveries.status if deliveries else lambda: None,
            (lambda: stock_status(outbox, settings.stock, reading_plugin is not None)) if has_stock else lambda: None,
            Mailbox(engine, outbox, settings.engine.updates_s) if orders is not None else None,
            spans.sent if spans else lambda rows, now: None,
        )
        if spans:
            intake.heard = spans.heard
            if intake.changes is not None:
                intake.changes.heard = spans.heard
        applier = by_rest = None
        if has_stock:
            by_plugin = PluginStock(writing_plugin, outbox) if writing_plugin is not None else None
            by_rest = rest_stock or RestStock(
                store if isinstance(store, RestStore) else store_of(settings, clock, environment)
            )
            applier = Applier(
                feed or feed_of(settings, outbox, clock, environment),
                outbox,
                clock,
                random,
                settings.stock,
                writing_plugin,
                lambda: _way(outbox, by_plugin, by_rest),
                waiting_feed=feed or feed_of(settings, outbox, clock, environment),
            )
        sweeper = None
        if sweeps is not None:
            own_plugin = plugin or plugin_of(settings, clock, environment)
            held = _held(settings, applier)
            every_s = settings.engine.sweeps_s
            sweeper = Sweeper(sweeps, outbox, clock, store, own_plugin, by_rest, held, every_s)
        listener = None
        if listen and deliveries and settings.webhook.listen:
            listener = Listener(address(settings.webhook.listen), deliveries)
        made = Agent(outbox, intake, pump, clock, deliveries, listener, applier, sweeper)
        made.spans = spans
        if listen and reading_plugin is not None and settings.plugin.nudge_listen:
            made.nudges = Nudges(address(settings.plugin.nudge_listen, "plugin.nudge_listen"), made.nudge)
        return made
    except BaseException:
        outbox.close(clean=False)
        raise


def spans_of(settings: Settings, random: Random) -> Spans | None:
    """Where its traces are told; None: nowhere."""
    url = settings.engine.traces_url
    return Spans(settings.store, teller(url), random) if url else None


def _held(settings: Settings, applier: Applier | None) -> Callable[[], str | None]:
    """Why the store's stock isn't written now; None: it is."""
    if applier is None or settings.stock.switch != "on":
        return lambda: "preview" if settings.stock.switch == "preview" else "off"
    return applier.held


def _way(outbox: Outbox, by_plugin: PluginStock | None, by_rest: StoreStock) -> StoreStock | None:
    """How stock is written now: by the plugin where it answers, over REST where there is none (any more)."""
    if by_plugin is None or outbox.recall(THERE) == "0":
        return by_rest
    return by_plugin if outbox.recall(THERE) == "1" else None
