"""What operators call, mostly through the command line: a thin way into the port `Commands`, behind a token."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import Annotated, Any, Literal

import msgspec
from flask import Blueprint, Response, make_response, request
from werkzeug.local import LocalProxy

from counterfoil_engine.api.access import Access, caller_of_request
from counterfoil_engine.api.requests import Moment as _Moment
from counterfoil_engine.api.requests import Name as _Name
from counterfoil_engine.api.requests import Strict as _Strict
from counterfoil_engine.api.requests import answer, asked, named
from counterfoil_engine.config import Settings
from counterfoil_engine.ports import Commands


class _Order(_Strict):
    store: _Name
    order_id: _Name


class _Why(_Strict):
    pool: _Name
    sku: _Name


class _Retry(_Strict):
    subject: _Name | None = None
    category: _Name | None = None


class _Replay(_Strict):
    since: _Moment
    store: _Name | None = None
    dry_run: bool = False

    def __post_init__(self) -> None:
        try:
            self.since.astimezone(UTC)
        except OverflowError:
            raise ValueError("since is no moment that there is in UTC") from None


class _Text(_Strict):
    text: Annotated[str, msgspec.Meta(max_length=10_000_000)]


class _RulesText(_Text):
    dry_run: bool = False


class _Version(_Strict):
    version: _Name


class _StoreName(_Strict):
    store: _Name


class _Entity(_Strict):
    entity: _Name


class _Switch(_Strict):
    store: _Name
    party: _Name
    setting: Literal["off", "preview", "on"]
    confirmed: bool = False


class _Nothing(_Strict):
    pass


def commands(everybodys: Commands, settings: Settings, access: Access) -> Blueprint:
    blueprint = Blueprint("commands", __name__, url_prefix="/v1")
    limits = settings.limits
    does: Any = LocalProxy(lambda: everybodys.by(caller_of_request()))  # each request under its caller's name

    @blueprint.before_request
    def only_who_may() -> None:
        access.admit(request)

    @blueprint.get("/status")
    def status() -> Response:
        return _said(does.status())

    @blueprint.get("/orders/<store>/<order_id>")
    def order(store: str, order_id: str) -> Response:
        wanted = named({"store": store, "order_id": order_id}, _Order)
        return _said(does.order(wanted.store, wanted.order_id))

    @blueprint.get("/why")
    def why() -> Response:
        wanted = named(request.args.to_dict(), _Why)
        return _said(does.why(wanted.pool, wanted.sku))

    @blueprint.post("/retry")
    def retry() -> Response:
        wanted = asked(request, _Retry, limits)
        return _said(does.retry(wanted.subject, wanted.category))

    @blueprint.post("/replay")
    def replay() -> Response:
        wanted = asked(request, _Replay, limits)
        return _said(does.replay(wanted.since, wanted.store, wanted.dry_run))

    @blueprint.get("/rules")
    def rules() -> Response:
        return _said(does.rules())

    @blueprint.post("/rules")
    def load_rules() -> Response:
        wanted = asked(request, _RulesText, limits)
        return _said(does.load_rules(wanted.text, wanted.dry_run))

    @blueprint.get("/rules/shadow")
    def shadow() -> Response:
        return _said(does.shadow(named(request.args.to_dict(), _Version).version))

    @blueprint.post("/rules/shadow")
    def start_shadow() -> Response:
        return _said(does.start_shadow(asked(request, _Text, limits).text))

    @blueprint.post("/rules/shadow/stop")
    def stop_shadow() -> Response:
        return _said(does.stop_shadow(asked(request, _Version, limits).version))

    @blueprint.get("/restatements")
    def restatements() -> Response:
        return _said(does.restatements())

    @blueprint.post("/approve")
    def approve() -> Response:
        return _said(does.approve(asked(request, _Version, limits).version))

    @blueprint.post("/handover")
    def handover() -> Response:
        return _said(does.hand_over(asked(request, _StoreName, limits).store))

    @blueprint.post("/release-brake")
    def release_brake() -> Response:
        return _said(does.release_brake(asked(request, _Entity, limits).entity))

    @blueprint.post("/pass-over")
    def pass_over() -> Response:
        return _said(does.pass_over(asked(request, _StoreName, limits).store))

    @blueprint.post("/switch")
    def switch() -> Response:
        wanted = asked(request, _Switch, limits)
        return _said(does.switch(wanted.store, wanted.party, wanted.setting, wanted.confirmed))

    @blueprint.post("/confirm")
    def confirm() -> Response:
        asked(request, _Nothing, limits)
        return _said(does.confirm())

    return blueprint


def _said(body: Mapping[str, Any]) -> Response:
    return make_response(answer(body))
