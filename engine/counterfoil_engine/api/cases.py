"""Cases: the inbox, one case with its history, and what people do about it. Behind the operators' tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
from flask import Blueprint, Response, make_response, request

from counterfoil_engine.api.access import Access, caller_of_request
from counterfoil_engine.api.requests import Moment, Name, Strict, answer, asked, named
from counterfoil_engine.config import Settings
from counterfoil_engine.ports import Clock, Wanted
from counterfoil_engine.work.case_hands import CaseHands
from counterfoil_engine.work.case_preview import CasePreview
from counterfoil_engine.work.inbox import Inbox

_Number = Annotated[int, msgspec.Meta(ge=1, le=2**62)]
_Amount = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,12}(\.[0-9]{1,4})?\Z")]
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=4_000, pattern=r"^[^\x00-\x08\x0b-\x1f]*\Z")]
_AGE_MOST_S = 100 * 365 * 86_400


@dataclass(frozen=True)
class CaseDesk:
    """The use cases behind these paths."""

    inbox: Inbox
    hands: CaseHands
    preview: CasePreview
    clock: Clock


class _Wanted(Strict):
    category: Name | None = None
    store: Name | None = None
    party: Name | None = None
    owner: Name | None = None
    older_than_s: Annotated[int, msgspec.Meta(ge=0, le=_AGE_MOST_S)] | None = None
    min_amount: _Amount | None = None
    snoozed: bool = False
    sort: Literal["money", "age"] = "money"
    limit: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 100
    offset: Annotated[int, msgspec.Meta(ge=0, le=10_000_000)] = 0

    def wanted(self, now: datetime) -> Wanted:
        return Wanted(
            category=self.category,
            store=self.store,
            party=self.party,
            owner=self.owner,
            opened_before=now - timedelta(seconds=self.older_than_s) if self.older_than_s is not None else None,
            least_amount=Decimal(self.min_amount) if self.min_amount is not None else None,
            with_snoozed=self.snoozed,
            sort=self.sort,
            limit=self.limit,
            offset=self.offset,
        )


class _Case(Strict):
    case: _Number


class _Alike(_Case):
    alike: bool = False


class _Assigned(_Alike):
    owner: Name | None = None


class _Snoozed(_Alike):
    until: Moment | None = None


class _Said(_Alike, kw_only=True):
    text: _Text


class _Filled(_Case):
    values: dict[Name, Name]


class _Previewed(_Alike):
    values: dict[Name, Name] = msgspec.field(default_factory=dict)


class _Corrected(_Case):
    reason: Name
    patch: list[dict[str, Any]] | None = None
    body: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if (self.patch is None) == (self.body is None):
            raise ValueError("it takes a patch or a body, and not both")


def cases(does: CaseDesk, settings: Settings, access: Access) -> Blueprint:
    blueprint = Blueprint("cases", __name__, url_prefix="/v1/cases")
    limits = settings.limits

    @blueprint.before_request
    def only_who_may() -> None:
        access.admit(request)

    @blueprint.get("")
    def cases() -> Response:
        wanted = named(request.args.to_dict(), _Wanted)
        return _said(does.inbox.list(wanted.wanted(does.clock.now())))

    @blueprint.get("/<number>")
    def case(number: str) -> Response:
        return _said(does.inbox.show(named({"case": number}, _Case).case))

    @blueprint.post("/assign")
    def assign_case() -> Response:
        wanted = asked(request, _Assigned, limits)
        return _said(does.hands.assign(wanted.case, wanted.owner, wanted.alike, caller_of_request()))

    @blueprint.post("/snooze")
    def snooze_case() -> Response:
        wanted = asked(request, _Snoozed, limits)
        return _said(does.hands.snooze(wanted.case, wanted.until, wanted.alike, caller_of_request()))

    @blueprint.post("/comment")
    def comment_case() -> Response:
        wanted = asked(request, _Said, limits)
        return _said(does.hands.comment(wanted.case, wanted.text, wanted.alike, caller_of_request()))

    @blueprint.post("/retry")
    def retry_case() -> Response:
        wanted = asked(request, _Alike, limits)
        return _said(does.hands.retry(wanted.case, wanted.alike, caller_of_request()))

    @blueprint.post("/fill")
    def fill_case() -> Response:
        wanted = asked(request, _Filled, limits)
        return _said(does.hands.fill(wanted.case, wanted.values, caller_of_request()))

    @blueprint.post("/preview")
    def preview_case() -> Response:
        wanted = asked(request, _Previewed, limits)
        return _said(does.preview.preview(wanted.case, wanted.values, wanted.alike))

    @blueprint.post("/correct")
    def correct_case() -> Response:
        wanted = asked(request, _Corrected, limits)
        given = {"patch": wanted.patch} if wanted.body is None else {"body": wanted.body}
        return _said(does.hands.correct(wanted.case, wanted.reason, given, caller_of_request()))

    return blueprint


def _said(body: Mapping[str, Any]) -> Response:
    return make_response(answer(body))
