"""Puts the agent together; the only place that names what is used for real. Nothing connects before the first step."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from random import Random, SystemRandom

from counterfoil_agent.config import Settings, address, secret
from counterfoil_agent.intake import Intake
from counterfoil_agent.loop import Agent
from counterfoil_agent.outbox import FreeBytes, Outbox, free_bytes_at
from counterfoil_agent.ports import Clock, Engine, Store
from counterfoil_agent.pump import Pump
from counterfoil_agent.rest import RestStore
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


def agent(
    settings: Settings,
    *,
    store: Store | None = None,
    engine: Engine | None = None,
    clock: Clock | None = None,
    random: Random | None = None,
    free_bytes: FreeBytes | None = None,
    listen: bool = False,
    environment: Mapping[str, str] = os.environ,
) -> Agent:
    """An agent over the real parts, but for those passed in. Raises Stop: a missing secret, a second agent.

    listen: also bind where webhooks are taken, if the settings name a place. Without it, whoever delivers calls
    `agent.deliveries.take(headers, body)` or `agent.hint(order_id)`.
    """
    clock, random = clock or SystemClock(), random or SystemRandom()
    store = store or store_of(settings, clock, environment)
    engine = engine or engine_of(settings, clock, environment)
    webhook_secret = secret(settings.webhook.secret_env, environment) if settings.webhook.listen else None
    outbox = Outbox.open(settings.outbox.path, random)
    try:
        free_bytes = free_bytes or free_bytes_at(settings.outbox.path)
        intake = Intake(store, outbox, clock, random, settings.shop, settings.outbox, free_bytes)
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
        )
        listener = None
        if listen and deliveries and settings.webhook.listen:
            listener = Listener(address(settings.webhook.listen), deliveries)
        return Agent(outbox, intake, pump, clock, deliveries, listener)
    except BaseException:
        outbox.close(clean=False)
        raise
