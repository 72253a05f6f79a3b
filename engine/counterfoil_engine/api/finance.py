"""Payouts, clearing and refunds: what finance hands in and asks, behind the same tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any

import msgspec
from flask import Blueprint, Response, make_response, request

from counterfoil_engine.api.access import Access, caller_of_request
from counterfoil_engine.api.requests import Name, Strict, answer, asked, file_of, named
from counterfoil_engine.config import Settings
from counterfoil_engine.domain.errors import CounterfoilError, Retry
from counterfoil_engine.domain.roles import may
from counterfoil_engine.domain.settlement.text import SIZE_MAX_BYTES
from counterfoil_engine.ports import Rejected
from counterfoil_engine.work.clearing_day import ClearingDay
from counterfoil_engine.work.finance import Finance
from counterfoil_engine.work.four_eyes import FourEyes
from counterfoil_engine.work.payouts import Payouts

NAMES = "raw_form"  # who may see an order as it came may see who bought

_Source = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}\Z")]


@dataclass(frozen=True)
class Finances:
    """The use cases behind these paths."""

    payouts: Payouts
    finance: Finance
    days: ClearingDay
    four_eyes: FourEyes


class _Take(Strict):
    source: _Source
    name: Name = "over the API"


class _Listed(Strict):
    source: _Source | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 100


class _Payout(Strict):
    source: _Source
    payout: Name


class _Match(_Payout):
    line: Name
    document: Name


class _Choice(_Payout):
    report: Name


class _Refund(Strict):
    store: Name
    order: Name
    refund: Name


class _Clearing(Strict):
    gateway: Name
    entity: Name | None = None
    since: date | None = None
    until: date | None = None


class _Refunds(Strict):
    entity: Name | None = None
    since: date | None = None
    unmatched: bool = False


def finance(does: Finances, settings: Settings, access: Access) -> Blueprint:
    blueprint = Blueprint("finance", __name__, url_prefix="/v1")
    limits = settings.limits

    @blueprint.before_request
    def only_who_may() -> None:
        access.admit(request)

    @blueprint.get("/payouts")
    def payouts() -> Response:
        wanted = named(request.args.to_dict(), _Listed)
        return _said(does.payouts.list(wanted.source, wanted.limit))

    @blueprint.post("/payouts/<source>")
    def take_payouts(source: str) -> Response:
        wanted = named({"source": source, **request.args.to_dict()}, _Take)
        body = file_of(request, SIZE_MAX_BYTES)
        try:
            return _said(does.payouts.take(wanted.source, body, wanted.name, caller_of_request().name))
        except (Retry, Rejected):
            raise
        except CounterfoilError as error:
            raise Rejected(error.cause, error.remedy, slug="contract") from None

    @blueprint.get("/payout")
    def payout() -> Response:
        wanted = named(request.args.to_dict(), _Payout)
        return _said(does.payouts.show(wanted.source, wanted.payout, may(caller_of_request().role, NAMES)))

    @blueprint.post("/payout/match")
    def match_payout() -> Response:
        wanted = asked(request, _Match, limits)
        return _said(does.four_eyes.ask("manual_match", msgspec.to_builtins(wanted), caller_of_request()))

    @blueprint.post("/payout/choose")
    def choose_payout_report() -> Response:
        wanted = asked(request, _Choice, limits)
        return _said(does.four_eyes.ask("choose_report", msgspec.to_builtins(wanted), caller_of_request()))

    @blueprint.get("/clearing")
    def clearing() -> Response:
        wanted = named(request.args.to_dict(), _Clearing)
        return _said(does.finance.clearing(wanted.gateway, wanted.entity, wanted.since, wanted.until))

    @blueprint.post("/refunds/pay")
    def pay_refund() -> Response:
        wanted = asked(request, _Refund, limits)
        return _said(does.four_eyes.ask("refund_order", msgspec.to_builtins(wanted), caller_of_request()))

    @blueprint.get("/refunds")
    def refunds() -> Response:
        wanted = named(request.args.to_dict(), _Refunds)
        return _said(does.finance.refunds(wanted.entity, wanted.since, wanted.unmatched))

    return blueprint


def _said(body: Mapping[str, Any]) -> Response:
    return make_response(answer(body))
