"""What the stores' agents call: hello, epoch, events, heartbeat, updates; each signed with the store's secret."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, make_response, request
from loguru import logger

from counterfoil_engine.api.requests import answer, signed_body
from counterfoil_engine.config import Settings
from counterfoil_engine.ports import Clock, Meter
from counterfoil_engine.work.receive import Receiver
from counterfoil_engine.work.updates import Updates


def agents(
    receiver: Receiver, updates: Updates | None, clock: Clock, settings: Settings, meter: Meter | None = None
) -> Blueprint:
    blueprint = Blueprint("agents", __name__, url_prefix="/v1")

    def signed(use_case: Callable[[str, bytes], dict[str, Any]]) -> Response:
        store, body = signed_body(request, settings.store_secrets, clock.now(), settings.limits)
        started = time.perf_counter()
        said = use_case(store, body)
        took_ms = round((time.perf_counter() - started) * 1000)
        verdicts = Counter(verdict["verdict"] for verdict in said.get("verdicts", ()))
        if meter and verdicts:
            meter.received(verdicts)
        logger.bind(store=store, took_ms=took_ms, size_bytes=len(body), **verdicts).info("received {}", request.path)
        return make_response(answer(said))

    @blueprint.post("/hello")
    def hello() -> Response:
        return signed(receiver.hello)

    @blueprint.post("/epoch")
    def epoch() -> Response:
        return signed(receiver.new_epoch)

    @blueprint.post("/events")
    def events() -> Response:
        return signed(receiver.events)

    @blueprint.post("/heartbeat")
    def heartbeat() -> Response:
        return signed(receiver.heartbeat)

    if updates is not None:
        mailbox = updates

        @blueprint.post("/updates")
        def exchange() -> Response:
            return signed(mailbox.exchange)

    return blueprint
