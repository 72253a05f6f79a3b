"""What customer service looks up, and how the parties stand: search, planned pauses. Behind the same tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from flask import Blueprint, Response, make_response, request

from counterfoil_engine.api.access import Access, caller_of_request
from counterfoil_engine.api.requests import Moment, Name, Strict, answer, asked
from counterfoil_engine.config import Settings
from counterfoil_engine.work.parties import Parties
from counterfoil_engine.work.search import Search


@dataclass(frozen=True)
class Lookup:
    """The use cases behind these paths."""

    search: Search
    parties: Parties


class _Sought(Strict):
    q: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    after: Annotated[str, msgspec.Meta(max_length=200)] = ""


class _Party(Strict):
    party: Name
    entity: Name


class _Hold(_Party):
    reason: Name
    until: Moment | None = None


def lookup(does: Lookup, settings: Settings, access: Access) -> Blueprint:
    blueprint = Blueprint("lookup", __name__, url_prefix="/v1")
    limits = settings.limits

    @blueprint.before_request
    def only_who_may() -> None:
        access.admit(request)

    @blueprint.post("/search")
    def search() -> Response:
        """A body, though it only reads: an e-mail address is to stand in no address and no log."""
        wanted = asked(request, _Sought, limits)
        return _said(does.search.find(wanted.q, wanted.after))

    @blueprint.get("/parties")
    def parties() -> Response:
        return _said(does.parties.show())

    @blueprint.post("/parties/hold")
    def hold_party() -> Response:
        wanted = asked(request, _Hold, limits)
        caller = caller_of_request()
        return _said(does.parties.hold(wanted.party, wanted.entity, wanted.reason, wanted.until, caller))

    @blueprint.post("/parties/release")
    def release_party() -> Response:
        wanted = asked(request, _Party, limits)
        return _said(does.parties.release(wanted.party, wanted.entity, caller_of_request()))

    return blueprint


def _said(body: Mapping[str, Any]) -> Response:
    return make_response(answer(body))
