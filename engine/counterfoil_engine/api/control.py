"""Who may command, and what stays provable: users, proposals, the audit log, periods. Behind the same tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from flask import Blueprint, Response, make_response, request

from counterfoil_engine.api.access import Access, caller_of_request
from counterfoil_engine.api.requests import Moment, Name, Strict, answer, asked, named
from counterfoil_engine.config import Settings
from counterfoil_engine.work.audit_log import AuditLog
from counterfoil_engine.work.close import Close
from counterfoil_engine.work.evidence import Evidence
from counterfoil_engine.work.four_eyes import FourEyes
from counterfoil_engine.work.passwords import LONGEST
from counterfoil_engine.work.sign_in import SignIn
from counterfoil_engine.work.users import DAYS, Users

_Number = Annotated[int, msgspec.Meta(ge=1, le=2**62)]
_Days = Annotated[int, msgspec.Meta(ge=1, le=3650)]


@dataclass(frozen=True)
class Control:
    """The use cases behind these paths."""

    users: Users
    audit_log: AuditLog
    four_eyes: FourEyes
    close: Close
    evidence: Evidence
    sign_in: SignIn


class _NewUser(Strict):
    name: Name
    role: Literal["viewer", "service", "operator", "controller", "admin"]
    days: _Days = DAYS


class _Token(Strict):
    name: Name | None = None
    days: _Days = DAYS


class _Password(Strict):
    password: Annotated[str, msgspec.Meta(max_length=LONGEST)]
    name: Name | None = None


class _User(Strict):
    name: Name


class _Audit(Strict):
    after: Annotated[int, msgspec.Meta(ge=0, le=2**62)] = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1000
    since: Moment | None = None


class _Proposals(Strict):
    decided: bool = False
    limit: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 100


class _Approved(Strict):
    proposal: _Number


class _Refused(Strict):
    proposal: _Number
    reason: Name


class _Period(Strict):
    entity: Name
    period: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])\Z")]


class _Lock(_Period):
    confirmed: bool = False


def control(does: Control, settings: Settings, access: Access) -> Blueprint:
    blueprint = Blueprint("control", __name__, url_prefix="/v1")
    limits = settings.limits

    @blueprint.before_request
    def only_who_may() -> None:
        access.admit(request)

    @blueprint.get("/users")
    def users() -> Response:
        return _said(does.users.list())

    @blueprint.post("/users")
    def add_user() -> Response:
        wanted = asked(request, _NewUser, limits)
        return _said(does.users.add(wanted.name, wanted.role, wanted.days, caller_of_request()))

    @blueprint.post("/users/rotate")
    def rotate_user() -> Response:
        wanted = asked(request, _Token, limits)
        return _said(does.users.rotate(wanted.name, wanted.days, caller_of_request()))

    @blueprint.post("/users/password")
    def set_password() -> Response:
        wanted = asked(request, _Password, limits)
        return _said(does.sign_in.set_password(wanted.name, wanted.password, caller_of_request()))

    @blueprint.post("/users/remove")
    def remove_user() -> Response:
        return _said(does.users.remove(asked(request, _User, limits).name, caller_of_request()))

    @blueprint.get("/audit")
    def audit() -> Response:
        wanted = named(request.args.to_dict(), _Audit)
        return _said(does.audit_log.entries(wanted.after, wanted.limit, wanted.since))

    @blueprint.get("/proposals")
    def proposals() -> Response:
        wanted = named(request.args.to_dict(), _Proposals)
        return _said(does.four_eyes.list(wanted.decided, wanted.limit))

    @blueprint.get("/proposals/<number>")
    def proposal(number: str) -> Response:
        return _said(does.four_eyes.show(named({"proposal": number}, _Approved).proposal))

    @blueprint.post("/proposals/approve")
    def approve_proposal() -> Response:
        return _said(does.four_eyes.approve(asked(request, _Approved, limits).proposal, caller_of_request()))

    @blueprint.post("/proposals/reject")
    def reject_proposal() -> Response:
        wanted = asked(request, _Refused, limits)
        return _said(does.four_eyes.reject(wanted.proposal, wanted.reason, caller_of_request()))

    @blueprint.get("/close")
    def close_check() -> Response:
        wanted = named(request.args.to_dict(), _Period)
        return _said(does.close.check(wanted.entity, wanted.period))

    @blueprint.post("/close/lock")
    def close_lock() -> Response:
        wanted = asked(request, _Lock, limits)
        return _said(does.close.lock(wanted.entity, wanted.period, wanted.confirmed, caller_of_request()))

    @blueprint.post("/close/unlock")
    def close_unlock() -> Response:
        wanted = asked(request, _Period, limits)
        what = {"entity": wanted.entity, "period": wanted.period}
        return _said(does.four_eyes.ask("unlock_period", what, caller_of_request()))

    @blueprint.get("/evidence")
    def evidence() -> Response:
        wanted = named(request.args.to_dict(), _Period)
        return _said(does.evidence.of(wanted.entity, wanted.period))

    return blueprint


def _said(body: Mapping[str, Any]) -> Response:
    return make_response(answer(body))
