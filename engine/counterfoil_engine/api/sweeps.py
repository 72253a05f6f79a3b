"""Sweeps and breaks: what agents fetch and answer, signed with the store's secret; what operators ask, by token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from flask import Blueprint, Response, make_response, request
from loguru import logger

from counterfoil_engine.api.access import Access, caller_of_request
from counterfoil_engine.api.requests import Name, Strict, answer, asked, named, signed_body
from counterfoil_engine.config import Settings
from counterfoil_engine.domain.breaks import Sweep
from counterfoil_engine.ports import Clock
from counterfoil_engine.work.breaks import BreakDesk
from counterfoil_engine.work.sweep import Sweeps

_Number = Annotated[int, msgspec.Meta(ge=1, le=2**62)]


@dataclass(frozen=True)
class Sweeping:
    """The use cases behind these paths."""

    sweeps: Sweeps
    desk: BreakDesk


class _Start(Strict):
    sweep: Sweep
    store: Name
    dry_run: bool = False


class _Which(Strict):
    number: _Number


class _Listed(Strict):
    sweep: Sweep | None = None
    store: Name | None = None
    settled: bool = False
    limit: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 100


class _Accept(Strict):
    number: _Number
    reason: Annotated[str, msgspec.Meta(pattern=r"^[^\x00-\x1f]{1,300}\Z")]


def sweep_mailbox(sweeping: Sweeping, clock: Clock, settings: Settings) -> Blueprint:
    """For the stores' agents."""
    blueprint = Blueprint("sweep_mailbox", __name__, url_prefix="/v1")

    @blueprint.post("/sweeps")
    def exchange() -> Response:
        store, body = signed_body(request, settings.store_secrets, clock.now(), settings.limits)
        said = sweeping.sweeps.exchange(store, body)
        if said["tasks"]:
            logger.info("asked", store=store, tasks=len(said["tasks"]))
        return make_response(answer(said))

    return blueprint


def sweep_commands(sweeping: Sweeping, settings: Settings, access: Access) -> Blueprint:
    """For operators."""
    blueprint = Blueprint("sweep_commands", __name__, url_prefix="/v1")
    limits = settings.limits

    @blueprint.before_request
    def only_who_may() -> None:
        access.admit(request)

    @blueprint.post("/sweep")
    def start_sweep() -> Response:
        wanted = asked(request, _Start, limits)
        number = sweeping.sweeps.start(wanted.sweep, wanted.store, caller_of_request().name, wanted.dry_run)
        return _said(sweeping.sweeps.show(number))

    @blueprint.get("/sweeps/<number>")
    def sweep(number: str) -> Response:
        return _said(sweeping.sweeps.show(named({"number": number}, _Which).number))

    @blueprint.get("/breaks")
    def breaks() -> Response:
        wanted = named(request.args.to_dict(), _Listed)
        return _said(sweeping.desk.listed(wanted.sweep, wanted.store, wanted.settled, wanted.limit))

    @blueprint.get("/breaks/<number>")
    def break_(number: str) -> Response:
        return _said(sweeping.desk.show(named({"number": number}, _Which).number))

    @blueprint.post("/breaks/accept")
    def accept_break() -> Response:
        wanted = asked(request, _Accept, limits)
        return _said(sweeping.desk.settle(wanted.number, "accept", wanted.reason, caller_of_request()))

    @blueprint.post("/breaks/heal")
    def heal_break() -> Response:
        wanted = asked(request, _Which, limits)
        return _said(sweeping.desk.settle(wanted.number, "heal", "", caller_of_request()))

    return blueprint


def _said(body: Mapping[str, Any]) -> Response:
    return make_response(answer(body))
