"""What monitors and their people ask: figures for Prometheus, objectives with their budgets, alerts, daily figures.

Figures are read with a token of their own (`COUNTERFOIL_METRICS_TOKEN`), which opens nothing else, or by whoever may
see everything anyway.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Protocol

import msgspec
from flask import Blueprint, Flask, Response, make_response, request

from counterfoil_engine.api.access import Access
from counterfoil_engine.api.problems import handle_errors
from counterfoil_engine.api.requests import Name, Strict, answer, named
from counterfoil_engine.config import Settings
from counterfoil_engine.ports import Rejected

TEXT = "text/plain; version=0.0.4; charset=utf-8"


class Objectives(Protocol):
    """As `work.slo.Objectives` knows them."""

    def standing(self) -> dict[str, Any]: ...

    def alerts(self, is_all: bool, limit: int) -> dict[str, Any]: ...


class DailyFigures(Protocol):
    """As `work.kpis.Kpis` knows them."""

    def show(self, days: int, store: str | None, until: date | None) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Watching:
    """metrics: all figures as Prometheus reads them; None: nobody counts."""

    metrics: Callable[[], bytes] | None
    objectives: Objectives
    kpis: DailyFigures


class _Kpi(Strict):
    days: Annotated[int, msgspec.Meta(ge=1, le=400)] = 28
    store: Name | None = None
    until: date | None = None

    def __post_init__(self) -> None:
        if self.until is not None and self.until.year < 2000:
            raise ValueError("until is before there was anything to measure")


class _Alerts(Strict):
    all: bool = False
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100


def watch(does: Watching, settings: Settings, access: Access) -> Blueprint:
    blueprint = Blueprint("watch", __name__)

    @blueprint.before_request
    def only_who_may() -> None:
        if request.endpoint != "watch.metrics" or not _is_scraper(settings.watch.metrics_token):
            access.admit(request)

    @blueprint.get("/metrics")
    def metrics() -> Response:
        if does.metrics is None:
            raise Rejected("This engine counts nothing.", "Ask one that `counterfoil serve` runs.", slug="no-such-path")
        return make_response(does.metrics(), {"Content-Type": TEXT})

    @blueprint.get("/v1/slo")
    def slo() -> Response:
        return _said(does.objectives.standing())

    @blueprint.get("/v1/alerts")
    def alerts() -> Response:
        wanted = named(request.args.to_dict(), _Alerts)
        return _said(does.objectives.alerts(wanted.all, wanted.limit))

    @blueprint.get("/v1/kpi")
    def kpi() -> Response:
        wanted = named(request.args.to_dict(), _Kpi)
        return _said(does.kpis.show(wanted.days, wanted.store, wanted.until))

    return blueprint


def metrics_app(metrics: Callable[[], bytes], settings: Settings) -> Flask:
    """The figures alone, for processes that serve nothing else; the metrics token or the engine's opens them."""
    app = Flask("counterfoil_metrics", static_folder=None)
    access = Access(settings.api_token)
    handle_errors(app)

    @app.get("/metrics", endpoint="metrics")
    def read() -> Response:
        if not _is_scraper(settings.watch.metrics_token):
            access.admit(request)
        return make_response(metrics(), {"Content-Type": TEXT})

    return app


def _is_scraper(token: str) -> bool:
    given = request.headers.get("Authorization", "").encode("utf-8", "replace")
    return bool(token) and hmac.compare_digest(given, f"Bearer {token}".encode())


def _said(body: Mapping[str, Any]) -> Response:
    return make_response(answer(body))
